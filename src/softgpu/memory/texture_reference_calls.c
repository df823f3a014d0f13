/* cuTexRef… and cuSurfRef…. */
#include <stdint.h>
#include <string.h>

#include <weft/cuda_table.h>

#include "softgpu/memory/array.h"
#include "softgpu/memory/format.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/texture_reference.h"

#define REFERENCE_FLAGS                                         \
    (CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | \
     CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION)

/* A call that changes a texture reference: `valid`, then what is set. */
#define SETTER(name, parameters, valid, assignment)                                   \
    static CUresult name parameters                                                   \
    {                                                                                 \
        struct weft_soft_reference *reference;                                        \
        CUresult result = weft_soft_reference_enter(handle, false, true, &reference); \
        if (result == CUDA_SUCCESS && (valid)) {                                      \
            assignment;                                                               \
            weft_soft_reference_publish(reference);                                   \
        }                                                                             \
        return result ? result : leave_with(reference, valid);                        \
    }

/* A call that asks one: `known` says that there is an answer and where it goes. */
#define GETTER(name, parameters, known, assignment)                                    \
    static CUresult name parameters                                                    \
    {                                                                                  \
        struct weft_soft_reference *reference;                                         \
        CUresult result = weft_soft_reference_enter(handle, false, false, &reference); \
        if (result == CUDA_SUCCESS && (known))                                         \
            assignment;                                                                \
        return result ? result : leave_with(reference, known);                         \
    }

