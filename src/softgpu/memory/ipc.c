#include "softgpu/memory/ipc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/cuda_table.h>

#include "util/util.h"

/* What stands in the page of a handle. */
struct memory_page {
    struct weft_soft_ticket_page head;
    uint8_t uuid[WEFT_UUID_BYTES];
    int32_t arena_fd; /* of the process that made it */
    uint32_t reserved;
    uint64_t arena_inode;
    uint64_t offset, bytes; /* in the arena */
};
_Static_assert(sizeof(struct memory_page) <= WEFT_SOFT_TICKET_BYTES, "it fits the page");

static void lock(void)
{
    pthread_mutex_lock(&weft_soft.memory->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&weft_soft.memory->lock);
}

static uint64_t inode_of(int fd)
{
    struct statx status;
    return statx(fd, "", AT_EMPTY_PATH, STATX_INO, &status) == 0 ? status.stx_ino : 0;
}

/* -- handing out */

static void describe(const struct weft_soft_allocation *allocation, struct memory_page *page)
{
    const struct weft_soft_device *device = allocation->device;
    const struct weft_soft_arena *arena = device->memory;
    memcpy(page->uuid, device->uuid, sizeof(page->uuid));
    page->arena_fd = device->arena_fd;
    page->arena_inode = inode_of(device->arena_fd);
    page->offset = weft_soft_allocation_address(allocation) - arena->base;
    page->bytes = allocation->bytes;
}

/* Memory lock held. */
static CUresult get_ticket(struct weft_soft_allocation *allocation, CUipcMemHandle *handle)
{
    if (!allocation || allocation->kind != WEFT_SOFT_LINEAR)
        return CUDA_ERROR_INVALID_VALUE;
    if (!allocation->ticket) {
        struct weft_soft_ticket *made = calloc(1, sizeof(*made));
        if (!made || weft_soft_ticket_create(made, WEFT_SOFT_TICKET_MEMORY, NULL)) {
            free(made);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        describe(allocation, (struct memory_page *)made->page);
        allocation->ticket = made;
    }
    weft_soft_ticket_write(allocation->ticket, handle->reserved);
    return CUDA_SUCCESS;
}

static CUresult get_mem_handle(CUipcMemHandle *handle, CUdeviceptr address)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    lock();
    result = get_ticket(weft_soft_allocation_find(address), handle);
    unlock();
    return result;
}

void weft_soft_ipc_revoke(struct weft_soft_allocation *allocation)
{
    if (!allocation->ticket)
        return;
    weft_soft_ticket_finish(allocation->ticket);
    free(weft_steal(allocation->ticket));
}

/* -- taking in */

static struct weft_soft_device *device_of(const struct memory_page *page)
{
    for (size_t i = 0; i < weft_soft.device_count; i++) {
        if (memcmp(weft_soft.devices[i].uuid, page->uuid, sizeof(page->uuid)) == 0)
            return &weft_soft.devices[i];
    }
    return NULL;
}

/* The page is another process': it is checked as it was read, once. */
static bool is_sound(const struct memory_page *page, const struct weft_soft_device *device)
{
    return page->bytes > 0 && page->bytes <= device->profile->memory_bytes &&
           page->offset <= device->profile->memory_bytes - page->bytes &&
           page->offset % WEFT_SOFT_BLOCK_BYTES == 0;
}

static int open_arena(const struct weft_soft_ticket *ticket, const struct memory_page *page,
                      const struct weft_soft_device *device)
{
    _cleanup_fd_ int fd = weft_soft_ticket_borrow(ticket->handle.pid, page->arena_fd);
    if (fd < 0 || inode_of(fd) != page->arena_inode ||
        lseek(fd, 0, SEEK_END) < (off_t)device->profile->memory_bytes)
        return -1;
    return weft_steal_fd(&fd);
}

/* Takes addresses and lets them lead to the other process' memory; memory lock held. */
static bool show(struct weft_soft_allocation *allocation, const struct memory_page *page, int fd)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_import *import = allocation->import;
    uint64_t offset = page->offset & ~(uint64_t)(WEFT_SOFT_PAGE_BYTES - 1);
    import->map_bytes = weft_round_up(page->offset + page->bytes, WEFT_SOFT_PAGE_BYTES) - offset;
    import->taken_bytes = weft_round_up(import->map_bytes, WEFT_SOFT_GRANULE_BYTES);
    if (!weft_soft_ranges_take(&memory->reservable, import->taken_bytes, WEFT_SOFT_GRANULE_BYTES,
                               &import->map_address))
        return false;
    if (!weft_soft_window_map_file(&memory->window, import->map_address, import->map_bytes, fd,
                                   offset)) {
        weft_soft_ranges_give(&memory->reservable, import->map_address, import->taken_bytes);
        return false;
    }
    allocation->by_address.key = import->map_address + (page->offset - offset);
    return true;
}

