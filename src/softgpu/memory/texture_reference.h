/* Texture and surface references: the older way to textures, in which a module declares a variable
 * and the program binds memory and settings to it. Device code finds in the variable the handle of
 * a description in the table. */
#ifndef WEFT_SOFTGPU_MEMORY_TEXTURE_REFERENCE_H
#define WEFT_SOFTGPU_MEMORY_TEXTURE_REFERENCE_H

#include "softgpu/memory/held.h"
#include "softgpu/memory/texture.h"

enum weft_soft_binding {
    WEFT_SOFT_BOUND_NOTHING,
    WEFT_SOFT_BOUND_ARRAY,
    WEFT_SOFT_BOUND_MIPMAPPED_ARRAY,
    WEFT_SOFT_BOUND_LINEAR,
    WEFT_SOFT_BOUND_PITCHED,
};

/* All but what names no lock is set once. The reference lock comes before the memory lock. */
struct weft_soft_reference {
    struct weft_soft_held held;
    struct weft_soft_device *device;
    CUcontext context;
    CUdeviceptr variable; /* a module's; 0 for cuTexRefCreate */
    bool is_surface;
    enum weft_soft_binding binding; /* reference lock, like all below */
    CUDA_RESOURCE_DESC resource;    /* what is bound; of linear memory without its format */
    CUdeviceptr bound_address;      /* as the program named it */
    CUDA_TEXTURE_DESC settings;
    CUarray_format format;
    unsigned int channels;
    uint64_t texture; /* in the table; 0: none yet */
};

/* A reference of no module, or the one of the module's variable at that address, however often it
 * is asked for. OUT_OF_MEMORY. */
CUresult weft_soft_reference_open(struct weft_soft_context *context, CUdeviceptr variable,
                                  bool is_surface, uint64_t *handle);
/* The reference under the reference lock and a reference of its own, for the current context.
 * INVALID_HANDLE. A change waits for the kernels that may still read it. */
CUresult weft_soft_reference_enter(const void *handle, bool is_surface, bool to_change,
                                   struct weft_soft_reference **out);
void weft_soft_reference_leave(struct weft_soft_reference *reference);
/* Lets device code see what is bound and set now. Settings that contradict each other show nothing;
 * a card notices them at the next launch. */
void weft_soft_reference_publish(struct weft_soft_reference *reference);
/* The resource with the reference's format, as cuTexObjectCreate would be given it. */
CUDA_RESOURCE_DESC weft_soft_reference_resource(const struct weft_soft_reference *reference);
/* Ends one of cuTexRefCreate. INVALID_HANDLE, INVALID_VALUE for a module's. */
CUresult weft_soft_reference_close(const void *handle);

void weft_soft_reference_install(struct weft_cuda *table);

#endif
