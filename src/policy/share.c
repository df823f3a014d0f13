#include "policy/share.h"

#include "util/util.h"

/* A class against all under it: 98 to 2, so what is under it grows 49 times as fast. */
#define REST_FACTOR ((100 - WEFT_SHARE_FLOOR_PERCENT) / WEFT_SHARE_FLOOR_PERCENT)
#define CLASS_SHIFT 16
#define CAP_SHIFT 24
#define SEQUENCE_SHIFT 40
#define IS_STOPPED (1ull << 62)
#define IS_SET (1ull << 63)

uint64_t weft_share_terms_pack(const struct weft_share_terms *terms)
{
    uint64_t weight = WEFT_MAX(1u, WEFT_MIN(terms->weight, (uint32_t)WEFT_SHARE_WEIGHT_MAX));
    uint64_t class = WEFT_MIN(terms->class, (uint32_t)WEFT_SHARE_CLASSES - 1);
    uint64_t cap = WEFT_MAX(1u, WEFT_MIN(terms->cap_e4, (uint32_t)WEFT_SHARE_CAP_WHOLE));
    return IS_SET | weight | class << CLASS_SHIFT | cap << CAP_SHIFT |
           (uint64_t)(terms->sequence & 0xffff) << SEQUENCE_SHIFT |
           (terms->stopped ? IS_STOPPED : 0);
}

