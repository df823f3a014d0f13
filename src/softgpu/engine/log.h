/* What the soft GPU has to say about the program's work: to the person, and to the program where it
 * asks with cuLogs*. */
#ifndef WEFT_SOFTGPU_ENGINE_LOG_H
#define WEFT_SOFTGPU_ENGINE_LOG_H

#include <weft/cuda_table.h>

/* From now on sentences go to `person`, which may be NULL, and into the log. */
void weft_soft_log_open(void (*person)(const char *text));
/* A sentence; takes none of the driver's locks and calls nothing of the program's. */
void weft_soft_log_report(const char *text);
void weft_soft_log_install(struct weft_cuda *table);

#endif
