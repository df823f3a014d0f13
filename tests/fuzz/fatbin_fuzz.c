/* Any bytes as a fat binary: entries lie within it, and what is unpacked is as long as was said. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/fatbin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void unpack(const struct weft_fatbin_entry *entry)
{
    char *text;
    size_t bytes;
    struct weft_err err;
    /* Room for an absurd size that the entry claims is not what is looked for here. */
    if (entry->unpacked_bytes > 1 << 20 || weft_fatbin_unpack(entry, &text, &bytes, &err))
        return;
    REQUIRE(text[bytes] == '\0');
    REQUIRE(entry->kind != WEFT_FATBIN_PTX || strlen(text) == bytes);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_fatbin fatbin;
    struct weft_fatbin_entry entry;
    struct weft_err err;
    uint32_t cubins, lowest;
    if (weft_fatbin_open(&fatbin, data, size, &err))
        return 0;
    if (weft_fatbin_choose(fatbin, 75, &entry, &cubins, &lowest, &err) > 0)
        REQUIRE(entry.kind == WEFT_FATBIN_PTX && entry.sm <= 75 && lowest <= entry.sm);
    while (weft_fatbin_next(&fatbin, &entry, &err) > 0) {
        REQUIRE(entry.payload >= data && entry.payload <= data + size);
        REQUIRE(entry.payload_bytes <= (size_t)(data + size - entry.payload));
        unpack(&entry);
    }
    return 0;
}
