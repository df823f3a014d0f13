/* Any bytes into the PTX parser. What it takes must be whole: every index that the executor would
 * follow is in range, and what it refuses has a place. The input is a copy of its exact size, so
 * that a read behind it is seen. */
#include <stdlib.h>
#include <string.h>

#include "ptx_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bodies read late, from the last to the first: the same texts are refused, and what is taken is
 * as whole. */
static void check_late(const char *text, size_t size, bool taken)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    int rc = weft_ptx_parse_heads(&module, text, size, &err);
    for (uint32_t i = rc ? 0 : module->function_count; i > 0; i--) {
        int now = weft_ptx_read_body(module, i - 1, &err);
        REQUIRE(now == weft_ptx_read_body(module, i - 1, NULL));
        rc = now ? now : rc;
    }
    REQUIRE(taken == (rc == 0));
    if (rc)
        REQUIRE(err.code < 0 && strncmp(err.text, "ptx:", 4) == 0);
    else
        fuzz_check_module(module);
    weft_ptx_destroy(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_with_head(data, &size);
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    if (!text)
        return 0;
    int rc = weft_ptx_parse(&module, text, size, &err);
    if (rc == 0)
        fuzz_check_module(module);
    else
        REQUIRE(err.code < 0 && strncmp(err.text, "ptx:", 4) == 0);
    weft_ptx_destroy(module);
    check_late(text, size, rc == 0);
    free(text);
    return 0;
}
