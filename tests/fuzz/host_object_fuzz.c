/* Any bytes as an archive of object files, and as one object file: members and fat binaries lie
 * within them. The input is a copy of its exact size, so that a read behind it is seen. */
#include <stdlib.h>
#include <string.h>

#include "image/fatbin.h"
#include "image/host_object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void check_within(const uint8_t *part, size_t part_bytes, const uint8_t *data, size_t size)
{
    REQUIRE(part >= data && part <= data + size);
    REQUIRE(part_bytes <= (size_t)(data + size - part));
}

static void check_object(const uint8_t *data, size_t size)
{
    struct weft_host_object object;
    struct weft_fatbin fatbin;
    struct weft_err err;
    const uint8_t *image;
    size_t bytes;
    if (weft_host_object_open(&object, data, size, &err))
        return;
    while (weft_host_object_next(&object, &image, &bytes, &err) > 0) {
        check_within(image, bytes, data, size);
        REQUIRE(weft_fatbin_open(&fatbin, image, bytes, &err) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_archive archive;
    struct weft_archive_member member;
    struct weft_err err;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check_object(copy, size);
    if (weft_archive_open(&archive, copy, size, &err) == 0)
        while (weft_archive_next(&archive, &member, &err) > 0) {
            check_within(member.bytes, member.size, copy, size);
            REQUIRE(memchr(member.name, 0, sizeof(member.name)));
            check_object(member.bytes, member.size);
        }
    free(copy);
    return 0;
}
