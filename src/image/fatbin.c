#include "image/fatbin.h"

#include <string.h>

#include "util/cursor.h"
#include "util/util.h"

#define HEADER_BYTES 16
#define ENTRY_BYTES 64
#define WRAPPER_BYTES 24

int weft_fatbin_unwrap(const void *memory, struct weft_fatbin_wrapper *out, struct weft_err *err)
{
    uint8_t bytes[WRAPPER_BYTES];
    if (!weft_image_copy(bytes, memory, sizeof(bytes)))
        return weft_fail(err, WEFT_EPROTO, "the fat binary's wrapper is not in memory");
    struct weft_reader reader = weft_reader_over(bytes, sizeof(bytes));
    uint32_t magic = weft_read_u32(&reader), version = weft_read_u32(&reader);
    const void *image = (const void *)(uintptr_t)weft_read_u64(&reader);
    const void *more = (const void *)(uintptr_t)weft_read_u64(&reader);
    if (magic != WEFT_FATBIN_WRAPPER_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "not a fat binary's wrapper: magic 0x%08x", magic);
    if (version != 1 && version != 2)
        return weft_fail(err, WEFT_EPROTO,
                         "a fat binary's wrapper of version %u; 1 and 2 are known", version);
    /* Version 1 keeps a file name there. */
    *out = (struct weft_fatbin_wrapper){.image = image, .linked = version == 2 ? more : NULL};
    return 0;
}

int weft_fatbin_linked(const struct weft_fatbin_wrapper *wrapper, uint32_t index, const void **out,
                       struct weft_err *err)
{
    *out = NULL;
    if (!wrapper->linked)
        return 0;
    if (index >= WEFT_FATBIN_LINKED_MAX)
        return weft_fail(err, WEFT_ERANGE, "more than %u fat binaries to link",
                         WEFT_FATBIN_LINKED_MAX);
    if (!weft_image_copy(out, wrapper->linked + index, sizeof(*out)))
        return weft_fail(err, WEFT_EPROTO, "the list of what is to be linked has no end in memory");
    return 0;
}

int weft_fatbin_open(struct weft_fatbin *out, const void *image, size_t bytes, struct weft_err *err)
{
    uint8_t head[HEADER_BYTES];
    if (bytes < sizeof(head) || !weft_image_copy(head, image, sizeof(head)))
        return weft_fail(err, WEFT_EPROTO, "the fat binary ends within its header");
    struct weft_reader reader = weft_reader_over(head, sizeof(head));
    uint32_t magic = weft_read_u32(&reader);
    uint16_t version = weft_read_u16(&reader), head_bytes = weft_read_u16(&reader);
    uint64_t content_bytes = weft_read_u64(&reader);
    if (magic != WEFT_FATBIN_MAGIC || version != 1)
        return weft_fail(err, WEFT_EPROTO, "not a fat binary: magic 0x%08x, version %u", magic,
                         version);
    if (head_bytes < HEADER_BYTES || head_bytes > bytes || content_bytes > bytes - head_bytes)
        return weft_fail(err, WEFT_EPROTO,
                         "a fat binary of %u + %llu bytes does not fit where it lies", head_bytes,
                         (unsigned long long)content_bytes);
    *out = (struct weft_fatbin){.next = (const uint8_t *)image + head_bytes,
                                .left = content_bytes,
                                .entries_left = WEFT_FATBIN_ENTRIES_MAX};
    return 0;
}

/* The head of an entry, with its fields at the offsets that the header names. */
static void read_head(const uint8_t head[ENTRY_BYTES], uint32_t *head_bytes,
                      struct weft_fatbin_entry *out)
{
    struct weft_reader reader = weft_reader_over(head, ENTRY_BYTES);
    out->kind = weft_read_u16(&reader);
    weft_read_u16(&reader);
    *head_bytes = weft_read_u32(&reader);
    out->payload_bytes = weft_read_u64(&reader);
    out->packed_bytes = weft_read_u32(&reader);
    weft_read_span(&reader, 8);
    out->sm = weft_read_u32(&reader);
    weft_read_span(&reader, 8);
    out->flags = weft_read_u64(&reader);
    weft_read_span(&reader, 8);
    out->unpacked_bytes = weft_read_u64(&reader);
}

int weft_fatbin_next(struct weft_fatbin *fatbin, struct weft_fatbin_entry *out,
                     struct weft_err *err)
{
    uint8_t head[ENTRY_BYTES];
    uint32_t head_bytes;
    if (fatbin->left == 0)
        return 0;
    if (fatbin->entries_left-- == 0)
        return weft_fail(err, WEFT_EPROTO, "a fat binary of more than %u entries",
                         WEFT_FATBIN_ENTRIES_MAX);
    if (fatbin->left < ENTRY_BYTES || !weft_image_copy(head, fatbin->next, sizeof(head)))
        return weft_fail(err, WEFT_EPROTO, "the fat binary ends within an entry's head");
    read_head(head, &head_bytes, out);
    if (head_bytes < ENTRY_BYTES || head_bytes > fatbin->left ||
        out->payload_bytes > fatbin->left - head_bytes || out->packed_bytes > out->payload_bytes)
        return weft_fail(err, WEFT_EPROTO, "an entry of %u + %llu bytes in %llu", head_bytes,
                         (unsigned long long)out->payload_bytes, (unsigned long long)fatbin->left);
    out->payload = fatbin->next + head_bytes;
    fatbin->next = out->payload + out->payload_bytes;
    fatbin->left -= head_bytes + out->payload_bytes;
    return 1;
}

int weft_fatbin_choose(struct weft_fatbin fatbin, uint32_t sm, struct weft_fatbin_entry *out,
                       uint32_t *cubins, uint32_t *lowest_sm, struct weft_err *err)
{
    struct weft_fatbin_entry entry, best = {0};
    uint32_t elf_count = 0, lowest = UINT32_MAX;
    bool found = false;
    int rc;
    while ((rc = weft_fatbin_next(&fatbin, &entry, err)) > 0) {
        elf_count += entry.kind == WEFT_FATBIN_ELF;
        if (entry.kind != WEFT_FATBIN_PTX)
            continue;
        lowest = WEFT_MIN(lowest, entry.sm);
        if (entry.sm <= sm && (!found || entry.sm > best.sm)) {
            best = entry;
            found = true;
        }
    }
    if (rc < 0)
        return rc;
    if (cubins)
        *cubins = elf_count;
    if (lowest_sm)
        *lowest_sm = lowest == UINT32_MAX ? 0 : lowest;
    if (out && found)
        *out = best;
    return found;
}
