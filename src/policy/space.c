#include "policy/space.h"

#include "util/util.h"

#define PER_CENT 100

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

uint32_t weft_space_sms(uint32_t sm_count, uint32_t percent)
{
    uint64_t sms = (uint64_t)sm_count * WEFT_MIN(percent, (uint32_t)PER_CENT) / PER_CENT;
    return WEFT_MAX((uint32_t)sms, 1u);
}

bool weft_space_is_whole(const struct weft_space_set *set)
{
    return __atomic_load_n(&set->is_part, __ATOMIC_ACQUIRE) == 0;
}

static bool is_listed(const struct weft_space_set *set, uint32_t sm)
{
    return load(&set->words[sm / 64]) >> (sm % 64) & 1;
}

bool weft_space_has(const struct weft_space_set *set, uint32_t sm)
{
    return sm < WEFT_SPACE_SMS_MAX && (weft_space_is_whole(set) || is_listed(set, sm));
}

uint32_t weft_space_count(const struct weft_space_set *set, uint32_t sm_count)
{
    uint32_t count = 0;
    for (uint32_t sm = 0; sm < WEFT_MIN(sm_count, (uint32_t)WEFT_SPACE_SMS_MAX); sm++)
        count += is_listed(set, sm);
    return weft_space_is_whole(set) ? sm_count : count;
}

bool weft_space_meets(const struct weft_space_set *one, const struct weft_space_set *other)
{
    uint64_t common = 0;
    for (uint32_t i = 0; i < WEFT_SPACE_WORDS; i++)
        common |= load(&one->words[i]) & load(&other->words[i]);
    return common || weft_space_is_whole(one) || weft_space_is_whole(other);
}

/* Whether `sm` should be taken before `best`. */
static bool is_better(uint32_t sm, uint32_t best, const uint32_t *loads,
                      const struct weft_space_set *own)
{
    if (loads[sm] != loads[best])
        return loads[sm] < loads[best];
    return is_listed(own, sm) && !is_listed(own, best);
}

struct weft_space_set weft_space_choose(const uint32_t *loads, uint32_t sm_count, uint32_t wanted,
                                        const struct weft_space_set *own)
{
    uint32_t count = WEFT_MIN(sm_count, (uint32_t)WEFT_SPACE_SMS_MAX);
    struct weft_space_set chosen = {.is_part = wanted < count};
    for (uint32_t taken = 0; taken < wanted && wanted < count; taken++) {
        uint32_t best = count;
        for (uint32_t sm = 0; sm < count; sm++) {
            if (!is_listed(&chosen, sm) && (best == count || is_better(sm, best, loads, own)))
                best = sm;
        }
        chosen.words[best / 64] |= 1ull << (best % 64);
    }
    return chosen;
}

void weft_space_write(struct weft_space_set *shared, const struct weft_space_set *set)
{
    if (!set->is_part)
        __atomic_store_n(&shared->is_part, 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < WEFT_SPACE_WORDS; i++)
        __atomic_store_n(&shared->words[i], set->words[i], __ATOMIC_SEQ_CST);
    if (set->is_part)
        __atomic_store_n(&shared->is_part, 1, __ATOMIC_SEQ_CST);
}
