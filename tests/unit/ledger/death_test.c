/* The ledger stays exact wherever a process dies. A process' death is a jump out of the algorithm:
 * what it had written to shared memory stays, what it knew itself is gone. Each place between two
 * writes is tried, with and without another process' changes before and at that place, and with a
 * daemon that dies while it settles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/ledger.h"

#define LIMIT 1000
#define NEVER 1000000

/* What happens at which step of the process under test; the steps of anybody else do not count. */
static struct {
    bool counting;
    int step;
    int intrude_at; /* the neighbour makes a change, which replaces the tag */
    int die_at;
    jmp_buf death;
} plan;

static struct {
    struct weft_ledger *ledger;
    struct weft_ledger_account victim, neighbour;
    uint64_t neighbour_held;
    uint64_t started,
        finished; /* what the victim holds if the operation it is in was not, or was, made */
} scene;

static void neighbour_change(void)
{
    bool counting = plan.counting;
    plan.counting = false;
    if (scene.neighbour_held && plan.step % 2) {
        weft_ledger_discharge(&scene.neighbour, 0, 30);
        scene.neighbour_held -= 30;
    } else {
        assert_int_equal(weft_ledger_charge(&scene.neighbour, 0, 30, LIMIT), 0);
        scene.neighbour_held += 30;
    }
    plan.counting = counting;
}

void weft_test_ledger_step(void);
void weft_test_ledger_step(void)
{
    if (!plan.counting)
        return;
    int step = plan.step++;
    if (step == plan.intrude_at)
        neighbour_change();
    if (step == plan.die_at) {
        plan.counting = false;
        longjmp(plan.death, 1);
    }
}

static void victim_charge(uint64_t bytes)
{
    scene.finished = scene.started + bytes;
    if (weft_ledger_charge(&scene.victim, 0, bytes, LIMIT) == 0)
        scene.started += bytes;
    scene.finished = scene.started;
}

static void victim_discharge(uint64_t bytes)
{
    scene.finished = scene.started - bytes;
    weft_ledger_discharge(&scene.victim, 0, bytes);
    scene.started = scene.finished;
}

static void victim_life(void)
{
    victim_charge(100);
    victim_charge(200);
    victim_charge(LIMIT); /* refused */
    victim_discharge(100);
    victim_charge(50);
    victim_discharge(250);
    victim_charge(7);
}

/* Runs `life` until the planned death; true where it died. */
static bool run(void (*life)(void), int intrude_at, int die_at)
{
    plan.step = 0;
    plan.intrude_at = intrude_at;
    plan.die_at = die_at;
    if (setjmp(plan.death))
        return true;
    plan.counting = true;
    life();
    plan.counting = false;
    return false;
}

static void scene_set(void)
{
    struct weft_ledger *ledger = scene.ledger;
    size_t bytes = weft_ledger_bytes();
    memset(&scene, 0, sizeof(scene));
    scene.ledger = weft_ledger_format(memset(ledger, 0, bytes));
    uint32_t slot;
    assert_int_equal(weft_ledger_slot_take(ledger, &slot, NULL), 0);
    weft_ledger_account_init(&scene.victim, ledger, slot);
    assert_int_equal(weft_ledger_slot_take(ledger, &slot, NULL), 0);
    weft_ledger_account_init(&scene.neighbour, ledger, slot);
    assert_int_equal(weft_ledger_charge(&scene.neighbour, 0, 60, LIMIT), 0);
    scene.neighbour_held = 60;
}

/* All that must hold at any instant at which nobody is in the middle of an instruction. */
static void expect_exact(void)
{
    uint64_t victim = weft_ledger_slot_held(scene.ledger, scene.victim.slot, 0);
    assert_true(victim == scene.started || victim == scene.finished);
    assert_int_equal(weft_ledger_slot_held(scene.ledger, scene.neighbour.slot, 0),
                     scene.neighbour_held);
    assert_int_equal(weft_ledger_total(scene.ledger, 0), victim + scene.neighbour_held);
}

