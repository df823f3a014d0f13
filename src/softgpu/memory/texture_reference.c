#include "softgpu/memory/texture_reference.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

/* All levels, where the program sets no bound. */
#define LEVELS_CLAMP 1000.0f

static struct weft_soft_reference *of_held(struct weft_soft_held *held)
{
    return WEFT_CONTAINER_OF(held, struct weft_soft_reference, held);
}

/* Memory lock held: the first reference of the context to a variable in a range. */
static struct weft_soft_reference *find(struct weft_soft_holdings *holdings, CUdeviceptr address,
                                        uint64_t bytes)
{
    for (struct weft_soft_held *held = holdings->held; held; held = held->next) {
        if (held->type == WEFT_SOFT_HANDLE_TEXTURE_REFERENCE &&
            of_held(held)->variable - address < bytes)
            return of_held(held);
    }
    return NULL;
}

static struct weft_soft_reference *make(struct weft_soft_context *context, CUdeviceptr variable,
                                        bool is_surface)
{
    struct weft_soft_reference *reference = calloc(1, sizeof(*reference));
    if (!reference)
        return NULL;
    reference->device = context->device;
    reference->context = context->handle;
    reference->variable = variable;
    reference->is_surface = is_surface;
    reference->format = CU_AD_FORMAT_FLOAT;
    reference->channels = 1;
    for (int i = 0; i < 3; i++)
        reference->settings.addressMode[i] = CU_TR_ADDRESS_MODE_CLAMP;
    reference->settings.maxAnisotropy = 1;
    reference->settings.maxMipmapLevelClamp = LEVELS_CLAMP;
    return reference;
}

static CUresult open_new(struct weft_soft_context *context, CUdeviceptr variable, bool is_surface,
                         uint64_t *handle)
{
    struct weft_soft_reference *reference = make(context, variable, is_surface);
    if (!reference)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result =
        weft_soft_held_open(&reference->held, WEFT_SOFT_HANDLE_TEXTURE_REFERENCE, context);
    if (result == CUDA_SUCCESS)
        *handle = reference->held.handle;
    else
        free(reference);
    return result;
}

CUresult weft_soft_reference_open(struct weft_soft_context *context, CUdeviceptr variable,
                                  bool is_surface, uint64_t *handle)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    CUresult result = CUDA_SUCCESS;
    pthread_mutex_lock(&memory->reference_lock);
    pthread_mutex_lock(&memory->lock);
    const struct weft_soft_reference *known = variable ? find(context->memory, variable, 1) : NULL;
    if (known)
        *handle = known->held.handle;
    pthread_mutex_unlock(&memory->lock);
    if (!known)
        result = open_new(context, variable, is_surface, handle);
    pthread_mutex_unlock(&memory->reference_lock);
    return result;
}

CUresult weft_soft_memory_reference(struct weft_soft_context *context, CUdeviceptr variable,
                                    bool is_surface, uint64_t *handle)
{
    return weft_soft_reference_open(context, variable, is_surface, handle);
}

CUresult weft_soft_reference_enter(const void *handle, bool is_surface, bool to_change,
                                   struct weft_soft_reference **out)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_reference *reference =
        weft_soft_handle_get(WEFT_SOFT_HANDLE_TEXTURE_REFERENCE, (uint64_t)(uintptr_t)handle);
    if (!reference)
        return CUDA_ERROR_INVALID_HANDLE;
    if (reference->context != context->handle || reference->is_surface != is_surface)
        result = CUDA_ERROR_INVALID_HANDLE;
    else if (to_change && reference->variable)
        result = weft_soft_context_wait(context);
    if (result != CUDA_SUCCESS) {
        weft_soft_handle_put(reference->held.handle);
        return result;
    }
    pthread_mutex_lock(&weft_soft.memory->reference_lock);
    *out = reference;
    return CUDA_SUCCESS;
}

void weft_soft_reference_leave(struct weft_soft_reference *reference)
{
    pthread_mutex_unlock(&weft_soft.memory->reference_lock);
    weft_soft_handle_put(reference->held.handle);
}

