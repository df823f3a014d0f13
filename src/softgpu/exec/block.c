/* One block of a grid: its memory, its start, and the turns of its warps. */
#include <immintrin.h>
#include <string.h>
#include <sys/mman.h>

#include "softgpu/exec/cluster.h"
#include "softgpu/exec/ops.h"
#include "util/util.h"

#define MXCSR_DEFAULT 0x1f80 /* all exceptions masked, round to nearest, subnormals kept */
#define IDLE_ROUNDS_MAX 4    /* rounds of nothing but spinning before the block says so */
#define ZEROS_MAPPED_BYTES (128u << 10)
#define OPEN_FRAMES 4 /* frames to begin with where the depth of calls is not known */

static uint32_t thread_count(const struct weft_exec_launch *launch)
{
    return launch->block[0] * launch->block[1] * launch->block[2];
}

static uint64_t stride_of_local(const struct weft_exec_launch *launch)
{
    const struct weft_exec_kernel *kernel = launch->kernel;
    uint64_t bytes = kernel->local_bytes_max;
    if (kernel->open_ended)
        bytes = kernel->parts[0].local_bytes + (uint64_t)launch->stack_bytes;
    return weft_round_up(WEFT_MIN(bytes, (uint64_t)WEFT_EXEC_LOCAL_WINDOW_BYTES), 16);
}

static uint64_t register_bytes(const struct weft_exec_kernel *kernel)
{
    uint64_t bytes = kernel->frame_bytes_max;
    if (kernel->open_ended)
        bytes = (uint64_t)kernel->parts[0].frame_bytes * OPEN_FRAMES;
    return weft_round_up(bytes + kernel->argument_bytes, 64);
}

/* Of many registers and deep stacks a block uses little: the system gives it pages as they are
 * touched, where clearing all would take longer than most blocks run. */
char *weft_exec_zeros_create(uint64_t bytes)
{
    if (bytes >= ZEROS_MAPPED_BYTES) {
        void *mapped =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return mapped == MAP_FAILED ? NULL : mapped;
    }
    char *zeros = aligned_alloc(64, weft_round_up(bytes, 64));
    if (zeros)
        memset(zeros, 0, bytes);
    return zeros;
}

void weft_exec_zeros_destroy(char *zeros, uint64_t bytes)
{
    if (zeros && bytes >= ZEROS_MAPPED_BYTES)
        munmap(zeros, bytes);
    else
        free(zeros);
}

static void number_threads(struct weft_exec_block *block)
{
    const uint32_t *size = block->launch->block;
    for (uint32_t i = 0; i < block->warp_count * WEFT_EXEC_LANES; i++) {
        uint32_t *rows = block->thread_index + i / WEFT_EXEC_LANES * 3 * WEFT_EXEC_LANES;
        uint32_t lane = i % WEFT_EXEC_LANES;
        rows[lane] = i % size[0];
        rows[WEFT_EXEC_LANES + lane] = i / size[0] % size[1];
        rows[2 * WEFT_EXEC_LANES + lane] = i / size[0] / size[1];
    }
}

static uint64_t local_bytes(const struct weft_exec_block *block)
{
    return (uint64_t)block->warp_count * WEFT_EXEC_LANES * block->local_stride + 1;
}

static bool allocate(struct weft_exec_block *block)
{
    const struct weft_exec_launch *launch = block->launch;
    uint64_t lanes = (uint64_t)block->warp_count * WEFT_EXEC_LANES;
    uint64_t bytes = register_bytes(launch->kernel);
    block->warps = calloc(block->warp_count, sizeof(*block->warps));
    block->thread_index = calloc(lanes * 3, sizeof(uint32_t));
    block->shared = aligned_alloc(256, weft_round_up(block->shared_bytes + 1, 256));
    block->local_stride = stride_of_local(launch);
    block->local = weft_exec_zeros_create(local_bytes(block));
    if (!block->warps || !block->thread_index || !block->shared || !block->local)
        return false;
    if (launch->check && !(block->shared_written = malloc(block->shared_bytes / 8 + 1)))
        return false;
    for (uint32_t w = 0; w < block->warp_count; w++) {
        struct weft_exec_warp *warp = &block->warps[w];
        uint32_t first = w * WEFT_EXEC_LANES;
        uint32_t count = WEFT_MIN(thread_count(launch) - first, (uint32_t)WEFT_EXEC_LANES);
        warp->index = w;
        warp->threads = WEFT_EXEC_ALL_LANES >> (WEFT_EXEC_LANES - count);
        warp->register_bytes = bytes;
        warp->registers = weft_exec_zeros_create(bytes);
        if (warp->registers == NULL)
            return false;
    }
    return true;
}

