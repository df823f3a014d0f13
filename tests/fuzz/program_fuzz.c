/* Any bytes as a program: what is found of fat binaries lies within them. The input's first bytes
 * are put in place so that most inputs are ELF files with sections. */
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void make_elf(uint8_t *bytes)
{
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof(header));
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_machine = EM_X86_64;
    header.e_shentsize = sizeof(Elf64_Shdr);
    memcpy(bytes, &header, sizeof(header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_program program;
    struct weft_err err;
    uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        return 0;
    memcpy(bytes, data, size);
    if (size > sizeof(Elf64_Ehdr) && data[size - 1] % 8)
        make_elf(bytes);
    if (weft_program_open(&program, bytes, size, &err) == 0) {
        for (uint32_t i = 0; i < program.module_count; i++) {
            const struct weft_program_module *module = &program.modules[i];
            REQUIRE(module->fatbin >= bytes && module->fatbin <= bytes + size);
            REQUIRE(module->bytes <= (size_t)(bytes + size - module->fatbin));
        }
        weft_program_finish(&program);
    }
    free(bytes);
    return 0;
}
