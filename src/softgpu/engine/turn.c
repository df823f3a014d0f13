#include "softgpu/engine/turn.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "policy/slice.h"
#include "softgpu/engine/space.h"
#include "util/util.h"

/* Who is held looks again after so long even if nobody woke it. */
#define LOOK_NS 10000000ull
/* Who wants the device and has not been seen for so long is taken not to want it. */
#define ABSENT_NS 1000000000ull
/* Policies that may change while one admission is looked at, before it waits instead. */
#define CHANGES_MAX 16

struct weft_soft_turns {
    pthread_mutex_t lock;
    uint32_t wanting, held;            /* lock; threads */
    uint64_t begun_ns;                 /* lock; our device time when we began to want it */
    bool expected;                     /* lock; one of `wanting` is no thread, but work */
    uint64_t looked_ns;                /* lock; when `beats` were read */
    uint32_t beats[WEFT_LEDGER_SLOTS]; /* lock */
};

struct weft_soft_turns *weft_soft_turns_create(void)
{
    struct weft_soft_turns *turns = calloc(1, sizeof(*turns));
    if (turns)
        pthread_mutex_init(&turns->lock, NULL);
    return turns;
}

void weft_soft_turns_destroy(struct weft_soft_turns *turns)
{
    free(turns);
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static bool has_bit(const uint64_t words[WEFT_DEVICE_SLOT_WORDS], uint32_t slot)
{
    return load(&words[slot / 64]) >> (slot % 64) & 1;
}

static void set_bit(uint64_t words[WEFT_DEVICE_SLOT_WORDS], uint32_t slot)
{
    __atomic_fetch_or(&words[slot / 64], 1ull << (slot % 64), __ATOMIC_SEQ_CST);
}

static void clear_bit(uint64_t words[WEFT_DEVICE_SLOT_WORDS], uint32_t slot)
{
    __atomic_fetch_and(&words[slot / 64], ~(1ull << (slot % 64)), __ATOMIC_SEQ_CST);
}

static bool is_empty(const uint64_t words[WEFT_DEVICE_SLOT_WORDS])
{
    for (uint32_t i = 0; i < WEFT_DEVICE_SLOT_WORDS; i++) {
        if (load(&words[i]))
            return false;
    }
    return true;
}

static struct weft_device_process *process_of(const struct weft_device_place *place)
{
    return &place->page->processes[place->slot];
}

static uint32_t tenant_number(const struct weft_device_page *page, uint32_t slot)
{
    uint32_t number = __atomic_load_n(&page->processes[slot].tenant, __ATOMIC_RELAXED);
    return number < WEFT_DEVICE_TENANTS ? number : 0;
}

static struct weft_share_tenant *tenant_of(const struct weft_device_place *place)
{
    return &place->time->tenants[tenant_number(place->page, place->slot)];
}

/* Alone on the device and without a cap; or of a weftd that knows of no shares. */
static bool is_free(const struct weft_device_place *place)
{
    if (!place->time)
        return true;
    uint64_t terms = load(&tenant_of(place)->terms);
    return __atomic_load_n(&place->time->turns.sharers, __ATOMIC_RELAXED) <= 1 &&
           weft_share_terms_unpack(terms).cap_e4 == WEFT_SHARE_CAP_WHOLE;
}

/* Calls `visit` for each slot whose bit is set. */
static void for_each_slot(const uint64_t words[WEFT_DEVICE_SLOT_WORDS],
                          void (*visit)(uint32_t slot, void *context), void *context)
{
    for (uint32_t i = 0; i < WEFT_DEVICE_SLOT_WORDS; i++) {
        for (uint64_t bits = load(&words[i]); bits; bits &= bits - 1)
            visit(i * 64 + (uint32_t)__builtin_ctzll(bits), context);
    }
}

/* Tenants that have no SM in common do not wait for each other. */
struct look {
    const struct weft_device_place *place;
    uint32_t tenant;             /* whose look it is */
    bool divided;                /* somebody has not all SMs */
    struct weft_share_view view; /* of those that have an SM in common with the tenant */
    struct weft_share_view all;  /* of all; where the device is divided */
    uint32_t through;            /* the futex' bits of tenants that may go on */
};

static void add_to_view(uint32_t slot, void *context)
{
    struct look *look = context;
    const struct weft_device_place *place = look->place;
    uint32_t number = tenant_number(place->page, slot);
    const struct weft_share_tenant *tenant = &place->time->tenants[number];
    if (look->divided)
        weft_share_view_add(&look->all, tenant);
    if (!look->divided ||
        weft_space_meets(&place->space->sets[look->tenant], &place->space->sets[number]))
        weft_share_view_add(&look->view, tenant);
}

static void begin_look(struct look *look, const struct weft_device_place *place, uint32_t tenant)
{
    *look = (struct look){
        .place = place, .tenant = tenant, .divided = weft_soft_space_is_divided(place)};
    weft_share_view_begin(&look->view, &place->time->share);
    look->all = look->view;
    for_each_slot(place->time->turns.wanting, add_to_view, look);
}

static void begin_own_look(struct look *look, const struct weft_device_place *place)
{
    begin_look(look, place, tenant_number(place->page, place->slot));
}

/* All who want the device have reached their caps. */
static bool nobody_may_run(const struct look *look)
{
    return (look->divided ? look->all.classes : look->view.classes) == 0;
}

static uint32_t futex_bit(uint32_t tenant)
{
    return 1u << (tenant % 32);
}

static void note_if_through(uint32_t slot, void *context)
{
    struct look *look = context, own;
    const struct look *of_tenant = look;
    uint64_t wait_ns;
    uint32_t tenant = tenant_number(look->place->page, slot);
    if (look->divided && tenant != look->tenant) {
        begin_look(&own, look->place, tenant);
        of_tenant = &own;
    }
    if (weft_share_judge(&of_tenant->view, &look->place->time->tenants[tenant], &wait_ns) ==
        WEFT_SHARE_RUN)
        look->through |= futex_bit(tenant);
}

/* Wakes as many of those who may go on now as there are SMs. */
static void let_through(const struct weft_device_place *place)
{
    struct look look;
    struct weft_device_turns *shared = &place->time->turns;
    if (is_empty(shared->held))
        return;
    begin_own_look(&look, place);
    for_each_slot(shared->held, note_if_through, &look);
    if (look.through == 0)
        return;
    __atomic_fetch_add(&shared->turn, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &shared->turn, FUTEX_WAKE_BITSET, (int)place->page->sm_count, NULL, NULL,
            look.through);
}

/* What the device was quiet for also passed on its clock. */
static void end_quiet(struct weft_device_time *time)
{
    uint64_t since_ns = __atomic_exchange_n(&time->turns.quiet_since_ns, 0, __ATOMIC_SEQ_CST),
             now_ns = weft_clock_ns();
    if (since_ns && since_ns < now_ns)
        weft_share_stand_still(&time->share, weft_share_clock(&time->share), now_ns - since_ns);
}

static uint64_t own_time(const struct weft_device_place *place)
{
    return load(&process_of(place)->device_time_ns);
}

static void enter(struct weft_device_place *place)
{
    struct weft_device_time *time = place->time;
    place->turns->begun_ns = own_time(place);
    if (!is_free(place)) {
        struct look look;
        begin_own_look(&look, place);
        weft_share_enter(&time->share, &look.view, tenant_of(place));
        if (is_empty(time->turns.wanting))
            end_quiet(time);
    }
    set_bit(time->turns.wanting, place->slot);
}

void weft_soft_turn_want(struct weft_device_place *place)
{
    struct weft_soft_turns *turns = place->turns;
    if (!place->time)
        return;
    pthread_mutex_lock(&turns->lock);
    if (turns->expected)
        turns->expected = false;
    else if (turns->wanting++ == 0)
        enter(place);
    pthread_mutex_unlock(&turns->lock);
}

void weft_soft_turn_expect(struct weft_device_place *place)
{
    struct weft_soft_turns *turns = place->turns;
    if (!place->time)
        return;
    pthread_mutex_lock(&turns->lock);
    if (turns->wanting == 0) {
        turns->wanting = 1;
        turns->expected = true;
        enter(place);
    }
    pthread_mutex_unlock(&turns->lock);
}

void weft_soft_turn_forget(struct weft_device_place *place)
{
    struct weft_soft_turns *turns = place->turns;
    pthread_mutex_lock(&turns->lock);
    bool expected = turns->expected;
    turns->expected = false;
    pthread_mutex_unlock(&turns->lock);
    if (expected)
        weft_soft_turn_leave(place);
}

void weft_soft_turn_leave(struct weft_device_place *place)
{
    struct weft_soft_turns *turns = place->turns;
    if (!place->time)
        return;
    struct weft_device_turns *shared = &place->time->turns;
    pthread_mutex_lock(&turns->lock);
    bool last = --turns->wanting == 0;
    if (last) {
        clear_bit(shared->wanting, place->slot);
        weft_share_leave(&place->time->share, tenant_of(place));
        if (!is_free(place))
            weft_slice_learn_stretch(tenant_of(place), own_time(place) - turns->begun_ns);
    }
    pthread_mutex_unlock(&turns->lock);
    if (!last || is_free(place))
        return;
    if (is_empty(shared->wanting))
        __atomic_store_n(&shared->quiet_since_ns, weft_clock_ns(), __ATOMIC_SEQ_CST);
    let_through(place);
}

/* Shows that we are there; where others took us for absent we come back. */
static void show_up(struct weft_device_place *place)
{
    __atomic_fetch_add(&process_of(place)->beat, 1, __ATOMIC_RELAXED);
    if (!has_bit(place->time->turns.wanting, place->slot))
        enter(place);
}

static uint32_t sequence_of(const struct weft_share_tenant *tenant)
{
    return weft_share_terms_unpack(load(&tenant->terms)).sequence;
}

/* By one policy from beginning to end: where weftd changed it meanwhile, once more. */
static enum weft_share_verdict judge(struct weft_device_place *place, enum weft_slice_point point,
                                     struct look *look, uint64_t *wait_ns)
{
    struct weft_share_tenant *tenant = tenant_of(place);
    show_up(place);
    for (int i = 0; i < CHANGES_MAX; i++) {
        uint32_t sequence = sequence_of(tenant);
        begin_own_look(look, place);
        enum weft_share_verdict verdict = weft_slice_judge(&look->view, tenant, point, wait_ns);
        if (sequence_of(tenant) != sequence)
            continue;
        if (verdict == WEFT_SHARE_RUN) {
            weft_share_begin(&place->time->share, &look->view);
            __atomic_store_n(&process_of(place)->admitted, sequence, __ATOMIC_RELAXED);
        }
        return verdict;
    }
    return WEFT_SHARE_WAIT;
}

bool weft_soft_turn_is_free(const struct weft_device_place *place)
{
    return is_free(place);
}

bool weft_soft_turn_is_ours(struct weft_device_place *place, enum weft_slice_point point)
{
    struct look look;
    uint64_t wait_ns;
    return is_free(place) || judge(place, point, &look, &wait_ns) == WEFT_SHARE_RUN;
}

/* One that wants the device and did nothing between two looks was stopped, or is stuck. */
struct absentees {
    struct weft_device_place *place;
    bool judged, found;
};

static void look_for_beat(uint32_t slot, void *context)
{
    struct absentees *absentees = context;
    struct weft_device_place *place = absentees->place;
    uint32_t beat = __atomic_load_n(&place->page->processes[slot].beat, __ATOMIC_RELAXED),
             *before = &place->turns->beats[slot];
    if (absentees->judged && slot != place->slot && beat == *before) {
        clear_bit(place->time->turns.wanting, slot);
        weft_device_page_free_sms(place->page, slot);
        absentees->found = true;
    }
    *before = beat;
}

static void drop_absent(struct weft_device_place *place)
{
    struct weft_soft_turns *turns = place->turns;
    struct absentees absentees = {.place = place};
    pthread_mutex_lock(&turns->lock);
    uint64_t passed_ns = weft_clock_ns() - turns->looked_ns;
    if (passed_ns >= ABSENT_NS) {
        /* What was seen long ago says nothing: nobody of us was held since. */
        absentees.judged = passed_ns < 2 * ABSENT_NS;
        for_each_slot(place->time->turns.wanting, look_for_beat, &absentees);
        turns->looked_ns += passed_ns;
    }
    pthread_mutex_unlock(&turns->lock);
    if (absentees.found)
        let_through(place);
}

void weft_soft_turn_look_around(struct weft_device_place *place)
{
    if (!is_free(place))
        drop_absent(place);
}

static void change_held(struct weft_device_place *place, int change)
{
    struct weft_soft_turns *turns = place->turns;
    pthread_mutex_lock(&turns->lock);
    bool none_before = turns->held == 0;
    turns->held += (uint32_t)change;
    if (none_before)
        set_bit(place->time->turns.held, place->slot);
    else if (turns->held == 0)
        clear_bit(place->time->turns.held, place->slot);
    pthread_mutex_unlock(&turns->lock);
}

/* Sleeps until somebody may be let through. Where all who want the device have reached their caps
 * it stands still, and its clock goes on meanwhile: by no more than was asked for, so that a busy
 * host makes nobody wait longer than its cap says. */
static void sleep_until_looked(struct weft_device_place *place, const struct look *look,
                               uint32_t turn, enum weft_share_verdict verdict, uint64_t wait_ns,
                               uint64_t most_ns)
{
    struct weft_device_time *time = place->time;
    bool stands_still = verdict == WEFT_SHARE_CAPPED && nobody_may_run(look);
    uint64_t sleep_ns = WEFT_MIN(most_ns, LOOK_NS);
    if (stands_still)
        sleep_ns = WEFT_MIN(sleep_ns, wait_ns);
    uint64_t begin_ns = weft_clock_ns(), end_ns = begin_ns + sleep_ns;
    /* A wait for bits takes a point in time, on the same clock. */
    const struct timespec until = {.tv_sec = (time_t)(end_ns / 1000000000),
                                   .tv_nsec = (long)(end_ns % 1000000000)};
    syscall(SYS_futex, &time->turns.turn, FUTEX_WAIT_BITSET, turn, &until, NULL,
            futex_bit(tenant_number(place->page, place->slot)));
    uint64_t passed_ns = weft_clock_ns() - begin_ns;
    if (stands_still)
        weft_share_stand_still(&time->share, look->view.clock_ns, WEFT_MIN(passed_ns, wait_ns));
}

static bool wait_held(struct weft_device_place *place, enum weft_slice_point point,
                      uint64_t timeout_ns)
{
    uint64_t deadline_ns = weft_clock_ns() + timeout_ns;
    for (;;) {
        struct look look;
        uint64_t wait_ns = 0;
        uint32_t turn = __atomic_load_n(&place->time->turns.turn, __ATOMIC_SEQ_CST);
        if (is_free(place))
            return true;
        enum weft_share_verdict verdict = judge(place, point, &look, &wait_ns);
        if (verdict == WEFT_SHARE_RUN)
            return true;
        uint64_t now_ns = weft_clock_ns();
        if (now_ns >= deadline_ns)
            return false;
        sleep_until_looked(place, &look, turn, verdict, wait_ns, deadline_ns - now_ns);
        drop_absent(place);
    }
}

bool weft_soft_turn_wait(struct weft_device_place *place, enum weft_slice_point point,
                         uint64_t timeout_ns)
{
    if (weft_soft_turn_is_ours(place, point))
        return true;
    change_held(place, 1);
    bool ours = wait_held(place, point, timeout_ns);
    change_held(place, -1);
    return ours;
}

void weft_soft_turn_charge(struct weft_device_place *place, uint64_t time_ns)
{
    struct weft_device_time *time = place->time;
    if (!time)
        return;
    if (is_free(place)) {
        __atomic_fetch_add(&time->share.used_ns, time_ns, __ATOMIC_RELAXED);
        return;
    }
    show_up(place);
    weft_share_charge(&time->share, tenant_of(place), time_ns);
    let_through(place);
}

void weft_soft_turn_kernel_ended(struct weft_device_place *place, uint64_t time_ns)
{
    if (!is_free(place))
        weft_slice_learn_kernel(tenant_of(place), time_ns);
}

bool weft_soft_turn_somebody_waits(const struct weft_device_place *place)
{
    return !is_free(place) && !is_empty(place->time->turns.held);
}
