#include "softgpu/memory/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "softgpu/memory/graph_memory.h"
#include "softgpu/memory/memory.h"
#include "softgpu/memory/shadow.h"
#include "util/util.h"

/* Pageable sources of asynchronous copies are staged up to so many bytes, so that the program may
 * reuse them at once; beyond that the call waits, as it does on a card. */
#define STAGED_BYTES_MAX (1u << 20)
/* Asynchronous transfers beyond this go to a worker even where the stream is idle. */
#define INLINE_BYTES_MAX (256u << 10)

#define PAGE_BYTES 4096ull

/* A page that was there once is believed to be there still, since asking costs as much as many
 * small copies: what the program has unmapped in between is its own mistake. */
static bool has_page(uint64_t address)
{
    unsigned char resident;
    uint64_t page = address / PAGE_BYTES;
    atomic_uint_fast64_t *known = &weft_soft.memory->known_pages[page % WEFT_SOFT_KNOWN_PAGES];
    if (atomic_load_explicit(known, memory_order_relaxed) == page + 1)
        return true;
    /* Where the kernel does not say, the pointer has to be believed. */
    if (mincore((void *)(uintptr_t)(page * PAGE_BYTES), PAGE_BYTES, &resident) && errno == ENOMEM)
        return false;
    atomic_store_explicit(known, page + 1, memory_order_relaxed);
    return true;
}

/* Whether the program has memory at both ends of a run that is not empty. What lies between is
 * believed, so that a copy of any size costs no more than this; what the program may not read or
 * write there ends it as it would end its own memcpy. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    return has_page(address) && has_page(address + bytes - 1);
}

CUresult weft_soft_side_resolve(struct weft_soft_side *side, enum weft_soft_place place,
                                uint64_t address, uint64_t bytes)
{
    const struct weft_soft_window *window = &weft_soft.memory->window;
    bool inside = weft_soft_window_holds(window, address);
    bool host = address - window->host_base < window->host_bytes;
    *side = (struct weft_soft_side){.program_only = host};
    if (bytes == 0 && address == 0)
        return CUDA_SUCCESS;
    side->bytes = weft_soft_memory_reach(address, bytes);
    if (!side->bytes && (place & WEFT_SOFT_PLACE_GRAPH))
        side->bytes = weft_soft_graph_memory_reach(address, bytes);
    place &= ~(unsigned int)WEFT_SOFT_PLACE_GRAPH;
    if (side->bytes) {
        side->program_only = host || !inside;
        return CUDA_SUCCESS;
    }
    /* What is neither allocated nor registered can only be the program's own memory. */
    if (inside || place == WEFT_SOFT_PLACE_DEVICE || address == 0 || address + bytes < address)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > 0 && !is_mapped(address, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    *side = (struct weft_soft_side){
        .bytes = (char *)(uintptr_t)address, .pageable = true, .program_only = true};
    return CUDA_SUCCESS;
}

/* A stream may wait for what is written here, as on a card: each element is written whole, and who
 * looks meanwhile sees the old or the new one. */
__attribute__((no_sanitize("thread"))) static void set_row(char *row, uint64_t bytes,
                                                           uint32_t value, uint32_t element_bytes)
{
    if (element_bytes == 1) {
        memset(row, (int)value, bytes);
    } else if (element_bytes == 2) {
        uint16_t *elements = (uint16_t *)row;
        for (uint64_t i = 0; i < bytes / 2; i++)
            elements[i] = (uint16_t)value;
    } else {
        uint32_t *elements = (uint32_t *)row;
        for (uint64_t i = 0; i < bytes / 4; i++)
            elements[i] = value;
    }
}

static void run_row(const struct weft_soft_transfer *transfer, uint64_t slice, uint64_t row)
{
    char *to = transfer->to.bytes + slice * transfer->to.slice + row * transfer->to.pitch;
    if (!transfer->from.bytes) {
        set_row(to, transfer->width, transfer->value, transfer->element_bytes);
        return;
    }
    const char *from =
        transfer->from.bytes + slice * transfer->from.slice + row * transfer->from.pitch;
    memmove(to, from, transfer->width);
}

/* A set has no source. */
static bool is_dense(const struct weft_soft_side *side, const struct weft_soft_transfer *transfer)
{
    return !side->bytes || transfer->height == 1 || side->pitch == transfer->width;
}

/* Rows without anything between them are one row, and so are slices. */
static struct weft_soft_transfer join(struct weft_soft_transfer transfer)
{
    if (is_dense(&transfer.to, &transfer) && is_dense(&transfer.from, &transfer)) {
        transfer.width *= transfer.height;
        transfer.height = transfer.depth;
        transfer.depth = 1;
        transfer.to.pitch = transfer.to.slice;
        transfer.from.pitch = transfer.from.slice;
    }
    return transfer;
}

static void run_rows(const struct weft_soft_transfer *transfer)
{
    for (uint64_t slice = 0; slice < transfer->depth; slice++) {
        for (uint64_t row = 0; row < transfer->height; row++)
            run_row(transfer, slice, row);
    }
}

