/* The end of contexts: what is held in streams of one that is being destroyed is let through, since
 * the driver waits for it; then nothing of it is measured any more. */
#include "tenant/gate_layer.h"

static struct weft_gate_lane *find(CUcontext context)
{
    for (size_t i = 0; context && i < WEFT_GATE_LANES_MAX; i++) {
        if (weft_gate.lanes[i].context == context)
            return &weft_gate.lanes[i];
    }
    return NULL;
}

/* Nothing is launched there, and nothing looked at, until it is dropped or opened again. */
static void set_closed(CUcontext context, bool closed)
{
    weft_gate_enter();
    struct weft_gate_lane *lane = find(context);
    if (lane) {
        pthread_mutex_lock(&weft_gate.queue);
        lane->is_closed = closed;
        weft_gate_hold_release(lane);
        pthread_mutex_unlock(&weft_gate.queue);
    }
    weft_gate_leave();
}

static void drop(CUcontext context)
{
    weft_gate_enter();
    struct weft_gate_lane *lane = find(context);
    if (lane)
        weft_gate_lane_drop(lane, true);
    weft_gate_leave();
}

/* After the call that was to destroy it. */
static void end(CUcontext context, CUresult rc)
{
    if (rc == CUDA_SUCCESS)
        drop(context);
    else
        set_closed(context, false);
}

static bool has_lanes(CUdevice device)
{
    bool found = false;
    weft_gate_enter();
    for (size_t i = 0; !found && i < WEFT_GATE_LANES_MAX; i++) {
        const struct weft_gate_lane *lane = &weft_gate.lanes[i];
        found = lane->context && device >= 0 && lane->device == (uint32_t)device;
    }
    weft_gate_leave();
    return found;
}

static bool is_active(CUdevice device)
{
    unsigned int flags;
    int active = 0;
    return weft_gate.next.cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS &&
           active;
}

/* NULL where nothing of it was measured. */
static CUcontext primary_of(CUdevice device)
{
    CUcontext context = NULL;
    if (!has_lanes(device) || !is_active(device) ||
        weft_gate.next.cuDevicePrimaryCtxRetain(&context, device))
        return NULL;
    weft_gate.next.cuDevicePrimaryCtxRelease_v2(device);
    return context;
}

static CUresult destroy(CUcontext context, CUresult (*call)(CUcontext context))
{
    set_closed(context, true);
    CUresult rc = call(context);
    end(context, rc);
    return rc;
}

static CUresult ctx_destroy(CUcontext context)
{
    return destroy(context, weft_gate.next.cuCtxDestroy);
}

static CUresult ctx_destroy_v2(CUcontext context)
{
    return destroy(context, weft_gate.next.cuCtxDestroy_v2);
}

static CUresult reset(CUdevice device, CUresult (*call)(CUdevice device))
{
    CUcontext context = primary_of(device);
    set_closed(context, true);
    CUresult rc = call(device);
    end(context, rc);
    return rc;
}

static CUresult primary_reset(CUdevice device)
{
    return reset(device, weft_gate.next.cuDevicePrimaryCtxReset);
}

static CUresult primary_reset_v2(CUdevice device)
{
    return reset(device, weft_gate.next.cuDevicePrimaryCtxReset_v2);
}

/* Only the last one destroys it, and may wait for what is held as for all other work. */
static CUresult release(CUdevice device, CUresult (*call)(CUdevice device))
{
    CUcontext context = primary_of(device);
    CUresult rc = call(device);
    if (context && !is_active(device))
        drop(context);
    return rc;
}

static CUresult primary_release(CUdevice device)
{
    return release(device, weft_gate.next.cuDevicePrimaryCtxRelease);
}

static CUresult primary_release_v2(CUdevice device)
{
    return release(device, weft_gate.next.cuDevicePrimaryCtxRelease_v2);
}

void weft_gate_context_install(struct weft_cuda *table)
{
    table->cuCtxDestroy = ctx_destroy;
    table->cuCtxDestroy_v2 = ctx_destroy_v2;
    table->cuDevicePrimaryCtxReset = primary_reset;
    table->cuDevicePrimaryCtxReset_v2 = primary_reset_v2;
    table->cuDevicePrimaryCtxRelease = primary_release;
    table->cuDevicePrimaryCtxRelease_v2 = primary_release_v2;
}
