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

static CUresult run(unsigned int time_us, CUstream stream)
{
    uint64_t *end_ns = &fake.stream_ns[(uintptr_t)stream % FAKE_STREAMS];
    if (fake.refused)
        return fake.refused;
    fake.launches++;
    fake.now_ns += LAUNCH_NS;
    uint64_t begin_ns = larger(fake.now_ns, fake.overlaps ? *end_ns : fake.free_ns);
    uint64_t time_ns = time_us == UINT32_MAX ? FAKE_FOREVER : time_us * MICROSECOND;
    if (begin_ns > fake.free_ns)
        fake.idle_ns += begin_ns - fake.free_ns;
    *end_ns = begin_ns + time_ns;
    fake.free_ns = larger(fake.free_ns, *end_ns);
    fake.own_ns += time_ns;
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
    fake.events_ns[(uintptr_t)event] = larger(fake.now_ns, fake.stream_ns[index]);
    return CUDA_SUCCESS;
}

static CUresult event_query(CUevent event)
{
    fake.queries++;
    assert_int_equal(fake.mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    if (fake.lost)
        return fake.lost;
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
}

static bool is_busy(void *context)
{
    (void)context;
    return fake.in_flight || fake.other_is_busy;
}

static void charge(void *context, uint32_t device, uint64_t time_ns)
{
    (void)context, (void)device;
    fake.charges++;
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

void fake_gpu_init(struct weft_cuda *table, uint32_t weight, uint32_t cap_e4)
{
    const struct weft_share_terms own = {weight, WEFT_SHARE_CLASS_DEFAULT, cap_e4, 2},
                                  neighbour = {100, WEFT_SHARE_CLASS_DEFAULT, WEFT_SHARE_CAP_WHOLE,
                                               2};
    const struct weft_gate_arbiter arbiter = {.device_count = 1,
                                              .is_free = is_free,
                                              .want = want,
                                              .ask = ask,
                                              .charge = charge,
                                              .note_flights = note_flights,
                                              .is_busy = is_busy,
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
    table->cuEventCreate = event_create;
    table->cuEventDestroy_v2 = event_destroy;
    table->cuEventRecord = table->cuEventRecord_ptsz = event_record;
    table->cuEventQuery = event_query;
    table->cuEventElapsedTime = event_elapsed;
    table->cuStreamIsCapturing = table->cuStreamIsCapturing_ptsz = is_capturing;
    table->cuThreadExchangeStreamCaptureMode = exchange_mode;
    table->cuCtxGetCurrent = get_current;
    table->cuCtxGetDevice = get_device;
    weft_gate_install(table, &arbiter);
}

CUresult fake_gpu_launch(struct weft_cuda *table, uintptr_t function, uintptr_t stream,
                         uint64_t time_us)
{
    return table->cuLaunchKernel((CUfunction)function, (unsigned int)time_us, 1, 1, 1, 1, 1, 0,
                                 (CUstream)stream, NULL, NULL);
}