static void destroy_one(struct weft_exec_block *block)
{
    if (block == NULL)
        return;
    for (uint32_t w = 0; block->warps && w < block->warp_count; w++)
        weft_exec_zeros_destroy(block->warps[w].registers, block->warps[w].register_bytes);
    free(block->warps);
    free(block->thread_index);
    free(block->shared);
    free(block->shared_written);
    weft_exec_zeros_destroy(block->local, local_bytes(block));
    free(block);
}

static int create_one(struct weft_exec_block **out, const struct weft_exec_launch *launch,
                      struct weft_err *err)
{
    uint32_t threads = thread_count(launch);
    if (threads == 0 || threads > WEFT_EXEC_WARPS_MAX * WEFT_EXEC_LANES)
        return weft_fail(err, WEFT_EINVAL, "%u threads in a block", threads);
    struct weft_exec_block *block = calloc(1, sizeof(*block));
    if (block == NULL)
        return weft_fail(err, WEFT_ENOMEM, "a block");
    block->launch = launch;
    block->handlers = weft_exec_isa_handlers();
    block->warp_count = (threads + WEFT_EXEC_LANES - 1) / WEFT_EXEC_LANES;
    block->shared_bytes = launch->kernel->static_shared_bytes + launch->dynamic_shared_bytes;
    if (!allocate(block)) {
        destroy_one(block);
        return weft_fail(err, WEFT_ENOMEM, "a block of %u threads", threads);
    }
    number_threads(block);
    *out = block;
    return 0;
}

void weft_exec_block_destroy(struct weft_exec_block *block)
{
    struct weft_exec_cluster *cluster = block ? block->cluster : NULL;
    for (uint32_t r = 0; cluster && r < cluster->count; r++)
        destroy_one(cluster->blocks[r]);
    free(cluster);
}

int weft_exec_block_create(struct weft_exec_block **out, const struct weft_exec_launch *launch,
                           struct weft_err *err)
{
    uint32_t count = weft_exec_cluster_size(launch, 0) * weft_exec_cluster_size(launch, 1) *
                     weft_exec_cluster_size(launch, 2);
    if (count > WEFT_EXEC_CLUSTER_BLOCKS_MAX)
        return weft_fail(err, WEFT_EINVAL, "%u blocks in a cluster", count);
    struct weft_exec_cluster *cluster = calloc(1, sizeof(*cluster));
    int rc = cluster ? 0 : weft_fail(err, WEFT_ENOMEM, "a cluster");
    for (uint32_t r = 0; rc == 0 && r < count; r++) {
        rc = create_one(&cluster->blocks[r], launch, err);
        if (rc)
            break;
        cluster->blocks[r]->cluster = cluster;
        cluster->blocks[r]->rank = r;
        cluster->count++;
    }
    if (rc == 0) {
        *out = cluster->blocks[0];
        return 0;
    }
    for (uint32_t r = 0; cluster && r < cluster->count; r++)
        destroy_one(cluster->blocks[r]);
    free(cluster);
    return rc;
}

static void start_warp(const struct weft_exec_kernel *kernel, struct weft_exec_warp *warp,
                       uint64_t local_stride)
{
    for (uint32_t lane = 0; lane < WEFT_EXEC_LANES; lane++)
        warp->stack_top[lane] = (uint32_t)local_stride;
    for (uint32_t i = 0; i < kernel->cleared_count; i++)
        memset(warp->registers + kernel->cleared[i].offset, 0, kernel->cleared[i].bytes);
    warp->live = warp->threads;
    warp->carry = 0;
    warp->clock = 0;
    warp->backward_left = WEFT_EXEC_BACKWARD_MAX;
    warp->boost_left = 0;
    warp->group_count = 0;
    warp->best_key = UINT64_MAX;
    /* Only a block that faulted leaves anything unread. */
    for (uint32_t i = 0; warp->exchange.complete && i < WEFT_EXEC_LANES; i++)
        warp->exchange.meetings[i].unread = 0;
    warp->exchange.deposited = warp->exchange.complete = 0;
    weft_exec_push(
        warp, (struct weft_exec_group){.pc = kernel->parts[0].first_pc, .mask = warp->threads});
}

static void start_one(struct weft_exec_block *block, const uint32_t index[3], uint32_t sm_id)
{
    memcpy(block->index, index, sizeof(block->index));
    block->sm_id = sm_id;
    block->next_warp = 0;
    block->live_warps = block->warp_count;
    block->idle_rounds = 0;
    memset(&block->fault, 0, sizeof(block->fault));
    memset(block->shared, 0, block->shared_bytes);
    block->extent = (struct weft_exec_extent){0};
    block->told_unwritten = false;
    if (block->shared_written)
        memset(block->shared_written, 0, block->shared_bytes / 8 + 1);
    memset(block->cluster_arrived, 0, sizeof(block->cluster_arrived));
    weft_exec_barriers_reset(block);
    for (uint32_t w = 0; w < block->warp_count; w++)
        start_warp(block->launch->kernel, &block->warps[w], block->local_stride);
}

