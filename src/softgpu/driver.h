/* The soft driver's outer face, for the backend module. */
#ifndef WEFT_SOFTGPU_DRIVER_H
#define WEFT_SOFTGPU_DRIVER_H

#include <weft/backend.h>
#include <weft/err.h>

struct weft_cuda;

/* As weft_backend.open, but for the table. Starts no thread. Nothing stays open on failure. */
int weft_soft_open(const struct weft_backend_config *config, struct weft_err *err);
/* In a child that was forked before cuInit. */
void weft_soft_drop_after_fork(void);
/* Puts the soft driver's calls into a table whose other entries refuse already. */
void weft_soft_install(struct weft_cuda *table);

#endif
