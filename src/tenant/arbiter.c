#include "tenant/arbiter.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "softgpu/engine/turn.h"
#include "tenant/overlap.h"
#include "util/util.h"

/* Who may go on and has too much on its way looks so often whether some of it has ended. */
#define LOOK_NS 50000ull

/* The CUDA ABI passes no context, so there is one a process. */
static struct {
    struct weft_device_place places[WEFT_DEVICES_MAX]; /* on the tenant's devices; pages owned */
    struct weft_overlap overlaps[WEFT_DEVICES_MAX];    /* the same */
    size_t device_count;
    uint32_t by_ordinal[WEFT_DEVICES_MAX]; /* which of them */
} arbiter;

static struct weft_device_place *place_at(uint32_t ordinal)
{
    return &arbiter.places[arbiter.by_ordinal[ordinal]];
}

static struct weft_device_process *own_process(const struct weft_device_place *place)
{
    return &place->page->processes[place->slot];
}

static bool is_free(void *context, uint32_t ordinal)
{
    (void)context;
    return weft_soft_turn_is_free(place_at(ordinal));
}

static void want(void *context, uint32_t ordinal, bool wants)
{
    (void)context;
    if (wants)
        weft_soft_turn_want(place_at(ordinal));
    else
        weft_soft_turn_leave(place_at(ordinal));
}

static bool ask(void *context, uint32_t ordinal)
{
    (void)context;
    return weft_soft_turn_is_ours(place_at(ordinal), WEFT_SLICE_AT_KERNEL);
}

static struct weft_overlap *overlap_at(uint32_t ordinal)
{
    return &arbiter.overlaps[arbiter.by_ordinal[ordinal]];
}

static void note_run(void *context, uint32_t ordinal, uint64_t time_ns)
{
    (void)context;
    const struct weft_device_place *place = place_at(ordinal);
    if (place->time)
        weft_overlap_note(overlap_at(ordinal), place, weft_clock_ns(), time_ns);
}

/* Kernels are as long as they took; what ran beside them only makes them cheaper. */
static void charge(void *context, uint32_t ordinal, uint64_t ran_ns)
{
    (void)context;
    struct weft_device_place *place = place_at(ordinal);
    if (!place->time)
        return;
    uint64_t time_ns = weft_overlap_charge(overlap_at(ordinal), place, weft_clock_ns(), ran_ns);
    __atomic_fetch_add(&own_process(place)->device_time_ns, time_ns, __ATOMIC_RELAXED);
    if (ran_ns)
        weft_soft_turn_kernel_ended(place, ran_ns);
    weft_soft_turn_charge(place, time_ns);
}

static void note_flights(void *context, uint32_t ordinal, uint32_t count)
{
    (void)context;
    const struct weft_device_place *place = place_at(ordinal);
    if (!place->time)
        return;
    __atomic_store_n(&own_process(place)->in_flight, count, __ATOMIC_SEQ_CST);
    if (count)
        weft_overlap_begin(overlap_at(ordinal), place, weft_clock_ns());
    else
        weft_overlap_end(overlap_at(ordinal), place, weft_clock_ns());
}

/* Kernels on their way of other processes of the tenant, or of anybody, that want the device. */
static bool has_flights(const struct weft_device_place *place, bool of_anybody)
{
    const struct weft_device_page *page = place->page;
    const struct weft_device_process *own = own_process(place);
    for (uint32_t word = 0; word < WEFT_DEVICE_SLOT_WORDS; word++) {
        uint64_t bits = __atomic_load_n(&place->time->turns.wanting[word], __ATOMIC_SEQ_CST);
        for (; bits; bits &= bits - 1) {
            const struct weft_device_process *process =
                &page->processes[word * 64 + (uint32_t)__builtin_ctzll(bits)];
            bool is_partner = process != own &&
                              __atomic_load_n(&process->tenant, __ATOMIC_RELAXED) == own->tenant;
            if ((of_anybody || is_partner) &&
                __atomic_load_n(&process->in_flight, __ATOMIC_SEQ_CST))
                return true;
        }
    }
    return false;
}

