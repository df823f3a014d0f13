/* A process behind the gate, and others beside it, in virtual time. What would break it: time in
 * which several ran at once that is charged to each of them, or to one more than to its like; one
 * that is alone, or that takes turns with others, and is not charged for all of its time; a long
 * kernel that is charged less than what it had for itself; a long one that does not show that it
 * runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_gpu.h"
#include "tenant/gate_layer.h"
#include "tenant/overlap.h"

#define OTHERS 3
#define OWN_SLOT 1
#define LOOK_NS (200 * MICROSECOND)
/* What a kernel's charge may be off by, as overlap.h says: half a window, and some looks. */
#define ERROR_NS (WEFT_OVERLAP_WINDOW_NS / 2 + MILLISECOND)

/* Kernels of `time_ns` that begin `every_ns`. */
struct other {
    uint64_t from_ns, time_ns, every_ns;
    uint32_t times, done;
    uint64_t looked_ns, noted_ns, charged_ns;
    struct weft_device_place place;
    struct weft_overlap overlap;
};

static struct weft_cuda table;
static struct weft_device_page *page;
static struct weft_device_time *shared;
static struct weft_device_place own_place;
static struct weft_overlap own;
static struct other others[OTHERS];

static void note_own(uint64_t time_ns)
{
    weft_overlap_note(&own, &own_place, fake.now_ns, time_ns);
}

static uint64_t charge_own(uint64_t time_ns)
{
    return weft_overlap_charge(&own, &own_place, fake.now_ns, time_ns);
}

static void change_wanting(uint32_t slot, bool wants)
{
    if (wants)
        shared->turns.wanting[0] |= 1ull << slot;
    else
        shared->turns.wanting[0] &= ~(1ull << slot);
}

static void note_own_flights(uint32_t count)
{
    change_wanting(OWN_SLOT, count != 0);
    if (count)
        weft_overlap_begin(&own, &own_place, fake.now_ns);
    else
        weft_overlap_end(&own, &own_place, fake.now_ns);
}

static void end_other(struct other *other)
{
    other->charged_ns +=
        weft_overlap_charge(&other->overlap, &other->place, fake.now_ns, other->time_ns);
    other->noted_ns = 0;
    other->from_ns += other->every_ns;
    if (++other->done < other->times && fake.now_ns >= other->from_ns)
        return;
    weft_overlap_end(&other->overlap, &other->place, fake.now_ns);
    change_wanting(other->place.slot, false);
}

/* As the gate does, each time that it looks. */
static void look_other(struct other *other)
{
    if (other->done == other->times || fake.now_ns < other->from_ns ||
        fake.now_ns - other->looked_ns < LOOK_NS)
        return;
    other->looked_ns = fake.now_ns;
    change_wanting(other->place.slot, true);
    uint64_t ran_ns = fake.now_ns - other->from_ns;
    ran_ns = ran_ns < other->time_ns ? ran_ns : other->time_ns;
    weft_overlap_note(&other->overlap, &other->place, fake.now_ns, ran_ns - other->noted_ns);
    other->noted_ns = ran_ns;
    if (ran_ns == other->time_ns)
        end_other(other);
}

static void look_others(void)
{
    for (size_t i = 0; i < OTHERS; i++)
        look_other(&others[i]);
}

static const struct fake_beside beside = {note_own, charge_own, note_own_flights, look_others};

static void begin(void)
{
    fake_gpu_init(&table, 100, WEFT_SHARE_CAP_WHOLE);
    fake.overlaps = true;
    fake.beside = &beside;
    *shared = (struct weft_device_time){0};
    own = (struct weft_overlap){0};
    own_place = (struct weft_device_place){.page = page, .time = shared, .slot = OWN_SLOT};
    page->processes[OWN_SLOT] = (struct weft_device_process){.tenant = 1};
    for (uint32_t i = 0; i < OTHERS; i++) {
        uint32_t slot = OWN_SLOT + 1 + i;
        others[i] = (struct other){.place = {.page = page, .time = shared, .slot = slot}};
        page->processes[slot] = (struct weft_device_process){.tenant = 2 + i};
    }
}

static void run_other(size_t i, uint64_t from_ms, uint64_t time_ms, uint64_t every_ms,
                      uint32_t times)
{
    others[i].from_ns = SECOND + from_ms * MILLISECOND;
    others[i].time_ns = time_ms * MILLISECOND;
    others[i].every_ns = every_ms * MILLISECOND;
    others[i].times = times;
}

static void run_own(uint64_t time_ms)
{
    assert_int_equal(fake_gpu_launch(&table, 7, 1, time_ms * 1000), CUDA_SUCCESS);
    while (fake.wants)
        fake_gpu_pass(10 * MICROSECOND);
}

static void pass_until(uint64_t end_ms)
{
    while (fake.now_ns < SECOND + end_ms * MILLISECOND)
        fake_gpu_pass(100 * MICROSECOND);
}

static void assert_near(uint64_t found_ns, uint64_t wanted_ms, uint64_t error_ns)
{
    uint64_t wanted_ns = wanted_ms * MILLISECOND;
    assert_in_range(found_ns, wanted_ns > error_ns ? wanted_ns - error_ns : 0,
                    wanted_ns + error_ns);
}

