/* CUDA_VISIBLE_DEVICES over a slice. Breaks if an index counts the machine's devices instead of the
 * slice's, or if a wrong item shows more than stands before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "face/visible.h"

#define GRANTED 3

/* Sets the UUIDs to aa…, ab…, and cc…. */
static void grant(struct weft_device_grant granted[GRANTED])
{
    static const uint8_t bytes[GRANTED] = {0xaa, 0xab, 0xcc};
    memset(granted, 0, GRANTED * sizeof(granted[0]));
    for (size_t i = 0; i < GRANTED; i++)
        memset(granted[i].uuid, bytes[i], sizeof(granted[i].uuid));
}

static void test_settings(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *places;
    } cases[] = {
        {NULL, "012"},
        {"", ""},
        {"0", "0"},
        {"2,0", "20"},
        {" 1 , 0", "10"},
        {"2,1,0", "210"},
        {"2,1,0,0", "210"},
        {"0,7,1", "0"},
        {"-1", ""},
        {"1,-1,0", "1"},
        {"0,0", "0"},
        {"x", ""},
        {"1x,0", ""},
        {"99999999999999999999", ""},
        {"0,", "0"},
        {",0", ""},
        {"GPU-cc", "2"},
        {"GPU-CCCCCCCC-cccc", "2"},
        {"GPU-cccccccc-cccc-cccc-cccc-cccccccccccc,0", "20"},
        {"GPU-cccccccc-cccc-cccc-cccc-ccccccccccccc", ""},
        {"GPU-a", ""},
        {"GPU-ab,GPU-aa", "10"},
        {"GPU-", ""},
        {"MIG-ab", "1"},
        {"GPU-dd,0", ""},
    };
    struct weft_device_grant granted[GRANTED];
    grant(granted);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char places[GRANTED + 1] = "";
        struct weft_face_visible visible =
            weft_face_visible_choose(cases[i].setting, granted, GRANTED);
        assert_in_range(visible.count, 0, GRANTED);
        for (size_t place = 0; place < visible.count; place++)
            places[place] = (char)('0' + visible.places[place]);
        if (strcmp(places, cases[i].places) != 0)
            fail_msg("\"%s\" shows \"%s\"", cases[i].setting, places);
    }
}

static void test_no_devices(void **state)
{
    (void)state;
    assert_int_equal(weft_face_visible_choose(NULL, NULL, 0).count, 0);
    assert_int_equal(weft_face_visible_choose("0", NULL, 0).count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_no_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
