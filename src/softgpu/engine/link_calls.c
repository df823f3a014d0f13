/* cuLink*: inputs are gathered, checked one by one, and linked when they are complete. */
#include <stdlib.h>

#include "softgpu/engine/link_input.h"
#include "softgpu/engine/module.h"

struct linker {
    struct weft_soft_device *device; /* whose architecture is linked for */
    struct weft_soft_jit jit;        /* the program's buffers, until the linker is destroyed */
    pthread_mutex_t lock;
    struct weft_soft_linked_texts texts; /* lock */
    void *image;                         /* lock; owned; what cuLinkComplete gave out */
    size_t image_bytes;                  /* lock */
};

static void release_linker(void *object)
{
    struct linker *linker = object;
    weft_soft_linked_texts_finish(&linker->texts);
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

/* The architecture that is linked for. */
static uint32_t linker_sm(const struct linker *linker)
{
    return linker->jit.target ? linker->jit.target : weft_soft_profile_sm(linker->device->profile);
}

static void tell(const struct linker *linker, CUresult result, const struct weft_err *err,
                 uint64_t started_ns)
{
    weft_soft_jit_write(&linker->jit, result ? err->text : NULL, started_ns);
    if (result)
        weft_soft_module_tell(result, err);
}

static CUresult add(struct linker *linker, CUjitInputType type, const void *data, size_t bytes,
                    const char *name)
{
    struct weft_err err = {0};
    uint64_t started_ns = weft_clock_ns();
    CUresult result = CUDA_ERROR_INVALID_VALUE; /* complete: nothing more is taken */
    pthread_mutex_lock(&linker->lock);
    if (!linker->image)
        result = weft_soft_link_input(&linker->texts, type, data, bytes,
                                      name && name[0] ? name : "<input>", linker_sm(linker), &err);
    pthread_mutex_unlock(&linker->lock);
    tell(linker, result, &err, started_ns);
    return result;
}

/* The options of an input are checked alone: those of the linker say where logs go. */
static CUresult begin_add(CUlinkState state, unsigned int option_count, CUjit_option *options,
                          void **values, struct linker **out)
{
    struct weft_soft_jit jit;
    CUresult result = enter(state, out);
    if (result)
        return result;
    result = weft_soft_jit_read(&jit, option_count, options, values);
    if (result)
        weft_soft_handle_put((uint64_t)(uintptr_t)state);
    return result;
}

static CUresult add_data(CUlinkState state, CUjitInputType type, void *data, size_t size,
                         const char *name, unsigned int option_count, CUjit_option *options,
                         void **values)
{
    struct linker *linker;
    CUresult result = begin_add(state, option_count, options, values, &linker);
    if (result)
        return result;
    result = data && size ? add(linker, type, data, size, name) : CUDA_ERROR_INVALID_VALUE;
    weft_soft_handle_put((uint64_t)(uintptr_t)state);
    return result;
}

static CUresult add_path(struct linker *linker, CUjitInputType type, const char *path)
{
    struct weft_err err = {0};
    size_t bytes;
    uint64_t started_ns = weft_clock_ns();
    _cleanup_free_ char *data = weft_soft_image_read(path, &bytes, &err);
    if (data)
        return add(linker, type, data, bytes, path);
    CUresult result =
        err.code == -WEFT_ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_FILE_NOT_FOUND;
    tell(linker, result, &err, started_ns);
    return result;
}

static CUresult add_file(CUlinkState state, CUjitInputType type, const char *path,
                         unsigned int option_count, CUjit_option *options, void **values)
{
    struct linker *linker;
    CUresult result = begin_add(state, option_count, options, values, &linker);
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
    if (weft_soft_linked_write(&image, &bytes, linker->texts.items, linker->texts.count, err))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = weft_soft_image_load(&loaded, image, linker_sm(linker), true, err);
    if (result)
        return result;
    result = weft_soft_image_check(loaded, linker_sm(linker), err);
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
    if (!image || linker->texts.count == 0)
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
