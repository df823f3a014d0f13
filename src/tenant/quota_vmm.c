/* Memory that is created as a handle and mapped where the program wants it. It is charged once,
 * when it is created, and given back when its last handle, mapping and export is gone.
 *
 * An export is a descriptor that the program may hand on and close without our seeing it. So memory
 * whose handles and mappings are gone is kept charged until its descriptor is seen to be closed.
 * What an importer in another process holds after that is not charged to anybody: that importer's
 * process cannot be told from here. */
#include "tenant/quota_layer.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/util.h"

#define EXPORTS_MAX 16

struct export
{
    int fd; /* borrowed: the program's; -1 is none */
    struct statx status;
};

/* One cuMemCreate. Freed when nothing refers to it. All but the first two fields are guarded by
 * vmm.lock. */
struct memory {
    uint64_t bytes;
    uint32_t device;
    uint32_t references; /* handles and mappings */
    bool listed;
    bool exported_unseen; /* in a form whose end cannot be seen: charged until the process ends */
    struct export exports[EXPORTS_MAX];
    struct memory *next; /* of those that were exported */
};

/* In both tables `owner` is the memory. In `handles` bytes counts how often the handle must be
 * released. */
static struct {
    pthread_mutex_t lock; /* the tables' locks come after it */
    struct memory *exported;
    uint32_t lingering; /* atomic: how many of the exported have nothing but that; nobody locks for
                           none */
    uint32_t epoch;     /* goes up when a mapping is to end */
    struct weft_quota_map handles, mappings;
} vmm;

static struct memory *memory_create(uint64_t bytes, uint32_t device)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return NULL;
    memory->bytes = bytes;
    memory->device = device;
    for (int i = 0; i < EXPORTS_MAX; i++)
        memory->exports[i].fd = -1;
    return memory;
}

/* statx, because the C library's fstat is newer than the oldest system that we run on. */
static bool file_status(int fd, struct statx *status)
{
    return fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, status) == 0;
}

static bool same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

static bool export_open(const struct export *export)
{
    struct statx now;
    return file_status(export->fd, &now) && same_file(&now, &export->status);
}

/* Whether an export is still open, as far as can be seen from this process. */
static bool memory_exported(const struct memory *memory)
{
    if (memory->exported_unseen)
        return true;
    for (int i = 0; i < EXPORTS_MAX; i++) {
        if (export_open(&memory->exports[i]))
            return true;
    }
    return false;
}

static void memory_destroy(struct memory *memory)
{
    weft_quota_release(memory->device, memory->bytes);
    free(memory);
}

static void memory_unlist(struct memory *memory)
{
    struct memory **link = &vmm.exported;
    while (*link && *link != memory)
        link = &(*link)->next;
    if (*link)
        *link = memory->next;
}

/* Drops a reference. vmm.lock is held. */
static void memory_put(struct memory *memory)
{
    if (--memory->references > 0)
        return;
    if (memory_exported(memory)) {
        __atomic_add_fetch(&vmm.lingering, 1, __ATOMIC_RELEASE);
        return;
    }
    if (memory->listed)
        memory_unlist(memory);
    memory_destroy(memory);
}

/* Takes a reference. vmm.lock is held. */
static void memory_get(struct memory *memory)
{
    if (memory->references++ == 0 && memory->listed)
        __atomic_sub_fetch(&vmm.lingering, 1, __ATOMIC_RELEASE);
}

void weft_quota_vmm_reap(void)
{
    if (__atomic_load_n(&vmm.lingering, __ATOMIC_ACQUIRE) == 0)
        return;
    pthread_mutex_lock(&vmm.lock);
    for (struct memory **link = &vmm.exported; *link;) {
        struct memory *memory = *link;
        if (memory->references > 0 || memory_exported(memory)) {
            link = &memory->next;
            continue;
        }
        *link = memory->next;
        __atomic_sub_fetch(&vmm.lingering, 1, __ATOMIC_RELEASE);
        memory_destroy(memory);
    }
    pthread_mutex_unlock(&vmm.lock);
}

/* Adds one to how often the handle must be released, and so to the memory's references. vmm.lock is
 * held. */
static int handle_enter(CUmemGenericAllocationHandle handle, struct memory *memory)
{
    struct weft_quota_entry entry = {.key = handle, .bytes = 1, .owner = memory}, replaced;
    if (weft_quota_map_find(&vmm.handles, handle, &replaced) && replaced.owner == memory)
        entry.bytes += replaced.bytes;
    int rc = weft_quota_map_put(&vmm.handles, &entry, &replaced);
    if (rc)
        return rc;
    memory_get(memory);
    if (replaced.key && replaced.owner != memory) {
        for (uint64_t i = 0; i < replaced.bytes; i++)
            memory_put(replaced.owner); /* it ended without our seeing it */
    }
    return 0;
}

/* The memory behind a handle, one release fewer to come; its reference is now the caller's. NULL:
 * not ours. */
