/* The table of allocations against a plain array that holds the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weft/err.h>

#include "tenant/quota_map.h"

#define KEYS 4000
#define ROUNDS 60000
#define OWNERS 3

static struct weft_quota_map map;
static struct weft_quota_entry model[KEYS]; /* key 0: not there */
static int owners[OWNERS];

static uint64_t key_of(uint32_t i)
{
    return 0x7f0000000000u + (uint64_t)i * 512;
}

static void put(uint32_t i, uint64_t random)
{
    struct weft_quota_entry replaced;
    struct weft_quota_entry entry = {
        .key = key_of(i), .bytes = random, .owner = &owners[random % OWNERS], .epoch = random % 5};
    assert_int_equal(weft_quota_map_put(&map, &entry, &replaced), 0);
    assert_int_equal(replaced.key, model[i].key);
    if (replaced.key)
        assert_int_equal(replaced.bytes, model[i].bytes);
    model[i] = entry;
}

static void take(uint32_t i)
{
    struct weft_quota_entry entry;
    bool there = weft_quota_map_take(&map, key_of(i), &entry);
    assert_int_equal(there, model[i].key != 0);
    if (there)
        assert_int_equal(entry.bytes, model[i].bytes);
    model[i].key = 0;
}

static void count_taken(const struct weft_quota_entry *entry, void *argument)
{
    struct weft_quota_entry *expected = &model[(entry->key - key_of(0)) / 512];
    assert_int_equal(entry->bytes, expected->bytes);
    expected->key = 0;
    ++*(int *)argument;
}

static void take_owner(int *owner, uint32_t epoch)
{
    int expected = 0, taken = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        expected += model[i].key && model[i].owner == owner && model[i].epoch <= epoch;
    weft_quota_map_take_owner(&map, owner, epoch, count_taken, &taken);
    assert_int_equal(taken, expected);
}

/* Breaks if a removal hides entries that stand behind it, if growing loses any, or if a sweep
 * misses some. */
static void behaves_like_an_array(void **state)
{
    (void)state;
    uint64_t random = 1;
    weft_quota_map_init(&map);
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t i = (random >> 40) % KEYS;
        if (round % 5000 == 4999)
            take_owner(&owners[round / 5000 % OWNERS], 2);
        else if (random >> 33 & 1)
            put(i, random >> 20);
        else
            take(i);
    }
    struct weft_quota_entry entry;
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(weft_quota_map_find(&map, key_of(i), &entry), model[i].key != 0);
    weft_quota_map_finish(&map);
    assert_false(weft_quota_map_find(&map, key_of(1), &entry));
    memset(model, 0, sizeof(model));
}

static bool holds_address(const struct weft_quota_entry *entry, const void *argument)
{
    uint64_t address = *(const uint64_t *)argument;
    return address >= entry->key && address - entry->key < entry->bytes;
}

static void searches_and_refuses_key_0(void **state)
{
    (void)state;
    struct weft_quota_entry entry = {.key = 0, .bytes = 4096}, replaced, found;
    uint64_t address = 0x2fff;
    weft_quota_map_init(&map);
    assert_int_equal(weft_quota_map_put(&map, &entry, &replaced), -WEFT_EINVAL);
    assert_false(weft_quota_map_take(&map, 0, &found));
    entry.key = 0x2000;
    assert_int_equal(weft_quota_map_put(&map, &entry, &replaced), 0);
    assert_false(weft_quota_map_take(&map, 0, &found));
    assert_true(weft_quota_map_search(&map, holds_address, &address, &found));
    assert_int_equal(found.key, 0x2000);
    address = 0x3000;
    assert_false(weft_quota_map_search(&map, holds_address, &address, &found));
    weft_quota_map_finish(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_an_array),
        cmocka_unit_test(searches_and_refuses_key_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
