/* A soft driver with both of its halves, opened on pages of the test's own, over the executor of
 * fake_exec.c. */
#ifndef WEFT_TESTS_SOFT_ENGINE_RIG_H
#define WEFT_TESTS_SOFT_ENGINE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weft/cuda_table.h>

#include "softgpu/soft.h"

#define RIG_OUT_OF_ORDER 0xbadbadu

extern struct weft_cuda cuda;

/* Opens `devices` devices of profile "small", and the driver by cuInit. */
void rig_open(size_t devices);
/* A context of device 0 that is current, and the test's kernels in it. */
void rig_enter(void);
void rig_leave(void);
/* The last sentence that the driver had for a person; "" where there was none since. */
const char *rig_report(void);

CUfunction rig_function(const char *name);
/* One pinned word, zero, as the host and as kernels see it. */
uint32_t *rig_word(void);
CUdeviceptr rig_address(uint32_t *word);
CUresult rig_launch(const char *kernel, unsigned int blocks, CUstream stream, uint32_t *word,
                    uint64_t value);
#define RIG_OK(call) assert_int_equal((call), CUDA_SUCCESS)

/* The text of the module that rig_enter loads. */
extern const char rig_ptx[];

#endif
