#include "tenant/quota.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#include "tenant/quota_layer.h"
#include "util/util.h"

#define MOVE_NS_MAX 100000000ull
#define MOVE_WAIT_NS 1000000
#define MOVE_WAITS_MAX 100

struct weft_quota_state weft_quota;

/* Which device a thread's current context is on does not change while the context lives. */
static __thread struct weft_quota_place last_place;

CUresult weft_quota_place_current(struct weft_quota_place *place)
{
    place->epoch = __atomic_load_n(&weft_quota.epoch, __ATOMIC_ACQUIRE);
    CUresult rc = weft_quota.next.cuCtxGetCurrent(&place->context);
    if (rc)
        return rc;
    if (!place->context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (place->context == last_place.context && place->epoch == last_place.epoch) {
        place->device = last_place.device;
        return CUDA_SUCCESS;
    }
    CUdevice device = -1;
    rc = weft_quota.next.cuCtxGetDevice(&device);
    if (rc)
        return rc;
    place->device = (uint32_t)device;
    last_place = *place;
    return CUDA_SUCCESS;
}

uint64_t weft_quota_round(uint64_t bytes, uint64_t power_of_two)
{
    uint64_t rounded = weft_round_up(bytes, power_of_two);
    return rounded < bytes ? UINT64_MAX : rounded;
}

static uint64_t device_bytes(uint32_t device)
{
    uint64_t bytes = __atomic_load_n(&weft_quota.device_bytes[device], __ATOMIC_RELAXED);
    size_t total = 0;
    if (bytes == 0 &&
        weft_quota.next.cuDeviceTotalMem_v2(&total, (CUdevice)device) == CUDA_SUCCESS) {
        bytes = total;
        __atomic_store_n(&weft_quota.device_bytes[device], bytes, __ATOMIC_RELAXED);
    }
    return bytes;
}

/* What the tenant may hold on the device now; 0 where that cannot be told. */
static uint64_t limit_of(uint32_t device)
{
    if (device >= weft_quota.device_count)
        return 0;
    uint64_t limit = weft_policy_memory_limit(weft_quota.policy, weft_quota.places[device]);
    return limit == WEFT_POLICY_UNLIMITED ? device_bytes(device) : limit;
}

CUresult weft_quota_reserve_untrimmed(uint32_t device, uint64_t bytes)
{
    uint64_t limit = limit_of(device);
    if (limit == 0 || weft_room_charge(&weft_quota.seats[device], &weft_quota.account,
                                       weft_quota.places[device], bytes, limit))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return CUDA_SUCCESS;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A charge that has come to this process is for some milliseconds also where it was before, and who
 * is refused for that waits. */
static bool is_charge_moving(void)
{
    uint64_t moved_ns = __atomic_load_n(&weft_quota.moved_ns, __ATOMIC_RELAXED);
    return moved_ns && now_ns() - moved_ns < MOVE_NS_MAX;
}

CUresult weft_quota_reserve(uint32_t device, uint64_t bytes)
{
    if (weft_quota_reserve_untrimmed(device, bytes) == CUDA_SUCCESS)
        return CUDA_SUCCESS;
    weft_quota_vmm_reap();
    weft_quota_pools_trim(device);
    weft_quota.next.cuDeviceGraphMemTrim((CUdevice)device);
    CUresult rc = weft_quota_reserve_untrimmed(device, bytes);
    for (int i = 0; rc && i < MOVE_WAITS_MAX && is_charge_moving(); i++) {
        nanosleep(&(struct timespec){.tv_nsec = MOVE_WAIT_NS}, NULL);
        rc = weft_quota_reserve_untrimmed(device, bytes);
    }
    return rc;
}

void weft_quota_release(uint32_t device, uint64_t bytes)
{
    weft_ledger_discharge(&weft_quota.account, weft_quota.places[device], bytes);
}

bool weft_quota_charge_shared(uint32_t ordinal, uint64_t bytes, bool over_limit)
{
    if (!over_limit)
        return weft_quota_reserve(ordinal, bytes) == CUDA_SUCCESS;
    bool done =
        weft_ledger_charge(&weft_quota.account, weft_quota.places[ordinal], bytes, UINT64_MAX) == 0;
    __atomic_store_n(&weft_quota.moved_ns, now_ns(), __ATOMIC_RELAXED);
    return done;
}

void weft_quota_discharge_shared(uint32_t ordinal, uint64_t bytes)
{
    weft_quota_release(ordinal, bytes);
}

bool weft_quota_entry_put(const struct weft_quota_place *place, uint64_t key, uint64_t bytes)
{
    struct weft_quota_entry replaced;
    struct weft_quota_entry entry = {
        .key = key,
        .bytes = bytes,
        .owner = place->context,
        .epoch = place->epoch,
        .device = (uint16_t)place->device,
        .kind = WEFT_QUOTA_LINEAR,
    };
    if (weft_quota_map_put(&weft_quota.allocations, &entry, &replaced))
        return false;
    if (replaced.key)
        weft_quota_entry_forget(&replaced); /* it ended without our seeing it */
    return true;
}

void weft_quota_entry_forget(const struct weft_quota_entry *entry)
{
    if (entry->kind == WEFT_QUOTA_POOL)
        weft_quota_pool_freed(entry, false);
    else
        weft_quota_release(entry->device, entry->bytes);
}

static CUresult mem_get_info_v2(size_t *free, size_t *total)
{
    struct weft_quota_place place;
    size_t device_free, device_total;
    CUresult rc = weft_quota_place_current(&place);
    if (rc || !free || !total)
        return rc ? rc : weft_quota.next.cuMemGetInfo_v2(free, total);
    rc = weft_quota.next.cuMemGetInfo_v2(&device_free, &device_total);
    if (rc)
        return rc;
    weft_quota_vmm_reap();
    weft_quota_pools_refresh(false);
    uint64_t limit = limit_of(place.device);
    uint64_t held = weft_ledger_total(weft_quota.account.ledger, weft_quota.places[place.device]);
    *total = limit;
    *free = WEFT_MIN(held < limit ? limit - held : 0, device_free);
    *free = WEFT_MIN(*free, weft_room_left(&weft_quota.seats[place.device]));
    return CUDA_SUCCESS;
}

/* The first version of the call counts in 32 bits. */
static CUresult mem_get_info(unsigned int *free, unsigned int *total)
{
    size_t wide_free, wide_total;
    CUresult rc = mem_get_info_v2(free ? &wide_free : NULL, total ? &wide_total : NULL);
    if (rc == CUDA_SUCCESS && free)
        *free = (unsigned int)WEFT_MIN(wide_free, UINT_MAX);
    if (rc == CUDA_SUCCESS && total)
        *total = (unsigned int)WEFT_MIN(wide_total, UINT_MAX);
    return rc;
}

static CUresult device_total_mem_v2(size_t *bytes, CUdevice device)
{
    CUresult rc = weft_quota.next.cuDeviceTotalMem_v2(bytes, device);
    if (rc == CUDA_SUCCESS)
        *bytes = limit_of((uint32_t)device);
    return rc;
}

static CUresult device_total_mem(unsigned int *bytes, CUdevice device)
{
    size_t wide;
    CUresult rc = device_total_mem_v2(bytes ? &wide : NULL, device);
    if (rc == CUDA_SUCCESS && bytes)
        *bytes = (unsigned int)WEFT_MIN(wide, UINT_MAX);
    return rc;
}

static void state_reset(void)
{
    weft_quota_map_finish(&weft_quota.allocations);
    weft_quota_pool_reset();
    weft_quota_vmm_reset();
    weft_quota_context_reset();
    memset(weft_quota.device_bytes, 0, sizeof(weft_quota.device_bytes));
}

int weft_quota_install(struct weft_cuda *table, const struct weft_quota_config *config,
                       struct weft_err *err)
{
    if (!weft_ledger_slot_taken(config->ledger, config->slot))
        return weft_fail(err, WEFT_EPROTO, "slot %u of the tenant's ledger is not taken",
                         config->slot);
    if (config->device_count > WEFT_LEDGER_DEVICES || config->device_count > WEFT_POLICY_DEVICES)
        return weft_fail(err, WEFT_ERANGE, "%u devices, at most %d", config->device_count,
                         WEFT_LEDGER_DEVICES);
    state_reset();
    weft_quota.next = *table;
    weft_quota.policy = config->policy;
    weft_quota.device_count = config->device_count;
    weft_quota.exports_are_counted = config->exports_are_counted;
    for (uint32_t i = 0; i < config->device_count; i++) {
        weft_quota.places[i] = config->places ? config->places[i] : i;
        if (weft_quota.places[i] >= WEFT_LEDGER_DEVICES)
            return weft_fail(err, WEFT_ERANGE, "device %u of the ledger", weft_quota.places[i]);
    }
    weft_ledger_account_init(&weft_quota.account, config->ledger, config->slot);
    for (uint32_t i = 0; i < config->device_count; i++) {
        weft_quota.seats[i] = config->seats ? config->seats[i] : (struct weft_room_seat){0};
        weft_room_sit(&weft_quota.seats[i], &weft_quota.account, weft_quota.places[i]);
    }
    table->cuMemGetInfo = mem_get_info;
    table->cuMemGetInfo_v2 = mem_get_info_v2;
    table->cuDeviceTotalMem = device_total_mem;
    table->cuDeviceTotalMem_v2 = device_total_mem_v2;
    weft_quota_linear_install(table);
    weft_quota_array_install(table);
    weft_quota_pool_install(table);
    weft_quota_vmm_install(table);
    weft_quota_context_install(table);
    return 0;
}

/* Nothing is allocated before cuInit, so nothing is lost; a lock that another thread of the parent
 * held is made anew. */
void weft_quota_drop_after_fork(void)
{
    last_place = (struct weft_quota_place){0};
    state_reset();
}
