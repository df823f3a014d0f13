#include "policy/slice.h"

#include <string.h>

#include "util/util.h"

/* A round in which each of so many tenants has a slice of the largest length is the longest. */
#define TENANTS_AT_MOST 2
#define NORMAL_CLASS WEFT_SHARE_CLASS_DEFAULT
/* Averages take up an eighth of what is new. */
#define LEARN_SHIFT 3
/* The slice's end: 48 bits of the tenant's used time, under 16 of the policy's sequence. */
#define END_BITS 48
#define END_MASK ((1ull << END_BITS) - 1)

static const char *const modes[WEFT_SLICE_MODES] = {
    [WEFT_SLICE_PREEMPTIVE] = "preemptive",
    [WEFT_SLICE_COOPERATIVE] = "cooperative",
    [WEFT_SLICE_HYBRID] = "hybrid",
};

int weft_slice_mode_parse(const char *text, enum weft_slice_mode *mode, struct weft_err *err)
{
    for (int i = 0; i < WEFT_SLICE_MODES; i++) {
        if (strcmp(text, modes[i]) == 0) {
            *mode = (enum weft_slice_mode)i;
            return 0;
        }
    }
    return weft_fail(err, WEFT_EINVAL, "\"%s\": slices are preemptive, cooperative or hybrid",
                     text);
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

uint64_t weft_slice_length_ns(const struct weft_slice_facts *facts)
{
    uint64_t length = facts->most_ns;
    if (facts->others_first)
        return facts->least_ns;
    if (facts->tenants > TENANTS_AT_MOST)
        length = length * TENANTS_AT_MOST / facts->tenants;
    if (facts->class > NORMAL_CLASS)
        length >>= WEFT_MIN(facts->class - NORMAL_CLASS, (uint32_t)WEFT_SHARE_CLASSES);
    if (facts->stretch_ns)
        length = WEFT_MIN(length, facts->stretch_ns);
    if (facts->kernel_ns && facts->kernel_ns <= length)
        length -= length % facts->kernel_ns;
    return WEFT_MAX(facts->least_ns, length);
}

static uint64_t most_of(const struct weft_share *share)
{
    return load(&share->slack_ns) / 2;
}

/* How much of its slice is left; negative: by how much it went over the end. */
static int64_t left_of(const struct weft_share_tenant *tenant)
{
    uint64_t left = load(&tenant->slice) - load(&tenant->used_ns);
    return (int64_t)(left << (64 - END_BITS)) >> (64 - END_BITS);
}

static bool is_of_policy(const struct weft_share_tenant *tenant, uint32_t sequence)
{
    return load(&tenant->slice) >> END_BITS == sequence;
}

static void begin_slice(const struct weft_share_view *view, struct weft_share_tenant *tenant,
                        const struct weft_share_terms *terms, bool others_first)
{
    const struct weft_slice_facts facts = {
        .least_ns = load(&view->share->slice_ns),
        .most_ns = most_of(view->share),
        .kernel_ns = __atomic_load_n(&tenant->kernel_ns, __ATOMIC_RELAXED),
        .stretch_ns = __atomic_load_n(&tenant->stretch_ns, __ATOMIC_RELAXED),
        .class = terms->class,
        .tenants = (uint32_t)__builtin_popcountll(view->who),
        .others_first = others_first,
    };
    uint64_t end = load(&tenant->used_ns) + weft_slice_length_ns(&facts);
    __atomic_store_n(&tenant->slice, (uint64_t)terms->sequence << END_BITS | (end & END_MASK),
                     __ATOMIC_SEQ_CST);
}

/* Whether the kernel in hand may go on, whosever turn it is. */
static bool kernel_goes_on(const struct weft_share *share, int64_t left)
{
    uint64_t mode = load(&share->slice_mode);
    uint64_t bound = mode == WEFT_SLICE_COOPERATIVE ? WEFT_SLICE_KERNEL_MOST_NS : most_of(share);
    return (mode == WEFT_SLICE_COOPERATIVE || mode == WEFT_SLICE_HYBRID) && left > -(int64_t)bound;
}

enum weft_share_verdict weft_slice_judge(const struct weft_share_view *view,
                                         struct weft_share_tenant *tenant,
                                         enum weft_slice_point point, uint64_t *wait_ns)
{
    struct weft_share_terms terms = weft_share_terms_unpack(load(&tenant->terms));
    bool others_first =
        terms.cap_e4 != WEFT_SHARE_CAP_WHOLE || (view->classes & ((1u << terms.class) - 1)) != 0;
    int64_t left = left_of(tenant);
    if (point == WEFT_SLICE_IN_KERNEL && kernel_goes_on(view->share, left))
        return WEFT_SHARE_RUN;
    if (point != WEFT_SLICE_STALLED && !others_first && left > 0 &&
        is_of_policy(tenant, terms.sequence))
        return WEFT_SHARE_RUN;
    enum weft_share_verdict verdict = weft_share_judge(view, tenant, wait_ns);
    if (verdict == WEFT_SHARE_RUN)
        begin_slice(view, tenant, &terms, others_first);
    return verdict;
}

/* Two that learn at once may lose one of two samples, and nothing else. */
static void learn(uint32_t *average, uint64_t sample)
{
    uint64_t before = __atomic_load_n(average, __ATOMIC_RELAXED);
    uint64_t after = before ? before - (before >> LEARN_SHIFT) + (sample >> LEARN_SHIFT) : sample;
    __atomic_store_n(average, (uint32_t)WEFT_MAX(1u, WEFT_MIN(after, UINT32_MAX)),
                     __ATOMIC_RELAXED);
}

void weft_slice_learn_kernel(struct weft_share_tenant *tenant, uint64_t time_ns)
{
    learn(&tenant->kernel_ns, time_ns);
}

void weft_slice_learn_stretch(struct weft_share_tenant *tenant, uint64_t time_ns)
{
    learn(&tenant->stretch_ns, time_ns);
}
