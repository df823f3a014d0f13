/* From what the executor says to what CUDA and a person are told. */
#ifndef WEFT_SOFTGPU_ENGINE_FAULT_H
#define WEFT_SOFTGPU_ENGINE_FAULT_H

#include "softgpu/engine/schedule.h"

/* Tells the person what the kernel did and where; the result that becomes the context's. */
CUresult weft_soft_fault_report(const struct weft_soft_grid *grid,
                                const struct weft_exec_fault *fault);
/* The same, of a kernel that the watchdog ends. */
CUresult weft_soft_fault_report_overtime(const struct weft_soft_grid *grid);
/* The checker's: memory is read that nothing has written. `grid` is a weft_soft_grid. */
void weft_soft_fault_tell_unwritten(void *grid, const struct weft_exec_fault *fault);
/* The same of what ends the kernel's context with `error`. */
void weft_soft_fault_report_text(const struct weft_soft_grid *grid, CUresult error,
                                 const char *text);

#endif
