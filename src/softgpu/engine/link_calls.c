/* cuLink*: inputs are gathered, checked one by one, and linked when they are complete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/engine/linked.h"
#include "softgpu/engine/module.h"
#include "softgpu/ptx/link.h"

struct linker {
    struct weft_soft_device *device; /* whose architecture is linked for */
    struct weft_soft_jit jit;        /* the program's buffers, until the linker is destroyed */
    pthread_mutex_t lock;
    struct weft_soft_linked_text *texts; /* lock; owned, as are their texts */
    uint32_t count;                      /* lock */
    void *image;                         /* lock; owned; what cuLinkComplete gave out */
    size_t image_bytes;                  /* lock */
};

static void release_linker(void *object)
{
    struct linker *linker = object;
    for (uint32_t i = 0; i < linker->count; i++)
        free(linker->texts[i].text);
    free(linker->texts);
    free(linker->image);
    pthread_mutex_destroy(&linker->lock);
    free(linker);
}

static CUresult create(unsigned int option_count, CUjit_option *options, void **values,
                       CUlinkState *out)
{
    struct weft_soft_context *context;
    struct weft_soft_jit jit;
    CUresult result = weft_soft_context_current(&context);
    if (result || (result = weft_soft_jit_read(&jit, option_count, options, values)))
        return result;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    struct linker *linker = calloc(1, sizeof(*linker));
    if (!linker)
        return CUDA_ERROR_OUT_OF_MEMORY;
    linker->device = context->device;
    linker->jit = jit;
    pthread_mutex_init(&linker->lock, NULL);
    uint64_t handle = weft_soft_handle_open(WEFT_SOFT_HANDLE_LINK, linker, release_linker);
    if (!handle) {
        release_linker(linker);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = (CUlinkState)(uintptr_t)handle;
    return CUDA_SUCCESS;
}

/* Under a new reference, put with its handle. */
static CUresult enter(CUlinkState handle, struct linker **out)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    *out = weft_soft_handle_get(WEFT_SOFT_HANDLE_LINK, (uint64_t)(uintptr_t)handle);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* PTX alone: the others are machine code, or another language's, or hold such. */
static CUresult check_kind(CUjitInputType type, struct weft_err *err)
{
    static const char *const names[] = {
        [CU_JIT_INPUT_CUBIN] = "CU_JIT_INPUT_CUBIN",
        [CU_JIT_INPUT_FATBINARY] = "CU_JIT_INPUT_FATBINARY",
        [CU_JIT_INPUT_OBJECT] = "CU_JIT_INPUT_OBJECT",
        [CU_JIT_INPUT_LIBRARY] = "CU_JIT_INPUT_LIBRARY",
        [CU_JIT_INPUT_NVVM] = "CU_JIT_INPUT_NVVM",
    };
    if (type == CU_JIT_INPUT_PTX)
        return CUDA_SUCCESS;
    if ((unsigned int)type >= WEFT_ARRAY_COUNT(names))
        return CUDA_ERROR_INVALID_VALUE;
    weft_fail(err, WEFT_ENOSYS, "cuLink: the soft GPU links PTX alone, not %s", names[type]);
    return CUDA_ERROR_NOT_SUPPORTED;
}

/* A text that cannot be parsed is told of when it is added, under its name. */
static CUresult check_text(const struct weft_soft_linked_text *text, struct weft_err *err)
{
    struct weft_ptx_module *ptx;
    int rc = weft_ptx_parse(&ptx, text->text, text->bytes, err);
    if (rc == 0) {
        weft_ptx_destroy(ptx);
        return CUDA_SUCCESS;
    }
    weft_wrap(err, rc, "%s", text->name);
    return rc == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_PTX;
}

static CUresult keep_text(struct linker *linker, const struct weft_soft_linked_text *text)
{
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&linker->lock);
    struct weft_soft_linked_text *texts = NULL;
    if (linker->image || linker->count == WEFT_PTX_LINK_INPUTS_MAX)
        result = CUDA_ERROR_INVALID_VALUE; /* complete, or full */
    else if (!(texts = realloc(linker->texts, (linker->count + 1) * sizeof(*texts))))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (texts) {
        linker->texts = texts;
        texts[linker->count++] = *text;
    }
    pthread_mutex_unlock(&linker->lock);
    return result;
}

static void tell(const struct linker *linker, CUresult result, const struct weft_err *err,
                 uint64_t started_ns)
{
    weft_soft_jit_write(&linker->jit, result ? err->text : NULL, started_ns);
    if (result)
        weft_soft_module_tell(result, err);
}

