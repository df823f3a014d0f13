/* The runtime's state, the way in and the way out. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/entries.h"
#include "runtime/logs.h"
#include "runtime/runtime.h"
#include "util/util.h"

#define REFUSED_NAMES_MAX 512

static struct {
    pthread_once_t once;
    cudaError_t error; /* of the initialisation */
    struct weft_cuda driver;
    int device_count;
    _Atomic(uint64_t) resets; /* and 1: 0 is before anything was placed */
    struct {
        CUdevice handle;
        pthread_mutex_t lock;
        _Atomic(CUcontext) primary; /* retained while not NULL; written under the lock */
    } devices[WEFT_CUDART_DEVICES_MAX];
    _Atomic(const char *) refused[REFUSED_NAMES_MAX]; /* names that were told of */
} state = {.once = PTHREAD_ONCE_INIT, .resets = 1};

static _Thread_local struct {
    int device;
    bool has_chosen;
    CUcontext bound; /* the primary context that the runtime made current last; borrowed */
    cudaError_t last_error;
    cudaError_t fatal; /* what ended a context, as far as this thread was told */
    CUcontext ended;   /* that context, with `fatal`; borrowed */
} thread;

/* Errors after which, as the driver's reference says, a context serves nobody any more. */
static const cudaError_t fatal_errors[] = {cudaErrorECCUncorrectable,
                                           cudaErrorNvlinkUncorrectable,
                                           cudaErrorIllegalAddress,
                                           cudaErrorLaunchTimeout,
                                           cudaErrorAssert,
                                           cudaErrorHardwareStackError,
                                           cudaErrorIllegalInstruction,
                                           cudaErrorMisalignedAddress,
                                           cudaErrorInvalidAddressSpace,
                                           cudaErrorInvalidPc,
                                           cudaErrorLaunchFailure};

/* Symbols that an older driver lacks refuse by name. */
static void fill_table(void *library)
{
    weft_cuda_fill_unsupported(&state.driver);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        weft_cuda_fn found = (weft_cuda_fn)dlsym(library, weft_cuda_entries[i].symbol);
        if (found)
            *weft_cuda_slot(&state.driver, i) = found;
    }
}

static cudaError_t find_devices(void)
{
    int count = 0;
    CUresult result = state.driver.cuDeviceGetCount(&count);
    if (result)
        return weft_cudart_error(result);
    if (count > WEFT_CUDART_DEVICES_MAX)
        count = WEFT_CUDART_DEVICES_MAX;
    for (int i = 0; i < count; i++) {
        pthread_mutex_init(&state.devices[i].lock, NULL);
        result = state.driver.cuDeviceGet(&state.devices[i].handle, i);
        if (result)
            return weft_cudart_error(result);
    }
    state.device_count = count;
    return count ? cudaSuccess : cudaErrorNoDevice;
}

static void initialise(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) {
        weft_cudart_tell("libcuda.so.1: %s", dlerror());
        state.error = cudaErrorInsufficientDriver;
        return;
    }
    fill_table(library);
    int version = 0;
    state.driver.cuDriverGetVersion(&version);
    CUresult result = state.driver.cuInit(0);
    if (result)
        state.error = weft_cudart_error(result);
    else if (version / 1000 < WEFT_CUDART_MAJOR)
        state.error = cudaErrorInsufficientDriver;
    else
        state.error = find_devices();
}

cudaError_t weft_cudart_enter_driver(void)
{
    pthread_once(&state.once, initialise);
    return state.error;
}

const struct weft_cuda *weft_cudart_driver(void)
{
    return &state.driver;
}

static cudaError_t primary_of(int device, CUcontext *out)
{
    CUresult result = CUDA_SUCCESS;
    CUcontext primary = atomic_load(&state.devices[device].primary);
    if (!primary) {
        pthread_mutex_lock(&state.devices[device].lock);
        primary = atomic_load(&state.devices[device].primary);
        if (!primary) {
            result = state.driver.cuDevicePrimaryCtxRetain(&primary, state.devices[device].handle);
            if (result == CUDA_SUCCESS)
                atomic_store(&state.devices[device].primary, primary);
        }
        pthread_mutex_unlock(&state.devices[device].lock);
    }
    *out = primary;
    return weft_cudart_error(result);
}