void weft_exec_block_start(struct weft_exec_block *block, uint64_t index, uint32_t sm_id)
{
    const struct weft_exec_launch *launch = block->launch;
    struct weft_exec_cluster *cluster = block->cluster;
    cluster->touched = false;
    cluster->next = 0;
    for (uint32_t r = 0; r < cluster->count; r++) {
        uint32_t rank = r, place[3];
        uint64_t unit = index;
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t size = weft_exec_cluster_size(launch, i), units = launch->grid[i] / size;
            place[i] = (uint32_t)(unit % units) * size + rank % size;
            unit /= units;
            rank /= size;
        }
        start_one(cluster->blocks[r], place, sm_id);
    }
}

static struct weft_exec_run run_of(struct weft_exec_block *block)
{
    const struct weft_exec_launch *launch = block->launch;
    const struct weft_exec_memory *memory = launch->memory;
    const uint64_t all = launch->check ? 0 : UINT64_MAX;
    const uint64_t param_bytes = launch->kernel->function->parameter_bytes;
    const uint64_t *writable = atomic_load_explicit(&memory->writable, memory_order_acquire);
    return (struct weft_exec_run){
        .constants = launch->kernel->constants,
        .window_base = memory->window_base,
        .window_bytes = memory->window_bytes,
        .alias_delta = memory->alias_delta,
        .live = memory->live,
        .writable = writable ? writable : memory->live,
        .shared = block->shared,
        .shared_bytes = block->shared_bytes,
        .local_stride = block->local_stride,
        .params = launch->params,
        .param_bytes = param_bytes,
        .fast_window_bytes = memory->window_bytes & all,
        .fast_shared_bytes = block->shared_bytes & all,
        .fast_local_bytes = block->local_stride & all,
        .fast_param_bytes = param_bytes & all,
        .block = block,
        .kernel = launch->kernel,
    };
}

static const struct weft_exec_part *part_at(const struct weft_exec_kernel *kernel, uint32_t pc)
{
    for (uint32_t p = 0; p < kernel->part_count; p++)
        if (pc >= kernel->parts[p].first_pc && pc < kernel->parts[p].end_pc)
            return &kernel->parts[p];
    return &kernel->parts[0];
}

static void describe_fault(const struct weft_exec_block *block, const struct weft_exec_warp *warp,
                           uint32_t lane, uint32_t pc, enum weft_exec_fault_kind kind,
                           uint64_t address, struct weft_exec_fault *fault)
{
    const struct weft_exec_kernel *kernel = block->launch->kernel;
    const struct weft_ptx_insn *source = kernel->code[pc].source;
    const uint32_t *rows = block->thread_index + warp->index * 3 * WEFT_EXEC_LANES;
    const struct weft_ptx_function *function =
        &kernel->module->functions[part_at(kernel, pc)->function];
    *fault = (struct weft_exec_fault){
        .kind = kind,
        .function = function->name,
        .insn = source ? source->text : "ret",
        .line = source ? source->line : function->line,
        .source_file = source ? weft_ptx_file_name(kernel->module, function, source->file) : NULL,
        .source_line = source ? source->file_line : 0,
        .address = address,
    };
    for (int i = 0; i < 3; i++) {
        fault->thread[i] = rows[i * WEFT_EXEC_LANES + lane];
        fault->block[i] = block->index[i];
    }
}

void weft_exec_describe_fault(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                              uint32_t lane, enum weft_exec_fault_kind kind, uint64_t address,
                              struct weft_exec_fault *fault)
{
    describe_fault(run->block, run->warp, lane, (uint32_t)(insn - run->kernel->code), kind, address,
                   fault);
}

void weft_exec_raise(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lanes,
                     enum weft_exec_fault_kind kind, uint64_t address)
{
    weft_exec_describe_fault(run, insn, (uint32_t)__builtin_ctz(lanes), kind, address,
                             &run->block->fault);
    run->stop = WEFT_EXEC_STOP_FAULT;
}

/* No thread of the block can go on, and nobody outside can help: each waits for another at a
 * barrier. */
static void record_deadlock(struct weft_exec_block *block)
{
    for (uint32_t w = 0; w < block->warp_count; w++) {
        const struct weft_exec_warp *warp = &block->warps[w];
        if (warp->group_count == 0)
            continue;
        const struct weft_exec_group *group = &warp->groups[0];
        uint32_t pc = group->pc;
        if (group->state == WEFT_EXEC_GROUP_AT_BARRIER)
            pc--;
        describe_fault(block, warp, (uint32_t)__builtin_ctz(group->mask), pc,
                       WEFT_EXEC_FAULT_DEADLOCK, 0, &block->fault);
        return;
    }
}

