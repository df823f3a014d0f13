/* SM slots: what would break it is two owners of one SM, a waiter that is never served, a wait that
 * the death of an owner prolongs, or a slot that is freed under a new owner. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "softgpu/engine/sm.h"

#define MILLISECOND 1000000ull
#define LONG (60000 * MILLISECOND)
#define PROCESSES 8
#define TURNS 200

struct shared {
    struct weft_device_page page;
    atomic_int inside, most_inside, turns;
};
static struct shared *shared;

static int fresh_page(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    shared->page.sm_count = 2;
    return 0;
}

static int drop_page(void **state)
{
    (void)state;
    return munmap(shared, sizeof(*shared));
}

static void hands_out_each_once(void **state)
{
    (void)state;
    struct weft_soft_sm one = {0}, two = {0}, three = {0};
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    assert_true(weft_soft_sm_acquire(&two, &shared->page, 4, 2, 0));
    assert_int_not_equal(one.index, two.index);
    assert_int_equal(shared->page.sms[one.index].owner, WEFT_DEVICE_OWNER(4, 1));
    assert_int_equal(WEFT_DEVICE_OWNER_SLOT(shared->page.sms[two.index].owner), 4);
    assert_false(weft_soft_sm_wanted(&one));
    assert_false(weft_soft_sm_acquire(&three, &shared->page, 4, 3, MILLISECOND));
    assert_int_equal(shared->page.sm_waiters, 0);
    weft_soft_sm_release(&one);
    weft_soft_sm_release(&one);
    assert_true(weft_soft_sm_acquire(&three, &shared->page, 4, 3, 0));
    weft_soft_sm_release(&two);
    weft_soft_sm_release(&three);
    assert_int_equal(shared->page.sms[0].owner, 0);
    assert_int_equal(shared->page.sms[1].owner, 0);
}

static void frees_nothing_that_is_another_owners(void **state)
{
    (void)state;
    struct weft_soft_sm one = {0};
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    shared->page.sms[one.index].owner = WEFT_DEVICE_OWNER(5, 1);
    uint32_t index = one.index;
    weft_soft_sm_release(&one);
    assert_int_equal(shared->page.sms[index].owner, WEFT_DEVICE_OWNER(5, 1));
}

/* The count of waiters stays too high after a waiter died: who gives way to nobody goes on at once.
 */
static void does_not_wait_for_a_dead_waiter(void **state)
{
    (void)state;
    struct weft_soft_sm one = {0};
    shared->page.sm_waiters = 3;
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    assert_true(weft_soft_sm_wanted(&one));
    weft_soft_sm_release(&one);
    assert_false(one.polite);
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    weft_soft_sm_release(&one);
}

static void take_turns(uint32_t slot)
{
    struct weft_soft_sm sm = {0};
    for (int i = 0; i < TURNS; i++) {
        if (!weft_soft_sm_acquire(&sm, &shared->page, slot, 1, LONG))
            _exit(1);
        int inside = atomic_fetch_add(&shared->inside, 1) + 1,
            most = atomic_load(&shared->most_inside);
        while (inside > most && !atomic_compare_exchange_weak(&shared->most_inside, &most, inside))
            ;
        atomic_fetch_add(&shared->turns, 1);
        atomic_fetch_sub(&shared->inside, 1);
        weft_soft_sm_release(&sm);
    }
    _exit(0);
}

static void serves_more_processes_than_sms(void **state)
{
    (void)state;
    pid_t pids[PROCESSES];
    for (uint32_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            take_turns(i);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(atomic_load(&shared->turns), PROCESSES * TURNS);
    assert_in_range(atomic_load(&shared->most_inside), 1, 2);
    assert_int_equal(shared->page.sm_waiters, 0);
}

/* An owner that is killed, and weftd's part: the slot is freed without waking anybody. */
static void waiter_notices_what_nobody_told_it(void **state)
{
    (void)state;
    shared->page.sm_count = 1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct weft_soft_sm sm = {0};
        _exit(weft_soft_sm_acquire(&sm, &shared->page, 7, 1, LONG) ? raise(SIGKILL) : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WEFT_DEVICE_OWNER_SLOT(shared->page.sms[0].owner), 7);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        while (__atomic_load_n(&shared->page.sm_waiters, __ATOMIC_ACQUIRE) == 0)
            usleep(1000);
        __atomic_store_n(&shared->page.sms[0].owner, 0, __ATOMIC_RELEASE);
        _exit(0);
    }
    struct weft_soft_sm sm = {0};
    assert_true(weft_soft_sm_acquire(&sm, &shared->page, 4, 1, LONG));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    weft_soft_sm_release(&sm);
}

/* SM 1 is free all the time, and another thread's. */
static void takes_only_what_is_allowed(void **state)
{
    (void)state;
    struct weft_space_set first = {.words = {1}, .is_part = 1},
                          second = {.words = {2}, .is_part = 1};
    struct weft_soft_sm one = {.allowed = &first}, two = {.allowed = &first},
                        other = {.allowed = &second};
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    assert_int_equal(one.index, 0);
    assert_false(weft_soft_sm_acquire(&two, &shared->page, 4, 2, MILLISECOND));
    assert_true(weft_soft_sm_acquire(&other, &shared->page, 5, 1, 0));
    assert_int_equal(other.index, 1);
    /* What becomes free is of no use to who waits for another. */
    shared->page.sm_waiters = 1;
    weft_soft_sm_release(&other);
    assert_false(other.polite);
    assert_true(weft_soft_sm_acquire(&other, &shared->page, 5, 1, 0));
    shared->page.sm_waiters = 0;
    assert_false(weft_soft_sm_wanted(&one));
    first.words[0] = 2;
    assert_true(weft_soft_sm_wanted(&one));
    weft_soft_sm_release(&one);
    weft_soft_sm_release(&other);
    assert_true(weft_soft_sm_acquire(&one, &shared->page, 4, 1, 0));
    assert_int_equal(one.index, 1);
    weft_soft_sm_release(&one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_page, drop_page)
    const struct CMUnitTest tests[] = {
        TEST(hands_out_each_once),
        TEST(takes_only_what_is_allowed),
        TEST(frees_nothing_that_is_another_owners),
        TEST(does_not_wait_for_a_dead_waiter),
        TEST(serves_more_processes_than_sms),
        TEST(waiter_notices_what_nobody_told_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