/* Takes `text->text` over. */
static CUresult add(struct linker *linker, CUjitInputType type, struct weft_soft_linked_text *text)
{
    struct weft_err err = {0};
    uint64_t started_ns = weft_clock_ns();
    CUresult result = check_kind(type, &err);
    if (result == CUDA_SUCCESS)
        result = check_text(text, &err);
    if (result == CUDA_SUCCESS)
        result = keep_text(linker, text);
    tell(linker, result, &err, started_ns);
    if (result)
        free(text->text);
    return result;
}

static void set_name(struct weft_soft_linked_text *text, const char *name)
{
    snprintf(text->name, sizeof(text->name), "%s", name && name[0] ? name : "<input>");
}

static CUresult add_data(CUlinkState state, CUjitInputType type, void *data, size_t size,
                         const char *name, unsigned int option_count, CUjit_option *options,
                         void **values)
{
    (void)option_count, (void)options, (void)values; /* how to compile changes no result */
    struct linker *linker;
    CUresult result = enter(state, &linker);
    if (result)
        return result;
    struct weft_soft_linked_text text = {.bytes = size};
    set_name(&text, name);
    if (!data || size == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (!(text.text = malloc(size)))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (text.text) {
        memcpy(text.text, data, size);
        result = add(linker, type, &text);
    }
    weft_soft_handle_put((uint64_t)(uintptr_t)state);
    return result;
}

static CUresult add_path(struct linker *linker, CUjitInputType type, const char *path)
{
    struct weft_err err = {0};
    struct weft_soft_linked_text text = {0};
    uint64_t started_ns = weft_clock_ns();
    set_name(&text, path);
    text.text = weft_soft_image_read(path, &text.bytes, &err);
    if (text.text)
        return add(linker, type, &text);
    CUresult result =
        err.code == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_FILE_NOT_FOUND;
    tell(linker, result, &err, started_ns);
    return result;
}

static CUresult add_file(CUlinkState state, CUjitInputType type, const char *path,
                         unsigned int option_count, CUjit_option *options, void **values)
{
    (void)option_count, (void)options, (void)values;
    struct linker *linker;
    CUresult result = enter(state, &linker);
    if (result)
        return result;
    result = path ? add_path(linker, type, path) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put((uint64_t)(uintptr_t)state);
    return result;
}

/* Loads the image once, so that what is handed out can be loaded. */
static CUresult link_texts(struct linker *linker, struct weft_err *err)
{
    _cleanup_free_ void *image = NULL;
    size_t bytes;
    struct weft_soft_image *loaded;
    if (weft_soft_linked_write(&image, &bytes, linker->texts, linker->count, err))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = weft_soft_image_load(
        &loaded, image, weft_soft_profile_sm(linker->device->profile), true, err);
    if (result)
        return result;
    result = weft_soft_image_check(loaded, linker->device->profile, err);
    weft_soft_image_put(loaded);
    if (result)
        return result;
    linker->image = weft_steal(image);
    linker->image_bytes = bytes;
    return CUDA_SUCCESS;
}

static CUresult complete(CUlinkState state, void **image, size_t *bytes)
{
    struct linker *linker;
    struct weft_err err = {0};
    CUresult result = enter(state, &linker);
    if (result)
        return result;
    uint64_t started_ns = weft_clock_ns();
    pthread_mutex_lock(&linker->lock);
    if (!image || linker->count == 0)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (!linker->image)
        result = link_texts(linker, &err);
    if (result == CUDA_SUCCESS) {
        *image = linker->image;
        if (bytes)
            *bytes = linker->image_bytes;
    }
    pthread_mutex_unlock(&linker->lock);
    tell(linker, result, &err, started_ns);
    weft_soft_handle_put((uint64_t)(uintptr_t)state);
    return result;
}

static CUresult destroy(CUlinkState state)
{
    CUresult result = weft_soft_call_enter();
    if (result)
        return result;
    bool closed = weft_soft_handle_close(WEFT_SOFT_HANDLE_LINK, (uint64_t)(uintptr_t)state);
    return closed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void weft_soft_link_install(struct weft_cuda *table)
{
    table->cuLinkCreate = create;
    table->cuLinkCreate_v2 = create;
    table->cuLinkAddData = add_data;
    table->cuLinkAddData_v2 = add_data;
    table->cuLinkAddFile = add_file;
    table->cuLinkAddFile_v2 = add_file;
    table->cuLinkComplete = complete;
    table->cuLinkDestroy = destroy;
}