void weft_soft_ipc_unmap(struct weft_soft_allocation *allocation)
{
    struct weft_soft_memory *memory = weft_soft.memory;
    struct weft_soft_import *import = allocation->import;
    lock();
    weft_soft_window_unmap(&memory->window, import->map_address, import->map_bytes);
    weft_soft_ranges_give(&memory->reservable, import->map_address, import->taken_bytes);
    unlock();
    free(weft_steal(allocation->import));
}

static struct weft_soft_allocation *new_import(struct weft_soft_device *device,
                                               const struct memory_page *page)
{
    struct weft_soft_allocation *allocation = calloc(1, sizeof(*allocation));
    struct weft_soft_import *import = calloc(1, sizeof(*import));
    if (!allocation || !import) {
        free(allocation);
        free(import);
        return NULL;
    }
    memcpy(import->secret, page->head.secret, sizeof(import->secret));
    import->opens = 1;
    allocation->import = import;
    allocation->kind = WEFT_SOFT_IMPORTED;
    allocation->device = device;
    allocation->bytes = allocation->extent = page->bytes;
    return allocation;
}

static CUresult map_import(struct weft_soft_context *context, const struct weft_soft_ticket *ticket,
                           const struct memory_page *page, CUdeviceptr *address)
{
    struct weft_soft_device *device = device_of(page);
    if (!device || !is_sound(page, device))
        return device ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_INVALID_DEVICE;
    _cleanup_fd_ int fd = open_arena(ticket, page, device);
    if (fd < 0)
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_allocation *allocation = new_import(device, page);
    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    lock();
    bool shown = show(allocation, page, fd);
    unlock();
    if (!shown) {
        free(allocation->import);
        free(allocation);
        return CUDA_ERROR_MAP_FAILED;
    }
    *address = weft_soft_allocation_address(allocation);
    weft_soft_allocation_publish(allocation, context);
    return CUDA_SUCCESS;
}

/* A handle that the context has open already leads to the same address. */
static bool open_again(struct weft_soft_context *context, const uint64_t secret[2],
                       CUdeviceptr *address)
{
    struct weft_soft_holdings *holdings = context->memory;
    bool found = false;
    lock();
    for (struct weft_soft_allocation *held = holdings->first; held && !found; held = held->next) {
        found = held->import && memcmp(held->import->secret, secret, 16) == 0;
        if (found) {
            held->import->opens++;
            *address = weft_soft_allocation_address(held);
        }
    }
    unlock();
    return found;
}

static CUresult open_mem_handle(CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags)
{
    struct weft_soft_context *context;
    struct weft_soft_ticket ticket;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    if (!address || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
        return CUDA_ERROR_INVALID_VALUE;
    if (weft_soft_ticket_is_own(handle.reserved))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (weft_soft_ticket_open(&ticket, WEFT_SOFT_TICKET_MEMORY, handle.reserved, NULL))
        return CUDA_ERROR_INVALID_VALUE;
    struct memory_page page = *(const struct memory_page *)ticket.page;
    if (!open_again(context, page.head.secret, address))
        result = map_import(context, &ticket, &page, address);
    weft_soft_ticket_finish(&ticket);
    return result;
}

static CUresult close_mem_handle(CUdeviceptr address)
{
    struct weft_soft_context *context;
    CUresult result = weft_soft_context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    lock();
    struct weft_soft_allocation *allocation = weft_soft_allocation_find(address);
    bool known =
        allocation && allocation->import && weft_soft_allocation_address(allocation) == address;
    bool last = known && allocation->import->opens == 1;
    if (known && !last)
        allocation->import->opens--;
    unlock();
    if (!known)
        return CUDA_ERROR_INVALID_VALUE;
    return last ? weft_soft_allocation_free(address, WEFT_SOFT_IMPORTED) : CUDA_SUCCESS;
}

void weft_soft_ipc_install(struct weft_cuda *table)
{
    table->cuIpcGetMemHandle = get_mem_handle;
    table->cuIpcOpenMemHandle = open_mem_handle;
    table->cuIpcOpenMemHandle_v2 = open_mem_handle;
    table->cuIpcCloseMemHandle = close_mem_handle;
}