static CUresult leave_with(struct weft_soft_reference *reference, bool valid)
{
    weft_soft_reference_leave(reference);
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SETTER(set_format, (CUtexref handle, CUarray_format format, int channels),
       weft_soft_format_check(format, (unsigned int)channels) == CUDA_SUCCESS,
       (reference->format = format, reference->channels = (unsigned int)channels))
SETTER(set_address_mode, (CUtexref handle, int dimension, CUaddress_mode mode),
       dimension >= 0 && dimension < 3 && (unsigned int)mode <= CU_TR_ADDRESS_MODE_BORDER,
       reference->settings.addressMode[dimension] = mode)
SETTER(set_filter_mode, (CUtexref handle, CUfilter_mode mode),
       (unsigned int)mode <= CU_TR_FILTER_MODE_LINEAR, reference->settings.filterMode = mode)
SETTER(set_mipmap_filter_mode, (CUtexref handle, CUfilter_mode mode),
       (unsigned int)mode <= CU_TR_FILTER_MODE_LINEAR, reference->settings.mipmapFilterMode = mode)
SETTER(set_mipmap_bias, (CUtexref handle, float bias), true,
       reference->settings.mipmapLevelBias = bias)
SETTER(set_mipmap_clamp, (CUtexref handle, float least, float most), true,
       (reference->settings.minMipmapLevelClamp = least,
        reference->settings.maxMipmapLevelClamp = most))
SETTER(set_anisotropy, (CUtexref handle, unsigned int anisotropy),
       anisotropy >= 1 && anisotropy <= WEFT_SOFT_ANISOTROPY_MAX,
       reference->settings.maxAnisotropy = anisotropy)
SETTER(set_border, (CUtexref handle, float *border), border != NULL,
       memcpy(reference->settings.borderColor, border, 4 * sizeof(*border)))
SETTER(set_flags, (CUtexref handle, unsigned int flags), !(flags & ~(unsigned int)REFERENCE_FLAGS),
       reference->settings.flags = flags)

GETTER(get_format, (CUarray_format * format, int *channels, CUtexref handle), format &&channels,
       (*format = reference->format, *channels = (int)reference->channels))
GETTER(get_address_mode, (CUaddress_mode * mode, CUtexref handle, int dimension),
       mode &&dimension >= 0 && dimension < 3, *mode = reference->settings.addressMode[dimension])
GETTER(get_filter_mode, (CUfilter_mode * mode, CUtexref handle), mode != NULL,
       *mode = reference->settings.filterMode)
GETTER(get_mipmap_filter_mode, (CUfilter_mode * mode, CUtexref handle), mode != NULL,
       *mode = reference->settings.mipmapFilterMode)
GETTER(get_mipmap_bias, (float *bias, CUtexref handle), bias != NULL,
       *bias = reference->settings.mipmapLevelBias)
GETTER(get_mipmap_clamp, (float *least, float *most, CUtexref handle), least &&most,
       (*least = reference->settings.minMipmapLevelClamp,
        *most = reference->settings.maxMipmapLevelClamp))
GETTER(get_anisotropy, (int *anisotropy, CUtexref handle), anisotropy != NULL,
       *anisotropy = (int)reference->settings.maxAnisotropy)
GETTER(get_border, (float *border, CUtexref handle), border != NULL,
       memcpy(border, reference->settings.borderColor, 4 * sizeof(*border)))
GETTER(get_flags, (unsigned int *flags, CUtexref handle), flags != NULL,
       *flags = reference->settings.flags)
GETTER(get_address, (CUdeviceptr * address, CUtexref handle),
       address && (reference->binding == WEFT_SOFT_BOUND_LINEAR ||
                   reference->binding == WEFT_SOFT_BOUND_PITCHED),
       *address = reference->bound_address)
GETTER(get_array, (CUarray * array, CUtexref handle),
       array && reference->binding == WEFT_SOFT_BOUND_ARRAY,
       *array = reference->resource.res.array.hArray)
GETTER(get_mipmapped_array, (CUmipmappedArray * array, CUtexref handle),
       array && reference->binding == WEFT_SOFT_BOUND_MIPMAPPED_ARRAY,
       *array = reference->resource.res.mipmap.hMipmappedArray)

/* What a call wants to bind. */
struct binding {
    enum weft_soft_binding kind;
    CUDA_RESOURCE_DESC resource;
    CUdeviceptr address;
    CUarray_format format; /* of an array or pitched memory, from which the reference takes it */
    unsigned int channels;
};

/* Binds it if a texture or surface can be made of it; what was bound before stays where not. */
static CUresult bind(const void *handle, bool is_surface, const struct binding *binding)
{
    struct weft_soft_reference *reference;
    struct weft_exec_image image;
    CUresult result = weft_soft_reference_enter(handle, is_surface, true, &reference);
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_reference changed = {.binding = binding->kind,
                                          .resource = binding->resource,
                                          .bound_address = binding->address,
                                          .format = reference->format,
                                          .channels = reference->channels};
    if (binding->channels) {
        changed.format = binding->format;
        changed.channels = binding->channels;
    }
    CUDA_RESOURCE_DESC resource = weft_soft_reference_resource(&changed);
    if (binding->kind != WEFT_SOFT_BOUND_NOTHING)
        result = weft_soft_resource_describe(reference->device, &resource, &image);
    if (result == CUDA_SUCCESS) {
        reference->binding = changed.binding;
        reference->resource = changed.resource;
        reference->bound_address = changed.bound_address;
        reference->format = changed.format;
        reference->channels = changed.channels;
        weft_soft_reference_publish(reference);
    }
    weft_soft_reference_leave(reference);
    return result;
}

static CUresult bind_array(const void *handle, bool is_surface, CUarray array, bool can_bind)
{
    struct weft_soft_array *found = weft_soft_array_get(array);
    if (!found)
        return CUDA_ERROR_INVALID_HANDLE;
    struct binding binding = {.kind = WEFT_SOFT_BOUND_ARRAY,
                              .resource.resType = CU_RESOURCE_TYPE_ARRAY,
                              .resource.res.array.hArray = array,
                              .format = found->descriptor.Format,
                              .channels = found->descriptor.NumChannels};
    bool storable = found->descriptor.Flags & CUDA_ARRAY3D_SURFACE_LDST;
    weft_soft_array_put(found);
    if (!can_bind || (is_surface && !storable))
        return CUDA_ERROR_INVALID_VALUE;
    return bind(handle, is_surface, &binding);
}

static CUresult set_array(CUtexref handle, CUarray array, unsigned int flags)
{
    CUresult result = weft_soft_initialised();
    return result ? result : bind_array(handle, false, array, flags == CU_TRSA_OVERRIDE_FORMAT);
}

static CUresult set_surface_array(CUsurfref handle, CUarray array, unsigned int flags)
{
    CUresult result = weft_soft_initialised();
    return result ? result : bind_array(handle, true, array, flags == 0);
}

static CUresult get_surface_array(CUarray *array, CUsurfref handle)
{
    struct weft_soft_reference *reference;
    CUresult result = weft_soft_reference_enter(handle, true, false, &reference);
    if (result != CUDA_SUCCESS)
        return result;
    bool known = array && reference->binding == WEFT_SOFT_BOUND_ARRAY;
    if (known)
        *array = reference->resource.res.array.hArray;
    return leave_with(reference, known);
}

static CUresult set_mipmapped_array(CUtexref handle, CUmipmappedArray array, unsigned int flags)
{
    CUresult result = weft_soft_initialised();
    if (result != CUDA_SUCCESS)
        return result;
    struct weft_soft_array *found = weft_soft_array_get_mipmapped(array);
    if (!found)
        return CUDA_ERROR_INVALID_HANDLE;
    struct binding binding = {.kind = WEFT_SOFT_BOUND_MIPMAPPED_ARRAY,
                              .resource.resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY,
                              .resource.res.mipmap.hMipmappedArray = array,
                              .format = found->descriptor.Format,
                              .channels = found->descriptor.NumChannels};
    weft_soft_array_put(found);
    return flags == CU_TRSA_OVERRIDE_FORMAT ? bind(handle, false, &binding)
                                            : CUDA_ERROR_INVALID_VALUE;
}

/* A texture begins at an aligned address: for another the program is told how many bytes before its
 * own the texture begins. Address 0 unbinds. */
static CUresult set_address(size_t *offset, CUtexref handle, CUdeviceptr address, size_t bytes)
{
    uint64_t excess = address % WEFT_SOFT_TEXTURE_ALIGNMENT;
    struct binding binding = {.kind = address ? WEFT_SOFT_BOUND_LINEAR : WEFT_SOFT_BOUND_NOTHING,
                              .address = address,
                              .resource.resType = CU_RESOURCE_TYPE_LINEAR,
                              .resource.res.linear.devPtr = address - excess,
                              .resource.res.linear.sizeInBytes = bytes + excess};
    if ((excess && !offset) || bytes > SIZE_MAX - excess)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = bind(handle, false, &binding);
    if (result == CUDA_SUCCESS && offset)
        *offset = excess;
    return result;
}

static CUresult set_address_2d(CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *shape,
                               CUdeviceptr address, size_t pitch)
{
    if (!shape)
        return CUDA_ERROR_INVALID_VALUE;
    struct binding binding = {.kind = WEFT_SOFT_BOUND_PITCHED,
                              .address = address,
                              .format = shape->Format,
                              .channels = shape->NumChannels,
                              .resource.resType = CU_RESOURCE_TYPE_PITCH2D,
                              .resource.res.pitch2D.devPtr = address,
                              .resource.res.pitch2D.width = shape->Width,
                              .resource.res.pitch2D.height = shape->Height,
                              .resource.res.pitch2D.pitchInBytes = pitch};
    if (shape->NumChannels == 0)
        return CUDA_ERROR_INVALID_VALUE;
    return bind(handle, false, &binding);
}

static CUresult create(CUtexref *out)
{
    struct weft_soft_context *context;
    uint64_t handle;
    CUresult result = weft_soft_context_current(&context);
    if (result == CUDA_SUCCESS && !out)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = weft_soft_reference_open(context, 0, false, &handle);
    if (result == CUDA_SUCCESS)
        *out = (CUtexref)(uintptr_t)handle;
    return result;
}

static CUresult destroy(CUtexref handle)
{
    return weft_soft_reference_close(handle);
}

void weft_soft_reference_install(struct weft_cuda *table)
{
    table->cuTexRefCreate = create;
    table->cuTexRefDestroy = destroy;
    table->cuTexRefSetArray = set_array;
    table->cuTexRefSetMipmappedArray = set_mipmapped_array;
    table->cuTexRefSetAddress_v2 = set_address;
    table->cuTexRefSetAddress2D_v2 = set_address_2d;
    table->cuTexRefSetAddress2D_v3 = set_address_2d;
    table->cuTexRefSetFormat = set_format;
    table->cuTexRefSetAddressMode = set_address_mode;
    table->cuTexRefSetFilterMode = set_filter_mode;
    table->cuTexRefSetMipmapFilterMode = set_mipmap_filter_mode;
    table->cuTexRefSetMipmapLevelBias = set_mipmap_bias;
    table->cuTexRefSetMipmapLevelClamp = set_mipmap_clamp;
    table->cuTexRefSetMaxAnisotropy = set_anisotropy;
    table->cuTexRefSetBorderColor = set_border;
    table->cuTexRefSetFlags = set_flags;
    table->cuTexRefGetAddress_v2 = get_address;
    table->cuTexRefGetArray = get_array;
    table->cuTexRefGetMipmappedArray = get_mipmapped_array;
    table->cuTexRefGetAddressMode = get_address_mode;
    table->cuTexRefGetFilterMode = get_filter_mode;
    table->cuTexRefGetFormat = get_format;
    table->cuTexRefGetMipmapFilterMode = get_mipmap_filter_mode;
    table->cuTexRefGetMipmapLevelBias = get_mipmap_bias;
    table->cuTexRefGetMipmapLevelClamp = get_mipmap_clamp;
    table->cuTexRefGetMaxAnisotropy = get_anisotropy;
    table->cuTexRefGetBorderColor = get_border;
    table->cuTexRefGetFlags = get_flags;
    table->cuSurfRefSetArray = set_surface_array;
    table->cuSurfRefGetArray = get_surface_array;
}
