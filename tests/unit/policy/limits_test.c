/* Breaks when a limit's value is read in another unit, when one out of range is taken, when a
 * change touches what it does not name, or when a page that is being written is read as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/limits.h"
#include "policy/page.h"
#include "util/util.h"

/* 0 or the code, whether or not anybody enforces the limit yet. */
static int parse(enum weft_limit limit, const char *text, struct weft_limits *limits)
{
    struct weft_err err = {0};
    *limits = weft_limits_default();
    int rc = weft_limit_parse(limit, text, limits, &err);
    if (rc)
        assert_true(err.text[0] == '"'); /* it quotes the value */
    return rc;
}

static void expect(enum weft_limit limit, const char *text, int code)
{
    struct weft_limits limits;
    int rc = parse(limit, text, &limits);
    if (code == 0 && !weft_limit_is_enforced(limit))
        code = -WEFT_ENOSYS;
    assert_int_equal(rc, code);
    assert_int_equal(limits.given != 0, rc == 0);
}

static void values_have_units_and_ranges(void **state)
{
    (void)state;
    static const struct {
        enum weft_limit limit;
        const char *text;
        int code;
    } cases[] = {
        {WEFT_LIMIT_MEMORY, "64M", 0},
        {WEFT_LIMIT_MEMORY, "0", -WEFT_EINVAL},
        {WEFT_LIMIT_MEMORY, "2M:1M", -WEFT_EINVAL},
        {WEFT_LIMIT_MEMORY, ":1M", -WEFT_EINVAL},
        {WEFT_LIMIT_MEMORY, "1M:", -WEFT_EINVAL},
        {WEFT_LIMIT_MEMORY, "1M:2M:3M", -WEFT_EINVAL},
        {WEFT_LIMIT_WEIGHT, "1", 0},
        {WEFT_LIMIT_WEIGHT, "10000", 0},
        {WEFT_LIMIT_WEIGHT, "0", -WEFT_ERANGE},
        {WEFT_LIMIT_WEIGHT, "10001", -WEFT_ERANGE},
        {WEFT_LIMIT_WEIGHT, "", -WEFT_EINVAL},
        {WEFT_LIMIT_WEIGHT, "1k", -WEFT_EINVAL},
        {WEFT_LIMIT_COMPUTE, "1%", 0},
        {WEFT_LIMIT_COMPUTE, "12.34%", 0},
        {WEFT_LIMIT_COMPUTE, "100", 0},
        {WEFT_LIMIT_COMPUTE, "0.99%", -WEFT_ERANGE},
        {WEFT_LIMIT_COMPUTE, "100.01%", -WEFT_ERANGE},
        {WEFT_LIMIT_COMPUTE, "50 %", -WEFT_EINVAL},
        {WEFT_LIMIT_COMPUTE, ".", -WEFT_EINVAL},
        {WEFT_LIMIT_PRIORITY, "idle", 0},
        {WEFT_LIMIT_PRIORITY, "Idle", -WEFT_EINVAL},
        {WEFT_LIMIT_SM, "50%", 0},
        {WEFT_LIMIT_SM, "50.5%", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "0.5", 0},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "0", 0},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "20ms", 0},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "1us", 0},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "0.1us", -WEFT_ERANGE},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "4295s", -WEFT_ERANGE},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "2h", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "ms", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "2 s", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "0.00000000000000000000000000000001", -WEFT_EINVAL},
        {WEFT_LIMIT_KERNEL_TIMEOUT, "soon", -WEFT_EINVAL},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++)
        expect(cases[i].limit, cases[i].text, cases[i].code);
}

static void messages_are_checked(void **state)
{
    (void)state;
    struct weft_limits limits = weft_limits_default();
    assert_int_equal(weft_limits_check(&limits, NULL), 0);
    limits.memory_bytes = 0;
    assert_int_equal(weft_limits_check(&limits, NULL), 0); /* not given */
    limits.given = 1u << WEFT_LIMIT_MEMORY;
    assert_int_equal(weft_limits_check(&limits, NULL), -WEFT_ERANGE);
    limits = weft_limits_default();
    limits.given = 1u << WEFT_LIMIT_COUNT;
    assert_int_equal(weft_limits_check(&limits, NULL), -WEFT_ENOSYS);
    for (int i = 0; i < WEFT_LIMIT_COUNT; i++) {
        limits = weft_limits_default();
        limits.given = 1u << i;
        bool enforced = weft_limit_is_enforced((enum weft_limit)i);
        assert_int_equal(weft_limits_check(&limits, NULL), enforced ? 0 : -WEFT_ENOSYS);
    }
}

static void changes_touch_what_they_name(void **state)
{
    (void)state;
    struct weft_limits limits = weft_limits_default();
    struct weft_limits changes = {.given = 1u << WEFT_LIMIT_WEIGHT, .weight = 7};
    assert_int_equal(weft_limits_change(&limits, &changes, NULL), 0);
    assert_int_equal(limits.weight, 7);
    assert_int_equal(limits.compute_cap_e4, WEFT_COMPUTE_WHOLE);
    assert_int_equal(limits.class, WEFT_CLASS_NORMAL);
    changes = (struct weft_limits){.given = 1u << WEFT_LIMIT_GUARANTEE | 1u << WEFT_LIMIT_MEMORY,
                                   .guarantee_bytes = 100,
                                   .memory_bytes = 200};
    assert_int_equal(weft_limits_change(&limits, &changes, NULL), 0);
    changes = (struct weft_limits){.given = 1u << WEFT_LIMIT_MEMORY, .memory_bytes = 99};
    assert_int_equal(weft_limits_change(&limits, &changes, NULL), -WEFT_EINVAL);
    assert_int_equal(limits.memory_bytes, 200);
    assert_int_equal(weft_limits_differ(&limits, &changes), WEFT_LIMIT_MEMORY);
    changes.memory_bytes = 200;
    assert_int_equal(weft_limits_differ(&limits, &changes), WEFT_LIMIT_COUNT);
}

static void a_page_is_read_at_one_moment(void **state)
{
    (void)state;
    static struct weft_policy_page page = {.minor = 1};
    assert_int_equal(weft_policy_time(&page).weight, WEFT_WEIGHT_DEFAULT); /* nobody wrote it */
    page.weight = 300;
    page.class = WEFT_CLASS_HIGH;
    page.sequence = 4;
    struct weft_policy_time time = weft_policy_time(&page);
    assert_int_equal(time.sequence, 4);
    assert_int_equal(time.weight, 300);
    assert_int_equal(time.class, WEFT_CLASS_HIGH);
    page.sequence = 5; /* a daemon died in the middle: bounded, and told by the odd number */
    assert_int_equal(weft_policy_time(&page).sequence, 5);
    page.minor = 0;
    assert_int_equal(weft_policy_time(&page).weight, WEFT_WEIGHT_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_units_and_ranges),
        cmocka_unit_test(messages_are_checked),
        cmocka_unit_test(changes_touch_what_they_name),
        cmocka_unit_test(a_page_is_read_at_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
