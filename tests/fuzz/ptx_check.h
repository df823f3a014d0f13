/* What the fuzzers of the parser and of the linker require of a module. */
#ifndef WEFT_TESTS_FUZZ_PTX_CHECK_H
#define WEFT_TESTS_FUZZ_PTX_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

/* Every index that the executor would follow is in range. Of bodies that were not read nothing. */
void fuzz_check_module(const struct weft_ptx_module *module);
/* The text behind a module's head, or as it is where it has one: a copy of its exact size, which
 * the caller frees. NULL where there is no memory. */
char *fuzz_with_head(const uint8_t *data, size_t *size);

#endif
