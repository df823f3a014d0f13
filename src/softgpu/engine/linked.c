#include "softgpu/engine/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/link.h"
#include "util/cursor.h"
#include "util/util.h"

#define VERSION 1
#define HEAD_BYTES 20
#define BYTES_MAX ((uint64_t)4 << 30)

static int grow(struct weft_soft_linked_texts *texts, struct weft_err *err)
{
    if (texts->count == WEFT_PTX_LINK_INPUTS_MAX)
        return weft_fail(err, WEFT_ERANGE, "more than %d texts to link", WEFT_PTX_LINK_INPUTS_MAX);
    if (texts->count < texts->room)
        return 0;
    uint32_t room = texts->room ? 2 * texts->room : 8;
    void *items = realloc(texts->items, room * sizeof(*texts->items));
    if (!items)
        return weft_fail(err, WEFT_ENOMEM, "no memory for %u texts to link", room);
    texts->items = items;
    texts->room = room;
    return 0;
}

int weft_soft_linked_texts_add(struct weft_soft_linked_texts *texts, const char *name, char *text,
                               size_t bytes, struct weft_err *err)
{
    int rc = grow(texts, err);
    if (rc) {
        free(text);
        return rc;
    }
    struct weft_soft_linked_text *added = &texts->items[texts->count++];
    *added = (struct weft_soft_linked_text){.text = text, .bytes = bytes};
    snprintf(added->name, sizeof(added->name), "%s", name);
    return 0;
}

void weft_soft_linked_texts_finish(struct weft_soft_linked_texts *texts)
{
    for (uint32_t i = 0; i < texts->count; i++)
        free(texts->items[i].text);
    free(texts->items);
    *texts = (struct weft_soft_linked_texts){0};
}

int weft_soft_linked_write(void **image, size_t *bytes, const struct weft_soft_linked_text *texts,
                           uint32_t count, struct weft_err *err)
{
    size_t size = HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++)
        size += sizeof(uint16_t) + strlen(texts[i].name) + sizeof(uint64_t) + texts[i].bytes;
    if (size > BYTES_MAX)
        return weft_fail(err, WEFT_ENOMEM, "%zu bytes are too many to link", size);
    void *memory = malloc(size);
    if (!memory)
        return weft_fail(err, WEFT_ENOMEM, "no memory to link %zu bytes", size);
    struct weft_writer writer = weft_writer_over(memory, size);
    weft_write_u32(&writer, WEFT_SOFT_LINKED_MAGIC);
    weft_write_u32(&writer, VERSION);
    weft_write_u64(&writer, size);
    weft_write_u32(&writer, count);
    for (uint32_t i = 0; i < count; i++) {
        weft_write_text(&writer, texts[i].name);
        weft_write_u64(&writer, texts[i].bytes);
        weft_write_bytes(&writer, texts[i].text, texts[i].bytes);
    }
    *image = memory;
    *bytes = size;
    return 0;
}

size_t weft_soft_linked_bytes(const void *image)
{
    struct weft_reader reader = weft_reader_over(image, HEAD_BYTES);
    weft_read_u64(&reader); /* magic and version */
    uint64_t bytes = weft_read_u64(&reader);
    return (size_t)WEFT_MIN(bytes, BYTES_MAX);
}

static int damaged(struct weft_err *err)
{
    return weft_fail(err, WEFT_EPROTO, "the linked image is damaged");
}

static int read_inputs(struct weft_reader *reader, struct weft_ptx_link_input *inputs,
                       char (*names)[WEFT_SOFT_LINKED_NAME_BYTES], uint32_t count,
                       struct weft_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        weft_read_text(reader, names[i], sizeof(names[i]));
        uint64_t bytes = weft_read_u64(reader);
        const void *text = bytes <= reader->left ? weft_read_span(reader, (size_t)bytes) : NULL;
        if (!text)
            return damaged(err);
        inputs[i].name = names[i];
        int rc = weft_ptx_parse_heads(&inputs[i].module, text, (size_t)bytes, err);
        if (rc)
            return weft_wrap(err, rc, "%s", names[i]);
    }
    return reader->left ? damaged(err) : 0;
}

static int link_inputs(struct weft_ptx_module **out, struct weft_ptx_link_input *inputs,
                       uint32_t count, bool whole, struct weft_err *err)
{
    struct weft_ptx_module *linked;
    int rc = weft_ptx_link(&linked, inputs, count, err);
    if (rc)
        return rc;
    rc = whole ? weft_ptx_read_bodies(linked, err) : 0;
    if (rc)
        weft_ptx_destroy(linked);
    else
        *out = linked;
    return rc;
}

int weft_soft_linked_read(struct weft_ptx_module **out, const void *image, size_t bytes, bool whole,
                          struct weft_err *err)
{
    struct weft_reader reader = weft_reader_over(image, bytes);
    uint32_t magic = weft_read_u32(&reader), version = weft_read_u32(&reader);
    uint64_t size = weft_read_u64(&reader);
    uint32_t count = weft_read_u32(&reader);
    if (reader.failed || magic != WEFT_SOFT_LINKED_MAGIC || version != VERSION || size != bytes ||
        count > WEFT_PTX_LINK_INPUTS_MAX)
        return damaged(err);
    _cleanup_free_ struct weft_ptx_link_input *inputs = calloc(count + 1, sizeof(*inputs));
    _cleanup_free_ char(*names)[WEFT_SOFT_LINKED_NAME_BYTES] = calloc(count + 1, sizeof(*names));
    if (!inputs || !names)
        return weft_fail(err, WEFT_ENOMEM, "no memory to link %u inputs", count);
    int rc = read_inputs(&reader, inputs, names, count, err);
    if (rc == 0)
        return link_inputs(out, inputs, count, whole, err);
    for (uint32_t i = 0; i < count; i++)
        weft_ptx_destroy(inputs[i].module);
    return rc;
}
