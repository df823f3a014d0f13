/* Our libcudart: the CUDA runtime API over the driver API, written from the public reference. What
 * is mechanical is generated from api/cudart: every exported symbol enters the runtime, calls the
 * driver or the function weft_cudart_NAME of this folder, and leaves it; a call that nobody wrote
 * refuses by name. A function with stream flavours is told whether stream 0 is the thread's own.
 *
 * One source, built once for each major version of CUDA (WEFT_CUDART_MAJOR), since layouts and some
 * signatures differ. Any thread; state is one struct, and what CUDA keeps per thread is
 * thread-local. Locks: the registry's, under which nothing is called, and a module's, under which
 * the driver is, to load it; neither under the other. */
#ifndef WEFT_RUNTIME_RUNTIME_H
#define WEFT_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/cuda_table.h>
#include <weft/cudart_abi.h>

#define WEFT_CUDART_DEVICES_MAX 64

/* The first call loads libcuda.so.1 and initialises it; InitializationError, NoDevice,
 * InsufficientDriver … for every call if that fails. */
cudaError_t weft_cudart_enter_driver(void);
/* The same, and the thread has a current context: its own, or its device's primary one. */
cudaError_t weft_cudart_enter_context(void);
/* How often a primary context went and came again: what lies in it has other places then. */
uint64_t weft_cudart_resets(void);
/* Keeps an error as the thread's last one, logs it as that call's, and hands it through. */
cudaError_t weft_cudart_leave(const char *call, cudaError_t result);
/* The thread's last error; forgotten with `clear`, unless it ended the context. */
cudaError_t weft_cudart_last_error(bool clear);

/* The driver's calls, after a successful enter. */
const struct weft_cuda *weft_cudart_driver(void);
/* NotSupported; `name` is told of once. */
cudaError_t weft_cudart_refuse(const char *name);
/* To stderr, where WEFT_LOG is set: what a person should know about a program that does not work.
 */
void weft_cudart_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether exit() has begun, as far as what was registered before the last watch is concerned. */
bool weft_cudart_is_ending(void);
void weft_cudart_end_watch(void);

/* Devices. */
int weft_cudart_device_count(void);
int weft_cudart_device(void); /* the thread's */
cudaError_t weft_cudart_device_set(int device);
/* Where the thread goes if it has not chosen yet. */
void weft_cudart_device_prefer(int device);
/* Forgets that the thread is bound: its device's primary context went. */
void weft_cudart_device_unbind(int device);

/* What the program registered, by the address that stands for it in the program. */
cudaError_t weft_cudart_kernel_of(const void *host, CUkernel *out);
/* On the current device. */
cudaError_t weft_cudart_variable_of(const void *host, CUdeviceptr *address, size_t *bytes);

#if WEFT_CUDART_MAJOR <= 11
/* In the current context; whether integers are read as floats of 0 to 1. InvalidTexture. */
cudaError_t weft_cudart_texture_of(const void *host, CUtexref *out, bool *reads_floats);
/* How far behind the address that is bound the texture begins: asked for, or noted. */
cudaError_t weft_cudart_texture_offset(const void *host, size_t *offset, bool set);
/* InvalidSurface. */
cudaError_t weft_cudart_surface_of(const void *host, CUsurfref *out);
#endif

/* The address of `count` bytes at `offset` in it; InvalidSymbol, InvalidValue. */
cudaError_t weft_cudart_symbol_range(const void *host, size_t offset, size_t count, void **out);

/* A function handle that the driver's calls take for a stub, a cudaKernel_t or a cudaFunction_t. */
cudaError_t weft_cudart_function_of(const void *host, CUfunction *out);

/* A launch as the driver describes it. InvalidValue. */
cudaError_t weft_cudart_launch_config(const cudaLaunchConfig_t *config, CUlaunchConfig *out);

static inline cudaError_t weft_cudart_error(CUresult result)
{
    return (cudaError_t)result; /* one numbering since CUDA 10.1 */
}

#endif