static cudaError_t bind(int device)
{
    CUcontext primary;
    cudaError_t result = primary_of(device, &primary);
    if (result == cudaSuccess)
        result = weft_cudart_error(state.driver.cuCtxSetCurrent(primary));
    if (result == cudaSuccess)
        thread.bound = primary;
    return result;
}

/* Another thread, or the program by the driver's call, may have reset what is current here. */
static bool was_reset(CUcontext current)
{
    unsigned int version;
    return current == thread.bound && state.driver.cuCtxGetApiVersion(current, &version);
}

static void forget_primary(int device, CUcontext gone)
{
    pthread_mutex_lock(&state.devices[device].lock);
    if (atomic_load(&state.devices[device].primary) == gone)
        atomic_store(&state.devices[device].primary, NULL);
    atomic_fetch_add(&state.resets, 1);
    pthread_mutex_unlock(&state.devices[device].lock);
}

uint64_t weft_cudart_resets(void)
{
    return atomic_load(&state.resets);
}

cudaError_t weft_cudart_enter_context(void)
{
    cudaError_t result = weft_cudart_enter_driver();
    if (result)
        return result;
    /* A context that the program made current itself is the one to use. */
    CUcontext current = NULL;
    CUresult asked = state.driver.cuCtxGetCurrent(&current);
    if (asked)
        return weft_cudart_error(asked);
    if (current && was_reset(current))
        forget_primary(thread.device, current);
    else if (current)
        return cudaSuccess;
    return bind(thread.device);
}

static bool is_fatal(cudaError_t error)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(fatal_errors); i++)
        if (fatal_errors[i] == error)
            return true;
    return false;
}

cudaError_t weft_cudart_leave(const char *call, cudaError_t result)
{
    /* Not ready is an answer, no error. */
    if (!result || result == cudaErrorNotReady)
        return result;
    thread.last_error = result;
    weft_cudart_log(call, result);
    if (is_fatal(result) && state.driver.cuCtxGetCurrent(&thread.ended) == CUDA_SUCCESS)
        thread.fatal = result;
    return result;
}

/* Whether the context that the thread's fatal error ended is still the current one, and not another
 * one by now that happens to have its handle. */
static bool is_still_ended(void)
{
    CUcontext current;
    size_t free_bytes, bytes;
    if (!thread.fatal)
        return false;
    if (state.driver.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == thread.ended &&
        state.driver.cuMemGetInfo_v2(&free_bytes, &bytes) == (CUresult)thread.fatal)
        return true;
    thread.fatal = cudaSuccess;
    return false;
}

cudaError_t weft_cudart_last_error(bool clear)
{
    cudaError_t last = thread.last_error;
    if (!last && is_still_ended())
        last = thread.fatal;
    if (clear)
        thread.last_error = cudaSuccess;
    return last;
}

int weft_cudart_device_count(void)
{
    return state.device_count;
}

int weft_cudart_device(void)
{
    CUcontext current = NULL;
    CUdevice handle;
    if (state.driver.cuCtxGetCurrent(&current) || !current || state.driver.cuCtxGetDevice(&handle))
        return thread.device;
    for (int i = 0; i < state.device_count; i++)
        if (state.devices[i].handle == handle)
            return i;
    return thread.device;
}

cudaError_t weft_cudart_device_set(int device)
{
    if (device < 0 || device >= state.device_count)
        return cudaErrorInvalidDevice;
    thread.device = device;
    thread.has_chosen = true;
    return bind(device);
}

void weft_cudart_device_prefer(int device)
{
    if (!thread.has_chosen)
        thread.device = device;
}

void weft_cudart_device_unbind(int device)
{
    pthread_mutex_lock(&state.devices[device].lock);
    atomic_store(&state.devices[device].primary, NULL);
    atomic_fetch_add(&state.resets, 1);
    pthread_mutex_unlock(&state.devices[device].lock);
    state.driver.cuCtxSetCurrent(NULL);
}

cudaError_t weft_cudart_refuse(const char *name)
{
    for (size_t i = 0; i < REFUSED_NAMES_MAX; i++) {
        const char *told = NULL;
        if (atomic_compare_exchange_strong(&state.refused[i], &told, name)) {
            weft_cudart_tell("%s is not supported by weft's CUDA runtime", name);
            break;
        }
        if (told == name)
            break;
    }
    return cudaErrorNotSupported;
}

void weft_cudart_tell(const char *format, ...)
{
    if (!getenv("WEFT_LOG"))
        return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "weft: cudart: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
}
