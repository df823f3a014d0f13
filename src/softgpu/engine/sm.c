#include "softgpu/engine/sm.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/util.h"

/* A waiter looks again after so long even if nobody woke it: the one
 * that should have may be dead. */
#define WAIT_NS 10000000ull
/* Who gave an SM up for others looks again after so long: the others may be dead. */
#define POLITE_WAIT_NS 1000000ull

/* A wait for bits takes a point in time, on the same clock. */
static long futex_wait(const uint32_t *word, uint32_t value, uint64_t until_ns, uint32_t bits)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                                   .tv_nsec = (long)(until_ns % 1000000000)};
    return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &until, NULL, bits);
}

/* The futex' bits of the SMs that the thread may have. */
static uint32_t futex_bits(const struct weft_soft_sm *sm)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; sm->allowed && i < WEFT_SPACE_WORDS; i++)
        bits |= __atomic_load_n(&sm->allowed->words[i], __ATOMIC_RELAXED);
    uint32_t folded = (uint32_t)bits | (uint32_t)(bits >> 32);
    return folded ? folded : FUTEX_BITSET_MATCH_ANY;
}

static bool is_allowed(const struct weft_soft_sm *sm, uint32_t index)
{
    return !sm->allowed || weft_space_has(sm->allowed, index);
}

static uint32_t sm_count(const struct weft_device_page *page)
{
    return WEFT_MIN(page->sm_count, (uint32_t)WEFT_DEVICE_SMS_MAX);
}

static bool take_free(struct weft_soft_sm *sm, struct weft_device_page *page, uint64_t owner)
{
    uint32_t count = sm_count(page);
    for (uint32_t i = 0; i < count; i++) {
        /* Begin where we were last, so that threads spread and caches stay warm. */
        uint32_t index = (sm->index + i) % count;
        uint64_t *word = &page->sms[index].owner;
        uint64_t none = 0;
        if (is_allowed(sm, index) && __atomic_load_n(word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(word, &none, owner, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            *sm = (struct weft_soft_sm){
                .page = page, .index = index, .owner = owner, .allowed = sm->allowed};
            return true;
        }
    }
    return false;
}

static bool wait_and_take(struct weft_soft_sm *sm, struct weft_device_page *page, uint64_t owner,
                          uint64_t timeout_ns)
{
    uint64_t deadline_ns = weft_clock_ns() + timeout_ns;
    bool after_you = sm->polite;
    for (;;) {
        uint32_t released = __atomic_load_n(&page->sm_released, __ATOMIC_ACQUIRE);
        if (!after_you && take_free(sm, page, owner))
            return true;
        uint64_t now_ns = weft_clock_ns();
        if (now_ns >= deadline_ns)
            return false;
        futex_wait(&page->sm_released, released,
                   WEFT_MIN(deadline_ns, now_ns + (after_you ? POLITE_WAIT_NS : WAIT_NS)),
                   futex_bits(sm));
        after_you = false;
    }
}

bool weft_soft_sm_acquire(struct weft_soft_sm *sm, struct weft_device_page *page, uint32_t slot,
                          uint32_t thread, uint64_t timeout_ns)
{
    uint64_t owner = WEFT_DEVICE_OWNER(slot, thread);
    if (!sm->polite && take_free(sm, page, owner))
        return true;
    __atomic_fetch_add(&page->sm_waiters, 1, __ATOMIC_SEQ_CST);
    bool taken = wait_and_take(sm, page, owner, timeout_ns);
    __atomic_fetch_sub(&page->sm_waiters, 1, __ATOMIC_RELAXED);
    sm->polite = false;
    return taken;
}

void weft_soft_sm_release(struct weft_soft_sm *sm)
{
    struct weft_device_page *page = sm->page;
    if (!page)
        return;
    /* Where weftd took the SM back from us, it is not ours to free. */
    uint64_t ours = sm->owner;
    __atomic_compare_exchange_n(&page->sms[sm->index].owner, &ours, 0, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_RELAXED);
    sm->page = NULL;
    sm->polite = false;
    if (__atomic_load_n(&page->sm_waiters, __ATOMIC_SEQ_CST) == 0)
        return;
    /* The count of waiters may be too high after a death, and others wait for other SMs; who was
     * really woken is the truth. */
    sm->polite = weft_device_page_wake(page, sm->index, 1) > 0;
}

bool weft_soft_sm_wanted(const struct weft_soft_sm *sm)
{
    const struct weft_device_page *page = sm->page;
    return page && (__atomic_load_n(&page->sm_waiters, __ATOMIC_RELAXED) != 0 ||
                    !is_allowed(sm, sm->index) ||
                    __atomic_load_n(&page->sms[sm->index].owner, __ATOMIC_RELAXED) != sm->owner);
}
