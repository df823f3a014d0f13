/* Texture and surface objects. */
#include <weft/cuda_table.h>

#include "softgpu/memory/memory.h"
#include "softgpu/memory/texture.h"

static CUresult open_object(const struct weft_exec_texture *texture,
                            const struct weft_soft_texture_source *source, unsigned long long *out)
{
    uint64_t handle = weft_soft_texture_open(texture, source);
    if (!handle)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *out = handle;
    return CUDA_SUCCESS;
}

static CUresult create_texture(CUtexObject *out, const CUDA_RESOURCE_DESC *resource,
                               const CUDA_TEXTURE_DESC *texture,
                               const CUDA_RESOURCE_VIEW_DESC *view)
{
    struct weft_soft_context *context;
    struct weft_exec_texture description;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || !resource || !texture)
        return CUDA_ERROR_INVALID_VALUE;
    result = weft_soft_texture_describe(context->device, resource, texture, view, &description);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_texture_source source = {.context = context->handle,
                                              .resource = *resource,
                                              .texture = *texture,
                                              .has_view = view != NULL};
    if (view)
        source.view = *view;
    return open_object(&description, &source, out);
}

static CUresult create_surface(CUsurfObject *out, const CUDA_RESOURCE_DESC *resource)
{
    struct weft_soft_context *context;
    struct weft_exec_texture description;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!out || !resource)
        return CUDA_ERROR_INVALID_VALUE;
    result = weft_soft_surface_describe(context->device, resource, &description);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_texture_source source = {.context = context->handle, .resource = *resource};
    return open_object(&description, &source, out);
}

/* Programs destroy an object when they have launched what reads it: that is waited for. */
static CUresult destroy(uint64_t handle, bool is_surface)
{
    struct weft_soft_context *context;
    struct weft_soft_texture_source source;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!weft_soft_texture_source(handle, is_surface, &source))
        return CUDA_ERROR_INVALID_VALUE;
    if (weft_soft_context_get(source.context, &context) == CUDA_SUCCESS) {
        result = weft_soft_context_wait(context);
        weft_soft_context_put(context);
    }
    return weft_soft_texture_close(handle, is_surface) ? result : CUDA_ERROR_INVALID_VALUE;
}

static CUresult destroy_texture(CUtexObject handle)
{
    return destroy(handle, false);
}

static CUresult destroy_surface(CUsurfObject handle)
{
    return destroy(handle, true);
}

/* For a call that asks an object something, whose answer goes to `out`. */
static CUresult ask(uint64_t handle, bool is_surface, const void *out,
                    struct weft_soft_texture_source *source)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    return out && weft_soft_texture_source(handle, is_surface, source) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_VALUE;
}

static CUresult get_resource(CUDA_RESOURCE_DESC *out, CUtexObject handle)
{
    struct weft_soft_texture_source source;
    CUresult result = ask(handle, false, out, &source);
    if (result == CUDA_SUCCESS)
        *out = source.resource;
    return result;
}

static CUresult get_texture(CUDA_TEXTURE_DESC *out, CUtexObject handle)
{
    struct weft_soft_texture_source source;
    CUresult result = ask(handle, false, out, &source);
    if (result == CUDA_SUCCESS)
        *out = source.texture;
    return result;
}

/* An object without a view has none to tell. */
static CUresult get_view(CUDA_RESOURCE_VIEW_DESC *out, CUtexObject handle)
{
    struct weft_soft_texture_source source;
    CUresult result = ask(handle, false, out, &source);
    if (result == CUDA_SUCCESS && !source.has_view)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *out = source.view;
    return result;
}

static CUresult get_surface_resource(CUDA_RESOURCE_DESC *out, CUsurfObject handle)
{
    struct weft_soft_texture_source source;
    CUresult result = ask(handle, true, out, &source);
    if (result == CUDA_SUCCESS)
        *out = source.resource;
    return result;
}

void weft_soft_texture_install(struct weft_cuda *table)
{
    table->cuTexObjectCreate = create_texture;
    table->cuTexObjectDestroy = destroy_texture;
    table->cuTexObjectGetResourceDesc = get_resource;
    table->cuTexObjectGetTextureDesc = get_texture;
    table->cuTexObjectGetResourceViewDesc = get_view;
    table->cuSurfObjectCreate = create_surface;
    table->cuSurfObjectDestroy = destroy_surface;
    table->cuSurfObjectGetResourceDesc = get_surface_resource;
}
