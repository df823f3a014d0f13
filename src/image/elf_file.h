/* What an ELF file of x86-64 says about itself, as far as it matters for CUDA: the libraries it
 * needs, where it looks for them, and the fat binaries in it. Bounded: any bytes may come. Borrowed
 * from the bytes, which outlive it. No allocation; any thread. */
#ifndef WEFT_IMAGE_ELF_H
#define WEFT_IMAGE_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_ELF_SECTIONS_MAX 65535

struct weft_elf {
    const uint8_t *bytes;
    size_t size;
    uint64_t section_table; /* offset */
    uint32_t section_count;
    uint32_t names; /* the section with the sections' names */
};

struct weft_elf_section {
    const char *name; /* "" where it has none */
    uint32_t type;
    uint64_t address, offset, bytes;
    uint32_t link;
};

/* WEFT_EPROTO with what is wrong: not ELF, of another machine, or damaged. */
int weft_elf_open(struct weft_elf *elf, const void *bytes, size_t size, struct weft_err *err);
/* False where there is none. Sections without bytes in the file (.bss) have 0 bytes. */
bool weft_elf_section_at(const struct weft_elf *elf, uint32_t index, struct weft_elf_section *out);
bool weft_elf_section_named(const struct weft_elf *elf, const char *name,
                            struct weft_elf_section *out);
/* The dynamic entry number `index` with that tag (DT_NEEDED, DT_RPATH, DT_RUNPATH), a text; NULL
 * behind the last. */
const char *weft_elf_dynamic_text(const struct weft_elf *elf, int64_t tag, uint32_t index);

/* A pointer in the file's data as it will be when it is loaded at its own addresses: relocated
 * where a relative relocation says so. 0 outside the file. */
uint64_t weft_elf_pointer(const struct weft_elf *elf, uint64_t address);
/* Where an address lies in the file, and how many bytes follow in its section; NULL where it does
 * not. */
const uint8_t *weft_elf_reach(const struct weft_elf *elf, uint64_t address, size_t *bytes);

#endif
