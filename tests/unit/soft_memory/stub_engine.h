/* An engine half for tests of the memory half: contexts and streams whose work runs only when a
 * test lets it, or waits for it, on the test's own thread. */
#ifndef WEFT_TESTS_STUB_ENGINE_H
#define WEFT_TESTS_STUB_ENGINE_H

#include <weft/cuda_table.h>

#include "softgpu/soft.h"

#define STUB_STREAM_A ((CUstream)0x100)
#define STUB_STREAM_B ((CUstream)0x200)

/* The calls of the memory half. */
extern struct weft_cuda cuda;

/* Opens `device_count` devices of the profile; context N + 1 belongs to device N. The first context
 * becomes current. */
void stub_open(const char *profile, size_t device_count);
void stub_close(void);
void stub_set_current(size_t context);
struct weft_soft_context *stub_context(size_t context);
CUcontext stub_context_handle(size_t context);
/* What every later call finds. */
void stub_set_error(size_t context, CUresult error);
void stub_destroy_context(size_t context);

/* Puts work into the stream that does nothing, so that the stream is busy. */
void stub_keep_busy(CUstream stream);
/* Runs all that was submitted to the stream. */
void stub_run(CUstream stream);
size_t stub_pending(CUstream stream);

/* What the device's ledger says is held. */
uint64_t stub_charged(size_t device);
void stub_set_ceiling(size_t device, uint64_t bytes);
/* Pages of the device's memory that the host had to back, in bytes. */
uint64_t stub_backed_bytes(size_t device);

#endif
