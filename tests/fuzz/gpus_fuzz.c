/* Any text as a device list. What is taken is within its bounds; what is refused says why. */
#include <stdlib.h>
#include <string.h>

#include "policy/gpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_gpu_list list;
    struct weft_err err = {0};
    uint32_t devices = 0;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (weft_gpu_list_parse(text, &list, &err)) {
        REQUIRE(err.code == -WEFT_ESYNTAX && err.text[0]);
    } else {
        REQUIRE(list.count >= 1 && list.count <= WEFT_DEVICES_MAX);
        for (size_t i = 0; i < list.count; i++) {
            devices += list.items[i].count;
            REQUIRE(list.items[i].kind >= WEFT_GPU_INDEX && list.items[i].kind <= WEFT_GPU_TCP);
            REQUIRE(memchr(list.items[i].place, 0, WEFT_GPU_PLACE_BYTES));
        }
        REQUIRE(devices <= WEFT_DEVICES_MAX);
    }
    free(text);
    return 0;
}
