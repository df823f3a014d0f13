/* Every form of the tables, with corner and random values, on every instruction set that this CPU
 * has. Breaks where one value of one form differs from the reference, and where a form that
 * compilers use is not executed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tables.h"

static void run_table(void **state)
{
    const struct form_table *table = *state;
    struct form_tally tally = {0};
    struct rig rig;
    rig_init(&rig);
    forms_run(&rig, table->rows, table->count, &tally);
    rig_finish(&rig);
    printf("%s: %u forms equal the reference, %u differ, %u are not executed\n", table->name,
           tally.passed, tally.failed, tally.missing);
    assert_int_equal(tally.failed, 0);
    assert_true(tally.passed > 0 || table->optional);
    if (!table->optional)
        assert_int_equal(tally.missing, 0);
}

#define TESTS_MAX 32

int main(void)
{
    struct CMUnitTest tests[TESTS_MAX] = {0};
    for (size_t i = 0; i < form_table_count; i++)
        tests[i] = (struct CMUnitTest){.name = form_tables[i].name,
                                       .test_func = run_table,
                                       .initial_state = (void *)&form_tables[i]};
    return _cmocka_run_group_tests("forms", tests, form_table_count, NULL, NULL);
}
