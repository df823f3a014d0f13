#include "softgpu/engine/fat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/fatbin.h"
#include "softgpu/engine/linked.h"
#include "util/util.h"

static CUresult result_of(int rc)
{
    return rc == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_IMAGE;
}

static CUresult refuse(uint32_t cubins, uint32_t lowest_sm, uint32_t sm, struct weft_err *err)
{
    if (lowest_sm)
        weft_fail(err, WEFT_ENOSYS,
                  "the fat binary's PTX is for sm_%u and newer, but the device is sm_%u: build for "
                  "compute_%u, or choose a newer profile",
                  lowest_sm, sm, sm);
    else
        weft_fail(err, WEFT_ENOSYS,
                  "the fat binary holds no PTX, only machine code of real GPUs (%u images); the "
                  "soft GPU runs PTX: build with -gencode arch=compute_%u,code=compute_%u",
                  cubins, sm, sm);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult weft_soft_fat_read_one(char **text, size_t *text_bytes, const void *image, size_t bytes,
                                uint32_t sm, struct weft_err *err)
{
    struct weft_fatbin fatbin;
    struct weft_fatbin_entry entry;
    uint32_t cubins, lowest_sm;
    int rc = weft_fatbin_open(&fatbin, image, bytes, err);
    if (rc == 0)
        rc = weft_fatbin_choose(fatbin, sm, &entry, &cubins, &lowest_sm, err);
    if (rc < 0)
        return result_of(rc);
    if (rc == 0)
        return refuse(cubins, lowest_sm, sm, err);
    rc = weft_fatbin_unpack(&entry, text, text_bytes, err);
    return rc ? result_of(rc) : CUDA_SUCCESS;
}

/* What nvcc links beside a program whose kernels launch kernels: NVIDIA's device runtime, written
 * for what drivers have inside. Known by a variable of its own. It is left out, so that the
 * program's other kernels run and those that need it are refused by name. */
static bool is_device_runtime(const char *text)
{
    return strstr(text, "__CNPRT_VERSION_NUMBER__");
}

/* The same where its PTX is for newer devices. */
static bool is_newer_device_runtime(const void *image)
{
    _cleanup_free_ char *text = NULL;
    size_t bytes;
    return weft_soft_fat_read_one(&text, &bytes, image, SIZE_MAX, UINT32_MAX, NULL) ==
               CUDA_SUCCESS &&
           is_device_runtime(text);
}

static CUresult gather(struct weft_soft_linked_texts *texts, const void *image, uint32_t sm,
                       struct weft_err *err)
{
    char name[32], *text;
    size_t bytes;
    CUresult result = weft_soft_fat_read_one(&text, &bytes, image, SIZE_MAX, sm, err);
    if (result == CUDA_ERROR_NO_BINARY_FOR_GPU && is_newer_device_runtime(image))
        return CUDA_SUCCESS;
    if (result)
        return result;
    if (is_device_runtime(text)) {
        free(text);
        return CUDA_SUCCESS;
    }
    snprintf(name, sizeof(name), "fat binary %u", texts->count + 1);
    int rc = weft_soft_linked_texts_add(texts, name, text, bytes, err);
    return rc ? result_of(rc) : CUDA_SUCCESS;
}

static CUresult read_linked(struct weft_soft_fat_content *out,
                            const struct weft_fatbin_wrapper *wrapper, uint32_t sm,
                            struct weft_err *err)
{
    _cleanup_(weft_soft_linked_texts_finish) struct weft_soft_linked_texts texts = {0};
    const void *image;
    int rc;
    for (uint32_t i = 0; (rc = weft_fatbin_linked(wrapper, i, &image, err)) == 0 && image; i++) {
        CUresult result = gather(&texts, image, sm, err);
        if (result)
            return result;
    }
    void *linked = NULL;
    if (rc == 0)
        rc = weft_soft_linked_write(&linked, &out->bytes, texts.items, texts.count, err);
    if (rc)
        return result_of(rc);
    out->text = linked;
    out->linked = true;
    return CUDA_SUCCESS;
}

CUresult weft_soft_fat_read(struct weft_soft_fat_content *out, const void *image, size_t bytes,
                            uint32_t sm, struct weft_err *err)
{
    *out = (struct weft_soft_fat_content){0};
    struct weft_fatbin_wrapper wrapper = {.image = image};
    const void *linked = NULL;
    if (bytes == SIZE_MAX && *(const uint32_t *)image == WEFT_FATBIN_WRAPPER_MAGIC) {
        int rc = weft_fatbin_unwrap(image, &wrapper, err);
        if (rc == 0)
            rc = weft_fatbin_linked(&wrapper, 0, &linked, err);
        if (rc)
            return result_of(rc);
    }
    if (linked)
        return read_linked(out, &wrapper, sm, err);
    return weft_soft_fat_read_one(&out->text, &out->bytes, wrapper.image, bytes, sm, err);
}
