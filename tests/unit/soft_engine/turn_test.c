/* Turns on a device that tenants share. What would break it: work that begins under an old policy,
 * work that has no place before a thread of the program has seen it, or keeps one that it gave up,
 * somebody held who is not let through when it is his turn, a process that died, or was stopped,
 * for whom others wait for ever, a standstill that is not counted, or one who is alone and is asked
 * anything. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/share.h"
#include "softgpu/engine/turn.h"

#define MILLISECOND 1000000ull
#define LONG (100000 * MILLISECOND)

/* Two processes, of tenants 1 and 2, on one device. */
static struct weft_device_page *page;
static struct weft_device_time *shared;
static struct weft_device_place a, b;

static void set_terms(uint32_t tenant, uint32_t weight, uint32_t cap_e4, uint32_t sequence)
{
    const struct weft_share_terms terms = {weight, WEFT_SHARE_CLASS_DEFAULT, cap_e4, sequence};
    __atomic_store_n(&shared->tenants[tenant].terms, weft_share_terms_pack(&terms),
                     __ATOMIC_SEQ_CST);
}

static int set_up(void **state)
{
    (void)state;
    page = mmap(NULL, sizeof(*page) + sizeof(*shared), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    shared = (struct weft_device_time *)(page + 1);
    page->sm_count = 2;
    shared->turns.sharers = 2;
    shared->share.slack_ns = MILLISECOND;
    page->processes[1].tenant = 1;
    page->processes[70].tenant = 2;
    set_terms(1, 100, WEFT_SHARE_CAP_WHOLE, 2);
    set_terms(2, 100, WEFT_SHARE_CAP_WHOLE, 2);
    a = (struct weft_device_place){
        .slot = 1, .page = page, .time = shared, .turns = weft_soft_turns_create()};
    b = (struct weft_device_place){
        .slot = 70, .page = page, .time = shared, .turns = weft_soft_turns_create()};
    assert_true(a.turns && b.turns);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weft_soft_turns_destroy(a.turns);
    weft_soft_turns_destroy(b.turns);
    return munmap(page, sizeof(*page) + sizeof(*shared));
}

static bool is_ours(struct weft_device_place *device)
{
    return weft_soft_turn_is_ours(device, WEFT_SLICE_AT_KERNEL);
}

static void work_begins_under_the_policy_of_now(void **state)
{
    (void)state;
    weft_soft_turn_want(&a);
    weft_soft_turn_want(&b);
    assert_true(is_ours(&a));
    assert_int_equal(page->processes[1].admitted, 2);
    for (uint32_t sequence = 4; sequence < 200; sequence += 2) {
        set_terms(1, sequence, WEFT_SHARE_CAP_WHOLE, sequence);
        assert_true(is_ours(&a));
        assert_int_equal(page->processes[1].admitted, sequence);
    }
    /* It used a millisecond, of which the new cap permits a tenth: nothing begins. */
    weft_soft_turn_charge(&a, MILLISECOND);
    set_terms(1, 100, 1, 300);
    weft_soft_turn_charge(&a, MILLISECOND);
    assert_false(is_ours(&a));
    assert_int_equal(page->processes[1].admitted, 198);
    assert_true(is_ours(&b));
}

static atomic_bool policies_end;

/* Only its own admissions count: nobody else of this process asks. */
static void *ask_for_a(void *unused)
{
    uintptr_t old = 0;
    (void)unused;
    while (!atomic_load(&policies_end)) {
        uint64_t terms = __atomic_load_n(&shared->tenants[1].terms, __ATOMIC_SEQ_CST);
        page->processes[1].admitted = 0;
        if (is_ours(&a))
            old += page->processes[1].admitted < weft_share_terms_unpack(terms).sequence;
    }
    return (void *)old;
}

static void nothing_begins_under_a_policy_that_was_replaced(void **state)
{
    (void)state;
    pthread_t thread;
    void *old;
    weft_soft_turn_want(&a);
    atomic_store(&policies_end, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_for_a, NULL), 0);
    for (uint32_t sequence = 4; sequence < 60000; sequence += 2)
        set_terms(1, sequence / 10 + 1, WEFT_SHARE_CAP_WHOLE, sequence);
    atomic_store(&policies_end, true);
    assert_int_equal(pthread_join(thread, &old), 0);
    assert_int_equal((uintptr_t)old, 0);
}

/* A thread of b has more than its share; work of a is launched, and none of its threads runs. */
static void work_has_its_place_at_once(void **state)
{
    (void)state;
    weft_soft_turn_want(&b);
    weft_soft_turn_charge(&b, 10 * MILLISECOND);
    assert_true(is_ours(&b));
    set_terms(2, 1, WEFT_SHARE_CAP_WHOLE, 2);
    weft_soft_turn_charge(&b, 10 * MILLISECOND);
    weft_soft_turn_expect(&a);
    weft_soft_turn_expect(&a);
    weft_soft_turn_charge(&b, MILLISECOND);
    assert_false(is_ours(&b));
    /* The thread that comes takes the place over, and there is no other to give up. */
    weft_soft_turn_want(&a);
    weft_soft_turn_forget(&a);
    assert_false(is_ours(&b));
    weft_soft_turn_leave(&a);
    assert_true(is_ours(&b));
    weft_soft_turn_charge(&b, MILLISECOND);
    weft_soft_turn_expect(&a);
    weft_soft_turn_charge(&b, MILLISECOND);
    assert_false(is_ours(&b));
    weft_soft_turn_forget(&a);
    assert_true(is_ours(&b));
    assert_int_equal(shared->turns.wanting[0], 0);
}