static void one_that_is_alone_is_charged_all(void **state)
{
    (void)state;
    begin();
    run_own(100);
    run_own(3);
    assert_near(fake.own.used_ns, 103, 100 * MICROSECOND);
    assert_near(fake.ran_ns, 103, 100 * MICROSECOND);
}

static void what_two_ran_in_is_divided(void **state)
{
    (void)state;
    begin();
    run_other(0, 50, 100, 0, 1);
    run_own(100);
    pass_until(200);
    assert_near(fake.own.used_ns, 75, ERROR_NS);
    assert_near(others[0].charged_ns, 75, ERROR_NS);
    assert_near(fake.own.used_ns + others[0].charged_ns, 150, ERROR_NS);
}

static void three_are_charged_for_what_passed(void **state)
{
    (void)state;
    begin();
    run_other(0, 0, 90, 0, 1);
    run_other(1, 0, 90, 0, 1);
    run_own(90);
    pass_until(200);
    assert_near(fake.own.used_ns, 30, ERROR_NS);
    assert_near(others[0].charged_ns, 30, ERROR_NS);
    assert_near(fake.own.used_ns + others[0].charged_ns + others[1].charged_ns, 90, ERROR_NS);
}

static void a_long_one_is_not_halved_by_a_short_one(void **state)
{
    (void)state;
    begin();
    run_other(0, 190, 20, 0, 1);
    run_own(200);
    pass_until(300);
    assert_near(fake.own.used_ns, 195, ERROR_NS);
    assert_near(fake.own.used_ns + others[0].charged_ns, 210, ERROR_NS);
}

/* Short ones are divided with a long one that has not ended. */
static void short_ones_beside_a_long_one_are_halved(void **state)
{
    (void)state;
    begin();
    run_other(0, 0, 200, 0, 1);
    for (int i = 0; i < 50; i++)
        run_own(4);
    pass_until(300);
    assert_near(fake.own.used_ns, 100, 2 * ERROR_NS);
    assert_near(fake.own.used_ns + others[0].charged_ns, 200, 2 * ERROR_NS);
}

static void who_takes_turns_is_charged_all(void **state)
{
    (void)state;
    begin();
    run_other(0, 20, 20, 40, 5);
    for (uint64_t i = 0; i < 5; i++) {
        pass_until(40 * i);
        run_own(20);
    }
    pass_until(300);
    assert_near(fake.own.used_ns, 100, 2 * MILLISECOND);
    assert_near(others[0].charged_ns, 100, 2 * MILLISECOND);
}

/* The same within one window, while kernels of both are on their way all the time; and no more than
 * all of it where the device stands still in between. */
static void short_ones_that_take_turns_are_charged_all(void **state)
{
    struct other *other = &others[0];
    (void)state;
    for (uint64_t still_us = 0; still_us <= 1000; still_us += 500) {
        uint64_t charged_ns = 0;
        begin();
        note_own_flights(1);
        change_wanting(other->place.slot, true);
        for (int i = 0; i < 100; i++) {
            fake.now_ns += MILLISECOND;
            weft_overlap_note(&other->overlap, &other->place, fake.now_ns, MILLISECOND);
            fake.now_ns += (1000 + still_us) * MICROSECOND;
            note_own(MILLISECOND);
            charged_ns += charge_own(MILLISECOND);
        }
        assert_near(charged_ns, 100, 6 * MILLISECOND);
        assert_in_range(own.off_ns, 0, 5 * MILLISECOND);
    }
}

/* Its own processes' work counts once, however many of them there are. */
static void a_tenant_is_one(void **state)
{
    (void)state;
    begin();
    run_other(0, 0, 200, 0, 1);
    run_other(1, 0, 200, 0, 1);
    page->processes[others[0].place.slot].tenant = 1;
    run_own(200);
    pass_until(300);
    assert_near(fake.own.used_ns, 50, ERROR_NS);
    assert_near(others[0].charged_ns, 50, ERROR_NS);
    assert_near(others[1].charged_ns, 100, ERROR_NS);
}

static void a_kernel_shows_that_it_runs(void **state)
{
    (void)state;
    begin();
    fake_gpu_launch(&table, 7, 1, 50000);
    fake_gpu_pass(20 * MILLISECOND);
    assert_near(fake.ran_ns, 20, MILLISECOND);
    assert_int_equal(fake.charges, 0);
    fake_gpu_pass(40 * MILLISECOND);
    assert_near(fake.ran_ns, 50, 100 * MICROSECOND);
    assert_near(fake.own.used_ns, 50, 100 * MICROSECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_alone_is_charged_all),
        cmocka_unit_test(what_two_ran_in_is_divided),
        cmocka_unit_test(three_are_charged_for_what_passed),
        cmocka_unit_test(a_long_one_is_not_halved_by_a_short_one),
        cmocka_unit_test(short_ones_beside_a_long_one_are_halved),
        cmocka_unit_test(who_takes_turns_is_charged_all),
        cmocka_unit_test(short_ones_that_take_turns_are_charged_all),
        cmocka_unit_test(a_tenant_is_one),
        cmocka_unit_test(a_kernel_shows_that_it_runs),
    };
    page = calloc(1, sizeof(*page));
    shared = calloc(1, sizeof(*shared));
    int failed = page && shared ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(page);
    free(shared);
    return failed;
}
