#include "fake_gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LAUNCH_NS MICROSECOND
#define STEP_NS (10 * MICROSECOND)

struct fake_gpu fake;

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct fake_stream *stream_of(CUstream stream)
{
    return &fake.streams[(uintptr_t)stream % FAKE_STREAMS];
}

static void begin_kernel(struct fake_stream *stream, const struct fake_op *op)
{
    uint64_t begin_ns = larger(op->at_ns, stream->end_ns);
    if (!fake.overlaps)
        begin_ns = larger(begin_ns, fake.free_ns);
    if (begin_ns > fake.free_ns)
        fake.idle_ns += begin_ns - fake.free_ns;
    stream->end_ns = begin_ns + op->time_ns;
    fake.free_ns = larger(fake.free_ns, stream->end_ns);
    fake.own_ns += op->time_ns;
    fake.begun++;
    fake.last_us = op->time_ns / MICROSECOND;
}

/* False where the stream has to wait. */
static bool come_to(struct fake_stream *stream, const struct fake_op *op)
{
    switch (op->kind) {
    case FAKE_KERNEL:
        begin_kernel(stream, op);
        break;
    case FAKE_EVENT:
        fake.events_ns[op->event] = larger(op->at_ns, stream->end_ns);
        break;
    case FAKE_WAIT:
        if ((int32_t)(__atomic_load_n(op->word, __ATOMIC_ACQUIRE) - op->value) < 0)
            return false;
        stream->end_ns = larger(stream->end_ns, fake.now_ns);
        break;
    case FAKE_WRITE:
        assert_true(fake.write_count < FAKE_WRITES);
        fake.writes[fake.write_count++] =
            (struct fake_write){larger(op->at_ns, stream->end_ns), op->word, op->value};
        break;
    }
    return true;
}

/* What the device and its streams come to by now. */
static void update(void)
{
    uint32_t kept = 0;
    for (size_t i = 0; i < FAKE_STREAMS; i++) {
        struct fake_stream *stream = &fake.streams[i];
        while (stream->count && come_to(stream, &stream->ops[stream->first])) {
            stream->first = (stream->first + 1) % FAKE_OPS;
            stream->count--;
        }
    }
    for (uint32_t i = 0; i < fake.write_count; i++) {
        const struct fake_write *write = &fake.writes[i];
        if (write->at_ns <= fake.now_ns)
            __atomic_store_n(write->word, write->value, __ATOMIC_RELEASE);
        else
            fake.writes[kept++] = *write;
    }
    fake.write_count = kept;
}

static void give(CUstream handle, struct fake_op op)
{
    struct fake_stream *stream = stream_of(handle);
    assert_true(stream->count < FAKE_OPS);
    op.at_ns = fake.now_ns;
    stream->ops[(stream->first + stream->count++) % FAKE_OPS] = op;
    update();
}

static CUresult run(unsigned int time_us, CUstream stream)
{
    uint64_t time_ns = time_us == UINT32_MAX ? FAKE_FOREVER : time_us * MICROSECOND;
    if (fake.refused)
        return fake.refused;
    fake.launches++;
    fake.now_ns += LAUNCH_NS;
    give(stream, (struct fake_op){.kind = FAKE_KERNEL, .time_ns = time_ns});
    return CUDA_SUCCESS;
}

static CUresult wait_value(CUstream stream, CUdeviceptr address, cuuint32_t value,
                           unsigned int flags)
{
    assert_int_equal(flags, CU_STREAM_WAIT_VALUE_GEQ);
    assert_false(fake.is_captured[(uintptr_t)stream % FAKE_STREAMS]);
    if (fake.cannot_wait)
        return CUDA_ERROR_NOT_SUPPORTED;
    give(stream, (struct fake_op){
                     .kind = FAKE_WAIT, .word = (uint32_t *)(uintptr_t)address, .value = value});
    return CUDA_SUCCESS;
}