static void *wait_for_b(void *unused)
{
    (void)unused;
    return weft_soft_turn_wait(&b, WEFT_SLICE_AT_KERNEL, LONG) ? &b : NULL;
}

/* b is so far ahead that it is held; begins to wait. */
static pthread_t hold_b(void)
{
    pthread_t thread;
    weft_soft_turn_want(&a);
    weft_soft_turn_want(&b);
    weft_soft_turn_charge(&b, 10 * MILLISECOND);
    assert_false(is_ours(&b));
    assert_true(is_ours(&a));
    assert_int_equal(pthread_create(&thread, NULL, wait_for_b, NULL), 0);
    while (!weft_soft_turn_somebody_waits(&a))
        usleep(1000);
    return thread;
}

static void check_through(pthread_t thread)
{
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &b);
    assert_false(weft_soft_turn_somebody_waits(&a));
}

static void the_held_go_on_when_others_used_more(void **state)
{
    (void)state;
    pthread_t thread = hold_b();
    for (int i = 0; i < 9; i++)
        weft_soft_turn_charge(&a, MILLISECOND);
    check_through(thread);
}

static void the_held_go_on_when_others_have_no_work(void **state)
{
    (void)state;
    pthread_t thread = hold_b();
    weft_soft_turn_leave(&a);
    check_through(thread);
}

/* As weftd does it. */
static void the_held_go_on_when_others_died(void **state)
{
    (void)state;
    pthread_t thread = hold_b();
    __atomic_store_n(&shared->turns.wanting[0], 0, __ATOMIC_SEQ_CST);
    check_through(thread);
}

/* a wants the device, it is its turn, and nothing comes of it. */
static void the_stopped_lose_their_place_until_they_come(void **state)
{
    (void)state;
    pthread_t thread = hold_b();
    check_through(thread);
    assert_int_equal(shared->turns.wanting[0], 0);
    assert_true(is_ours(&a));
    assert_int_equal(shared->turns.wanting[0], 2);
    /* What it did not take meanwhile is not kept for it. */
    assert_true(is_ours(&b));
}

static void a_new_policy_lets_the_held_go_on(void **state)
{
    (void)state;
    pthread_t thread = hold_b();
    set_terms(1, 100, 1, 4); /* a is capped, and has reached it */
    weft_soft_turn_charge(&a, 5 * MILLISECOND);
    check_through(thread);
}

/* Alone, with a cap: the clock goes on by what the cap asks for, and no more. */
static void a_standstill_passes(void **state)
{
    (void)state;
    set_terms(1, 100, 5000, 2);
    weft_soft_turn_want(&a);
    for (uint64_t used = 0; used < 200; used++) {
        weft_soft_turn_charge(&a, MILLISECOND);
        assert_true(weft_soft_turn_wait(&a, WEFT_SLICE_AT_KERNEL, LONG));
    }
    uint64_t idle = shared->share.idle_ns;
    assert_in_range(idle, 190 * MILLISECOND, 200 * MILLISECOND);
    assert_int_equal(shared->share.used_ns, 200 * MILLISECOND);
}

static void who_is_alone_is_asked_nothing(void **state)
{
    (void)state;
    shared->turns.sharers = 1;
    weft_soft_turn_want(&a);
    for (int i = 0; i < 100; i++) {
        assert_true(weft_soft_turn_wait(&a, WEFT_SLICE_AT_KERNEL, 0));
        weft_soft_turn_charge(&a, MILLISECOND);
    }
    assert_int_equal(page->processes[1].beat, 0);
    assert_int_equal(shared->tenants[1].virtual_ns, 0);
    assert_int_equal(shared->share.used_ns, 100 * MILLISECOND);
    /* And where somebody comes it owes nothing for that time. */
    shared->turns.sharers = 2;
    weft_soft_turn_want(&b);
    assert_true(is_ours(&a) && is_ours(&b));
}

/* Whatever stands in the page: no index leaves it, nothing is divided by 0. */
static void scribbles_break_nothing(void **state)
{
    (void)state;
    weft_soft_turn_want(&a);
    page->processes[1].tenant = UINT32_MAX;
    page->processes[500].tenant = 77777;
    shared->turns.wanting[7] = UINT64_MAX;
    shared->tenants[0].terms = UINT64_MAX;
    shared->share.levels[2].tenants_begun = 1ull << 63;
    weft_soft_turn_charge(&a, MILLISECOND);
    weft_soft_turn_wait(&a, WEFT_SLICE_AT_KERNEL, MILLISECOND);
    weft_soft_turn_leave(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(work_begins_under_the_policy_of_now),
        TEST(nothing_begins_under_a_policy_that_was_replaced),
        TEST(work_has_its_place_at_once),
        TEST(the_held_go_on_when_others_used_more),
        TEST(the_held_go_on_when_others_have_no_work),
        TEST(the_held_go_on_when_others_died),
        TEST(the_stopped_lose_their_place_until_they_come),
        TEST(a_new_policy_lets_the_held_go_on),
        TEST(a_standstill_passes),
        TEST(who_is_alone_is_asked_nothing),
        TEST(scribbles_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
