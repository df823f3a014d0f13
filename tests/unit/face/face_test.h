/* The face under test is a library of its own, opened by each scenario in a process of its own,
 * because a process opens weft once. */
#ifndef WEFT_TESTS_FACE_TEST_H
#define WEFT_TESTS_FACE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cuda/entries.h"
#include "fake_tenant.h"

/* What the scenario's process works with. */
struct face_under_test {
    void *library;
    struct fake_tenant *tenant;
    struct weft_cuda calls; /* the library's exported functions */
};

/* A scenario returns NULL, or says what went wrong. */
typedef const char *(*scenario_fn)(struct face_under_test *face);

/* Runs a scenario in a child with one native device granted and DRIVER (an environment variable
 * that holds a path) as the real driver; fails the test with what it said. */
void run_scenario(const char *driver_variable, scenario_fn scenario);
/* Runs `body` in a child of the scenario's process; its text where it failed. */
const char *in_fork(struct face_under_test *face, scenario_fn body);

#define EXPECT(condition)                                       \
    do {                                                        \
        if (!(condition))                                       \
            return "line " LINE_TEXT(__LINE__) ": " #condition; \
    } while (0)
#define LINE_TEXT(line) LINE_TEXT_2(line)
#define LINE_TEXT_2(line) #line

#endif
