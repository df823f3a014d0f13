#include "image/host_object.h"

#include <string.h>

#include "image/fatbin.h"
#include "util/util.h"

/* nvcc aligns each fat binary so. */
#define ALIGNMENT 8

int weft_host_object_open(struct weft_host_object *object, const void *bytes, size_t size,
                          struct weft_err *err)
{
    *object = (struct weft_host_object){0};
    return weft_elf_open(&object->elf, bytes, size, err);
}

/* Those to be linked, of -rdc=true, and those that are whole. */
static bool holds_fatbins(const struct weft_elf_section *section)
{
    return section->bytes && (strcmp(section->name, "__nv_relfatbin") == 0 ||
                              strcmp(section->name, ".nv_fatbin") == 0);
}

int weft_host_object_next(struct weft_host_object *object, const uint8_t **out, size_t *bytes,
                          struct weft_err *err)
{
    struct weft_elf_section section;
    struct weft_fatbin fatbin;
    for (; object->section < object->elf.section_count; object->section++, object->offset = 0) {
        if (!weft_elf_section_at(&object->elf, object->section, &section) ||
            !holds_fatbins(&section) || object->offset >= section.bytes)
            continue;
        const uint8_t *start = object->elf.bytes + section.offset + object->offset;
        int rc = weft_fatbin_open(&fatbin, start, section.bytes - object->offset, err);
        if (rc)
            return weft_wrap(err, rc, "section %s", section.name);
        *out = start;
        *bytes = (size_t)(fatbin.next - start) + fatbin.left;
        object->offset = weft_round_up(object->offset + *bytes, ALIGNMENT);
        return 1;
    }
    return 0;
}
