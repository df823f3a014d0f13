/* Breaks when who is stopped gets time or keeps others from it, when a level begins at another
 * share than it says, when one that is just left comes back at once, or when what belongs to a
 * level is not begun or ended once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/pressure.h"
#include "policy/share.h"
#include "util/util.h"

static void levels_begin_where_they_say(void **state)
{
    (void)state;
    static const struct {
        uint64_t held;
        enum weft_pressure level;
    } cases[] = {{0, WEFT_PRESSURE_NONE},       {499, WEFT_PRESSURE_NONE},
                 {500, WEFT_PRESSURE_SHOW},     {749, WEFT_PRESSURE_SHOW},
                 {750, WEFT_PRESSURE_WARN},     {849, WEFT_PRESSURE_WARN},
                 {850, WEFT_PRESSURE_RESTRICT}, {949, WEFT_PRESSURE_RESTRICT},
                 {950, WEFT_PRESSURE_STOP},     {2000, WEFT_PRESSURE_STOP}};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++)
        assert_int_equal(weft_pressure_next(WEFT_PRESSURE_NONE, cases[i].held, 1000),
                         cases[i].level);
    assert_int_equal(weft_pressure_next(WEFT_PRESSURE_NONE, UINT64_MAX, UINT64_MAX),
                     WEFT_PRESSURE_STOP);
    assert_int_equal(weft_pressure_next(WEFT_PRESSURE_NONE, 5, 0), WEFT_PRESSURE_NONE);
}

static void a_level_is_left_five_per_cent_lower(void **state)
{
    (void)state;
    static const struct {
        enum weft_pressure before;
        uint64_t held;
        enum weft_pressure level;
    } cases[] = {
        {WEFT_PRESSURE_STOP, 900, WEFT_PRESSURE_STOP},
        {WEFT_PRESSURE_STOP, 899, WEFT_PRESSURE_RESTRICT},
        {WEFT_PRESSURE_RESTRICT, 900, WEFT_PRESSURE_RESTRICT},
        {WEFT_PRESSURE_RESTRICT, 800, WEFT_PRESSURE_RESTRICT},
        {WEFT_PRESSURE_RESTRICT, 799, WEFT_PRESSURE_WARN},
        {WEFT_PRESSURE_WARN, 700, WEFT_PRESSURE_WARN},
        {WEFT_PRESSURE_WARN, 699, WEFT_PRESSURE_SHOW},
        {WEFT_PRESSURE_SHOW, 450, WEFT_PRESSURE_SHOW},
        {WEFT_PRESSURE_SHOW, 449, WEFT_PRESSURE_NONE},
        {WEFT_PRESSURE_STOP, 0, WEFT_PRESSURE_NONE},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(cases); i++)
        assert_int_equal(weft_pressure_next(cases[i].before, cases[i].held, 1000), cases[i].level);
}

static void note(void *context, char what)
{
    char *text = context;
    size_t used = strlen(text);
    text[used] = what;
    text[used + 1] = '\0';
}

static void warn_begin(void *context)
{
    note(context, 'w');
}

static void stop_begin(void *context)
{
    note(context, 's');
}

static void stop_end(void *context)
{
    note(context, 'S');
}

static void restrict_end(void *context)
{
    note(context, 'R');
}

static void actions_begin_and_end_in_order(void **state)
{
    (void)state;
    static const struct weft_pressure_action actions[] = {
        {WEFT_PRESSURE_STOP, stop_begin, stop_end},
        {WEFT_PRESSURE_WARN, warn_begin, NULL},
        {WEFT_PRESSURE_RESTRICT, NULL, restrict_end},
    };
    char text[16] = "";
    size_t count = WEFT_ARRAY_COUNT(actions);
    weft_pressure_change(actions, count, WEFT_PRESSURE_NONE, WEFT_PRESSURE_STOP, text);
    assert_string_equal(text, "ws");
    weft_pressure_change(actions, count, WEFT_PRESSURE_STOP, WEFT_PRESSURE_STOP, text);
    weft_pressure_change(actions, count, WEFT_PRESSURE_STOP, WEFT_PRESSURE_WARN, text);
    assert_string_equal(text, "wsSR");
    weft_pressure_change(actions, count, WEFT_PRESSURE_WARN, WEFT_PRESSURE_NONE, text);
    assert_string_equal(text, "wsSR");
}

static void who_is_stopped_gets_no_time(void **state)
{
    (void)state;
    struct weft_share share = {.slack_ns = 1000};
    struct weft_share_terms terms = {.weight = 100, .class = 4, .cap_e4 = WEFT_SHARE_CAP_WHOLE};
    struct weft_share_tenant idle = {.terms = weft_share_terms_pack(&terms)};
    struct weft_share_tenant other = idle;
    uint64_t wait_ns;
    for (int i = 0; i < 2; i++) {
        struct weft_share_view view;
        terms.stopped = i == 0;
        idle.terms = weft_share_terms_pack(&terms);
        assert_int_equal(weft_share_terms_unpack(idle.terms).stopped, terms.stopped);
        other.virtual_ns = UINT64_C(1) << 40; /* far before the other, who would go first */
        weft_share_view_begin(&view, &share);
        weft_share_view_add(&view, &idle);
        weft_share_view_add(&view, &other);
        assert_int_equal(weft_share_judge(&view, &idle, &wait_ns) == WEFT_SHARE_RUN, i == 1);
        assert_int_equal(weft_share_judge(&view, &other, &wait_ns) == WEFT_SHARE_RUN, i == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_begin_where_they_say),
        cmocka_unit_test(a_level_is_left_five_per_cent_lower),
        cmocka_unit_test(actions_begin_and_end_in_order),
        cmocka_unit_test(who_is_stopped_gets_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
