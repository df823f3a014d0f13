/* Every form of the tables, with corner and random values, on every instruction set that this CPU
 * has. Breaks where one value of one form differs from the reference, and where a form that
 * compilers use is not executed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tables.h"

static void run_table(void **state)
{
    const struct form_table *table = *state;
    struct form_tally tally = {.every = table->every};
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

/* `every`: only the tables of forms that take one value of 16 bits, with every value. */
int main(int count, char **arguments)
{
    static struct form_table tables[TESTS_MAX];
    struct CMUnitTest tests[TESTS_MAX] = {0};
    bool every = count > 1 && strcmp(arguments[1], "every") == 0;
    size_t used = 0;
    for (size_t i = 0; i < form_table_count; i++) {
        if (every && !form_tables[i].every)
            continue;
        tables[used] = form_tables[i];
        tables[used].every = every;
        tests[used] = (struct CMUnitTest){.name = tables[used].name,
                                          .test_func = run_table,
                                          .initial_state = (void *)&tables[used]};
        used++;
    }
    return _cmocka_run_group_tests("forms", tests, used, NULL, NULL);
}
