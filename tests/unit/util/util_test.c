/* Breaks when a size is read in another unit than 1024, when a wrong one is accepted, or when an
 * error loses its context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/util.h"

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"1", 1},
        {"4096", 4096},
        {"64M", 64ull << 20},
        {"64m", 64ull << 20},
        {"1.5G", 3ull << 29},
        {"0.5K", 512},
        {"2GiB", 2ull << 30},
        {"1T", 1ull << 40},
        {"8388607T", 8388607ull << 40},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++) {
        uint64_t bytes = 0;
        struct weft_err err = {0};
        assert_int_equal(weft_size_parse(cases[i].text, &bytes, &err), 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void wrong_sizes_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "not a size"},         {"G", "not a size"},          {"-1", "negative"},
        {"-5G", "negative"},        {"0", "more than 0"},         {"0.1", "more than 0"},
        {"2Q", "unknown unit 'Q'"}, {"2GB", "GiB (1024)"},        {"1.2.3M", "not a number"},
        {".", "not a number"},      {"2Gi", "unknown unit"},      {"64M ", "unknown unit"},
        {"8388608T", "too large"},  {"1e3", "unknown unit 'e3'"},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++) {
        uint64_t bytes = 77;
        struct weft_err err = {0};
        assert_true(weft_size_parse(cases[i].text, &bytes, &err) < 0);
        assert_int_equal(bytes, 77);
        assert_non_null(strstr(err.text, cases[i].reason));
    }
}

static void sizes_read_well(void **state)
{
    (void)state;
    char text[WEFT_SIZE_TEXT_BYTES];
    assert_string_equal(weft_size_format(0, text), "0 B");
    assert_string_equal(weft_size_format(1023, text), "1023 B");
    assert_string_equal(weft_size_format(1536, text), "1.5 KiB");
    assert_string_equal(weft_size_format(64ull << 20, text), "64.0 MiB");
}

static void an_error_gathers_context(void **state)
{
    (void)state;
    struct weft_err err = {0};
    int code = weft_fail(&err, WEFT_ENOENT, "no file %d", 3);
    assert_int_equal(code, -WEFT_ENOENT);
    assert_int_equal(weft_wrap(&err, code, "open %s", "x"), -WEFT_ENOENT);
    assert_string_equal(err.text, "open x: no file 3");
    assert_int_equal(weft_fail(NULL, WEFT_EIO, "nobody listens"), -WEFT_EIO);
    assert_string_equal(weft_strerror(-WEFT_EIO), weft_strerror(WEFT_EIO));
}

static void a_long_error_is_cut(void **state)
{
    (void)state;
    struct weft_err err = {0};
    char text[2 * WEFT_ERR_TEXT_BYTES];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    weft_fail(&err, WEFT_EIO, "%s", text);
    weft_wrap(&err, -WEFT_EIO, "%s", text);
    assert_int_equal(strlen(err.text), WEFT_ERR_TEXT_BYTES - 1);
}

static void a_process_has_a_start_time(void **state)
{
    (void)state;
    uint64_t mine = 0, init = 0;
    assert_int_equal(weft_process_start_time(getpid(), &mine, NULL), 0);
    assert_int_equal(weft_process_start_time(1, &init, NULL), 0);
    assert_true(mine >= init);
    assert_int_equal(weft_process_start_time(-1, &mine, NULL), -WEFT_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_1024), cmocka_unit_test(wrong_sizes_say_what_is_wrong),
        cmocka_unit_test(sizes_read_well),          cmocka_unit_test(an_error_gathers_context),
        cmocka_unit_test(a_long_error_is_cut),      cmocka_unit_test(a_process_has_a_start_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
