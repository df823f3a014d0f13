/* Copies that the ISA calls asynchronous. They are made at once, lane by lane, so that waiting for
 * their groups is nothing; a barrier that counts them is told their bytes. */
#include <string.h>

#include "softgpu/exec/cluster.h"
#include "softgpu/exec/mbarrier.h"
#include "softgpu/exec/memory.h"
#include "util/util.h"

#define PIECE_BYTES 4096 /* found and copied at once */
#define BULK_UNIT 16
#define BULK_RANKS 16

static uint64_t long_at(const struct weft_exec_run *run, int32_t row, uint32_t lane)
{
    return ((const uint64_t *)weft_exec_source(run, row))[lane];
}

/* Of the bytes of a cp.async, those that are read; the others are zeros. */
static uint32_t bytes_read(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                           uint32_t lane)
{
    uint32_t size = (uint32_t)insn->immediate;
    if (insn->c != WEFT_EXEC_NO_ROW) {
        uint32_t flip = insn->modifiers & WEFT_EXEC_NEGATE ? UINT32_MAX : 0;
        return (weft_exec_predicate(run, insn->c) ^ flip) >> lane & 1 ? 0 : size;
    }
    if (insn->b == WEFT_EXEC_NO_ROW)
        return size;
    return WEFT_MIN(size, ((const uint32_t *)weft_exec_source(run, insn->b))[lane]);
}

/* Whether all lanes read whole pieces of live device memory into this block's own shared memory, as
 * the fast ways of memory.h reach them: nothing is left that could fail. */
static bool is_plain(const struct weft_exec_run *run, const struct weft_exec_insn *insn,
                     const uint64_t *to, const uint64_t *from)
{
    const uint64_t size = (uint64_t)insn->immediate, base = run->window_base;
    uint64_t most = 0, furthest = 0, bits = 0, live = 1;
    if (insn->b != WEFT_EXEC_NO_ROW || insn->c != WEFT_EXEC_NO_ROW ||
        run->fast_shared_bytes < size || run->fast_window_bytes < size)
        return false;
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        most = WEFT_MAX(most, from[lane] - base);
        furthest = WEFT_MAX(furthest, to[lane]);
        bits |= from[lane] | to[lane];
    }
    if (bits & (size - 1) || furthest > run->fast_shared_bytes - size ||
        most > run->fast_window_bytes - size)
        return false;
    for (uint32_t left = run->mask; left; left &= left - 1)
        live &= weft_exec_is_live_cell(run->live, from[__builtin_ctz(left)] - base);
    return live;
}

#define COPY_LANES(size)                                                                  \
    for (uint32_t left = run->mask; left; left &= left - 1) {                             \
        uint32_t lane = (uint32_t)__builtin_ctz(left);                                    \
        memcpy(run->shared + to[lane],                                                    \
               (const char *)(uintptr_t)(from[lane] + (uint64_t)run->alias_delta), size); \
    }

static void copy_plain(const struct weft_exec_run *run, uint32_t size, const uint64_t *to,
                       const uint64_t *from)
{
    if (size == 4)
        COPY_LANES(4)
    else if (size == 8)
        COPY_LANES(8)
    else
        COPY_LANES(16)
}

/* d, a: addresses in shared and global memory; immediate: bytes; b: bytes to read, or none; c: a
 * predicate that reads none, or none. */
COMMON_HANDLER(cp_async)
{
    uint32_t size = (uint32_t)insn->immediate;
    const uint64_t *to_row = weft_exec_source(run, insn->d);
    const uint64_t *from_row = weft_exec_source(run, insn->a);
    if (is_plain(run, insn, to_row, from_row)) {
        copy_plain(run, size, to_row, from_row);
        return;
    }
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left), read = bytes_read(run, insn, lane);
        struct weft_exec_touch target = {WEFT_PTX_SHARED, WEFT_EXEC_ACCESS_WRITE, lane, size,
                                         long_at(run, insn->d, lane)};
        struct weft_exec_touch source = {WEFT_PTX_GLOBAL, WEFT_EXEC_ACCESS_READ, lane, read,
                                         long_at(run, insn->a, lane)};
        char *to = weft_exec_reach_as(run, insn, &target, size);
        if (to == NULL)
            return;
        const char *from = read ? weft_exec_reach_as(run, insn, &source, size) : NULL;
        if (read && from == NULL)
            return;
        if (read)
            memcpy(to, from, read);
        memset(to + read, 0, size - read);
    }
}