static CUresult write_value(CUstream stream, CUdeviceptr address, cuuint32_t value,
                            unsigned int flags)
{
    (void)flags;
    if (fake.cannot_wait)
        return CUDA_ERROR_NOT_SUPPORTED;
    give(stream, (struct fake_op){
                     .kind = FAKE_WRITE, .word = (uint32_t *)(uintptr_t)address, .value = value});
    return CUDA_SUCCESS;
}

static CUresult host_register(void *memory, size_t bytes, unsigned int flags)
{
    (void)memory, (void)bytes;
    assert_int_equal(flags, CU_MEMHOSTREGISTER_DEVICEMAP);
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    return CUDA_SUCCESS;
}

static CUresult host_address(CUdeviceptr *address, void *memory, unsigned int flags)
{
    (void)flags;
    *address = (CUdeviceptr)(uintptr_t)memory;
    return CUDA_SUCCESS;
}

/* As a driver it waits for all work, and would wait for ever. */
static CUresult ctx_destroy(CUcontext context)
{
    assert_ptr_equal(context, fake.context);
    update();
    for (size_t i = 0; i < FAKE_STREAMS; i++)
        assert_int_equal(fake.streams[i].count, 0);
    fake.destroyed++;
    fake.write_count = 0;
    return CUDA_SUCCESS;
}

static CUresult launch(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                       unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
                       CUstream stream, void **params, void **extra)
{
    (void)f, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared;
    (void)params, (void)extra;
    return run(gx, stream);
}

static CUresult cooperative(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz,
                            unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
                            CUstream stream, void **params)
{
    return launch(f, gx, gy, gz, bx, by, bz, shared, stream, params, NULL);
}

static CUresult configured(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    (void)f, (void)params, (void)extra;
    return run(config->gridDimX, config->hStream);
}

static CUresult single(CUfunction f)
{
    (void)f;
    return run(10, NULL);
}

static CUresult grid(CUfunction f, int width, int height)
{
    (void)f, (void)height;
    return run((unsigned int)width, NULL);
}

static CUresult grid_async(CUfunction f, int width, int height, CUstream stream)
{
    (void)f, (void)height;
    return run((unsigned int)width, stream);
}

static CUresult on_devices(CUDA_LAUNCH_PARAMS *parts, unsigned int count, unsigned int flags)
{
    (void)flags;
    for (unsigned int i = 0; i < count; i++) {
        CUresult rc = run(parts[i].gridDimX, parts[i].hStream);
        if (rc)
            return rc;
    }
    return CUDA_SUCCESS;
}

/* Streams from the middle on are of the second context. */
static CUresult stream_context(CUstream stream, CUcontext *context)
{
    *context = (CUcontext)((uintptr_t)stream < FAKE_STREAMS / 2 ? (uintptr_t)1 : (uintptr_t)2);
    return CUDA_SUCCESS;
}

static CUcontext below;

static CUresult push_current(CUcontext context)
{
    assert_null(below);
    below = fake.context;
    fake.context = context;
    return CUDA_SUCCESS;
}

static CUresult pop_current(CUcontext *context)
{
    *context = fake.context;
    fake.context = below;
    below = NULL;
    return CUDA_SUCCESS;
}

/* A graph's handle says how long it takes, in microseconds. */
static CUresult graph(CUgraphExec graph, CUstream stream)
{
    return run((unsigned int)(uintptr_t)graph, stream);
}

static CUresult event_create(CUevent *event, unsigned int flags)
{
    (void)flags;
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    if (fake.event_count + 1 == FAKE_EVENTS)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *event = (CUevent)(uintptr_t)++fake.event_count;
    return CUDA_SUCCESS;
}

static CUresult event_destroy(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}

static CUresult event_record(CUevent event, CUstream stream)
{
    uintptr_t index = (uintptr_t)stream % FAKE_STREAMS;
    assert_false(fake.is_captured[index]);
    fake.records++;
    fake.events_ns[(uintptr_t)event] = UINT64_MAX;
    give(stream, (struct fake_op){.kind = FAKE_EVENT, .event = (uintptr_t)event});
    return CUDA_SUCCESS;
}