static bool others_are_busy(void *context)
{
    (void)context;
    for (size_t i = 0; i < arbiter.device_count; i++) {
        if (arbiter.places[i].time && has_flights(&arbiter.places[i], false))
            return true;
    }
    return false;
}

static uint64_t now_ns(void *context)
{
    (void)context;
    return weft_clock_ns();
}

/* A device on which a kernel is on its way does not stand still, though its clock does: the kernel
 * is charged when it has ended. So nobody may count the time meanwhile, as waiting for a turn does
 * where all have reached their caps. */
static void sleep_for(void *context, uint32_t ordinal, uint64_t most_ns)
{
    (void)context;
    struct weft_device_place *place = place_at(ordinal);
    if (!has_flights(place, true) && !weft_soft_turn_is_ours(place, WEFT_SLICE_AT_KERNEL)) {
        weft_soft_turn_wait(place, WEFT_SLICE_AT_KERNEL, most_ns);
        return;
    }
    weft_soft_turn_look_around(place);
    const struct timespec pause = {.tv_nsec = (long)WEFT_MIN(most_ns, LOOK_NS)};
    nanosleep(&pause, NULL);
}

/* A page without the words of time, or of another version, binds nobody here. */
static void map_page(struct weft_device_place *place, const struct weft_device_grant *grant)
{
    struct statx found; /* fstat would need a glibc over our floor */
    size_t wanted = weft_device_time_offset() + sizeof(struct weft_device_time);
    if (grant->kind != WEFT_DEVICE_NATIVE || grant->slot == 0 || grant->slot >= WEFT_LEDGER_SLOTS ||
        grant->page_fd < 0 || statx(grant->page_fd, "", AT_EMPTY_PATH, STATX_SIZE, &found) ||
        found.stx_size < wanted)
        return;
    void *memory = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, grant->page_fd, 0);
    if (memory == MAP_FAILED)
        return;
    place->page = memory;
    place->page_bytes = wanted;
    place->slot = grant->slot;
    if (place->page->magic == WEFT_DEVICE_MAGIC && place->page->major == WEFT_DEVICE_MAJOR)
        place->time = (struct weft_device_time *)((char *)memory + weft_device_time_offset());
}

static bool has_words(void)
{
    for (size_t i = 0; i < arbiter.device_count; i++) {
        if (arbiter.places[i].time)
            return true;
    }
    return false;
}

int weft_arbiter_open(const struct weft_device_grant *devices, size_t device_count,
                      const uint32_t *places, size_t place_count, struct weft_gate_arbiter *out,
                      struct weft_err *err)
{
    weft_arbiter_drop_after_fork();
    arbiter.device_count = device_count;
    for (size_t i = 0; i < place_count; i++)
        arbiter.by_ordinal[i] = places[i];
    for (size_t i = 0; i < device_count; i++) {
        arbiter.places[i].turns = weft_soft_turns_create();
        if (!arbiter.places[i].turns)
            return weft_fail(err, WEFT_ENOMEM, "no memory for a device's turns");
        map_page(&arbiter.places[i], &devices[i]);
    }
    *out = (struct weft_gate_arbiter){
        .device_count = has_words() ? (uint32_t)place_count : 0,
        .has_threads = true,
        .is_free = is_free,
        .want = want,
        .ask = ask,
        .note_run = note_run,
        .charge = charge,
        .note_flights = note_flights,
        .others_are_busy = others_are_busy,
        .now_ns = now_ns,
        .sleep = sleep_for,
    };
    return 0;
}

void weft_arbiter_drop_after_fork(void)
{
    for (size_t i = 0; i < arbiter.device_count; i++) {
        weft_soft_turns_destroy(arbiter.places[i].turns);
        if (arbiter.places[i].page)
            munmap(arbiter.places[i].page, arbiter.places[i].page_bytes);
    }
    memset(&arbiter, 0, sizeof(arbiter));
}
