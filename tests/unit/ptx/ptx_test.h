/* What the tests of the parser share: a module around statements, and parsing that must succeed or
 * fail. */
#ifndef WEFT_TESTS_PTX_TEST_H
#define WEFT_TESTS_PTX_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "softgpu/ptx/ptx.h"

#define MODULE_HEAD ".version 9.0\n.target sm_90a\n.address_size 64\n"

/* A zero-ended text that must parse. */
static inline struct weft_ptx_module *parse_good(const char *text)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    if (weft_ptx_parse(&module, text, strlen(text), &err) < 0)
        fail_msg("%s\nin: %s", err.text, text);
    return module;
}

/* Reads a file of the source tree whose folder the test was told; the caller frees the text. */
static inline char *read_data(const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", getenv("PTX_TEST_DATA"), name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(1, size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, size, file), size);
    fclose(file);
    return text;
}

#endif
