#include "softgpu/engine/device_time.h"

#include "softgpu/engine/turn.h"

static uint64_t time_ns_of(const struct weft_soft_profile *profile, uint64_t retired)
{
    unsigned __int128 cost = (unsigned __int128)retired * WEFT_SOFT_COST_WARP_INSTRUCTION;
    return (uint64_t)(cost * 1000000 / weft_soft_profile_rate(profile));
}

uint64_t weft_soft_device_time_retired(const struct weft_soft_profile *profile, uint32_t time_us)
{
    return weft_soft_profile_rate(profile) * time_us / 1000 / WEFT_SOFT_COST_WARP_INSTRUCTION;
}

void weft_soft_device_time_add(struct weft_soft_device *device, uint64_t retired)
{
    struct weft_device_process *process = &device->place.page->processes[device->place.slot];
    uint64_t before = __atomic_fetch_add(&process->retired, retired, __ATOMIC_RELAXED);
    /* The difference of two roundings of one sum, so that no fraction is ever lost. */
    uint64_t time_ns =
        time_ns_of(device->profile, before + retired) - time_ns_of(device->profile, before);
    __atomic_fetch_add(&process->device_time_ns, time_ns, __ATOMIC_RELAXED);
    weft_soft_turn_charge(&device->place, time_ns);
}

void weft_soft_device_time_kernel(struct weft_soft_device *device, uint64_t retired)
{
    weft_soft_turn_kernel_ended(&device->place, time_ns_of(device->profile, retired));
}
