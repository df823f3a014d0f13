/* What a context held is given back when the context ends. */
#include "tenant/quota_layer.h"

#include <string.h>

/* A device's primary context keeps its handle from one life to the next. Its lock is held while the
 * backend ends or begins a life, so that what is given back is the old life's. */
static struct {
    pthread_mutex_t lock;
    CUcontext handle; /* NULL until it is first retained */
} primaries[WEFT_LEDGER_DEVICES];

/* Before the end of a context: allocations that are younger than the returned epoch belong to
 * somebody else. */
static uint32_t end_begin(void)
{
    return __atomic_fetch_add(&weft_quota.epoch, 1, __ATOMIC_ACQ_REL);
}

static void give_back(const struct weft_quota_entry *entry, void *argument)
{
    (void)argument;
    weft_quota_release(entry->device, entry->bytes);
}

/* After the end of a context: gives back all that it had. A handle may now mean another context, so
 * what threads know of it by heart is void. */
static void end_finish(CUcontext context, uint32_t epoch)
{
    __atomic_fetch_add(&weft_quota.epoch, 1, __ATOMIC_ACQ_REL);
    if (context)
        weft_quota_map_take_owner(&weft_quota.allocations, context, epoch, give_back, NULL);
    weft_quota_pools_refresh(true);
}

static CUresult ctx_destroy_with(CUcontext context, CUresult (*backend)(CUcontext context))
{
    uint32_t epoch = end_begin();
    CUresult rc = backend(context);
    if (rc == CUDA_SUCCESS)
        end_finish(context, epoch);
    return rc;
}

static CUresult ctx_destroy(CUcontext context)
{
    return ctx_destroy_with(context, weft_quota.next.cuCtxDestroy);
}

static CUresult ctx_destroy_v2(CUcontext context)
{
    return ctx_destroy_with(context, weft_quota.next.cuCtxDestroy_v2);
}

/* Ends the context only where it was attached once. */
static CUresult ctx_detach(CUcontext context)
{
    unsigned int version;
    uint32_t epoch = end_begin();
    CUresult rc = weft_quota.next.cuCtxDetach(context);
    if (rc == CUDA_SUCCESS && weft_quota.next.cuCtxGetApiVersion(context, &version))
        end_finish(context, epoch);
    return rc;
}

static bool has_primary(CUdevice device)
{
    return device >= 0 && (uint32_t)device < weft_quota.device_count;
}

static CUresult primary_retain(CUcontext *context, CUdevice device)
{
    if (!has_primary(device))
        return weft_quota.next.cuDevicePrimaryCtxRetain(context, device);
    pthread_mutex_lock(&primaries[device].lock);
    CUresult rc = weft_quota.next.cuDevicePrimaryCtxRetain(context, device);
    if (rc == CUDA_SUCCESS)
        primaries[device].handle = *context;
    pthread_mutex_unlock(&primaries[device].lock);
    return rc;
}

static bool primary_active(CUdevice device)
{
    unsigned int flags;
    int active = 0;
    weft_quota.next.cuDevicePrimaryCtxGetState(device, &flags, &active);
    return active;
}

/* A release ends the context only where it was the last; a reset always
 * does, whoever still retains it. */
static CUresult primary_end_with(CUdevice device, CUresult (*backend)(CUdevice device), bool always)
{
    if (!has_primary(device))
        return backend(device);
    pthread_mutex_lock(&primaries[device].lock);
    uint32_t epoch = end_begin();
    CUresult rc = backend(device);
    if (rc == CUDA_SUCCESS && (always || !primary_active(device)))
        end_finish(primaries[device].handle, epoch);
    pthread_mutex_unlock(&primaries[device].lock);
    return rc;
}

static CUresult primary_release(CUdevice device)
{
    return primary_end_with(device, weft_quota.next.cuDevicePrimaryCtxRelease, false);
}

static CUresult primary_release_v2(CUdevice device)
{
    return primary_end_with(device, weft_quota.next.cuDevicePrimaryCtxRelease_v2, false);
}

static CUresult primary_reset(CUdevice device)
{
    return primary_end_with(device, weft_quota.next.cuDevicePrimaryCtxReset, true);
}

static CUresult primary_reset_v2(CUdevice device)
{
    return primary_end_with(device, weft_quota.next.cuDevicePrimaryCtxReset_v2, true);
}

void weft_quota_context_install(struct weft_cuda *table)
{
    table->cuCtxDestroy = ctx_destroy;
    table->cuCtxDestroy_v2 = ctx_destroy_v2;
    table->cuCtxDetach = ctx_detach;
    table->cuDevicePrimaryCtxRetain = primary_retain;
    table->cuDevicePrimaryCtxRelease = primary_release;
    table->cuDevicePrimaryCtxRelease_v2 = primary_release_v2;
    table->cuDevicePrimaryCtxReset = primary_reset;
    table->cuDevicePrimaryCtxReset_v2 = primary_reset_v2;
}

void weft_quota_context_reset(void)
{
    memset(primaries, 0, sizeof(primaries));
    for (uint32_t device = 0; device < WEFT_LEDGER_DEVICES; device++)
        pthread_mutex_init(&primaries[device].lock, NULL);
}
