/* What the cards of card_driver.c can do with time: kernels that only take some of it, one after
 * the other on a card, whichever process launched them; streams, events, and waits of streams for
 * words in host memory. A kernel's one parameter says how long it takes: 300 ns times that. The
 * card's time is kept in the file $CARD_TIME, with how many kernels it was given, and is the
 * monotonic clock's. With $CARD_STUBBORN a call that waits lets no other one in. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <weft/cuda_table.h>

#define EXPORTED __attribute__((visibility("default")))
#define CARD_TIME_BYTES 4096
#define ITERATION_NS 300u
/* A launch waits in its caller while more than that is before it, or so many operations are, as
 * where a queue is full. */
#define QUEUE_NS 100000000u
#define QUEUE_OPS 1024
#define STREAMS 8
#define WRITES 4096
#define PAUSE_NS 50000
#define PENDING UINT64_MAX
#define FIRST_CONTEXT 0x100

/* In card_driver.c. */
CUresult set_current(CUcontext context) __asm__("cuCtxSetCurrent");
CUresult get_current(CUcontext *context) __asm__("cuCtxGetCurrent");

#define DRIVER(name, ...)                \
    EXPORTED CUresult name(__VA_ARGS__); \
    CUresult name(__VA_ARGS__)

struct CUevent_st {
    uint64_t at_ns;
};

/* What a stream was given and has not come to. */
struct op {
    enum { KERNEL, EVENT, WAIT, WRITE } kind;
    uint64_t at_ns, time_ns;
    CUevent event;
    uint32_t *word, value;
};

struct stream {
    struct op ops[QUEUE_OPS];
    uint32_t first, count;
    uint64_t end_ns;    /* when what it came to has ended */
    CUevent last_event; /* that it came to since the last kernel */
    CUcontext context;
};

struct write {
    uint64_t at_ns;
    uint32_t *word, value;
};

/* In the file. */
struct card {
    uint64_t free_ns; /* when all that it was given has ended */
    uint64_t begun;   /* kernels */
};

static struct card private_card, *card = &private_card;
static pthread_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER; /* before `lock` */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;      /* over what follows */
static struct stream streams[STREAMS];
static size_t stream_count = 1;
static struct write writes[WRITES];
static size_t write_count;
static int has_thread;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_a_little(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    nanosleep(&pause, NULL);
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
        card = memory;
    if (fd >= 0)
        close(fd);
}

static uint64_t take_card(uint64_t least_ns, uint64_t time_ns)
{
    uint64_t begin_ns, before = __atomic_load_n(&card->free_ns, __ATOMIC_SEQ_CST);
    do
        begin_ns = larger(least_ns, before);
    while (!__atomic_compare_exchange_n(&card->free_ns, &before, begin_ns + time_ns, 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&card->begun, 1, __ATOMIC_SEQ_CST);
    return begin_ns;
}

static void begin_kernel(struct stream *stream, const struct op *op)
{
    uint64_t begin_ns = take_card(larger(op->at_ns, stream->end_ns), op->time_ns);
    if (stream->last_event)
        stream->last_event->at_ns = begin_ns; /* the card comes to it when it comes to this one */
    stream->last_event = NULL;
    stream->end_ns = begin_ns + op->time_ns;
}

/* 0 where the stream has to wait. */
static int come_to(struct stream *stream, const struct op *op)
{
    switch (op->kind) {
    case KERNEL:
        begin_kernel(stream, op);
        break;
    case EVENT:
        op->event->at_ns = larger(op->at_ns, stream->end_ns);
        stream->last_event = op->event;
        break;
    case WAIT:
        if ((int32_t)(__atomic_load_n(op->word, __ATOMIC_ACQUIRE) - op->value) < 0)
            return 0;
        stream->end_ns = larger(stream->end_ns, now_ns());
        break;
    case WRITE:
        if (write_count == WRITES)
            return 0;
        writes[write_count++] =
            (struct write){larger(op->at_ns, stream->end_ns), op->word, op->value};
        break;
    }
    return 1;
}

static void work(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < stream_count; i++) {
        struct stream *stream = &streams[i];
        while (stream->count && come_to(stream, &stream->ops[stream->first])) {
            stream->first = (stream->first + 1) % QUEUE_OPS;
            stream->count--;
        }
    }
    for (size_t i = 0; i < write_count; i++) {
        if (writes[i].at_ns <= now_ns())
            __atomic_store_n(writes[i].word, writes[i].value, __ATOMIC_RELEASE);
        else
            writes[kept++] = writes[i];
    }
    write_count = kept;
}

/* The card goes on whatever calls are being made. */
static void *run_card(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        work();
        pthread_mutex_unlock(&lock);
        sleep_a_little();
    }
    return NULL;
}

static struct stream *stream_of(CUstream handle)
{
    return &streams[(size_t)handle % STREAMS];
}

static void begin_call(void)
{
    pthread_mutex_lock(&call_lock);
    pthread_mutex_lock(&lock);
    work();
}