/* The word may hold anything: whoever uses the device can write there. */
struct weft_share_terms weft_share_terms_unpack(uint64_t word)
{
    uint32_t weight = word & 0xffff, class = word >> CLASS_SHIFT & 0xff,
             cap = word >> CAP_SHIFT & 0xffff;
    if (!(word & IS_SET))
        return (struct weft_share_terms){WEFT_SHARE_WEIGHT_DEFAULT, WEFT_SHARE_CLASS_DEFAULT,
                                         WEFT_SHARE_CAP_WHOLE, 0, false};
    return (struct weft_share_terms){
        .weight = WEFT_MAX(1u, WEFT_MIN(weight, (uint32_t)WEFT_SHARE_WEIGHT_MAX)),
        .class = WEFT_MIN(class, (uint32_t)WEFT_SHARE_CLASSES - 1),
        .cap_e4 = WEFT_MAX(1u, WEFT_MIN(cap, (uint32_t)WEFT_SHARE_CAP_WHOLE)),
        .sequence = word >> SEQUENCE_SHIFT & 0xffff,
        .stopped = word & IS_STOPPED,
    };
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static struct weft_share_terms terms_of(const struct weft_share_tenant *tenant)
{
    return weft_share_terms_unpack(load(&tenant->terms));
}

/* Virtual times may wrap around: only their differences count. */
static bool is_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/* Moves the word on to `least`, then by `step`. */
static void advance(uint64_t *word, uint64_t least, uint64_t step)
{
    uint64_t before = load(word), after;
    do {
        after = (is_before(before, least) ? least : before) + step;
        if (after == before)
            return;
    } while (!__atomic_compare_exchange_n(word, &before, after, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
}

static uint64_t by_weight(uint64_t time_ns, uint32_t weight)
{
    return time_ns * WEFT_SHARE_WEIGHT_MAX / weight;
}

static uint64_t by_cap(uint64_t time_ns, uint32_t cap_e4)
{
    return time_ns * WEFT_SHARE_CAP_WHOLE / cap_e4;
}

static uint64_t lag_of(const struct weft_share *share)
{
    return load(&share->slack_ns) * WEFT_SHARE_LAG_SLACKS;
}

static uint32_t classes_under(uint32_t classes, uint32_t class)
{
    return classes >> (class + 1);
}

uint64_t weft_share_clock(const struct weft_share *share)
{
    return load(&share->used_ns) + load(&share->idle_ns);
}

/* How far the clock has to go on before the tenant may use the device again; 0: it may. */
static uint64_t debt_of(const struct weft_share_tenant *tenant, uint32_t cap_e4, uint64_t clock_ns)
{
    if (cap_e4 == WEFT_SHARE_CAP_WHOLE)
        return 0;
    int64_t ahead = (int64_t)(load(&tenant->due_ns) - clock_ns);
    int64_t burst = (int64_t)by_cap(WEFT_SHARE_BURST_NS, cap_e4);
    return ahead > burst ? (uint64_t)(ahead - burst) : 0;
}

void weft_share_view_begin(struct weft_share_view *view, const struct weft_share *share)
{
    *view = (struct weft_share_view){.share = share, .clock_ns = weft_share_clock(share)};
}

void weft_share_view_add(struct weft_share_view *view, const struct weft_share_tenant *tenant)
{
    struct weft_share_terms terms = terms_of(tenant);
    if (terms.stopped || debt_of(tenant, terms.cap_e4, view->clock_ns))
        return;
    uint64_t virtual_ns = load(&tenant->virtual_ns);
    uint32_t class = 1u << terms.class;
    uint64_t *least = &view->least_ns[terms.class];
    if (!(view->classes & class) || is_before(virtual_ns, *least))
        *least = virtual_ns;
    view->classes |= class;
    view->who |= 1ull << ((uintptr_t)tenant / sizeof(*tenant) % 64);
}

/* Whether the levels of classes let this class through. */
static bool class_may_run(const struct weft_share_view *view, uint32_t class)
{
    for (uint32_t i = 0; i <= class; i++) {
        const struct weft_share_level *level = &view->share->levels[i];
        bool has_own = view->classes >> i & 1, has_rest = classes_under(view->classes, i) != 0;
        if (!has_own || !has_rest)
            continue;
        uint64_t own = load(&level->own), rest = load(&level->rest);
        /* The class goes first, and may be before its time; what is under it may not. */
        if (i == class ? is_before(rest + load(&view->share->slack_ns), own)
                       : !is_before(rest, own))
            return false;
    }
    return true;
}

enum weft_share_verdict weft_share_judge(const struct weft_share_view *view,
                                         const struct weft_share_tenant *tenant, uint64_t *wait_ns)
{
    struct weft_share_terms terms = terms_of(tenant);
    if (terms.stopped)
        return WEFT_SHARE_WAIT;
    uint64_t debt = debt_of(tenant, terms.cap_e4, view->clock_ns);
    if (debt) {
        *wait_ns = debt;
        return WEFT_SHARE_CAPPED;
    }
    uint64_t slack = by_weight(load(&view->share->slack_ns), terms.weight);
    bool is_first = !(view->classes >> terms.class & 1);
    if (!is_first && is_before(view->least_ns[terms.class] + slack, load(&tenant->virtual_ns)))
        return WEFT_SHARE_WAIT;
    return class_may_run(view, terms.class) ? WEFT_SHARE_RUN : WEFT_SHARE_WAIT;
}

void weft_share_enter(struct weft_share *share, const struct weft_share_view *view,
                      struct weft_share_tenant *tenant)
{
    uint32_t class = terms_of(tenant).class;
    for (uint32_t i = 0; i <= class; i++) {
        struct weft_share_level *level = &share->levels[i];
        if (i == class && !(view->classes >> i & 1))
            advance(&level->own, load(&level->begun), 0);
        if (i < class && classes_under(view->classes, i) == 0)
            advance(&level->rest, load(&level->begun), 0);
    }
    if (weft_share_clock(share) - load(&tenant->left_ns) > load(&share->slack_ns))
        advance(&tenant->virtual_ns, load(&share->levels[class].tenants_begun), 0);
}

void weft_share_leave(const struct weft_share *share, struct weft_share_tenant *tenant)
{
    __atomic_store_n(&tenant->left_ns, weft_share_clock(share), __ATOMIC_SEQ_CST);
}

void weft_share_begin(struct weft_share *share, const struct weft_share_view *view)
{
    for (uint32_t i = 0; i < WEFT_SHARE_CLASSES; i++) {
        struct weft_share_level *level = &share->levels[i];
        bool has_own = view->classes >> i & 1, has_rest = classes_under(view->classes, i) != 0;
        if (has_own)
            advance(&level->tenants_begun, view->least_ns[i], 0);
        if (!has_own && !has_rest)
            continue;
        uint64_t own = load(&level->own), rest = load(&level->rest);
        bool own_is_last = has_own && (!has_rest || is_before(own, rest));
        advance(&level->begun, own_is_last ? own : rest, 0);
    }
}

void weft_share_charge(struct weft_share *share, struct weft_share_tenant *tenant, uint64_t time_ns)
{
    struct weft_share_terms terms = terms_of(tenant);
    uint64_t lag = lag_of(share), clock_ns = weft_share_clock(share);
    if (terms.cap_e4 != WEFT_SHARE_CAP_WHOLE)
        advance(&tenant->due_ns, clock_ns, by_cap(time_ns, terms.cap_e4));
    for (uint32_t i = 0; i <= terms.class; i++) {
        struct weft_share_level *level = &share->levels[i];
        uint64_t begun = load(&level->begun);
        if (i == terms.class)
            advance(&level->own, begun - lag, time_ns);
        else
            advance(&level->rest, begun - lag * REST_FACTOR, time_ns * REST_FACTOR);
    }
    advance(&tenant->virtual_ns,
            load(&share->levels[terms.class].tenants_begun) - by_weight(lag, terms.weight),
            by_weight(time_ns, terms.weight));
    __atomic_fetch_add(&tenant->used_ns, time_ns, __ATOMIC_SEQ_CST);
    /* Last: who sees the clock of now sees what was charged by then. */
    __atomic_fetch_add(&share->used_ns, time_ns, __ATOMIC_SEQ_CST);
}

void weft_share_stand_still(struct weft_share *share, uint64_t clock_ns, uint64_t time_ns)
{
    uint64_t idle = load(&share->idle_ns);
    if (load(&share->used_ns) + idle == clock_ns)
        __atomic_compare_exchange_n(&share->idle_ns, &idle, idle + time_ns, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED);
}
