/* Every object in the libraries of GCC's NVPTX back end is PTX text, some thousands of them; our
 * parser takes them all. Breaks when the parser refuses what GCC emits. Skipped where the back end
 * is not installed. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/ptx.h"
#include "util/util.h"

#define SKIPPED 77
#define OBJECTS_MIN 100

/* The format of ar: a magic, then members behind headers of 60 bytes, each at an even place. */
#define MAGIC "!<arch>\n"
#define HEADER_BYTES 60
#define SIZE_AT 48
#define SIZE_DIGITS 10

struct tally {
    unsigned objects, instructions, failures;
};

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (bytes && fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

static void check_object(const char *library, const char *header, const char *text, size_t size,
                         struct tally *tally)
{
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    tally->objects++;
    if (weft_ptx_parse(&module, text, size, &err) < 0) {
        printf("%s, %.16s: %s\n", library, header, err.text);
        tally->failures++;
        return;
    }
    for (uint32_t i = 0; i < module->function_count; i++)
        tally->instructions += module->functions[i].insn_count;
    weft_ptx_destroy(module);
}

/* The names that begin with a slash and a blank or slash are the archive's own tables. */
static bool is_table(const char *header)
{
    return header[0] == '/' && (header[1] == ' ' || header[1] == '/');
}

static void check_library(const char *library, struct tally *tally)
{
    size_t size = 0, at = strlen(MAGIC);
    _cleanup_free_ char *bytes = read_file(library, &size);
    if (!bytes || size < at || memcmp(bytes, MAGIC, at) != 0) {
        printf("%s is no archive\n", library);
        tally->failures++;
        return;
    }
    while (at + HEADER_BYTES <= size) {
        const char *header = bytes + at;
        char digits[SIZE_DIGITS + 1] = {0};
        memcpy(digits, header + SIZE_AT, SIZE_DIGITS);
        size_t member = strtoul(digits, NULL, 10);
        at += HEADER_BYTES;
        if (member > size - at)
            break;
        if (!is_table(header))
            check_object(library, header, bytes + at, member, tally);
        at += member + member % 2;
    }
}

int main(int count, char **arguments)
{
    const char *pattern = "/usr/lib/gcc/x86_64-linux-gnu/*/accel/nvptx-none/*.a";
    if (count == 2)
        pattern = arguments[1];
    glob_t found = {0};
    struct tally tally = {0};
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("GCC's NVPTX back end is not installed (Debian: gcc-12-offload-nvptx)\n");
        return SKIPPED;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_library(found.gl_pathv[i], &tally);
    globfree(&found);
    printf("%u objects, %u instructions, %u failures\n", tally.objects, tally.instructions,
           tally.failures);
    return tally.failures || tally.objects < OBJECTS_MIN || !tally.instructions;
}
