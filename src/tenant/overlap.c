#include "tenant/overlap.h"

#include <string.h>

#include "util/util.h"

static const struct weft_device_process *process_at(const struct weft_device_place *place,
                                                    uint32_t slot)
{
    return &place->page->processes[slot];
}

static uint64_t ran_ns(const struct weft_device_place *place, uint32_t slot)
{
    return __atomic_load_n(&process_at(place, slot)->ran_ns, __ATOMIC_RELAXED);
}

static uint32_t tenant_at(const struct weft_device_place *place, uint32_t slot)
{
    uint32_t number = __atomic_load_n(&process_at(place, slot)->tenant, __ATOMIC_RELAXED);
    return number < WEFT_DEVICE_TENANTS ? number : 0;
}

/* Who wants the device, and was not seen in this window yet. */
static void look_around(struct weft_overlap *overlap, const struct weft_device_place *place)
{
    for (uint32_t word = 0; word < WEFT_DEVICE_SLOT_WORDS; word++) {
        uint64_t wanting = __atomic_load_n(&place->time->turns.wanting[word], __ATOMIC_RELAXED);
        if (word == place->slot / 64)
            wanting |= 1ull << place->slot % 64;
        for (uint64_t bits = wanting & ~overlap->seen[word]; bits; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            overlap->before_ns[slot] = ran_ns(place, slot);
        }
        overlap->seen[word] |= wanting;
    }
}

/* In the window; a slot that was taken anew begins at 0. What is said to be more than the window
 * was seen late, or is a lie. */
static uint64_t ran_since(const struct weft_overlap *overlap, const struct weft_device_place *place,
                          uint32_t slot, uint64_t window_ns)
{
    uint64_t now_ns = ran_ns(place, slot), before_ns = overlap->before_ns[slot];
    return WEFT_MIN(now_ns >= before_ns ? now_ns - before_ns : now_ns, window_ns);
}

/* What tenants' work ran for: each as the union of its processes' as far as that can be told, which
 * is no longer than the window. */
static uint64_t add_up(struct weft_overlap *overlap, const struct weft_device_place *place,
                       uint64_t window_ns)
{
    uint64_t all_ns = 0;
    memset(overlap->tenants_ns, 0, sizeof(overlap->tenants_ns));
    for (uint32_t word = 0; word < WEFT_DEVICE_SLOT_WORDS; word++) {
        for (uint64_t bits = overlap->seen[word]; bits; bits &= bits - 1) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            uint64_t *tenant_ns = &overlap->tenants_ns[tenant_at(place, slot)];
            uint64_t before_ns = WEFT_MIN(*tenant_ns, window_ns);
            *tenant_ns += ran_since(overlap, place, slot, window_ns);
            all_ns += WEFT_MIN(*tenant_ns, window_ns) - before_ns;
        }
    }
    return all_ns;
}

/* Where nobody else's work ran there is nothing to divide, however late it was looked. */
static uint64_t find_off(struct weft_overlap *overlap, const struct weft_device_place *place,
                         uint64_t window_ns)
{
    uint64_t all_ns = add_up(overlap, place, window_ns),
             own_ns = ran_since(overlap, place, place->slot, window_ns),
             tenant_ns = overlap->tenants_ns[tenant_at(place, place->slot)];
    if (own_ns == 0 || tenant_ns < own_ns || all_ns == own_ns)
        return 0;
    double part = (double)WEFT_MIN(tenant_ns, window_ns) / (double)tenant_ns;
    if (all_ns > window_ns)
        part *= (double)window_ns / (double)all_ns;
    return own_ns - (uint64_t)((double)own_ns * part);
}

void weft_overlap_end(struct weft_overlap *overlap, const struct weft_device_place *place,
                      uint64_t now_ns)
{
    if (overlap->since_ns && now_ns > overlap->since_ns)
        overlap->off_ns += find_off(overlap, place, now_ns - overlap->since_ns);
    overlap->since_ns = 0;
    memset(overlap->seen, 0, sizeof(overlap->seen));
}

void weft_overlap_begin(struct weft_overlap *overlap, const struct weft_device_place *place,
                        uint64_t now_ns)
{
    if (overlap->since_ns == 0)
        overlap->since_ns = now_ns;
    look_around(overlap, place);
}

/* With a new window, where this one is so long. */
static void go_on(struct weft_overlap *overlap, const struct weft_device_place *place,
                  uint64_t now_ns, uint64_t window_ns)
{
    if (now_ns - overlap->since_ns < window_ns)
        return;
    weft_overlap_end(overlap, place, now_ns);
    weft_overlap_begin(overlap, place, now_ns);
}

void weft_overlap_note(struct weft_overlap *overlap, const struct weft_device_place *place,
                       uint64_t now_ns, uint64_t time_ns)
{
    weft_overlap_begin(overlap, place, now_ns);
    __atomic_fetch_add(&place->page->processes[place->slot].ran_ns, time_ns, __ATOMIC_RELAXED);
    go_on(overlap, place, now_ns, WEFT_OVERLAP_WINDOW_NS);
}

uint64_t weft_overlap_charge(struct weft_overlap *overlap, const struct weft_device_place *place,
                             uint64_t now_ns, uint64_t time_ns)
{
    if (overlap->since_ns)
        go_on(overlap, place, now_ns, WEFT_OVERLAP_WINDOW_NS / 2);
    uint64_t off_ns = WEFT_MIN(overlap->off_ns, time_ns);
    overlap->off_ns -= off_ns;
    return time_ns - off_ns;
}
