/* Breaks when a rule lets more through than it says, refuses what a tenant has already or what is
 * less, does not name itself, or when a limit that nobody asked for is more than it permits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/rule.h"
#include "util/util.h"

#define GIB (UINT64_C(1) << 30)

static struct weft_limits read_limits(const char *const *words)
{
    struct weft_limits limits = weft_limits_default();
    for (; *words; words += 2) {
        int limit = 0;
        while (limit == WEFT_LIMIT_GUARANTEE ||
               strcmp(weft_limit_name((enum weft_limit)limit), words[0]) != 0)
            limit++;
        assert_int_equal(weft_limit_parse((enum weft_limit)limit, words[1], &limits, NULL), 0);
    }
    return limits;
}
#define LIMITS(...) read_limits((const char *const[]){__VA_ARGS__, NULL})

static struct weft_rule rule_of(struct weft_limits most)
{
    struct weft_rule rule = weft_rule_default();
    memcpy(rule.name, "lab", sizeof("lab"));
    rule.most = most;
    return rule;
}

/* What a value is beside the rule's: 1 more, 0 not. */
static void more_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *limit, *most, *asked;
        int more;
    } cases[] = {
        {"memory", "2G", "2G", 0},
        {"memory", "2G", "2147483649", 1},
        {"memory", "0:2G", "1:2G", 1},
        {"memory", "1G:2G", "1G:2G", 0},
        {"memory", "1G:2G", "1.5G:2G", 1},
        {"weight", "100", "100", 0},
        {"weight", "100", "101", 1},
        {"compute", "12.5%", "12.5%", 0},
        {"compute", "12.5%", "12.51%", 1},
        {"priority", "normal", "idle", 0},
        {"priority", "normal", "normal", 0},
        {"priority", "normal", "high", 1},
        {"sm", "50%", "50%", 0},
        {"sm", "50%", "51%", 1},
        {"kernel-timeout", "2s", "2s", 0},
        {"kernel-timeout", "2s", "3s", 1},
        {"kernel-timeout", "2s", "0", 1},
        {"kernel-timeout", "0", "0", 0},
        {"weight", "1", "10000", 1},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++) {
        struct weft_rule rule = rule_of(LIMITS(cases[i].limit, cases[i].most));
        struct weft_limits asked = LIMITS(cases[i].limit, cases[i].asked);
        struct weft_err err = {0};
        int rc = weft_rule_check(&rule, &asked, NULL, 0, &err);
        assert_int_equal(rc, cases[i].more ? -WEFT_EPERM : 0);
        assert_true(!rc == !strstr(err.text, "rule lab "));
    }
}

static void what_it_does_not_name_is_free(void **state)
{
    (void)state;
    struct weft_rule rule = rule_of(LIMITS("weight", "10"));
    struct weft_limits asked = LIMITS("memory", "1T", "priority", "critical", "compute", "100%");
    uint32_t lowered = 0;
    assert_int_equal(weft_rule_check(&rule, &asked, NULL, 0, NULL), 0);
    rule = weft_rule_default();
    struct weft_limits before = asked;
    assert_int_equal(weft_rule_lower(&rule, 0, &asked, &lowered, NULL), 0);
    assert_memory_equal(&asked, &before, sizeof(asked));
    assert_int_equal(lowered, 0);
}

static void what_a_tenant_has_may_be_asked_for(void **state)
{
    (void)state;
    struct weft_rule rule = rule_of(LIMITS("memory", "2G", "weight", "10"));
    struct weft_limits has = LIMITS("memory", "8G", "weight", "10"), made = LIMITS("memory", "16G");
    const struct weft_limits *kept[] = {&has, NULL};
    struct weft_limits asked = LIMITS("memory", "6G");
    assert_int_equal(weft_rule_check(&rule, &asked, kept, 2, NULL), 0);
    asked = LIMITS("memory", "9G");
    assert_int_equal(weft_rule_check(&rule, &asked, kept, 2, NULL), -WEFT_EPERM);
    kept[1] = &made;
    assert_int_equal(weft_rule_check(&rule, &asked, kept, 2, NULL), 0);
    asked = LIMITS("memory", "6G", "weight", "11");
    kept[1] = NULL;
    assert_int_equal(weft_rule_check(&rule, &asked, kept, 2, NULL), -WEFT_EPERM);
}

static void what_nobody_asked_for_is_lowered(void **state)
{
    (void)state;
    struct weft_rule rule = rule_of(LIMITS("memory", "2G", "weight", "50", "compute", "30%",
                                           "priority", "low", "kernel-timeout", "2s"));
    struct weft_limits limits = LIMITS("compute", "10%");
    uint32_t lowered = 0;
    assert_int_equal(weft_rule_lower(&rule, limits.given, &limits, &lowered, NULL), 0);
    assert_int_equal(limits.memory_bytes, 2 * GIB);
    assert_int_equal(limits.weight, 50);
    assert_int_equal(limits.class, WEFT_CLASS_LOW);
    assert_int_equal(limits.kernel_timeout_us, 2000000);
    assert_int_equal(limits.compute_cap_e4, 1000);
    assert_int_equal(limits.sm_percent, WEFT_SM_WHOLE);
    assert_int_equal(lowered, 1u << WEFT_LIMIT_MEMORY | 1u << WEFT_LIMIT_WEIGHT |
                                  1u << WEFT_LIMIT_PRIORITY | 1u << WEFT_LIMIT_KERNEL_TIMEOUT);
    rule = rule_of(LIMITS("weight", "500", "priority", "critical"));
    limits = weft_limits_default();
    assert_int_equal(weft_rule_lower(&rule, 0, &limits, &lowered, NULL), 0);
    assert_int_equal(limits.weight, WEFT_WEIGHT_DEFAULT); /* a rule gives nobody more */
    assert_int_equal(limits.class, WEFT_CLASS_NORMAL);
}

static void numbers_of_tenants(void **state)
{
    (void)state;
    uint32_t count = 7;
    assert_int_equal(weft_rule_tenants_parse("0", &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(weft_rule_tenants_parse("1024", &count, NULL), 0);
    assert_int_equal(count, 1024);
    static const char *const wrong[] = {"", "-1", "1025", "2 ", "x", "99999999999999999999"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(wrong); i++)
        assert_int_equal(weft_rule_tenants_parse(wrong[i], &count, NULL), -WEFT_EINVAL);
    assert_int_equal(count, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_is_refused_by_name),
        cmocka_unit_test(what_it_does_not_name_is_free),
        cmocka_unit_test(what_a_tenant_has_may_be_asked_for),
        cmocka_unit_test(what_nobody_asked_for_is_lowered),
        cmocka_unit_test(numbers_of_tenants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