enum round { ROUND_BLOCKED, ROUND_IDLE, ROUND_BUSY, ROUND_FAULT };

/* Each warp that can gets its turn, until the budget is used up. */
static enum round run_round(struct weft_exec_block *block, struct weft_exec_run *run, int64_t *left)
{
    enum round round = ROUND_BLOCKED;
    for (uint32_t n = 0; n<block->warp_count && * left> 0; n++) {
        struct weft_exec_warp *warp = &block->warps[block->next_warp];
        block->next_warp = (block->next_warp + 1) % block->warp_count;
        if (warp->best_key == UINT64_MAX)
            continue;
        run->warp = warp;
        run->local = block->local + warp->index * WEFT_EXEC_LANES * block->local_stride;
        int64_t quota = WEFT_MIN(*left, (int64_t)WEFT_EXEC_SLICE);
        enum weft_exec_stop stop = weft_exec_warp_run(run, quota);
        *left -= quota - run->left;
        if (stop == WEFT_EXEC_STOP_FAULT)
            return ROUND_FAULT;
        bool idle = stop == WEFT_EXEC_STOP_ROTATE || stop == WEFT_EXEC_STOP_SLEEP;
        if (!idle)
            round = ROUND_BUSY;
        else if (round == ROUND_BLOCKED)
            round = ROUND_IDLE;
    }
    return round;
}

/* A round of each block of the cluster. They are blocked together only: one may wait for another.
 */
static enum round run_cluster(struct weft_exec_cluster *cluster, struct weft_exec_run *runs,
                              int64_t *left)
{
    enum round most = ROUND_BLOCKED;
    for (uint32_t n = 0; n < cluster->count; n++) {
        uint32_t rank = cluster->next;
        if (*left <= 0 || most == ROUND_FAULT)
            break;
        cluster->next = (rank + 1) % cluster->count;
        if (cluster->blocks[rank]->live_warps == 0)
            continue;
        enum round round = run_round(cluster->blocks[rank], &runs[rank], left);
        most = WEFT_MAX(most, round);
    }
    return most;
}

static bool is_live(const struct weft_exec_cluster *cluster)
{
    for (uint32_t r = 0; r < cluster->count; r++)
        if (cluster->blocks[r]->live_warps)
            return true;
    return false;
}

/* The first block answers for all. */
static void gather_fault(struct weft_exec_cluster *cluster)
{
    for (uint32_t r = 0; r < cluster->count; r++)
        if (cluster->blocks[0]->fault.kind == WEFT_EXEC_FAULT_NONE)
            cluster->blocks[0]->fault = cluster->blocks[r]->fault;
}

static enum weft_exec_outcome run_rounds(struct weft_exec_block *block, int64_t *left)
{
    struct weft_exec_cluster *cluster = block->cluster;
    struct weft_exec_run runs[WEFT_EXEC_CLUSTER_BLOCKS_MAX];
    for (uint32_t r = 0; r < cluster->count; r++)
        runs[r] = run_of(cluster->blocks[r]);
    while (is_live(cluster) && *left > 0) {
        switch (run_cluster(cluster, runs, left)) {
        case ROUND_BLOCKED:
            for (uint32_t r = 0; r < cluster->count; r++)
                record_deadlock(cluster->blocks[r]);
            gather_fault(cluster);
            return WEFT_EXEC_FAULTED;
        case ROUND_FAULT:
            gather_fault(cluster);
            return WEFT_EXEC_FAULTED;
        case ROUND_BUSY:
            block->idle_rounds = 0;
            break;
        case ROUND_IDLE:
            if (++block->idle_rounds >= IDLE_ROUNDS_MAX) {
                block->idle_rounds = 0;
                return WEFT_EXEC_STALLED;
            }
        }
    }
    return is_live(cluster) ? WEFT_EXEC_PREEMPTED : WEFT_EXEC_DONE;
}

enum weft_exec_outcome weft_exec_block_run(struct weft_exec_block *block, uint64_t budget,
                                           uint64_t *retired)
{
    if (block->fault.kind != WEFT_EXEC_FAULT_NONE)
        return WEFT_EXEC_FAULTED;
    int64_t quota = (int64_t)WEFT_MAX(WEFT_MIN(budget, (uint64_t)INT64_MAX), 1u);
    int64_t left = quota;
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(MXCSR_DEFAULT);
    enum weft_exec_outcome outcome = run_rounds(block, &left);
    _mm_setcsr(saved);
    *retired += (uint64_t)(quota - left);
    return outcome;
}

const struct weft_exec_fault *weft_exec_block_fault(const struct weft_exec_block *block)
{
    return &block->fault;
}
