/* What the soft GPU has to say about the program's work: to the person, and to the program where it
 * asks with cuLogs*. */
#ifndef WEFT_SOFTGPU_ENGINE_LOG_H
#define WEFT_SOFTGPU_ENGINE_LOG_H

#include <weft/backend.h>
#include <weft/cuda_table.h>

/* From now on sentences go to the config's `report` and `fault`, which may be NULL, and into the
 * log. */
void weft_soft_log_open(const struct weft_backend_config *config);
/* A sentence; takes none of the driver's locks and calls nothing of the program's. */
void weft_soft_log_report(const char *text);
/* The same of a fault. */
void weft_soft_log_fault(uint32_t ordinal, const struct weft_device_fault *fault);
void weft_soft_log_install(struct weft_cuda *table);

#endif