/* One lane's bulk operation. */
struct bulk {
    uint8_t to_space, from_space;
    uint64_t to, from, bytes;
    uint32_t lane;
};

static void combine_piece(const struct weft_exec_insn *insn, char *to, const char *from,
                          uint32_t bytes, bool shared)
{
    uint32_t each = weft_ptx_type_bytes(insn->count);
    for (uint32_t at = 0; at < bytes; at += each) {
        uint64_t value = 0;
        memcpy(&value, from + at, each);
        weft_exec_exchange_cell(insn, to + at, each, value, value, shared);
    }
}

static bool move_bulk(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                      const struct bulk *bulk)
{
    struct weft_exec_touch target = {bulk->to_space,
                                     insn->kind ? WEFT_EXEC_ACCESS_UPDATE : WEFT_EXEC_ACCESS_WRITE,
                                     bulk->lane, 0, bulk->to};
    struct weft_exec_touch source = {bulk->from_space, WEFT_EXEC_ACCESS_READ, bulk->lane, 0,
                                     bulk->from};
    for (uint64_t at = 0; at < bulk->bytes;) {
        uint32_t piece = (uint32_t)WEFT_MIN(bulk->bytes - at, (uint64_t)PIECE_BYTES);
        target.bytes = source.bytes = piece;
        char *to = weft_exec_reach_as(run, insn, &target, BULK_UNIT);
        const char *from = to ? weft_exec_reach_as(run, insn, &source, BULK_UNIT) : NULL;
        if (from == NULL)
            return false;
        if (insn->kind)
            combine_piece(insn, to, from, piece, bulk->to_space != WEFT_PTX_GLOBAL);
        else
            memmove(to, from, piece);
        target.address += piece;
        source.address += piece;
        at += piece;
    }
    return true;
}

/* The copy, and what its barrier, at the same rank, is told. */
static bool perform_bulk(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                         const struct bulk *bulk, uint64_t barrier)
{
    if (!move_bulk(run, insn, bulk))
        return false;
    if (insn->c == WEFT_EXEC_NO_ROW)
        return true;
    struct weft_exec_touch touch = {WEFT_PTX_SHARED, WEFT_EXEC_ACCESS_UPDATE, bulk->lane, 8,
                                    barrier};
    char *word = weft_exec_reach_as(run, insn, &touch, 8);
    if (word)
        weft_exec_mbarrier_complete((uint64_t *)word, bulk->bytes);
    return word != NULL;
}

static bool perform_lane(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                         uint32_t lane)
{
    struct bulk bulk = {.to_space = insn->space,
                        .from_space = insn->order,
                        .to = long_at(run, insn->d, lane),
                        .from = long_at(run, insn->a, lane),
                        .bytes = ((const uint32_t *)weft_exec_source(run, insn->b))[lane],
                        .lane = lane};
    uint64_t barrier = insn->c == WEFT_EXEC_NO_ROW ? 0 : long_at(run, insn->c, lane);
    if (bulk.bytes % BULK_UNIT) {
        weft_exec_raise(run, insn, 1u << lane, WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION, 0);
        return false;
    }
    if (insn->more[0] == WEFT_EXEC_NO_ROW)
        return perform_bulk(run, insn, &bulk, barrier);
    uint32_t ranks = ((const uint16_t *)weft_exec_source(run, insn->more[0]))[lane];
    uint64_t to = bulk.to;
    for (uint32_t rank = 0; rank < BULK_RANKS; rank++) {
        if (!(ranks >> rank & 1))
            continue;
        bulk.to = weft_exec_cluster_address(to, rank);
        if (!perform_bulk(run, insn, &bulk, weft_exec_cluster_address(barrier, rank)))
            return false;
    }
    return true;
}

/* d, a: addresses; b: bytes; c: address of a barrier, or none; more[0]: ranks, or none. space,
 * order: spaces of d and a. kind, count: operation and type of a reduction. */
COMMON_HANDLER(bulk)
{
    for (uint32_t left = run->mask; left; left &= left - 1)
        if (!perform_lane(run, insn, (uint32_t)__builtin_ctz(left)))
            return;
}
