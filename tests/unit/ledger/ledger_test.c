/* What the ledger promises while nobody dies: limits, slots, layout checks, and calm in the face of
 * a scribbled page. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/ledger.h"

static int ledger_set_up(void **state)
{
    size_t bytes = weft_ledger_bytes();
    void *memory = aligned_alloc(4096, bytes);
    *state = weft_ledger_format(memset(memory, 0, bytes));
    return 0;
}

static int ledger_tear_down(void **state)
{
    free(*state);
    return 0;
}

static void account_new(struct weft_ledger_account *account, struct weft_ledger *ledger)
{
    uint32_t slot;
    assert_int_equal(weft_ledger_slot_take(ledger, &slot, NULL), 0);
    weft_ledger_account_init(account, ledger, slot);
}

/* Breaks if the limit is off by one in either direction, or binds one slot instead of all together.
 */
static void limit_binds_all_slots_together(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account a, b;
    account_new(&a, ledger);
    account_new(&b, ledger);
    assert_int_equal(weft_ledger_charge(&a, 0, 600, 1000), 0);
    assert_int_equal(weft_ledger_charge(&b, 0, 401, 1000), -WEFT_ELIMIT);
    assert_int_equal(weft_ledger_charge(&b, 0, 400, 1000), 0);
    assert_int_equal(weft_ledger_charge(&a, 0, 1, 1000), -WEFT_ELIMIT);
    assert_int_equal(weft_ledger_total(ledger, 0), 1000);
    assert_int_equal(weft_ledger_slot_held(ledger, a.slot, 0), 600);
    assert_int_equal(weft_ledger_slot_held(ledger, b.slot, 0), 400);
    assert_int_equal(weft_ledger_total(ledger, 1), 0);
    weft_ledger_discharge(&a, 0, 600);
    assert_int_equal(weft_ledger_charge(&b, 0, 600, 1000), 0);
    assert_int_equal(weft_ledger_slot_held(ledger, a.slot, 0), 0);
}

/* Breaks if a limit lowered under what is held, or a sum past 64 bits, lets a charge through. */
static void lowered_and_extreme_limits_refuse(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account a;
    account_new(&a, ledger);
    assert_int_equal(weft_ledger_charge(&a, 0, 1000, 1000), 0);
    assert_int_equal(weft_ledger_charge(&a, 0, 1, 500), -WEFT_ELIMIT);
    assert_int_equal(weft_ledger_charge(&a, 0, UINT64_MAX, UINT64_MAX), -WEFT_ELIMIT);
    assert_int_equal(weft_ledger_charge(&a, 0, UINT64_MAX - 1000, UINT64_MAX), 0);
    assert_int_equal(weft_ledger_charge(&a, 0, 1, UINT64_MAX), -WEFT_ELIMIT);
    weft_ledger_discharge(&a, 0, UINT64_MAX);
    assert_int_equal(weft_ledger_total(ledger, 0), 0);
    assert_int_equal(weft_ledger_charge(&a, WEFT_LEDGER_DEVICES, 1, 10), -WEFT_ELIMIT);
}

/* Breaks if our own double free made the total smaller than what the others hold. */
static void giving_back_too_much_takes_from_nobody(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account a, b;
    account_new(&a, ledger);
    account_new(&b, ledger);
    assert_int_equal(weft_ledger_charge(&a, 3, 100, 1000), 0);
    assert_int_equal(weft_ledger_charge(&b, 3, 200, 1000), 0);
    weft_ledger_discharge(&a, 3, 150);
    assert_int_equal(weft_ledger_slot_held(ledger, a.slot, 3), 0);
    assert_int_equal(weft_ledger_total(ledger, 3), 200);
}

/* Breaks if slots run out early, are handed out twice, or keep an old owner's bytes or rights. */
static void slots_are_taken_settled_and_taken_again(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account first;
    account_new(&first, ledger);
    assert_int_equal(weft_ledger_charge(&first, 0, 77, 1000), 0);
    uint32_t slot;
    for (int i = 2; i < WEFT_LEDGER_SLOTS; i++)
        assert_int_equal(weft_ledger_slot_take(ledger, &slot, NULL), 0);
    struct weft_err err = {0};
    assert_int_equal(weft_ledger_slot_take(ledger, &slot, &err), -WEFT_ELIMIT);
    assert_non_null(strstr(err.text, "1023 slots"));
    weft_ledger_slot_settle(ledger, first.slot);
    weft_ledger_slot_settle(ledger, first.slot);
    weft_ledger_slot_settle(ledger, WEFT_LEDGER_DAEMON_SLOT);
    weft_ledger_slot_settle(ledger, WEFT_LEDGER_SLOTS);
    assert_false(weft_ledger_slot_taken(ledger, first.slot));
    assert_true(weft_ledger_slot_taken(ledger, WEFT_LEDGER_DAEMON_SLOT));
    assert_int_equal(weft_ledger_total(ledger, 0), 0);

    struct weft_ledger_account second;
    account_new(&second, ledger);
    assert_int_equal(second.slot, first.slot);
    assert_int_equal(weft_ledger_charge(&first, 0, 1, 1000), -WEFT_ELIMIT);
    assert_int_equal(weft_ledger_charge(&second, 0, 5, 1000), 0);
    weft_ledger_discharge(&first, 0, 5);
    assert_int_equal(weft_ledger_total(ledger, 0), 5);
}

