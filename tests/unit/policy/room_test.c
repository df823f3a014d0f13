/* Breaks when growth above one's guarantee takes what another was guaranteed, when a guarantee is
 * given that is not there, when somebody is refused within his own, or when threads that charge and
 * guarantees that come and go together get past the room. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "policy/room.h"
#include "util/util.h"

#define TENANTS 3
#define RACERS 6
#define ROUNDS 300
#define UNLIMITED UINT64_MAX

struct tenant {
    struct weft_ledger *ledger;
    struct weft_ledger_account account;
    struct weft_room_seat seat;
    uint32_t slot;
};

static void *memory_of(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static struct weft_room *room_of(uint64_t capacity)
{
    struct weft_room *room = weft_room_format(memory_of(weft_room_bytes()));
    weft_room_set_capacity(room, capacity);
    return room;
}

static void sit_process(struct tenant *tenant)
{
    assert_int_equal(weft_ledger_slot_take(tenant->ledger, &tenant->slot, NULL), 0);
    weft_room_slot_begin(&tenant->seat, tenant->slot);
    weft_ledger_account_init(&tenant->account, tenant->ledger, tenant->slot);
    weft_room_sit(&tenant->seat, &tenant->account, 0);
}

static void sit(struct tenant *tenant, struct weft_room *room, uint64_t id)
{
    tenant->ledger = weft_ledger_format(memory_of(weft_ledger_bytes()));
    tenant->seat = (struct weft_room_seat){room, weft_room_line_take(room, id)};
    assert_int_not_equal(tenant->seat.line, 0);
    assert_int_equal(weft_room_line_find(room, id), tenant->seat.line);
    sit_process(tenant);
}

static bool charge(struct tenant *tenant, uint64_t bytes)
{
    return weft_room_charge(&tenant->seat, &tenant->account, 0, bytes, UNLIMITED) == 0;
}

static void growth_leaves_guarantees_free(void **state)
{
    (void)state;
    struct tenant a, b, c;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    sit(&c, room, 13);
    assert_true(charge(&b, 30)); /* nobody has a guarantee, and nobody is asked */
    assert_true(weft_room_left(&b.seat) == UINT64_MAX);
    assert_true(weft_room_promise(&a.seat, 40, false));
    assert_int_equal(weft_room_left(&a.seat), 70);
    assert_int_equal(weft_room_left(&b.seat), 30);
    assert_false(charge(&b, 31));
    assert_int_equal(weft_ledger_total(b.ledger, 0), 30); /* what is refused leaves no trace */
    assert_true(charge(&b, 30));
    assert_false(charge(&c, 1));
    assert_true(charge(&a, 40));
    assert_false(charge(&a, 1));
    weft_ledger_discharge(&b.account, 0, 10);
    assert_true(charge(&a, 10)); /* above its own now */
    assert_false(charge(&c, 1));
    weft_ledger_discharge(&a.account, 0, 50);
    assert_false(charge(&c, 11)); /* a's 40 are its own again */
    assert_true(charge(&c, 10));
}

static void a_guarantee_must_be_there(void **state)
{
    (void)state;
    struct tenant a, b;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    assert_true(charge(&b, 60));
    assert_false(weft_room_promise(&a.seat, 41, false));
    assert_int_equal(weft_room_sum(room, a.seat.line).guaranteed_bytes, 0);
    assert_true(weft_room_left(&b.seat) == UINT64_MAX); /* nobody is bound by what was refused */
    assert_true(weft_room_promise(&a.seat, 40, false));
    assert_true(weft_room_promise(&b.seat, 60, false)); /* it holds that */
    assert_false(weft_room_promise(&b.seat, 61, false));
    assert_int_equal(weft_room_sum(room, b.seat.line).own_guarantee_bytes, 60);
    assert_true(weft_room_promise(&a.seat, 0, false));
    assert_true(charge(&b, 40));
    assert_true(weft_room_promise(&a.seat, 50, true)); /* was given before */
    assert_false(charge(&b, 1));
}