CUresult weft_soft_memory_check_reference(const void *handle)
{
    struct weft_soft_reference *reference;
    CUresult result = weft_soft_reference_enter(handle, false, false, &reference);
    if (result == CUDA_SUCCESS)
        weft_soft_reference_leave(reference);
    return result;
}

CUDA_RESOURCE_DESC weft_soft_reference_resource(const struct weft_soft_reference *reference)
{
    CUDA_RESOURCE_DESC resource = reference->resource;
    if (reference->binding == WEFT_SOFT_BOUND_LINEAR) {
        resource.res.linear.format = reference->format;
        resource.res.linear.numChannels = reference->channels;
    } else if (reference->binding == WEFT_SOFT_BOUND_PITCHED) {
        resource.res.pitch2D.format = reference->format;
        resource.res.pitch2D.numChannels = reference->channels;
    }
    return resource;
}

static CUresult describe(const struct weft_soft_reference *reference,
                         struct weft_exec_texture *description)
{
    CUDA_RESOURCE_DESC resource = weft_soft_reference_resource(reference);
    if (reference->binding == WEFT_SOFT_BOUND_NOTHING)
        return CUDA_ERROR_INVALID_VALUE;
    if (reference->is_surface)
        return weft_soft_surface_describe(reference->device, &resource, description);
    return weft_soft_texture_describe(reference->device, &resource, &reference->settings, NULL,
                                      description);
}

/* The handle that device code shall find; 0: nothing. */
static uint64_t renew(struct weft_soft_reference *reference)
{
    struct weft_exec_texture description;
    if (describe(reference, &description) != CUDA_SUCCESS)
        return 0;
    struct weft_soft_texture_source source = {.context = reference->context};
    if (reference->texture)
        weft_soft_texture_change(reference->texture, &description);
    else
        reference->texture = weft_soft_texture_open(&description, &source);
    return reference->texture;
}

void weft_soft_reference_publish(struct weft_soft_reference *reference)
{
    uint64_t handle = renew(reference);
    void *variable = weft_soft_memory_reach(reference->variable, sizeof(handle));
    if (reference->variable && variable)
        memcpy(variable, &handle, sizeof(handle));
}

/* Under a reference and no lock. */
static bool end(struct weft_soft_reference *reference)
{
    bool closed =
        weft_soft_handle_close(WEFT_SOFT_HANDLE_TEXTURE_REFERENCE, reference->held.handle);
    pthread_mutex_lock(&weft_soft.memory->reference_lock);
    if (reference->texture)
        weft_soft_texture_close(reference->texture, reference->is_surface);
    reference->texture = 0;
    reference->binding = WEFT_SOFT_BOUND_NOTHING;
    pthread_mutex_unlock(&weft_soft.memory->reference_lock);
    return closed;
}

CUresult weft_soft_reference_close(const void *handle)
{
    struct weft_soft_reference *reference;
    CUresult result = weft_soft_reference_enter(handle, false, true, &reference);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_unlock(&weft_soft.memory->reference_lock);
    if (reference->variable)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (!end(reference))
        result = CUDA_ERROR_INVALID_HANDLE;
    weft_soft_handle_put(reference->held.handle);
    return result;
}

/* Takes one out of the context's list, so that it is not found again. */
static uint64_t take(struct weft_soft_holdings *holdings, CUdeviceptr address, uint64_t bytes)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    pthread_mutex_lock(&memory->lock);
    struct weft_soft_reference *reference = find(holdings, address, bytes);
    uint64_t handle = reference ? reference->held.handle : 0;
    if (reference)
        weft_soft_held_unlink(&reference->held);
    pthread_mutex_unlock(&memory->lock);
    return handle;
}

void weft_soft_memory_end_references(struct weft_soft_context *context, CUdeviceptr address,
                                     uint64_t bytes)
{
    for (uint64_t handle; (handle = take(context->memory, address, bytes)) != 0;) {
        struct weft_soft_reference *reference =
            weft_soft_handle_get(WEFT_SOFT_HANDLE_TEXTURE_REFERENCE, handle);
        if (!reference)
            continue;
        end(reference);
        weft_soft_handle_put(handle);
    }
}
