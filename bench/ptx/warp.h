/* One warp that repeats a few instructions: what they cost without the loop around them. */
#ifndef WEFT_BENCH_PTX_WARP_H
#define WEFT_BENCH_PTX_WARP_H

#include <stdint.h>
#include <time.h>

#include "softgpu/exec/exec.h"

#define WARP_ROUNDS 256u

/* The time that this thread had the processor: what one core does, also on a busy machine. */
static inline double cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

struct warp_kernel {
    struct weft_ptx_module *module;
    struct weft_exec_program *program;
    const struct weft_exec_kernel *lowered;
};

/* A loop of WARP_ROUNDS rounds over `body`; `registers` declares what it uses. -1 after saying why
 * on stderr. */
int warp_kernel_prepare(struct warp_kernel *kernel, const char *registers, const char *body);
void warp_kernel_finish(struct warp_kernel *kernel);
/* Nanoseconds of one run on the instruction set, 0 where the machine lacks it. */
double warp_kernel_run(const struct warp_kernel *kernel, enum weft_exec_isa isa);

#endif
