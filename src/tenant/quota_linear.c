/* Memory that one call makes and one frees, by address. */
#include "tenant/quota_layer.h"

#include <stddef.h>

/* Enters an allocation that the backend made and that is charged; undoes both where there is no
 * room to remember it. */
static CUresult enter(const struct weft_quota_place *place, CUdeviceptr address, uint64_t bytes)
{
    if (weft_quota_entry_put(place, address, bytes))
        return CUDA_SUCCESS;
    weft_quota.next.cuMemFree_v2(address);
    weft_quota_release(place->device, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Where the calling thread allocates, with `bytes` charged there. */
static CUresult reserve_here(struct weft_quota_place *place, uint64_t bytes)
{
    CUresult rc = weft_quota_place_current(place);
    return rc ? rc : weft_quota_reserve(place->device, bytes);
}

/* After the backend's answer: enters what it made, or gives the charge back. */
static CUresult conclude(CUresult answer, const struct weft_quota_place *place, CUdeviceptr address,
                         uint64_t bytes)
{
    if (answer == CUDA_SUCCESS)
        return enter(place, address, bytes);
    weft_quota_release(place->device, bytes);
    return answer;
}

static CUresult mem_alloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    struct weft_quota_place place;
    CUdeviceptr address = 0;
    uint64_t bytes = weft_quota_round(bytesize, WEFT_QUOTA_ROUND_BYTES);
    CUresult rc = reserve_here(&place, bytes);
    if (rc)
        return rc;
    rc = weft_quota.next.cuMemAlloc_v2(dptr ? &address : NULL, bytesize);
    rc = conclude(rc, &place, address, bytes);
    if (rc == CUDA_SUCCESS)
        *dptr = address;
    return rc;
}

static CUresult mem_alloc(CUdeviceptr_v1 *dptr, unsigned int bytesize)
{
    struct weft_quota_place place;
    CUdeviceptr_v1 address = 0;
    uint64_t bytes = weft_quota_round(bytesize, WEFT_QUOTA_ROUND_BYTES);
    CUresult rc = reserve_here(&place, bytes);
    if (rc)
        return rc;
    rc = weft_quota.next.cuMemAlloc(dptr ? &address : NULL, bytesize);
    rc = conclude(rc, &place, address, bytes);
    if (rc == CUDA_SUCCESS)
        *dptr = address;
    return rc;
}

static CUresult mem_alloc_managed(CUdeviceptr *dptr, size_t bytesize, unsigned int flags)
{
    struct weft_quota_place place;
    CUdeviceptr address = 0;
    uint64_t bytes = weft_quota_round(bytesize, WEFT_QUOTA_ROUND_BYTES);
    CUresult rc = reserve_here(&place, bytes);
    if (rc)
        return rc;
    rc = weft_quota.next.cuMemAllocManaged(dptr ? &address : NULL, bytesize, flags);
    rc = conclude(rc, &place, address, bytes);
    if (rc == CUDA_SUCCESS)
        *dptr = address;
    return rc;
}

static uint64_t pitched_bytes(uint64_t pitch, uint64_t height)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(pitch, height, &bytes))
        return UINT64_MAX;
    return weft_quota_round(bytes, WEFT_QUOTA_ROUND_BYTES);
}

/* Brings a charge made before the pitch was known to what the pitch makes of it. */
static CUresult recharge(const struct weft_quota_place *place, uint64_t from, uint64_t to)
{
    if (to > from)
        return weft_quota_reserve(place->device, to - from);
    weft_quota_release(place->device, from - to);
    return CUDA_SUCCESS;
}

/* The pitch is the backend's to choose, and known only afterwards: the narrowest possible one is
 * charged before. */
static CUresult conclude_pitched(CUresult answer, const struct weft_quota_place *place,
                                 CUdeviceptr address, uint64_t reserved, uint64_t bytes)
{
    if (answer)
        return conclude(answer, place, address, reserved);
    if (recharge(place, reserved, bytes)) {
        weft_quota.next.cuMemFree_v2(address);
        weft_quota_release(place->device, reserved);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return enter(place, address, bytes);
}

static CUresult mem_alloc_pitch_v2(CUdeviceptr *dptr, size_t *pitch, size_t width_bytes,
                                   size_t height, unsigned int element_bytes)
{
    struct weft_quota_place place;
    CUdeviceptr address = 0;
    size_t chosen = 0;
    uint64_t bytes = pitched_bytes(width_bytes, height);
    CUresult rc = reserve_here(&place, bytes);
    if (rc)
        return rc;
    rc = weft_quota.next.cuMemAllocPitch_v2(dptr ? &address : NULL, pitch ? &chosen : NULL,
                                            width_bytes, height, element_bytes);
    rc = conclude_pitched(rc, &place, address, bytes, pitched_bytes(chosen, height));
    if (rc == CUDA_SUCCESS) {
        *dptr = address;
        *pitch = chosen;
    }
    return rc;
}

static CUresult mem_alloc_pitch(CUdeviceptr_v1 *dptr, unsigned int *pitch, unsigned int width_bytes,
                                unsigned int height, unsigned int element_bytes)
{
    struct weft_quota_place place;
    CUdeviceptr_v1 address = 0;
    unsigned int chosen = 0;
    uint64_t bytes = pitched_bytes(width_bytes, height);
    CUresult rc = reserve_here(&place, bytes);
    if (rc)
        return rc;
    rc = weft_quota.next.cuMemAllocPitch(dptr ? &address : NULL, pitch ? &chosen : NULL,
                                         width_bytes, height, element_bytes);
    rc = conclude_pitched(rc, &place, address, bytes, pitched_bytes(chosen, height));
    if (rc == CUDA_SUCCESS) {
        *dptr = address;
        *pitch = chosen;
    }
    return rc;
}

/* The entry leaves the table first: once the backend has freed it, another thread may be given the
 * same address. */
static CUresult free_with(CUdeviceptr dptr, CUresult (*backend)(CUdeviceptr dptr))
{
    struct weft_quota_entry entry, replaced;
    bool known = weft_quota_map_take(&weft_quota.allocations, dptr, &entry);
    CUresult rc = backend(dptr);
    if (!known)
        return rc;
    if (rc)
        weft_quota_map_put(&weft_quota.allocations, &entry, &replaced);
    else if (entry.kind == WEFT_QUOTA_POOL)
        weft_quota_pool_freed(&entry, true);
    else
        weft_quota_entry_forget(&entry);
    return rc;
}

static CUresult mem_free_v2(CUdeviceptr dptr)
{
    return free_with(dptr, weft_quota.next.cuMemFree_v2);
}

static CUresult backend_free_v1(CUdeviceptr dptr)
{
    return weft_quota.next.cuMemFree((CUdeviceptr_v1)dptr);
}

static CUresult mem_free(CUdeviceptr_v1 dptr)
{
    return free_with(dptr, backend_free_v1);
}

void weft_quota_linear_install(struct weft_cuda *table)
{
    table->cuMemAlloc = mem_alloc;
    table->cuMemAlloc_v2 = mem_alloc_v2;
    table->cuMemAllocPitch = mem_alloc_pitch;
    table->cuMemAllocPitch_v2 = mem_alloc_pitch_v2;
    table->cuMemAllocManaged = mem_alloc_managed;
    table->cuMemFree = mem_free;
    table->cuMemFree_v2 = mem_free_v2;
}