/* From 85 % on nobody grows above his guarantee, for others that have one. */
static void pressure_restricts_growth(void **state)
{
    (void)state;
    struct tenant a, b;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    assert_true(weft_room_promise(&a.seat, 10, false));
    assert_false(charge(&b, 86));
    assert_int_equal(weft_room_left(&b.seat), 85);
    assert_true(charge(&b, 70));
    weft_room_restrict(room, true);
    assert_false(charge(&b, 1));
    assert_int_equal(weft_room_left(&b.seat), 0);
    assert_true(charge(&a, 10)); /* its own */
    assert_true(charge(&a, 10)); /* nobody else has a guarantee */
    weft_room_restrict(room, false);
    assert_false(charge(&b, 1));
    assert_true(weft_room_promise(&a.seat, 0, false));
    assert_true(charge(&b, 10)); /* nobody has one, and nobody is restricted */
}

/* A process dies, and its tenant ends: the room is as before. */
static void what_is_left_behind_is_cleared(void **state)
{
    (void)state;
    struct tenant a, b;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    assert_true(weft_room_promise(&a.seat, 10, false));
    assert_true(charge(&b, 80));
    weft_ledger_slot_settle(b.ledger, b.slot);
    weft_room_slot_end(&b.seat, b.slot);
    assert_int_equal(weft_room_sum(room, 0).held_bytes, 0);
    sit_process(&b);
    assert_true(charge(&b, 80));
    weft_room_line_drop(room, b.seat.line);
    weft_room_line_drop(room, a.seat.line);
    struct weft_room_sums sums = weft_room_sum(room, 0);
    assert_int_equal(sums.committed_bytes, 0);
    assert_int_equal(sums.tenants, 0);
    assert_int_equal(weft_room_line_take(room, 14), 1);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    struct weft_room *room = room_of(1), *opened;
    assert_int_equal(weft_room_open(&opened, room, weft_room_bytes(), NULL), 0);
    assert_int_equal(weft_room_open(&opened, room, weft_room_bytes() - 1, NULL), -WEFT_EPROTO);
    *(uint32_t *)(void *)room = 0;
    assert_int_equal(weft_room_open(&opened, room, weft_room_bytes(), NULL), -WEFT_EPROTO);
}

/* All of a line, its words too, is as it was before somebody wrote over the room. */
static void what_is_overwritten_is_put_right(void **state)
{
    (void)state;
    struct tenant a, b;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    assert_true(weft_room_promise(&a.seat, 40, false));
    assert_true(charge(&a, 30) && charge(&b, 20));
    struct weft_room_sums before = weft_room_sum(room, a.seat.line);
    const struct weft_room_terms terms[] = {{a.seat.line, a.slot + 1, 11, 40},
                                            {b.seat.line, b.slot + 1, 12, 0}};
    assert_int_equal(weft_room_mend(room, terms, 2, 100, false), 0);
    for (int value = 0; value < 256; value += 85) {
        struct weft_room_look looks[2] = {0};
        memset((char *)room + 16, value, weft_room_bytes() - 16); /* all but version and size */
        assert_int_not_equal(weft_room_mend(room, terms, 2, 100, false), 0);
        for (int look = 0; look < 12; look++) { /* too much is believed for some looks */
            weft_room_mend_word(&a.seat, a.slot, a.ledger, 0, &looks[0]);
            weft_room_mend_word(&b.seat, b.slot, b.ledger, 0, &looks[1]);
        }
        weft_room_mend_word(&a.seat, 0, NULL, 0, NULL);
        weft_room_mend_word(&b.seat, 0, NULL, 0, NULL);
        assert_int_equal(weft_room_mend(room, terms, 2, 100, false), 0);
        struct weft_room_sums after = weft_room_sum(room, a.seat.line);
        assert_int_equal(after.committed_bytes, before.committed_bytes);
        assert_int_equal(after.guaranteed_bytes, before.guaranteed_bytes);
        assert_int_equal(after.own_held_bytes, before.own_held_bytes);
        assert_int_equal(after.capacity_bytes, before.capacity_bytes);
        assert_int_equal(after.tenants, before.tenants);
        assert_int_equal(weft_room_line_find(room, 12), b.seat.line);
        assert_false(charge(&b, 41));
    }
    assert_true(charge(&a, 10));
    assert_true(charge(&b, 20));
}

