#include "image/elf_file.h"

#include <elf.h>
#include <string.h>

static bool lies_inside(const struct weft_elf *elf, uint64_t offset, uint64_t bytes)
{
    return offset <= elf->size && bytes <= elf->size - offset;
}

int weft_elf_open(struct weft_elf *elf, const void *bytes, size_t size, struct weft_err *err)
{
    Elf64_Ehdr header;
    if (size < sizeof(header) || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return weft_fail(err, WEFT_EPROTO, "not an ELF file");
    memcpy(&header, bytes, sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        return weft_fail(err, WEFT_EPROTO, "not a program for x86-64");
    *elf = (struct weft_elf){.bytes = bytes,
                             .size = size,
                             .section_table = header.e_shoff,
                             .section_count = header.e_shnum,
                             .names = header.e_shstrndx};
    if (header.e_shnum &&
        (header.e_shentsize != sizeof(Elf64_Shdr) ||
         !lies_inside(elf, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr))))
        return weft_fail(err, WEFT_EPROTO, "an ELF file whose sections lie outside it");
    return 0;
}

/* A text in the file that ends before `end`; "" where it does not. */
static const char *text_at(const struct weft_elf *elf, uint64_t offset, uint64_t end)
{
    if (end > elf->size || offset >= end || !memchr(elf->bytes + offset, 0, end - offset))
        return "";
    return (const char *)elf->bytes + offset;
}

static bool read_section(const struct weft_elf *elf, uint32_t index, Elf64_Shdr *out)
{
    if (index >= elf->section_count)
        return false;
    memcpy(out, elf->bytes + elf->section_table + (uint64_t)index * sizeof(*out), sizeof(*out));
    if (out->sh_type == SHT_NOBITS)
        out->sh_size = 0;
    return out->sh_type == SHT_NOBITS || lies_inside(elf, out->sh_offset, out->sh_size);
}

bool weft_elf_section_at(const struct weft_elf *elf, uint32_t index, struct weft_elf_section *out)
{
    Elf64_Shdr section, names;
    if (!read_section(elf, index, &section))
        return false;
    const char *name = "";
    if (read_section(elf, elf->names, &names))
        name = text_at(elf, names.sh_offset + section.sh_name, names.sh_offset + names.sh_size);
    *out = (struct weft_elf_section){.name = name,
                                     .type = section.sh_type,
                                     .address = section.sh_addr,
                                     .offset = section.sh_offset,
                                     .bytes = section.sh_size,
                                     .link = section.sh_link};
    return true;
}

bool weft_elf_section_named(const struct weft_elf *elf, const char *name,
                            struct weft_elf_section *out)
{
    for (uint32_t i = 0; i < elf->section_count; i++)
        if (weft_elf_section_at(elf, i, out) && strcmp(out->name, name) == 0)
            return true;
    return false;
}

const char *weft_elf_dynamic_text(const struct weft_elf *elf, int64_t tag, uint32_t index)
{
    struct weft_elf_section dynamic, texts;
    if (!weft_elf_section_named(elf, ".dynamic", &dynamic) ||
        !weft_elf_section_at(elf, dynamic.link, &texts))
        return NULL;
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic.bytes; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, elf->bytes + dynamic.offset + at, sizeof(entry));
        if (entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == tag && index-- == 0 && entry.d_un.d_val < texts.bytes)
            return text_at(elf, texts.offset + entry.d_un.d_val, texts.offset + texts.bytes);
    }
    return NULL;
}

const uint8_t *weft_elf_reach(const struct weft_elf *elf, uint64_t address, size_t *bytes)
{
    struct weft_elf_section section;
    for (uint32_t i = 0; i < elf->section_count; i++) {
        if (!weft_elf_section_at(elf, i, &section) || section.address == 0 ||
            address < section.address || address - section.address >= section.bytes)
            continue;
        uint64_t inside = address - section.address;
        *bytes = section.bytes - inside;
        return elf->bytes + section.offset + inside;
    }
    return NULL;
}

/* The addend of the relative relocation of `address`. */
static bool find_relocation(const struct weft_elf *elf, const struct weft_elf_section *relocations,
                            uint64_t address, uint64_t *out)
{
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= relocations->bytes; at += sizeof(Elf64_Rela)) {
        Elf64_Rela entry;
        memcpy(&entry, elf->bytes + relocations->offset + at, sizeof(entry));
        if (entry.r_offset == address && ELF64_R_TYPE(entry.r_info) == R_X86_64_RELATIVE) {
            *out = (uint64_t)entry.r_addend;
            return true;
        }
    }
    return false;
}

uint64_t weft_elf_pointer(const struct weft_elf *elf, uint64_t address)
{
    struct weft_elf_section section;
    uint64_t value = 0;
    for (uint32_t i = 0; i < elf->section_count; i++)
        if (weft_elf_section_at(elf, i, &section) && section.type == SHT_RELA &&
            find_relocation(elf, &section, address, &value))
            return value;
    size_t bytes;
    const uint8_t *place = weft_elf_reach(elf, address, &bytes);
    if (place && bytes >= sizeof(value))
        memcpy(&value, place, sizeof(value));
    return value;
}
