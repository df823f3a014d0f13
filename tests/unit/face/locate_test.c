/* Reading the loader's cache: what it knows, and that damaged bytes are safe. Breaks if the driver
 * of another architecture is taken, or if an offset out of range is followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/native.h"

#define HEADER_BYTES 48
#define ENTRY_BYTES 24
#define CACHE_BYTES 512

/* Builds the bytes of a cache by hand, as ldconfig lays them out. */
struct cache {
    unsigned char bytes[CACHE_BYTES];
    uint32_t entries, used;
};

static uint32_t put_text(struct cache *cache, const char *text)
{
    uint32_t offset = cache->used;
    memcpy(cache->bytes + offset, text, strlen(text) + 1);
    cache->used += (uint32_t)strlen(text) + 1;
    return offset;
}

static void put_entry(struct cache *cache, int32_t flags, uint32_t name, uint32_t path)
{
    unsigned char *entry = cache->bytes + HEADER_BYTES + cache->entries++ * ENTRY_BYTES;
    memcpy(entry, &flags, 4);
    memcpy(entry + 4, &name, 4);
    memcpy(entry + 8, &path, 4);
    memcpy(cache->bytes + 20, &cache->entries, 4);
}

static struct cache make_cache(void)
{
    struct cache cache = {.used = 256};
    memcpy(cache.bytes, "glibc-ld.so.cache1.1", 20);
    uint32_t name = put_text(&cache, "libcuda.so.1");
    put_entry(&cache, 0x0003, name, put_text(&cache, "/usr/lib32/libcuda.so.1"));
    put_entry(&cache, 0x0303, put_text(&cache, "libcudart.so.1"), name);
    put_entry(&cache, 0x0303, name, put_text(&cache, "/opt/driver/libcuda.so.1"));
    return cache;
}

static void test_finds_the_driver(void **state)
{
    (void)state;
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    struct cache cache = make_cache();
    assert_int_equal(weft_native_read_cache(cache.bytes, cache.used, found, 0), 1);
    assert_string_equal(found[0].path, "/opt/driver/libcuda.so.1");
}

/* The old form of the cache stands before the new one on some systems. */
static void test_finds_it_behind_an_old_cache(void **state)
{
    (void)state;
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    struct cache cache = make_cache();
    unsigned char *bytes = calloc(1, 100 + sizeof(cache.bytes));
    memcpy(bytes, "ld.so-1.7.0", 11);
    memcpy(bytes + 100, cache.bytes, sizeof(cache.bytes));
    assert_int_equal(weft_native_read_cache(bytes, 100 + cache.used, found, 0), 1);
    free(bytes);
}

/* Every shorter length and every damaged byte, in memory of exactly that size, so that a sanitizer
 * sees one byte too far. */
static void test_survives_damage(void **state)
{
    (void)state;
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    struct cache cache = make_cache();
    for (size_t size = 0; size < cache.used; size++) {
        unsigned char *bytes = malloc(size ? size : 1);
        memcpy(bytes, cache.bytes, size);
        assert_true(weft_native_read_cache(bytes, size, found, 0) <= 1);
        free(bytes);
    }
    unsigned char *bytes = malloc(cache.used);
    for (size_t place = 0; place < cache.used; place++) {
        memcpy(bytes, cache.bytes, cache.used);
        bytes[place] = 0xff;
        assert_true(weft_native_read_cache(bytes, cache.used, found, 0) <= 2);
    }
    free(bytes);
}

static void test_stops_when_full(void **state)
{
    (void)state;
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    struct cache cache = make_cache();
    assert_int_equal(weft_native_read_cache(cache.bytes, cache.used, found, WEFT_NATIVE_CANDIDATES),
                     WEFT_NATIVE_CANDIDATES);
}

static void test_takes_the_chosen_one_alone(void **state)
{
    (void)state;
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    setenv("WEFT_NATIVE_LIBCUDA", "/chosen/libcuda.so", 1);
    assert_int_equal(weft_native_candidates(found), 1);
    assert_string_equal(found[0].path, "/chosen/libcuda.so");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_driver),
        cmocka_unit_test(test_finds_it_behind_an_old_cache),
        cmocka_unit_test(test_survives_damage),
        cmocka_unit_test(test_stops_when_full),
        cmocka_unit_test(test_takes_the_chosen_one_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