static CUresult event_query(CUevent event)
{
    fake.queries++;
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    if (fake.lost)
        return fake.lost;
    update();
    return fake.events_ns[(uintptr_t)event] <= fake.now_ns ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

/* A begin is recorded when its stream is free; its kernel begins when the device is. */
static CUresult event_elapsed(float *time_ms, CUevent begin, CUevent end)
{
    uint64_t begin_ns = fake.events_ns[(uintptr_t)begin], end_ns = fake.events_ns[(uintptr_t)end];
    *time_ms = (float)((double)(int64_t)(end_ns - begin_ns) / 1e6);
    return CUDA_SUCCESS;
}

static CUresult is_capturing(CUstream stream, CUstreamCaptureStatus *status)
{
    bool captured = fake.is_captured[(uintptr_t)stream % FAKE_STREAMS];
    *status = captured ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

static CUresult exchange_mode(CUstreamCaptureMode *mode)
{
    CUstreamCaptureMode before = fake.mode;
    fake.mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}

static CUresult get_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static CUresult get_current(CUcontext *context)
{
    *context = fake.context;
    return CUDA_SUCCESS;
}

static bool is_free(void *context, uint32_t device)
{
    (void)context, (void)device;
    return fake.is_free;
}

static void want(void *context, uint32_t device, bool wants)
{
    (void)context, (void)device;
    assert_int_equal(fake.wants, !wants);
    fake.wants = wants;
}

static struct weft_share_view view(void)
{
    struct weft_share_view view;
    weft_share_view_begin(&view, &fake.share);
    if (fake.wants)
        weft_share_view_add(&view, &fake.own);
    if (fake.neighbour_ns)
        weft_share_view_add(&view, &fake.neighbour);
    return view;
}

static enum weft_share_verdict judge(const struct weft_share_tenant *tenant, uint64_t *wait_ns)
{
    struct weft_share_view now = view();
    enum weft_share_verdict verdict = weft_share_judge(&now, tenant, wait_ns);
    if (verdict == WEFT_SHARE_RUN)
        weft_share_begin(&fake.share, &now);
    return verdict;
}

static bool ask(void *context, uint32_t device)
{
    uint64_t wait_ns;
    (void)context, (void)device;
    return judge(&fake.own, &wait_ns) == WEFT_SHARE_RUN;
}

static void note_flights(void *context, uint32_t device, uint32_t count)
{
    (void)context, (void)device;
    fake.in_flight = count;
    if (fake.beside)
        fake.beside->note_flights(count);
}

static bool others_are_busy(void *context)
{
    (void)context;
    return fake.other_is_busy;
}

static void note_run(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device;
    fake.ran_ns += time_ns;
    if (fake.beside)
        fake.beside->note_run(time_ns);
}

static void charge(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device;
    fake.charges++;
    if (fake.beside)
        time_ns = fake.beside->charge(time_ns);
    weft_share_charge(&fake.share, &fake.own, time_ns);
}

static uint64_t now(void *context)
{
    (void)context;
    return fake.now_ns;
}

/* What passes while everybody has reached the cap passes on the device's clock, too. */
static void step(void)
{
    uint64_t wait_ns = 0;
    fake.now_ns += STEP_NS;
    update();
    if (fake.beside)
        fake.beside->pass();
    bool busy = fake.free_ns > fake.now_ns;
    if (fake.neighbour_ns && !busy && judge(&fake.neighbour, &wait_ns) == WEFT_SHARE_RUN) {
        fake.idle_ns += fake.now_ns - fake.free_ns - STEP_NS / 2;
        fake.free_ns = fake.now_ns + fake.neighbour_ns;
        weft_share_charge(&fake.share, &fake.neighbour, fake.neighbour_ns);
    } else if (!fake.neighbour_ns && !busy && judge(&fake.own, &wait_ns) == WEFT_SHARE_CAPPED) {
        weft_share_stand_still(&fake.share, weft_share_clock(&fake.share), STEP_NS);
    }
}

/* No longer than a capped tenant has to wait. */
static void sleep_for(void *context, uint32_t device, uint64_t most_ns)
{
    (void)context, (void)device;
    assert_true(most_ns > 0);
    struct weft_share_view before = view();
    uint64_t wait_ns = most_ns;
    if (weft_share_judge(&before, &fake.own, &wait_ns) == WEFT_SHARE_CAPPED)
        most_ns = larger(1, wait_ns < most_ns ? wait_ns : most_ns);
    for (uint64_t passed = 0; passed < most_ns; passed += STEP_NS)
        step();
}

static void pass(uint64_t time_ns, void (*look)(void))
{
    for (uint64_t end_ns = fake.now_ns + time_ns; fake.now_ns < end_ns;) {
        update();
        look();
        sleep_for(NULL, 0, STEP_NS);
    }
}

void fake_gpu_pass(uint64_t time_ns)
{
    pass(time_ns, weft_gate_look);
}

void fake_gpu_pass_stuck(uint64_t time_ns)
{
    pass(time_ns, weft_gate_let_through);
}

void fake_gpu_init(struct weft_cuda *table, uint32_t weight, uint32_t cap_e4)
{
    const struct weft_share_terms own = {weight, WEFT_SHARE_CLASS_DEFAULT, cap_e4, 2},
                                  neighbour = {100, WEFT_SHARE_CLASS_DEFAULT, WEFT_SHARE_CAP_WHOLE,
                                               2};
    const struct weft_gate_arbiter arbiter = {.device_count = 1,
                                              .is_free = is_free,
                                              .want = want,
                                              .ask = ask,
                                              .note_run = note_run,
                                              .charge = charge,
                                              .note_flights = note_flights,
                                              .others_are_busy = others_are_busy,
                                              .now_ns = now,
                                              .sleep = sleep_for};
    fake = (struct fake_gpu){.now_ns = SECOND,
                             .free_ns = SECOND,
                             .context = (CUcontext)1,
                             .share.slack_ns = 2 * MILLISECOND,
                             .own.terms = weft_share_terms_pack(&own),
                             .neighbour.terms = weft_share_terms_pack(&neighbour)};
    memset(table, 0, sizeof(*table));
    table->cuLaunchKernel = table->cuLaunchKernel_ptsz = launch;
    table->cuLaunchCooperativeKernel = table->cuLaunchCooperativeKernel_ptsz = cooperative;
    table->cuLaunchKernelEx = table->cuLaunchKernelEx_ptsz = configured;
    table->cuGraphLaunch = table->cuGraphLaunch_ptsz = graph;
    table->cuLaunch = single;
    table->cuLaunchGrid = grid;
    table->cuLaunchGridAsync = grid_async;
    table->cuLaunchCooperativeKernelMultiDevice = on_devices;
    table->cuStreamGetCtx = stream_context;
    table->cuCtxPushCurrent_v2 = push_current;
    table->cuCtxPopCurrent_v2 = pop_current;
    table->cuEventCreate = event_create;
    table->cuEventDestroy_v2 = event_destroy;
    table->cuEventRecord = table->cuEventRecord_ptsz = event_record;
    table->cuEventQuery = event_query;
    table->cuEventElapsedTime = event_elapsed;
    table->cuStreamIsCapturing = table->cuStreamIsCapturing_ptsz = is_capturing;
    table->cuThreadExchangeStreamCaptureMode = exchange_mode;
    table->cuCtxGetCurrent = get_current;
    table->cuCtxGetDevice = get_device;
    table->cuStreamWaitValue32_v2 = table->cuStreamWaitValue32_v2_ptsz = wait_value;
    table->cuStreamWriteValue32_v2 = table->cuStreamWriteValue32_v2_ptsz = write_value;
    table->cuMemHostRegister_v2 = host_register;
    table->cuMemHostGetDevicePointer_v2 = host_address;
    table->cuCtxDestroy_v2 = ctx_destroy;
    weft_gate_install(table, &arbiter);
}

CUresult fake_gpu_launch(struct weft_cuda *table, uintptr_t function, uintptr_t stream,
                         uint64_t time_us)
{
    return table->cuLaunchKernel((CUfunction)function, (unsigned int)time_us, 1, 1, 1, 1, 1, 0,
                                 (CUstream)stream, NULL, NULL);
}
