/* Blocks of a cluster: where they are, each other's shared memory, and their barrier. */
#include "machine.h"

void *cluster_shared(struct block *block, uint64_t offset, uint32_t bytes)
{
    if (offset >= MACHINE_CLUSTER_STRIDE) {
        uint64_t rank = offset / MACHINE_CLUSTER_STRIDE - 1;
        if (rank >= block->cluster->count)
            return NULL;
        block = block->cluster->blocks[rank];
        offset %= MACHINE_CLUSTER_STRIDE;
    }
    bool inside = offset <= block->shared_bytes && block->shared_bytes - offset >= bytes;
    return inside ? block->shared + offset : NULL;
}

uint64_t cluster_special(const struct block *block, uint32_t special, uint8_t component)
{
    const struct cluster *cluster = block->cluster;
    bool axis = component < 3;
    uint32_t size = axis ? cluster->size[component] : 1;
    switch (special) {
    case WEFT_PTX_SPECIAL_CLUSTERID:
        return axis ? block->ctaid[component] / size : 0;
    case WEFT_PTX_SPECIAL_NCLUSTERID:
        return axis ? block->launch->grid[component] / size : 1;
    case WEFT_PTX_SPECIAL_CLUSTER_CTAID:
        return axis ? block->ctaid[component] % size : 0;
    case WEFT_PTX_SPECIAL_CLUSTER_NCTAID:
        return size;
    case WEFT_PTX_SPECIAL_CLUSTER_CTARANK:
        return block->rank;
    case WEFT_PTX_SPECIAL_CLUSTER_NCTARANK:
        return cluster->count;
    default:
        return 0;
    }
}

static enum step map_address(struct thread *thread, const struct weft_ptx_insn *insn)
{
    struct block *block = thread->block;
    uint64_t base = insn->space == WEFT_PTX_SHARED_CLUSTER ? 0 : block->launch->memory->shared_base;
    uint64_t offset = operand_read(thread, &insn->operands[1], insn->types[0]) - base;
    if (insn->opcode == WEFT_PTX_GETCTARANK) {
        uint64_t place = offset / MACHINE_CLUSTER_STRIDE;
        operand_write(thread, &insn->operands[0], WEFT_PTX_U32, place ? place - 1 : block->rank);
        return STEP_NEXT;
    }
    uint64_t rank = operand_read(thread, &insn->operands[2], WEFT_PTX_U32);
    uint64_t mapped = (rank + 1) * MACHINE_CLUSTER_STRIDE + offset % MACHINE_CLUSTER_STRIDE;
    operand_write(thread, &insn->operands[0], insn->types[0], base + mapped);
    return STEP_NEXT;
}

enum step cluster_perform(struct thread *thread, const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_BARRIER_CLUSTER_ARRIVE:
        thread->cluster_arrived = true;
        return STEP_NEXT;
    case WEFT_PTX_BARRIER_CLUSTER_WAIT:
        return thread->cluster_arrived ? STEP_WAIT : STEP_NEXT;
    default:
        return map_address(thread, insn);
    }
}

static bool all_arrived(const struct cluster *cluster, bool *any)
{
    for (uint32_t r = 0; r < cluster->count; r++)
        for (uint32_t i = 0; i < cluster->blocks[r]->thread_count; i++) {
            const struct thread *thread = &cluster->blocks[r]->threads[i];
            if (thread->state != THREAD_EXITED && !thread->cluster_arrived)
                return false;
            *any = *any || thread->state != THREAD_EXITED;
        }
    return true;
}

bool cluster_release(struct cluster *cluster)
{
    bool any = false;
    if (!all_arrived(cluster, &any) || !any)
        return false;
    for (uint32_t r = 0; r < cluster->count; r++)
        for (uint32_t i = 0; i < cluster->blocks[r]->thread_count; i++) {
            struct thread *thread = &cluster->blocks[r]->threads[i];
            thread->cluster_arrived = false;
            if (thread->state != THREAD_WAITING ||
                thread_insn(thread)->opcode != WEFT_PTX_BARRIER_CLUSTER_WAIT)
                continue;
            thread_frame(thread)->pc++;
            thread->state = THREAD_READY;
        }
    return true;
}
