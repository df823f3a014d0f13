#include "image/program.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cudart_note.h>

#include "util/util.h"

#define WRAPPER_BYTES 24

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void look_at_needed(struct weft_program *program)
{
    const char *name;
    for (uint32_t i = 0; (name = weft_elf_dynamic_text(&program->elf, DT_NEEDED, i)); i++) {
        program->has_shared_runtime |= begins_with(name, "libcudart.so");
        program->needs_driver |= begins_with(name, "libcuda.so");
    }
}

/* Linkers may lay further notes behind it. */
static bool has_our_note(const struct weft_elf *elf)
{
    struct weft_elf_section section;
    struct weft_cudart_note note;
    if (!weft_elf_section_named(elf, WEFT_CUDART_NOTE_SECTION, &section) ||
        section.bytes < sizeof(note))
        return false;
    memcpy(&note, elf->bytes + section.offset, sizeof(note));
    return note.type == WEFT_CUDART_NOTE_TYPE && note.owner_bytes == sizeof(note.owner) &&
           memcmp(note.owner, WEFT_CUDART_NOTE_OWNER, sizeof(note.owner)) == 0;
}

/* The forms in a fat binary. */
static int count_entries(struct weft_program_module *module, struct weft_err *err)
{
    struct weft_fatbin fatbin;
    struct weft_fatbin_entry entry;
    int rc = weft_fatbin_open(&fatbin, module->fatbin, module->bytes, err);
    while (rc >= 0 && (rc = weft_fatbin_next(&fatbin, &entry, err)) > 0) {
        module->has_ptx |= entry.kind == WEFT_FATBIN_PTX;
        module->cubin_count += entry.kind == WEFT_FATBIN_ELF;
    }
    return rc;
}

/* The wrapper at `address`. What lies nowhere in the file is passed over. */
static int read_module(struct weft_program *program, uint64_t address, struct weft_err *err)
{
    size_t bytes;
    uint32_t words[2];
    const uint8_t *place = weft_elf_reach(&program->elf, address, &bytes);
    if (!place || bytes < WRAPPER_BYTES)
        return 0;
    memcpy(words, place, sizeof(words));
    struct weft_program_module *module = &program->modules[program->module_count];
    *module = (struct weft_program_module){.version = words[1]};
    module->fatbin =
        weft_elf_reach(&program->elf, weft_elf_pointer(&program->elf, address + 8), &module->bytes);
    if (words[0] != WEFT_FATBIN_WRAPPER_MAGIC || !module->fatbin)
        return 0;
    struct weft_elf_section linked;
    if (weft_elf_section_named(&program->elf, "__nv_relfatbin", &linked)) {
        uint64_t offset = (uint64_t)(module->fatbin - program->elf.bytes);
        module->is_relocatable = offset >= linked.offset && offset - linked.offset < linked.bytes;
    }
    program->module_count++;
    return count_entries(module, err);
}

static int read_modules(struct weft_program *program, const struct weft_elf_section *segment,
                        struct weft_err *err)
{
    uint64_t count = WEFT_MIN(segment->bytes / WRAPPER_BYTES, WEFT_PROGRAM_MODULES_MAX);
    program->modules = calloc(count + 1, sizeof(*program->modules));
    if (!program->modules)
        return weft_fail(err, WEFT_ENOMEM, "no memory for %llu modules", (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        int rc = read_module(program, segment->address + i * WRAPPER_BYTES, err);
        if (rc)
            return rc;
    }
    return 0;
}

int weft_program_open(struct weft_program *program, const void *bytes, size_t size,
                      struct weft_err *err)
{
    struct weft_elf_section segment;
    *program = (struct weft_program){0};
    int rc = weft_elf_open(&program->elf, bytes, size, err);
    if (rc)
        return rc;
    look_at_needed(program);
    program->has_own_runtime = has_our_note(&program->elf);
    if (!weft_elf_section_named(&program->elf, ".nvFatBinSegment", &segment))
        return 0;
    /* Who registers fat binaries has a runtime: the shared one, or one inside. */
    program->has_static_runtime = !program->has_shared_runtime && !program->has_own_runtime;
    rc = read_modules(program, &segment, err);
    if (rc)
        weft_program_finish(program);
    return rc;
}

void weft_program_finish(struct weft_program *program)
{
    free(program->modules);
    *program = (struct weft_program){0};
}