static struct memory *handle_leave(CUmemGenericAllocationHandle handle)
{
    struct weft_quota_entry entry, replaced;
    struct memory *memory = NULL;
    pthread_mutex_lock(&vmm.lock);
    if (weft_quota_map_take(&vmm.handles, handle, &entry)) {
        memory = entry.owner;
        if (--entry.bytes > 0)
            weft_quota_map_put(&vmm.handles, &entry, &replaced);
    }
    pthread_mutex_unlock(&vmm.lock);
    return memory;
}

static bool created_here(const CUmemAllocationProp *prop)
{
    return prop && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE && prop->location.id >= 0 &&
           (uint32_t)prop->location.id < weft_quota.device_count;
}

/* Enters memory that the backend made and that is charged. */
static CUresult enter(CUmemGenericAllocationHandle handle, struct memory *memory)
{
    pthread_mutex_lock(&vmm.lock);
    int rc = handle_enter(handle, memory);
    pthread_mutex_unlock(&vmm.lock);
    if (rc == 0)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult mem_create(CUmemGenericAllocationHandle *handle, size_t size,
                           const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (!created_here(prop))
        return weft_quota.next.cuMemCreate(handle, size, prop, flags);
    CUmemGenericAllocationHandle created;
    uint32_t device = (uint32_t)prop->location.id;
    uint64_t bytes = weft_quota_round(size, WEFT_QUOTA_GRANULE_BYTES);
    CUresult rc = weft_quota_reserve(device, bytes);
    if (rc)
        return rc;
    struct memory *memory = memory_create(bytes, device);
    if (!memory) {
        weft_quota_release(device, bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    rc = weft_quota.next.cuMemCreate(handle ? &created : NULL, size, prop, flags);
    if (rc == CUDA_SUCCESS)
        rc = enter(created, memory);
    if (rc)
        memory_destroy(memory);
    else
        *handle = created;
    return rc;
}

/* The handle leaves the table first: once the backend has released it, another thread may be given
 * the same one. */
static CUresult mem_release(CUmemGenericAllocationHandle handle)
{
    struct memory *memory = handle_leave(handle);
    CUresult rc = weft_quota.next.cuMemRelease(handle);
    if (!memory)
        return rc;
    pthread_mutex_lock(&vmm.lock);
    if (rc)
        handle_enter(handle, memory);
    memory_put(memory);
    pthread_mutex_unlock(&vmm.lock);
    return rc;
}

/* Takes a reference to the memory behind a handle; NULL where it is not ours. */
static struct memory *handle_get(CUmemGenericAllocationHandle handle)
{
    struct weft_quota_entry entry;
    struct memory *memory = NULL;
    pthread_mutex_lock(&vmm.lock);
    if (weft_quota_map_find(&vmm.handles, handle, &entry)) {
        memory = entry.owner;
        memory_get(memory);
    }
    pthread_mutex_unlock(&vmm.lock);
    return memory;
}

static void memory_put_unlocked(struct memory *memory)
{
    pthread_mutex_lock(&vmm.lock);
    memory_put(memory);
    pthread_mutex_unlock(&vmm.lock);
}

/* Enters a mapping, which takes over the caller's reference to the memory. */
static int mapping_enter(CUdeviceptr address, size_t size, struct memory *memory)
{
    struct weft_quota_entry entry = {.key = address, .bytes = size, .owner = memory}, replaced;
    pthread_mutex_lock(&vmm.lock);
    entry.epoch = vmm.epoch;
    int rc = weft_quota_map_put(&vmm.mappings, &entry, &replaced);
    if (replaced.key)
        memory_put(replaced.owner); /* it ended without our seeing it, or is just about to */
    pthread_mutex_unlock(&vmm.lock);
    return rc;
}

static CUresult mem_map(CUdeviceptr ptr, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct memory *memory = handle_get(handle);
    CUresult rc = weft_quota.next.cuMemMap(ptr, size, offset, handle, flags);
    if (!memory)
        return rc;
    if (rc == CUDA_SUCCESS && mapping_enter(ptr, size, memory)) {
        weft_quota.next.cuMemUnmap(ptr, size);
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (rc)
        memory_put_unlocked(memory);
    return rc;
}

/* Drops the mapping at the address, unless it was made after `epoch`. How far it is to where the
 * next may begin: its size, or a granule, since nothing is mapped in smaller steps. */
static uint64_t mapping_leave(CUdeviceptr address, uint32_t epoch)
{
    struct weft_quota_entry entry;
    uint64_t step = WEFT_QUOTA_GRANULE_BYTES;
    pthread_mutex_lock(&vmm.lock);
    if (weft_quota_map_find(&vmm.mappings, address, &entry) && entry.epoch <= epoch) {
        weft_quota_map_take(&vmm.mappings, address, &entry);
        memory_put(entry.owner);
        step = WEFT_MAX(entry.bytes, WEFT_QUOTA_ROUND_BYTES);
    }
    pthread_mutex_unlock(&vmm.lock);
    return step;
}

/* One call may end several mappings that lie side by side; those of imported memory are none of
 * ours. As soon as the backend has done it, another thread may map something new there: that is
 * told by its epoch. */
static CUresult mem_unmap(CUdeviceptr ptr, size_t size)
{
    pthread_mutex_lock(&vmm.lock);
    uint32_t epoch = vmm.epoch++;
    pthread_mutex_unlock(&vmm.lock);
    CUresult rc = weft_quota.next.cuMemUnmap(ptr, size);
    for (uint64_t at = 0; rc == CUDA_SUCCESS && at < size;)
        at += mapping_leave(ptr + at, epoch);
    return rc;
}

static bool maps_address(const struct weft_quota_entry *entry, const void *argument)
{
    uint64_t address = *(const uint64_t *)argument;
    return address >= entry->key && address - entry->key < entry->bytes;
}

static CUresult mem_retain_allocation_handle(CUmemGenericAllocationHandle *handle, void *address)
{
    struct weft_quota_entry entry;
    uint64_t at = (uint64_t)(uintptr_t)address;
    CUresult rc = weft_quota.next.cuMemRetainAllocationHandle(handle, address);
    if (rc)
        return rc;
    pthread_mutex_lock(&vmm.lock);
    bool known = weft_quota_map_search(&vmm.mappings, maps_address, &at, &entry);
    bool entered = !known || handle_enter(*handle, entry.owner) == 0;
    pthread_mutex_unlock(&vmm.lock);
    if (entered)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(*handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Notes the descriptor; where there is no room for it the memory stays charged, never the other way
 * round. vmm.lock is held. */
static void export_note(struct memory *memory, int fd)
{
    struct export noted = {.fd = fd};
    bool known = file_status(fd, &noted.status);
    for (int i = 0; i < EXPORTS_MAX && known; i++) {
        if (!export_open(&memory->exports[i])) {
            memory->exports[i] = noted;
            return;
        }
    }
    memory->exported_unseen = true;
}

static void memory_list(struct memory *memory)
{
    if (memory->listed)
        return;
    memory->listed = true;
    memory->next = vmm.exported;
    vmm.exported = memory;
}

static CUresult mem_export(void *shareable, CUmemGenericAllocationHandle handle,
                           CUmemAllocationHandleType type, unsigned long long flags)
{
    struct memory *memory = handle_get(handle);
    CUresult rc = weft_quota.next.cuMemExportToShareableHandle(shareable, handle, type, flags);
    if (!memory)
        return rc;
    pthread_mutex_lock(&vmm.lock);
    if (rc == CUDA_SUCCESS)
        memory_list(memory);
    if (rc == CUDA_SUCCESS && type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        export_note(memory, *(int *)shareable);
    else if (rc == CUDA_SUCCESS)
        memory->exported_unseen = true;
    memory_put(memory);
    pthread_mutex_unlock(&vmm.lock);
    return rc;
}

/* Memory of this process that was exported as this file. Device nodes are the same file for every
 * export, so only regular files tell. vmm.lock is held. */
static struct memory *exported_as(int fd)
{
    struct statx status;
    if (!file_status(fd, &status) || !S_ISREG(status.stx_mode))
        return NULL;
    for (struct memory *memory = vmm.exported; memory; memory = memory->next) {
        for (int i = 0; i < EXPORTS_MAX; i++) {
            if (memory->exports[i].fd >= 0 && same_file(&memory->exports[i].status, &status))
                return memory;
        }
    }
    return NULL;
}

/* What this process exported itself is counted as one more handle; what others did is charged to
 * them. */
static CUresult mem_import(CUmemGenericAllocationHandle *handle, void *shareable,
                           CUmemAllocationHandleType type)
{
    CUresult rc = weft_quota.next.cuMemImportFromShareableHandle(handle, shareable, type);
    if (rc || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return rc;
    pthread_mutex_lock(&vmm.lock);
    struct memory *memory = exported_as((int)(intptr_t)shareable);
    bool entered = !memory || handle_enter(*handle, memory) == 0;
    pthread_mutex_unlock(&vmm.lock);
    if (entered)
        return CUDA_SUCCESS;
    weft_quota.next.cuMemRelease(*handle);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

void weft_quota_vmm_install(struct weft_cuda *table)
{
    table->cuMemCreate = mem_create;
    table->cuMemRelease = mem_release;
    table->cuMemMap = mem_map;
    table->cuMemUnmap = mem_unmap;
    table->cuMemRetainAllocationHandle = mem_retain_allocation_handle;
    table->cuMemExportToShareableHandle = mem_export;
    table->cuMemImportFromShareableHandle = mem_import;
}

void weft_quota_vmm_reset(void)
{
    pthread_mutex_init(&vmm.lock, NULL);
    weft_quota_map_finish(&vmm.handles);
    weft_quota_map_finish(&vmm.mappings);
    vmm.exported = NULL;
    vmm.lingering = 0;
}
