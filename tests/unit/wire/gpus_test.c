/* Breaks when --gpu means something else than docs and --help say, or when a wrong list is accepted
 * or badly explained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "policy/gpus.h"
#include "util/util.h"

static void items_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum weft_gpu_item_kind kind;
        uint32_t index, count;
        const char *place;
    } cases[] = {
        {"0", WEFT_GPU_INDEX, 0, 1, ""},
        {"15", WEFT_GPU_INDEX, 15, 1, ""},
        {"any", WEFT_GPU_ANY, 0, 1, ""},
        {"soft", WEFT_GPU_SOFT, 0, 1, ""},
        {"soft=t4", WEFT_GPU_SOFT, 0, 1, "t4"},
        {"soft=a100-40gx2", WEFT_GPU_SOFT, 0, 2, "a100-40g"},
        {"soft=smallx16", WEFT_GPU_SOFT, 0, 16, "small"},
        {"soft=maxx", WEFT_GPU_SOFT, 0, 1, "maxx"},
        {"unix:/run/a.sock/1", WEFT_GPU_UNIX, 0, 1, "/run/a.sock/1"},
        {"shm:/run/a.sock", WEFT_GPU_SHM, 0, 1, "/run/a.sock"},
        {"tls://box", WEFT_GPU_TLS, 0, 1, "box"},
        {"tls://[::1]:7411/2", WEFT_GPU_TLS, 0, 1, "[::1]:7411/2"},
        {"tcp://box:7411", WEFT_GPU_TCP, 0, 1, "box:7411"},
        {"box:7411", WEFT_GPU_TLS, 0, 1, "box:7411"},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++) {
        struct weft_gpu_list list;
        struct weft_err err = {0};
        assert_int_equal(weft_gpu_list_parse(cases[i].text, &list, &err), 0);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].kind, cases[i].kind);
        assert_int_equal(list.items[0].index, cases[i].index);
        assert_int_equal(list.items[0].count, cases[i].count);
        assert_string_equal(list.items[0].place, cases[i].place);
    }
}

static void lists_keep_their_order(void **state)
{
    (void)state;
    struct weft_gpu_list list;
    assert_int_equal(weft_gpu_list_parse("1,soft=t4x2,GPU-00010203-0405-0607-0809-0a0B0c0d0e0f,any",
                                         &list, NULL),
                     0);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.items[0].kind, WEFT_GPU_INDEX);
    assert_int_equal(list.items[1].count, 2);
    assert_int_equal(list.items[2].kind, WEFT_GPU_UUID);
    for (uint8_t i = 0; i < WEFT_UUID_BYTES; i++)
        assert_int_equal(list.items[2].uuid[i], i);
    assert_int_equal(list.items[3].kind, WEFT_GPU_ANY);
}

static void wrong_lists_say_what_is_wrong(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"", "empty"},
        {"0,", "empty"},
        {",0", "empty"},
        {"-1", "\"-1\": not a device"},
        {"0x1", "not a device"},
        {"softer", "not a device"},
        {"soft=", "soft=PROFILE"},
        {"soft=smallx0", "from 1 to 16"},
        {"soft=smallx17", "from 1 to 16"},
        {"soft=smallx99999999", "from 1 to 16"},
        {"soft=a-name-that-is-longer-than-any-profile", "this long"},
        {"soft=smallx16,0", "more than 16"},
        {"0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0", "more than 16"},
        {"GPU-00", "not a uuid"},
        {"GPU-00010203-0405-0607-0809-0a0b0c0d0e0g", "not a uuid"},
        {"GPU-00010203-0405-0607-0809-0a0b0c0d0e0f0", "longer than a uuid"},
        {"tls://", "names no host"},
        {"tcp:///1", "names no host"},
        {"unix:", "names no path"},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(wrong); i++) {
        struct weft_gpu_list list;
        struct weft_err err = {0};
        assert_int_equal(weft_gpu_list_parse(wrong[i][0], &list, &err), -WEFT_ESYNTAX);
        assert_non_null(strstr(err.text, wrong[i][1]));
    }
}

static void uuids_survive_a_round(void **state)
{
    (void)state;
    uint8_t uuid[WEFT_UUID_BYTES] = {0xff, 0x10, 0, 9}, parsed[WEFT_UUID_BYTES];
    char text[WEFT_UUID_TEXT_BYTES];
    assert_string_equal(weft_uuid_format(uuid, text), "ff100009-0000-0000-0000-000000000000");
    assert_int_equal(weft_uuid_parse(text, parsed, NULL), 0);
    assert_memory_equal(parsed, uuid, sizeof(uuid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_understood),
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(wrong_lists_say_what_is_wrong),
        cmocka_unit_test(uuids_survive_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
