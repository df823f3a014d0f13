/* What the cards of card_driver.c can do with time: kernels that only take some of it, one after
 * the other on a card, whichever process launched them, and events. A kernel's one parameter says
 * how long it takes: 300 ns times that. The card's time is kept in the file $CARD_TIME, and is the
 * monotonic clock's. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <weft/cuda_table.h>

#define EXPORTED __attribute__((visibility("default")))
#define CARD_TIME_BYTES 4096
#define ITERATION_NS 300u
/* A launch waits in its caller while more than that is before it, as where a queue is full. */
#define QUEUE_NS 100000000u
#define FIRST_CONTEXT 0x100

/* In card_driver.c. */
CUresult set_current(CUcontext context) __asm__("cuCtxSetCurrent");

#define DRIVER(name, ...)                \
    EXPORTED CUresult name(__VA_ARGS__); \
    CUresult name(__VA_ARGS__)

struct CUevent_st {
    uint64_t at_ns;
};

/* One stream: the order of the calls is the order of the work. */
static uint64_t stream_ns;
static CUevent last_event; /* recorded since the last launch */
static uint64_t private_free_ns;
static uint64_t *free_ns = &private_free_ns; /* when all that the card was given has ended */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t end_ns)
{
    const struct timespec end = {.tv_sec = (time_t)(end_ns / 1000000000),
                                 .tv_nsec = (long)(end_ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

__attribute__((constructor)) static void map_time(void)
{
    const char *path = getenv("CARD_TIME");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory = fd < 0 ? MAP_FAILED
                          : mmap(NULL, CARD_TIME_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED)
        free_ns = memory;
    if (fd >= 0)
        close(fd);
}

static uint64_t take_card(uint64_t time_ns)
{
    uint64_t begin_ns, before = __atomic_load_n(free_ns, __ATOMIC_SEQ_CST);
    do
        begin_ns = larger(larger(now_ns(), stream_ns), before);
    while (!__atomic_compare_exchange_n(free_ns, &before, begin_ns + time_ns, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
    return begin_ns;
}

DRIVER(cuLaunchKernel, CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
       unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
       void **params, void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
    (void)stream, (void)extra;
    uint64_t time_ns = (uint64_t) * (const uint32_t *)params[0] * ITERATION_NS;
    if (stream_ns > now_ns() + QUEUE_NS)
        sleep_until(stream_ns - QUEUE_NS);
    uint64_t begin_ns = take_card(time_ns);
    if (last_event)
        last_event->at_ns = begin_ns; /* the card comes to it when it comes to this process */
    last_event = NULL;
    stream_ns = begin_ns + time_ns;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxCreate_v4, CUcontext *context, CUctxCreateParams *params, unsigned int flags,
       CUdevice device)
{
    (void)params, (void)flags;
    *context = (CUcontext)(FIRST_CONTEXT + (size_t)device);
    return set_current(*context);
}

DRIVER(cuModuleLoadData, CUmodule *module, const void *image)
{
    *module = (CUmodule)image;
    return CUDA_SUCCESS;
}

DRIVER(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name)
{
    (void)name;
    *function = (CUfunction)module;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxSynchronize, void)
{
    sleep_until(stream_ns);
    return CUDA_SUCCESS;
}

DRIVER(cuEventCreate, CUevent *event, unsigned int flags)
{
    (void)flags;
    *event = calloc(1, sizeof(**event));
    return *event ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

DRIVER(cuEventDestroy_v2, CUevent event)
{
    free(event);
    return CUDA_SUCCESS;
}

DRIVER(cuEventRecord, CUevent event, CUstream stream)
{
    (void)stream;
    event->at_ns = larger(now_ns(), stream_ns);
    last_event = event;
    return CUDA_SUCCESS;
}

DRIVER(cuEventQuery, CUevent event)
{
    return event->at_ns <= now_ns() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

DRIVER(cuEventElapsedTime_v2, float *time_ms, CUevent begin, CUevent end)
{
    *time_ms = (float)((double)(int64_t)(end->at_ns - begin->at_ns) / 1e6);
    return CUDA_SUCCESS;
}

DRIVER(cuEventElapsedTime, float *time_ms, CUevent begin, CUevent end)
{
    return cuEventElapsedTime_v2(time_ms, begin, end);
}

DRIVER(cuStreamIsCapturing, CUstream stream, CUstreamCaptureStatus *status)
{
    (void)stream;
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

DRIVER(cuThreadExchangeStreamCaptureMode, CUstreamCaptureMode *mode)
{
    static __thread CUstreamCaptureMode current;
    CUstreamCaptureMode before = current;
    current = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
