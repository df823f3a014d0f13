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

static long futex_wait(const uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                                     .tv_nsec = (long)(timeout_ns % 1000000000)};
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

static long futex_wake_one(const uint32_t *word)
{
    return syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
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
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(word, &none, owner, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            *sm = (struct weft_soft_sm){.page = page, .index = index, .owner = owner};
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
                   WEFT_MIN(deadline_ns - now_ns, after_you ? POLITE_WAIT_NS : WAIT_NS));
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
    __atomic_fetch_add(&page->sm_released, 1, __ATOMIC_RELEASE);
    /* The count of waiters may be too high after a death; who was really woken is the truth. */
    sm->polite = futex_wake_one(&page->sm_released) > 0;
}

bool weft_soft_sm_wanted(const struct weft_soft_sm *sm)
{
    const struct weft_device_page *page = sm->page;
    return page && (__atomic_load_n(&page->sm_waiters, __ATOMIC_RELAXED) != 0 ||
                    __atomic_load_n(&page->sms[sm->index].owner, __ATOMIC_RELAXED) != sm->owner);
}
