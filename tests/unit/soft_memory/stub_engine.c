#include "stub_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda/entries.h"

#define CONTEXTS WEFT_DEVICES_MAX
#define STREAMS 4
#define TASKS 64

struct weft_soft_stream {
    struct weft_soft_context *context;
    struct weft_soft_task tasks[TASKS];
    size_t count;
};

struct weft_soft_driver weft_soft;
struct weft_cuda cuda;

static struct weft_soft_context contexts[CONTEXTS];
static struct weft_soft_stream streams[STREAMS]; /* legacy, the thread's, A, B */
static size_t current;                           /* 0: none */

static void open_device(struct weft_soft_device *device, uint32_t ordinal, const char *profile)
{
    device->ordinal = ordinal;
    device->profile = weft_soft_profile_find(profile);
    assert_non_null(device->profile);
    device->sm_count = device->profile->sm_count;
    device->place.page_bytes = WEFT_DEVICE_LEDGER_OFFSET + weft_ledger_bytes();
    device->place.page = mmap(NULL, device->place.page_bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(device->place.page, MAP_FAILED);
    device->place.page->memory_bytes = device->profile->memory_bytes;
    device->place.page->memory_ceiling_bytes = device->profile->memory_bytes;
    struct weft_ledger *ledger =
        weft_ledger_format((char *)device->place.page + WEFT_DEVICE_LEDGER_OFFSET);
    assert_int_equal(weft_ledger_slot_take(ledger, &device->place.slot, NULL), 0);
    weft_ledger_account_init(&device->account, ledger, device->place.slot);
    memset(device->uuid, (int)ordinal + 1, sizeof(device->uuid));
    device->arena_fd = memfd_create("arena", MFD_CLOEXEC);
    assert_true(device->arena_fd >= 0);
    assert_int_equal(ftruncate(device->arena_fd, (off_t)device->profile->memory_bytes), 0);
}

static void open_context(size_t index)
{
    contexts[index] = (struct weft_soft_context){
        .device = &weft_soft.devices[index - 1],
        .handle = stub_context_handle(index),
    };
    assert_int_equal(weft_soft_memory_context_create(&contexts[index]), CUDA_SUCCESS);
}

void stub_open(const char *profile, size_t device_count)
{
    struct weft_err err = {0};
    memset(&weft_soft, 0, sizeof(weft_soft));
    weft_soft.device_count = device_count;
    atomic_store(&weft_soft.initialised, true);
    for (size_t i = 0; i < device_count; i++)
        open_device(&weft_soft.devices[i], (uint32_t)i, profile);
    if (weft_soft_memory_open(&weft_soft, &err) != 0)
        fail_msg("%s", err.text);
    weft_cuda_fill_unsupported(&cuda);
    weft_soft_memory_install(&cuda);
    for (size_t i = 1; i <= device_count; i++)
        open_context(i);
    stub_set_current(1);
}

void stub_close(void)
{
    for (size_t i = 0; i < STREAMS; i++)
        assert_int_equal(streams[i].count, 0);
    for (size_t i = 1; i <= weft_soft.device_count; i++) {
        if (contexts[i].handle)
            stub_destroy_context(i);
    }
    weft_soft_memory_drop_after_fork(&weft_soft);
    for (size_t i = 0; i < weft_soft.device_count; i++) {
        close(weft_soft.devices[i].arena_fd);
        munmap(weft_soft.devices[i].place.page, weft_soft.devices[i].place.page_bytes);
    }
    free(weft_soft.calls);
    weft_soft.calls = NULL;
}

void stub_set_current(size_t context)
{
    current = context;
    for (size_t i = 0; i < STREAMS; i++)
        streams[i].context = &contexts[context];
}

struct weft_soft_context *stub_context(size_t context)
{
    return &contexts[context];
}

CUcontext stub_context_handle(size_t context)
{
    return (CUcontext)(uintptr_t)(0x1000 + context);
}

void stub_set_error(size_t context, CUresult error)
{
    atomic_store(&contexts[context].error, (int)error);
}

void stub_destroy_context(size_t context)
{
    weft_soft_memory_context_destroy(&contexts[context]);
    contexts[context].handle = NULL;
}

static struct weft_soft_stream *find_stream(CUstream handle, bool per_thread)
{
    if (handle == STUB_STREAM_A || handle == STUB_STREAM_B)
        return &streams[handle == STUB_STREAM_A ? 2 : 3];
    if (handle == CU_STREAM_PER_THREAD || (!handle && per_thread))
        return &streams[1];
    return !handle || handle == CU_STREAM_LEGACY ? &streams[0] : NULL;
}

static CUresult do_nothing(void *argument)
{
    (void)argument;
    return CUDA_SUCCESS;
}

void stub_keep_busy(CUstream stream)
{
    weft_soft_stream_submit(find_stream(stream, false),
                            &(struct weft_soft_task){.run = do_nothing});
}

static void run_stream(struct weft_soft_stream *stream)
{
    for (size_t i = 0; i < stream->count; i++) {
        assert_int_equal(stream->tasks[i].run(stream->tasks[i].argument), CUDA_SUCCESS);
        if (stream->tasks[i].release)
            stream->tasks[i].release(stream->tasks[i].argument);
    }
    if (stream->count > 0)
        stream->count = 0; /* without a write where threads only find it idle */
}

void stub_run(CUstream stream)
{
    run_stream(find_stream(stream, false));
}

size_t stub_pending(CUstream stream)
{
    return find_stream(stream, false)->count;
}

uint64_t stub_charged(size_t device)
{
    return weft_ledger_total(weft_soft.devices[device].account.ledger, 0);
}

void stub_set_ceiling(size_t device, uint64_t bytes)
{
    weft_soft.devices[device].place.page->memory_ceiling_bytes = bytes;
}

uint64_t stub_backed_bytes(size_t device)
{
    struct stat info;
    assert_int_equal(fstat(weft_soft.devices[device].arena_fd, &info), 0);
    return (uint64_t)info.st_blocks * 512;
}

/* -- what the memory half calls */

CUresult weft_soft_context_current(struct weft_soft_context **out)
{
    if (current == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    *out = &contexts[current];
    return (CUresult)atomic_load(&contexts[current].error);
}

CUresult weft_soft_context_get(CUcontext handle, struct weft_soft_context **out)
{
    for (size_t i = 1; i < CONTEXTS; i++) {
        if (handle && contexts[i].handle == handle) {
            *out = &contexts[i];
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_CONTEXT;
}

void weft_soft_context_put(struct weft_soft_context *context)
{
    (void)context;
}

CUresult weft_soft_device_get(CUdevice ordinal, struct weft_soft_device **out)
{
    if (ordinal < 0 || (size_t)ordinal >= weft_soft.device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    *out = &weft_soft.devices[ordinal];
    return CUDA_SUCCESS;
}

int weft_soft_thread_create(const char *name, void *(*run)(void *), void *argument)
{
    pthread_t thread;
    (void)name;
    int rc = pthread_create(&thread, NULL, run, argument);
    return rc ? rc : pthread_detach(thread);
}

CUresult weft_soft_stream_get(struct weft_soft_context *context, CUstream handle, bool per_thread,
                              struct weft_soft_stream **out)
{
    (void)context;
    *out = find_stream(handle, per_thread);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void weft_soft_stream_put(struct weft_soft_stream *stream)
{
    (void)stream;
}

struct weft_soft_context *weft_soft_stream_context(struct weft_soft_stream *stream)
{
    return stream->context;
}

CUresult weft_soft_stream_submit(struct weft_soft_stream *stream, const struct weft_soft_task *task)
{
    assert_true(stream->count < TASKS);
    stream->tasks[stream->count++] = *task;
    return CUDA_SUCCESS;
}

CUresult weft_soft_stream_wait(struct weft_soft_stream *stream)
{
    run_stream(stream);
    return (CUresult)atomic_load(&stream->context->error);
}

CUresult weft_soft_context_wait(struct weft_soft_context *context)
{
    for (size_t i = 0; i < STREAMS; i++)
        run_stream(&streams[i]);
    return (CUresult)atomic_load(&context->error);
}

/* Nothing captures here. */
bool weft_soft_capture_is_on(void)
{
    return false;
}

bool weft_soft_capture_holds(struct weft_soft_stream *stream)
{
    (void)stream;
    return false;
}

CUresult weft_soft_capture_add(struct weft_soft_stream *stream, CUgraphNodeParams *params)
{
    (void)stream, (void)params;
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult weft_soft_capture_refuse(struct weft_soft_stream *stream)
{
    (void)stream;
    return CUDA_SUCCESS;
}

CUresult weft_soft_capture_permit(void)
{
    return CUDA_SUCCESS;
}

CUresult weft_soft_context_current_unsafe(struct weft_soft_context **out)
{
    return weft_soft_context_current(out);
}

struct weft_soft_point weft_soft_stream_end(struct weft_soft_stream *stream)
{
    return (struct weft_soft_point){(uint64_t)(stream - streams) + 1, stream->count};
}

uint32_t weft_soft_stream_followed(struct weft_soft_stream *stream,
                                   struct weft_soft_point points[WEFT_SOFT_FOLLOWED_MAX])
{
    (void)stream;
    (void)points;
    return 0;
}

bool weft_soft_stream_idle(struct weft_soft_stream *stream)
{
    return stream->count == 0;
}
