/* What the fake driver gives out as handles: VMM memory and arrays. */
#include <stddef.h>
#include <sys/mman.h>

#include "fake_state.h"

static CUresult mem_create(CUmemGenericAllocationHandle *handle, size_t size,
                           const CUmemAllocationProp *prop, unsigned long long flags)
{
    (void)flags;
    CUresult rc = fake_injected();
    if (!rc)
        rc = fake_grow(prop->location.id, size);
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        struct fake_memory *memory = &fake_state.memories[i];
        if (memory->bytes)
            continue;
        *memory = (struct fake_memory){
            .bytes = size, .device = prop->location.id, .handles = 1, .file = -1};
        *handle = (uintptr_t)memory;
        return CUDA_SUCCESS;
    }
    return rc;
}

static void memory_settle(struct fake_memory *memory)
{
    if (memory->handles || memory->mappings)
        return;
    fake.held[memory->device] -= memory->bytes;
    memory->bytes = 0;
}

static CUresult mem_release(CUmemGenericAllocationHandle handle)
{
    struct fake_memory *memory = (struct fake_memory *)(uintptr_t)handle;
    CUresult rc = fake_injected();
    if (!rc && !memory->handles)
        rc = CUDA_ERROR_INVALID_VALUE;
    if (!rc) {
        memory->handles--;
        memory_settle(memory);
    }
    return rc;
}

static CUresult mem_map(CUdeviceptr address, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    (void)offset;
    (void)flags;
    CUresult rc = fake_injected();
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        if (fake_state.mappings[i].memory)
            continue;
        fake_state.mappings[i].address = address;
        fake_state.mappings[i].size = size;
        fake_state.mappings[i].memory = (struct fake_memory *)(uintptr_t)handle;
        fake_state.mappings[i].memory->mappings++;
        break;
    }
    return rc;
}

static CUresult mem_unmap(CUdeviceptr address, size_t size)
{
    CUresult rc = fake_injected();
    for (int i = 0; i < MEMORIES_MAX && !rc; i++) {
        struct fake_memory *memory = fake_state.mappings[i].memory;
        if (!memory || fake_state.mappings[i].address - address >= size)
            continue;
        fake_state.mappings[i].memory = NULL;
        memory->mappings--;
        memory_settle(memory);
    }
    return rc;
}

static CUresult mem_retain(CUmemGenericAllocationHandle *handle, void *address)
{
    for (int i = 0; i < MEMORIES_MAX; i++) {
        if (fake_state.mappings[i].memory &&
            (uintptr_t)address - fake_state.mappings[i].address < fake_state.mappings[i].size) {
            fake_state.mappings[i].memory->handles++;
            *handle = (uintptr_t)fake_state.mappings[i].memory;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* The descriptor is what the layer looks at; that an open one keeps the memory is left to real
 * drivers. */
static CUresult mem_export(void *shareable, CUmemGenericAllocationHandle handle,
                           CUmemAllocationHandleType type, unsigned long long flags)
{
    (void)flags;
    struct fake_memory *memory = (struct fake_memory *)(uintptr_t)handle;
    CUresult rc = fake_injected();
    if (!rc && type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        *(int *)shareable = memory->file = memfd_create("export", MFD_CLOEXEC);
    return rc;
}

static CUresult mem_import(CUmemGenericAllocationHandle *handle, void *shareable,
                           CUmemAllocationHandleType type)
{
    (void)type;
    for (int i = 0; i < MEMORIES_MAX; i++) {
        if (fake_state.memories[i].bytes &&
            fake_state.memories[i].file == (int)(intptr_t)shareable) {
            fake_state.memories[i].handles++;
            *handle = (uintptr_t)&fake_state.memories[i];
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

/* Arrays are handles and nothing else here: a device does not tell what they take. */
static CUresult array_make(void **handle)
{
    CUresult rc = fake_injected();
    for (int i = 0; i < ARRAYS_MAX && !rc; i++) {
        if (fake_state.arrays[i])
            continue;
        fake_state.arrays[i] = 1;
        *handle = &fake_state.arrays[i];
        return CUDA_SUCCESS;
    }
    return rc ? rc : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult array_create(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR_v1 *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_v2(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_3d(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_create_3d_v2(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape)
{
    return shape ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult mipmapped_create(CUmipmappedArray *handle, const CUDA_ARRAY3D_DESCRIPTOR *shape,
                                 unsigned int levels)
{
    return shape && levels ? array_make((void **)handle) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult array_end(void *handle)
{
    CUresult rc = fake_injected();
    if (!rc && !*(uint64_t *)handle)
        rc = CUDA_ERROR_INVALID_HANDLE;
    if (!rc)
        *(uint64_t *)handle = 0;
    return rc;
}

static CUresult array_destroy(CUarray handle)
{
    return array_end(handle);
}

static CUresult mipmapped_destroy(CUmipmappedArray handle)
{
    return array_end(handle);
}

void fake_handles_install(struct weft_cuda *table)
{
    table->cuMemCreate = mem_create;
    table->cuMemRelease = mem_release;
    table->cuMemMap = mem_map;
    table->cuMemUnmap = mem_unmap;
    table->cuMemRetainAllocationHandle = mem_retain;
    table->cuMemExportToShareableHandle = mem_export;
    table->cuMemImportFromShareableHandle = mem_import;
    table->cuArrayCreate = array_create;
    table->cuArrayCreate_v2 = array_create_v2;
    table->cuArray3DCreate = array_create_3d;
    table->cuArray3DCreate_v2 = array_create_3d_v2;
    table->cuMipmappedArrayCreate = mipmapped_create;
    table->cuArrayDestroy = array_destroy;
    table->cuMipmappedArrayDestroy = mipmapped_destroy;
}