static void end_call(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&call_lock);
}

static void wait_a_little(void)
{
    int stubborn = getenv("CARD_STUBBORN") != NULL;
    pthread_mutex_unlock(&lock);
    if (!stubborn)
        pthread_mutex_unlock(&call_lock);
    sleep_a_little();
    if (!stubborn)
        pthread_mutex_lock(&call_lock);
    pthread_mutex_lock(&lock);
    work();
}

static CUresult give(CUstream handle, struct op op)
{
    struct stream *stream = stream_of(handle);
    begin_call();
    while (stream->count == QUEUE_OPS ||
           (op.kind == KERNEL && stream->end_ns > now_ns() + QUEUE_NS))
        wait_a_little();
    op.at_ns = now_ns();
    stream->ops[(stream->first + stream->count++) % QUEUE_OPS] = op;
    work();
    end_call();
    return CUDA_SUCCESS;
}

static void wait_for_all(void)
{
    begin_call();
    for (size_t i = 0; i < stream_count; i++) {
        while (streams[i].count || streams[i].end_ns > now_ns())
            wait_a_little();
    }
    end_call();
}

DRIVER(cuLaunchKernel, CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
       unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
       void **params, void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)extra;
    return give(stream,
                (struct op){.kind = KERNEL,
                            .time_ns = (uint64_t) * (const uint32_t *)params[0] * ITERATION_NS});
}

DRIVER(cuStreamWaitValue32_v2, CUstream stream, CUdeviceptr address, cuuint32_t value,
       unsigned int flags)
{
    if (getenv("CARD_CANNOT_WAIT"))
        return CUDA_ERROR_NOT_SUPPORTED;
    return flags == CU_STREAM_WAIT_VALUE_GEQ
               ? give(stream, (struct op){.kind = WAIT,
                                          .word = (uint32_t *)(uintptr_t)address,
                                          .value = value})
               : CUDA_ERROR_INVALID_VALUE;
}

DRIVER(cuStreamWriteValue32_v2, CUstream stream, CUdeviceptr address, cuuint32_t value,
       unsigned int flags)
{
    (void)flags;
    return give(stream,
                (struct op){.kind = WRITE, .word = (uint32_t *)(uintptr_t)address, .value = value});
}

DRIVER(cuMemHostRegister_v2, void *memory, size_t bytes, unsigned int flags)
{
    (void)memory, (void)bytes;
    return flags == CU_MEMHOSTREGISTER_DEVICEMAP ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

DRIVER(cuMemHostGetDevicePointer_v2, CUdeviceptr *address, void *memory, unsigned int flags)
{
    (void)flags;
    *address = (CUdeviceptr)(uintptr_t)memory;
    return CUDA_SUCCESS;
}

DRIVER(cuMemHostUnregister, void *memory)
{
    (void)memory;
    return CUDA_SUCCESS;
}

DRIVER(cuCtxCreate_v4, CUcontext *context, CUctxCreateParams *params, unsigned int flags,
       CUdevice device)
{
    pthread_t thread;
    (void)params, (void)flags;
    begin_call();
    if (!has_thread)
        has_thread = pthread_create(&thread, NULL, run_card, NULL) == 0;
    end_call();
    *context = (CUcontext)(FIRST_CONTEXT + (size_t)device);
    return has_thread ? set_current(*context) : CUDA_ERROR_OPERATING_SYSTEM;
}

DRIVER(cuCtxDestroy_v2, CUcontext context)
{
    (void)context;
    wait_for_all();
    return CUDA_SUCCESS;
}

DRIVER(cuStreamCreate, CUstream *stream, unsigned int flags)
{
    (void)flags;
    begin_call();
    if (stream_count < STREAMS) {
        get_current(&streams[stream_count].context);
        *stream = (CUstream)stream_count++;
    }
    end_call();
    return CUDA_SUCCESS;
}

DRIVER(cuStreamGetCtx, CUstream stream, CUcontext *context)
{
    *context = stream_of(stream)->context;
    return CUDA_SUCCESS;
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
    wait_for_all();
    return CUDA_SUCCESS;
}

DRIVER(cuEventCreate, CUevent *event, unsigned int flags)
{
    (void)flags;
    *event = calloc(1, sizeof(**event));
    return *event ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* A stream may have to come to it yet, so it stays. */
DRIVER(cuEventDestroy_v2, CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}

DRIVER(cuEventRecord, CUevent event, CUstream stream)
{
    event->at_ns = PENDING;
    return give(stream, (struct op){.kind = EVENT, .event = event});
}

DRIVER(cuEventQuery, CUevent event)
{
    begin_call();
    uint64_t at_ns = event->at_ns;
    end_call();
    return at_ns <= now_ns() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

DRIVER(cuEventElapsedTime_v2, float *time_ms, CUevent begin, CUevent end)
{
    begin_call();
    *time_ms = (float)((double)(int64_t)(end->at_ns - begin->at_ns) / 1e6);
    end_call();
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