static void a_word_that_says_too_little_is_put_right_at_once(void **state)
{
    (void)state;
    struct tenant a, b;
    struct weft_room *room = room_of(100);
    sit(&a, room, 11);
    sit(&b, room, 12);
    assert_true(weft_room_promise(&a.seat, 40, false));
    assert_true(charge(&b, 60));
    *b.account.mirrors[0] = 5;
    assert_int_equal(weft_room_left(&b.seat), 55); /* what it would get by the lie */
    assert_true(weft_room_mend_word(&b.seat, b.slot, b.ledger, 0, NULL));
    assert_int_equal(weft_room_left(&b.seat), 0);
    assert_false(weft_room_mend_word(&b.seat, b.slot, b.ledger, 0, NULL));
    *b.account.mirrors[0] = 70;
    assert_false(weft_room_mend_word(&b.seat, b.slot, b.ledger, 0, NULL));
    assert_int_equal(weft_room_sum(room, b.seat.line).own_held_bytes, 70);
}

/* What the racers really have, counted when they have it and before they give it back. */
static struct {
    uint64_t capacity, guarantee;
    uint64_t held[TENANTS];
    bool too_much, refused_own, over;
    uint32_t mended;
} race;

struct racer {
    struct tenant tenant;
    uint32_t number; /* of its tenant */
    pthread_t thread;
};

static void note_excess(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < TENANTS; i++)
        sum += __atomic_load_n(&race.held[i], __ATOMIC_SEQ_CST);
    if (sum > race.capacity)
        __atomic_store_n(&race.too_much, true, __ATOMIC_SEQ_CST);
}

/* Tenant 0 keeps within its guarantee and must always get it; the others take what they can. */
static void *run_racer(void *argument)
{
    struct racer *racer = argument;
    uint64_t own = race.guarantee / 2; /* two racers have tenant 0 */
    uint64_t seed = racer->tenant.slot * 7919 + racer->number;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bytes = racer->number == 0 ? own : (seed >> 40) % 50 + 1;
        bool done = charge(&racer->tenant, bytes);
        if (racer->number == 0 && !done)
            __atomic_store_n(&race.refused_own, true, __ATOMIC_SEQ_CST);
        if (!done)
            continue;
        __atomic_fetch_add(&race.held[racer->number], bytes, __ATOMIC_SEQ_CST);
        note_excess();
        __atomic_fetch_sub(&race.held[racer->number], bytes, __ATOMIC_SEQ_CST);
        weft_ledger_discharge(&racer->tenant.account, 0, bytes);
    }
    return NULL;
}

/* Honest words never look like a lie, at whatever moment they are looked at. */
static void *run_mender(void *argument)
{
    const struct racer *racers = argument;
    while (!__atomic_load_n(&race.over, __ATOMIC_ACQUIRE)) {
        for (uint32_t i = 0; i < RACERS; i++)
            race.mended += weft_room_mend_word(&racers[i].tenant.seat, racers[i].tenant.slot,
                                               racers[i].tenant.ledger, 0, NULL);
    }
    return NULL;
}

static void racers_stay_within_the_room(void **state)
{
    (void)state;
    static struct racer racers[RACERS];
    pthread_t mender;
    struct weft_room *room = room_of(100);
    race.capacity = 100;
    race.guarantee = 60;
    for (uint32_t i = 0; i < RACERS; i++) {
        racers[i].number = i % TENANTS;
        if (i < TENANTS) {
            sit(&racers[i].tenant, room, 20 + i);
            continue;
        }
        racers[i].tenant = racers[i - TENANTS].tenant;
        sit_process(&racers[i].tenant);
    }
    assert_true(weft_room_promise(&racers[0].tenant.seat, race.guarantee, false));
    for (uint32_t i = 0; i < RACERS; i++)
        pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]);
    pthread_create(&mender, NULL, run_mender, racers);
    for (uint32_t i = 0; i < RACERS; i++)
        pthread_join(racers[i].thread, NULL);
    __atomic_store_n(&race.over, true, __ATOMIC_RELEASE);
    pthread_join(mender, NULL);
    assert_int_equal(race.mended, 0);
    assert_false(race.too_much);
    assert_false(race.refused_own);
    assert_int_equal(weft_room_sum(room, 0).held_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_leaves_guarantees_free),
        cmocka_unit_test(a_guarantee_must_be_there),
        cmocka_unit_test(pressure_restricts_growth),
        cmocka_unit_test(what_is_left_behind_is_cleared),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(what_is_overwritten_is_put_right),
        cmocka_unit_test(a_word_that_says_too_little_is_put_right_at_once),
        cmocka_unit_test(racers_stay_within_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