/* What is staged lies outside of the window, and is nobody's business. */
static void note_written(const struct weft_soft_transfer *transfer)
{
    for (uint64_t slice = 0; slice < transfer->depth; slice++) {
        for (uint64_t row = 0; row < transfer->height; row++)
            weft_soft_shadow_written(transfer->to.bytes + slice * transfer->to.slice +
                                         row * transfer->to.pitch,
                                     transfer->width);
    }
}

static void run(const struct weft_soft_transfer *transfer)
{
    struct weft_soft_transfer joined = join(*transfer);
    joined = join(joined);
    run_rows(&joined);
    if (weft_soft_shadow_is_on())
        note_written(&joined);
}

/* What waits in a stream; what was staged lies behind it. */
struct job {
    struct weft_soft_transfer transfer;
    char staged[];
};

static CUresult job_run(void *argument)
{
    run(&((struct job *)argument)->transfer);
    return CUDA_SUCCESS;
}

/* Packs the source's rows behind the job, and lets it read them there. */
static void stage(struct job *job)
{
    struct weft_soft_transfer pack = job->transfer;
    pack.to = (struct weft_soft_side){
        .bytes = job->staged, .pitch = pack.width, .slice = pack.width * pack.height};
    run(&pack);
    job->transfer.from = pack.to;
}

static uint64_t total_bytes(const struct weft_soft_transfer *transfer)
{
    return transfer->width * transfer->height * transfer->depth;
}

static bool must_wait(const struct weft_soft_transfer *transfer, enum weft_soft_wait wait,
                      bool staged)
{
    if (wait == WEFT_SOFT_WAIT_HOST)
        return atomic_load(&weft_soft.memory->synchronous) || transfer->to.program_only ||
               (transfer->from.program_only && !staged);
    return transfer->to.pageable || (transfer->from.pageable && !staged);
}

static CUresult submit(struct weft_soft_stream *stream, const struct weft_soft_transfer *transfer,
                       enum weft_soft_wait wait)
{
    uint64_t bytes = total_bytes(transfer);
    bool staged = transfer->from.pageable && !transfer->to.program_only &&
                  wait == WEFT_SOFT_WAIT_NEVER && bytes <= STAGED_BYTES_MAX;
    struct job *job = malloc(sizeof(*job) + (staged ? bytes : 0));
    if (!job)
        return CUDA_ERROR_OUT_OF_MEMORY;
    job->transfer = *transfer;
    if (staged)
        stage(job);
    struct weft_soft_task task = {.run = job_run, .release = free, .argument = job};
    CUresult result = weft_soft_stream_submit(stream, &task);
    if (result == CUDA_SUCCESS && must_wait(transfer, wait, staged))
        result = weft_soft_stream_wait(stream);
    return result;
}

bool weft_soft_transfer_captured(CUgraphNodeParams *node, CUstream handle, bool per_thread,
                                 enum weft_soft_wait wait, CUresult *result)
{
    struct weft_soft_stream *stream;
    *result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (*result != CUDA_SUCCESS)
        return true;
    bool held = weft_soft_capture_holds(stream);
    if (held && wait == WEFT_SOFT_WAIT_NEVER)
        *result = weft_soft_capture_add(stream, node);
    else if (held)
        *result = weft_soft_capture_refuse(stream);
    else if (wait == WEFT_SOFT_WAIT_HOST && node->type == CU_GRAPH_NODE_TYPE_MEMCPY)
        *result = weft_soft_capture_permit();
    weft_soft_stream_put(stream);
    return held || *result != CUDA_SUCCESS;
}

CUresult weft_soft_transfer_start(const struct weft_soft_transfer *transfer, CUstream handle,
                                  bool per_thread, enum weft_soft_wait wait)
{
    struct weft_soft_stream *stream;
    CUresult result = weft_soft_stream_of_current(handle, per_thread, &stream);
    if (result != CUDA_SUCCESS)
        return result;
    /* A call that is not asynchronous may return late, and is soonest done where it was made: to
     * wake a worker and to wait for it costs as much as megabytes of copying on a busy host. */
    bool at_once = !weft_soft_capture_holds(stream) &&
                   (wait == WEFT_SOFT_WAIT_HOST || must_wait(transfer, wait, false) ||
                    total_bytes(transfer) <= INLINE_BYTES_MAX);
    if (total_bytes(transfer) > 0 && at_once && weft_soft_stream_idle(stream))
        run(transfer);
    else if (total_bytes(transfer) > 0)
        result = submit(stream, transfer, wait);
    weft_soft_stream_put(stream);
    return result;
}

CUresult weft_soft_transfer_task(const struct weft_soft_transfer *transfer,
                                 struct weft_soft_task *task)
{
    struct job *job = malloc(sizeof(*job));
    if (!job)
        return CUDA_ERROR_OUT_OF_MEMORY;
    job->transfer = *transfer;
    if (total_bytes(transfer) == 0)
        job->transfer.depth = 0;
    *task = (struct weft_soft_task){.run = job_run, .release = free, .argument = job};
    return CUDA_SUCCESS;
}
