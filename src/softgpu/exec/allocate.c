/* What kernels do with the heap: malloc and free. */
#include "softgpu/exec/heap.h"
#include "softgpu/exec/ops.h"

/* d: the addresses, a: the sizes. */
COMMON_HANDLER(heap_allocate)
{
    struct weft_exec_heap *heap = run->block->launch->heap;
    const uint64_t *bytes = weft_exec_source(run, insn->a);
    uint64_t *d = weft_exec_row(run, insn->d);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        d[lane] = heap ? weft_exec_heap_allocate(heap, bytes[lane]) : 0;
    }
}

/* a: the addresses; NULL is freed without effect. */
COMMON_HANDLER(heap_free)
{
    struct weft_exec_heap *heap = run->block->launch->heap;
    const uint64_t *addresses = weft_exec_source(run, insn->a);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint64_t address = addresses[lane];
        if (address == 0 || (heap && weft_exec_heap_free(heap, address)))
            continue;
        weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ILLEGAL_ADDRESS, address);
        return;
    }
}