/* Breaks if a hand that is made anew for a slot forgets what the slot holds. */
static void account_picks_up_what_the_slot_holds(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account account, again;
    account_new(&account, ledger);
    assert_int_equal(weft_ledger_charge(&account, 0, 300, 1000), 0);
    assert_int_equal(weft_ledger_charge(&account, 0, 800, 1000), -WEFT_ELIMIT);
    weft_ledger_account_init(&again, ledger, account.slot);
    weft_ledger_discharge(&again, 0, 300);
    assert_int_equal(weft_ledger_total(ledger, 0), 0);
    assert_int_equal(weft_ledger_slot_held(ledger, account.slot, 0), 0);
}

static void foreign_memory_is_refused(void **state)
{
    struct weft_ledger *ledger = *state, *opened = NULL;
    size_t bytes = weft_ledger_bytes();
    assert_int_equal(weft_ledger_open(&opened, ledger, bytes, NULL), 0);
    assert_ptr_equal(opened, ledger);
    opened = NULL;
    assert_int_equal(weft_ledger_open(&opened, ledger, bytes - 1, NULL), -WEFT_EPROTO);
    uint16_t *words = *state; /* magic in words 0 and 1, major in word 2 */
    words[2]++;
    assert_int_equal(weft_ledger_open(&opened, ledger, bytes, NULL), -WEFT_EVERSION);
    words[2]--;
    words[0]++;
    assert_int_equal(weft_ledger_open(&opened, ledger, bytes, NULL), -WEFT_EPROTO);
    assert_null(opened);
}

/* Breaks (under the address sanitizer, or by hanging) if a word in the page is believed to be an
 * index or a bound. */
static void scribbled_page_harms_nobody(void **state)
{
    struct weft_ledger *ledger = *state;
    struct weft_ledger_account account;
    account_new(&account, ledger);
    uint64_t random = 88172645463325252u;
    uint64_t *words = *state;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 8; i < weft_ledger_bytes() / 8; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            words[i] = round % 2 ? random : UINT64_MAX;
        }
        for (uint32_t device = 0; device < WEFT_LEDGER_DEVICES; device++) {
            weft_ledger_charge(&account, device, random >> 40, random);
            weft_ledger_discharge(&account, device, 10);
            weft_ledger_slot_held(ledger, (uint32_t)random % WEFT_LEDGER_SLOTS, device);
        }
        weft_ledger_slot_settle(ledger, (uint32_t)round);
        weft_ledger_account_init(&account, ledger, (uint32_t)round);
    }
}

#define THREADS 8
#define THREAD_ROUNDS 3000
#define THREAD_LIMIT 1000

/* Half of the threads share one account, the others have one each. */
struct worker {
    struct weft_ledger_account *account;
    uint64_t random;
    uint64_t over; /* times it saw the limit passed */
};

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    uint64_t held = 0;
    for (int i = 0; i < THREAD_ROUNDS; i++) {
        worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
        uint64_t bytes = worker->random >> 33 & 255;
        if (weft_ledger_charge(worker->account, 0, bytes, THREAD_LIMIT) == 0)
            held += bytes;
        worker->over += weft_ledger_total(worker->account->ledger, 0) > THREAD_LIMIT;
        uint64_t back = i + 1 == THREAD_ROUNDS ? held : held / 2;
        weft_ledger_discharge(worker->account, 0, back);
        held -= back;
    }
    return NULL;
}

/* Breaks if two threads, of one process or of two, pass the limit together or lose a change of the
 * other's. */
static void threads_never_pass_the_limit(void **state)
{
    struct weft_ledger *ledger = *state;
    static struct weft_ledger_account accounts[THREADS];
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    account_new(&accounts[0], ledger);
    for (int i = THREADS / 2; i < THREADS; i++)
        account_new(&accounts[i], ledger);
    for (int i = 0; i < THREADS; i++) {
        struct weft_ledger_account *account = &accounts[i < THREADS / 2 ? 0 : i];
        workers[i] = (struct worker){.account = account, .random = (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].over, 0);
    }
    assert_int_equal(weft_ledger_total(ledger, 0), 0);
    for (uint32_t slot = 0; slot < WEFT_LEDGER_SLOTS; slot++)
        assert_int_equal(weft_ledger_slot_held(ledger, slot, 0), 0);
}

#define LEDGER_TEST(function) \
    cmocka_unit_test_setup_teardown(function, ledger_set_up, ledger_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(limit_binds_all_slots_together),
        LEDGER_TEST(lowered_and_extreme_limits_refuse),
        LEDGER_TEST(giving_back_too_much_takes_from_nobody),
        LEDGER_TEST(slots_are_taken_settled_and_taken_again),
        LEDGER_TEST(account_picks_up_what_the_slot_holds),
        LEDGER_TEST(foreign_memory_is_refused),
        LEDGER_TEST(scribbled_page_harms_nobody),
        LEDGER_TEST(threads_never_pass_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