static void expect_settled(void)
{
    assert_false(weft_ledger_slot_taken(scene.ledger, scene.victim.slot));
    assert_int_equal(weft_ledger_slot_held(scene.ledger, scene.victim.slot, 0), 0);
    assert_int_equal(weft_ledger_slot_held(scene.ledger, scene.neighbour.slot, 0),
                     scene.neighbour_held);
    assert_int_equal(weft_ledger_total(scene.ledger, 0), scene.neighbour_held);
}

static void settle_victim(void)
{
    weft_ledger_slot_settle(scene.ledger, scene.victim.slot);
}

/* Breaks if any write of a change is missing, or comes in another order than that which keeps the
 * announcement whole. */
static void process_dies_at_each_step(void **state)
{
    (void)state;
    int deaths = 0;
    for (int die_at = 0, died = 1; died; die_at++, deaths += died) {
        scene_set();
        died = run(victim_life, NEVER, die_at);
        expect_exact();
        settle_victim();
        expect_settled();
    }
    assert_true(deaths > 30);
}

/* Breaks if whoever replaces a tag does not first note down the change that it named. */
static void tag_is_replaced_before_each_death(void **state)
{
    (void)state;
    int deaths = 0;
    for (int die_at = 0, died = 1; died; die_at++) {
        for (int intrude_at = 0; intrude_at <= die_at; intrude_at++, deaths += died) {
            scene_set();
            died = run(victim_life, intrude_at, die_at);
            expect_exact();
            neighbour_change();
            expect_exact();
            settle_victim();
            expect_settled();
        }
    }
    assert_true(deaths > 500);
}

/* Breaks if a change that others' wins made the process try again is made twice, or forgotten. */
static void interrupted_life_runs_to_its_end(void **state)
{
    (void)state;
    for (int intrude_at = 0; intrude_at == 0 || plan.step > intrude_at; intrude_at++) {
        scene_set();
        assert_false(run(victim_life, intrude_at, NEVER));
        assert_int_equal(scene.started, 7);
        expect_exact();
    }
}

/* Breaks if settling twice gives back twice, or if a daemon's death in the middle loses the rest.
 */
static void daemon_dies_while_it_settles(void **state)
{
    (void)state;
    int deaths = 0;
    for (int die_at = 0, died = 1; died; die_at++) {
        for (int settle_until = 0, stopped = 1; stopped; settle_until++, deaths += stopped) {
            scene_set();
            died = run(victim_life, NEVER, die_at);
            stopped = run(settle_victim, settle_until / 2, settle_until);
            neighbour_change();
            settle_victim();
            expect_settled();
        }
    }
    assert_true(deaths > 300);
}

/* Breaks if sequence numbers start anew with a slot's next owner: an old tag would then vouch for
 * its first change. */
static void next_owner_of_a_slot_dies_too(void **state)
{
    (void)state;
    for (int die_at = 0, died = 1; died; die_at++) {
        scene_set();
        run(victim_life, NEVER, 20);
        settle_victim();
        neighbour_change();
        uint32_t slot;
        assert_int_equal(weft_ledger_slot_take(scene.ledger, &slot, NULL), 0);
        assert_int_equal(slot, scene.victim.slot);
        weft_ledger_account_init(&scene.victim, scene.ledger, slot);
        scene.started = scene.finished = 0;
        died = run(victim_life, NEVER, die_at);
        expect_exact();
        settle_victim();
        expect_settled();
    }
}

static int scene_create(void **state)
{
    (void)state;
    scene.ledger = aligned_alloc(4096, weft_ledger_bytes());
    return scene.ledger ? 0 : -1;
}

static int scene_destroy(void **state)
{
    (void)state;
    free(scene.ledger);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_dies_at_each_step),
        cmocka_unit_test(tag_is_replaced_before_each_death),
        cmocka_unit_test(interrupted_life_runs_to_its_end),
        cmocka_unit_test(daemon_dies_while_it_settles),
        cmocka_unit_test(next_owner_of_a_slot_dies_too),
    };
    return cmocka_run_group_tests(tests, scene_create, scene_destroy);
}
