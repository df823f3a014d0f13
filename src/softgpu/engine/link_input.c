#include "softgpu/engine/link_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/host_object.h"
#include "softgpu/engine/fat.h"
#include "util/util.h"

struct input {
    struct weft_soft_linked_texts *texts;
    uint32_t sm;
    struct weft_err *err;
};

static CUresult result_of(int rc)
{
    return rc == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
}

/* The others are machine code, or another language's. */
static CUresult refuse(CUjitInputType type, struct weft_err *err)
{
    const char *name = NULL;
    if (type == CU_JIT_INPUT_CUBIN)
        name = "CU_JIT_INPUT_CUBIN";
    else if (type == CU_JIT_INPUT_NVVM)
        name = "CU_JIT_INPUT_NVVM";
    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    weft_fail(err, WEFT_ENOSYS, "cuLink: the soft GPU links PTX, not %s", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* A text that cannot be parsed is told of when it is added, under its name. Takes `text` over. */
static CUresult add_text(struct input *input, const char *name, char *text, size_t bytes)
{
    struct weft_ptx_module *ptx;
    int rc = weft_ptx_parse(&ptx, text, bytes, input->err);
    if (rc) {
        free(text);
        weft_wrap(input->err, rc, "%s", name);
        return rc == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_PTX;
    }
    weft_ptx_destroy(ptx);
    rc = weft_soft_linked_texts_add(input->texts, name, text, bytes, input->err);
    return rc ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult add_ptx(struct input *input, const char *name, const void *data, size_t bytes)
{
    char *text = malloc(bytes + 1);
    if (!text) {
        weft_fail(input->err, WEFT_ENOMEM, "no memory for %zu bytes of %s", bytes, name);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    return add_text(input, name, text, bytes);
}

static CUresult add_fatbin(struct input *input, const char *name, const void *image, size_t bytes)
{
    char *text;
    size_t text_bytes;
    CUresult result =
        weft_soft_fat_read_one(&text, &text_bytes, image, bytes, input->sm, input->err);
    if (result) {
        weft_wrap(input->err, input->err->code, "%s", name);
        return result;
    }
    return add_text(input, name, text, text_bytes);
}

/* `found` counts its fat binaries. */
static CUresult add_object(struct input *input, const char *name, const void *data, size_t bytes,
                           uint32_t *found)
{
    struct weft_host_object object;
    const uint8_t *image;
    size_t image_bytes;
    CUresult result = CUDA_SUCCESS;
    int rc = weft_host_object_open(&object, data, bytes, input->err);
    while (rc >= 0 && result == CUDA_SUCCESS &&
           (rc = weft_host_object_next(&object, &image, &image_bytes, input->err)) > 0) {
        result = add_fatbin(input, name, image, image_bytes);
        ++*found;
    }
    if (rc >= 0)
        return result;
    weft_wrap(input->err, rc, "%s", name);
    return result_of(rc);
}

/* Members without device code are passed over, as a linker passes over what it does not need. */
static CUresult add_members(struct input *input, const char *name, const void *data, size_t bytes,
                            uint32_t *found)
{
    struct weft_archive archive;
    struct weft_archive_member member;
    CUresult result = CUDA_SUCCESS;
    int rc = weft_archive_open(&archive, data, bytes, input->err);
    while (rc >= 0 && result == CUDA_SUCCESS &&
           (rc = weft_archive_next(&archive, &member, input->err)) > 0) {
        char path[WEFT_SOFT_LINKED_NAME_BYTES];
        snprintf(path, sizeof(path), "%.100s(%s)", name, member.name);
        result = add_object(input, path, member.bytes, member.size, found);
    }
    if (rc >= 0)
        return result;
    weft_wrap(input->err, rc, "%s", name);
    return result_of(rc);
}

static CUresult add_host_file(struct input *input, CUjitInputType type, const char *name,
                              const void *data, size_t bytes)
{
    uint32_t found = 0;
    CUresult result = type == CU_JIT_INPUT_OBJECT ? add_object(input, name, data, bytes, &found)
                                                  : add_members(input, name, data, bytes, &found);
    if (result || found)
        return result;
    weft_fail(input->err, WEFT_ENOENT, "%s: no device code in it", name);
    return CUDA_ERROR_INVALID_IMAGE;
}

CUresult weft_soft_link_input(struct weft_soft_linked_texts *texts, CUjitInputType type,
                              const void *data, size_t bytes, const char *name, uint32_t sm,
                              struct weft_err *err)
{
    struct input input = {texts, sm, err};
    uint32_t before = texts->count;
    CUresult result;
    switch (type) {
    case CU_JIT_INPUT_PTX:
        result = add_ptx(&input, name, data, bytes);
        break;
    case CU_JIT_INPUT_FATBINARY:
        result = add_fatbin(&input, name, data, bytes);
        break;
    case CU_JIT_INPUT_OBJECT:
    case CU_JIT_INPUT_LIBRARY:
        result = add_host_file(&input, type, name, data, bytes);
        break;
    default:
        return refuse(type, err);
    }
    while (result && texts->count > before)
        free(texts->items[--texts->count].text);
    return result;
}
