/* parse_files FILE…: parses each, and ends with 1 where one is refused or holds no instruction. */
#include <stdio.h>
#include <stdlib.h>

#include "softgpu/ptx/ptx.h"
#include "util/util.h"

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    size_t got = bytes ? fread(bytes, 1, *size, file) : 0;
    fclose(file);
    if (bytes && got == *size)
        return bytes;
    free(bytes);
    return NULL;
}

static int parse_file(const char *path)
{
    size_t size = 0;
    _cleanup_free_ char *text = read_file(path, &size);
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    if (!text || weft_ptx_parse(&module, text, size, &err) < 0) {
        printf("%s: %s\n", path, text ? err.text : "cannot be read");
        return 1;
    }
    uint32_t instructions = 0;
    for (uint32_t i = 0; i < module->function_count; i++)
        instructions += module->functions[i].insn_count;
    weft_ptx_destroy(module);
    printf("%s: %u instructions\n", path, instructions);
    return instructions == 0;
}

int main(int count, char **arguments)
{
    int failed = count < 2;
    for (int i = 1; i < count; i++)
        failed |= parse_file(arguments[i]);
    return failed;
}
