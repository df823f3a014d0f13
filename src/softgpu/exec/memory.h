/* From the addresses of 32 lanes to host memory.
 *
 * Lanes that take no part get the address of one that does, so that no check needs a mask. The
 * common shapes are recognised: lanes side by side, all at one address; what is left is a base and
 * an offset for each lane. */
#ifndef WEFT_SOFTGPU_EXEC_MEMORY_H
#define WEFT_SOFTGPU_EXEC_MEMORY_H

#include <immintrin.h>

#include "softgpu/exec/ops.h"

enum weft_exec_shape { WEFT_EXEC_SCATTERED, WEFT_EXEC_CONTIGUOUS, WEFT_EXEC_UNIFORM };

struct weft_exec_access {
    char *base;
    enum weft_exec_shape shape;
    uint64_t offset[WEFT_EXEC_LANES] __attribute__((aligned(64)));
};

/* Where one lane's memory is; NULL where it is not all allocated, or may not be written and is to.
 */
char *weft_exec_host_pointer(const struct weft_exec_run *run, const struct weft_exec_touch *touch);

/* The same for an access of the instruction: checked where the launch is, and aligned to `align`.
 * NULL after a fault. */
char *weft_exec_reach(struct weft_exec_run *run, const struct weft_exec_insn *insn, uint32_t lane,
                      uint64_t address, uint32_t bytes, uint32_t align);
/* The same for one of the addresses of an instruction that has several. */
char *weft_exec_reach_as(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                         const struct weft_exec_touch *touch, uint32_t align);

/* Lane by lane: mixed spaces, registered host memory, and the fault that names the lane. offset
 * holds addresses. */
bool weft_exec_resolve_slowly(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                              uint32_t bytes, struct weft_exec_access *access);

/* One atomic operation, `kind` and `count` of the instruction being operation and type; what the
 * place held before. `shared`: nobody else runs the memory's block. */
uint64_t weft_exec_exchange_cell(const struct weft_exec_insn *insn, char *to, uint32_t bytes,
                                 uint64_t b, uint64_t c, bool shared);

/* The [first, first + bytes) part of the window is allocated, every 512 bytes of it. */
static inline bool weft_exec_is_live(const uint64_t *live, uint64_t first, uint64_t bytes)
{
    uint64_t block = first / WEFT_EXEC_LIVE_BLOCK_BYTES;
    uint64_t last = (first + bytes - 1) / WEFT_EXEC_LIVE_BLOCK_BYTES;
    if (last - block >= 64)
        return false;
    uint64_t wanted = UINT64_MAX >> (63 - (last - block));
    uint64_t low = __atomic_load_n(&live[block / 64], __ATOMIC_RELAXED) >> block % 64;
    if (block % 64 && last / 64 != block / 64)
        low |= __atomic_load_n(&live[last / 64], __ATOMIC_RELAXED) << (64 - block % 64);
    return (low & wanted) == wanted;
}

/* The same, 1 or 0, for what lies within one block: aligned to its size, a power of two. */
static inline uint64_t weft_exec_is_live_cell(const uint64_t *live, uint64_t offset)
{
    const uint64_t block = offset / WEFT_EXEC_LIVE_BLOCK_BYTES;
    return __atomic_load_n(&live[block / 64], __ATOMIC_RELAXED) >> block % 64 & 1;
}

/* For cells that lie too far apart to be looked up at once. */
static inline bool weft_exec_are_live(const uint64_t *live, const uint64_t *offset)
{
    uint64_t all = 1;
    LANES(lane) all &= weft_exec_is_live_cell(live, offset[lane]);
    return all;
}

/* Addresses as the instruction forms them. */
static inline void weft_exec_addresses(const struct weft_exec_run *run,
                                       const struct weft_exec_insn *insn, uint64_t *address)
{
    const uint64_t add = (uint64_t)insn->immediate;
    const uint32_t mask = run->mask;
    const unsigned first = (unsigned)__builtin_ctz(mask);
    if (insn->a == WEFT_EXEC_NO_ROW) {
        LANES(lane) address[lane] = add;
    } else if (insn->wide_address) {
        const uint64_t *row = weft_exec_source(run, insn->a);
        const uint64_t common = row[first] + add;
        if (mask == WEFT_EXEC_ALL_LANES)
            LANES(lane) address[lane] = row[lane] + add;
        else
            LANES(lane) address[lane] = mask & (1u << lane) ? row[lane] + add : common;
    } else {
        const uint32_t *row = weft_exec_source(run, insn->a);
        const uint32_t common = row[first] + (uint32_t)add;
        LANES(lane)
        address[lane] = mask & (1u << lane) ? (uint32_t)(row[lane] + (uint32_t)add) : common;
    }
}

/* The shape of offset[], once every lane is known to lie inside of `limit` and aligned; false where
 * one is not. */
static inline bool weft_exec_classify(struct weft_exec_access *access, uint64_t limit,
                                      uint32_t bytes, bool may_be_contiguous, uint64_t *low,
                                      uint64_t *high)
{
    const uint64_t first = access->offset[0];
    uint64_t step = 0, differ = 0, bits = 0;
    LANES(lane)
    {
        step |= access->offset[lane] - first - (uint64_t)lane * bytes;
        differ |= access->offset[lane] ^ first;
        bits |= access->offset[lane];
    }
    if (bits & (bytes - 1))
        return false;
    if (step == 0 && may_be_contiguous) {
        access->shape = WEFT_EXEC_CONTIGUOUS;
        *low = first;
        *high = first + 31 * (uint64_t)bytes;
    } else if (differ == 0) {
        access->shape = WEFT_EXEC_UNIFORM;
        *low = *high = first;
    } else {
        uint64_t least = first, most = first;
        LANES(lane)
        {
            const uint64_t offset = access->offset[lane];
            least = offset < least ? offset : least;
            most = offset > most ? offset : most;
        }
        access->shape = WEFT_EXEC_SCATTERED;
        *low = least;
        *high = most;
    }
    return *low <= *high && *high <= limit - bytes && limit >= bytes;
}

/* Device memory, of which `live` says what may be used. offset holds addresses and, on success,
 * places in the window. */
static inline bool weft_exec_resolve_window(const struct weft_exec_run *run, const uint64_t *live,
                                            uint32_t bytes, bool may_be_contiguous,
                                            struct weft_exec_access *access)
{
    uint64_t low, high;
    LANES(lane) access->offset[lane] -= run->window_base;
    if (weft_exec_classify(access, run->fast_window_bytes, bytes, may_be_contiguous, &low, &high) &&
        (weft_exec_is_live(live, low, high - low + bytes) ||
         weft_exec_are_live(live, access->offset))) {
        access->base = (char *)(uintptr_t)(run->window_base + (uint64_t)run->alias_delta);
        return true;
    }
    LANES(lane) access->offset[lane] += run->window_base;
    return false;
}

static inline bool weft_exec_resolve_shared(const struct weft_exec_run *run, uint32_t bytes,
                                            bool may_be_contiguous, struct weft_exec_access *access)
{
    uint64_t low, high;
    access->base = run->shared;
    return weft_exec_classify(access, run->fast_shared_bytes, bytes, may_be_contiguous, &low,
                              &high);
}

static inline bool weft_exec_resolve_local(const struct weft_exec_run *run, uint32_t bytes,
                                           struct weft_exec_access *access)
{
    uint64_t low, high;
    access->base = run->local;
    if (!weft_exec_classify(access, run->fast_local_bytes, bytes, false, &low, &high))
        return false;
    LANES(lane) access->offset[lane] += lane * run->local_stride;
    access->shape = WEFT_EXEC_SCATTERED;
    return true;
}

/* Generic addresses of the block's own shared memory. offset holds addresses and, on success,
 * places in it. */
static inline bool weft_exec_resolve_generic(const struct weft_exec_run *run, uint32_t bytes,
                                             bool may_be_contiguous,
                                             struct weft_exec_access *access)
{
    const uint64_t base = run->block->launch->memory->shared_base;
    if (access->offset[0] - base >= run->fast_shared_bytes)
        return false;
    LANES(lane) access->offset[lane] -= base;
    if (weft_exec_resolve_shared(run, bytes, may_be_contiguous, access))
        return true;
    LANES(lane) access->offset[lane] += base;
    return false;
}

/* row[lane] == row[0] + lane × step for all 32 lanes. */
static inline bool weft_exec_is_series_u32(const uint32_t *row, uint32_t step)
{
#if defined(__AVX512F__)
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i low = _mm512_add_epi32(_mm512_set1_epi32((int)row[0]),
                                         _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)step)));
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32((int)(16 * step)));
    return !(_mm512_cmpneq_epi32_mask(low, _mm512_loadu_si512(row)) |
             _mm512_cmpneq_epi32_mask(high, _mm512_loadu_si512(row + 16)));
#else
    uint32_t differ = 0;
    LANES(lane) differ |= row[lane] - row[0] - lane * step;
    return differ == 0;
#endif
}

static inline bool weft_exec_is_series_u64(const uint64_t *row, uint64_t step)
{
#if defined(__AVX512F__)
    const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i step_of_8 = _mm512_set1_epi64((long long)(8 * step));
    __m512i expected = _mm512_add_epi64(_mm512_set1_epi64((long long)row[0]),
                                        _mm512_mul_epu32(lanes, _mm512_set1_epi64((int)step)));
    uint32_t differ = 0;
    for (unsigned lane = 0; lane < WEFT_EXEC_LANES; lane += 8) {
        differ |= _mm512_cmpneq_epi64_mask(expected, _mm512_loadu_si512(row + lane));
        expected = _mm512_add_epi64(expected, step_of_8);
    }
    return differ == 0;
#else
    uint64_t differ = 0;
    LANES(lane) differ |= row[lane] - row[0] - lane * step;
    return differ == 0;
#endif
}

/* Of all 32 lanes: whether they are side by side or at one place, told from the addresses' row as
 * it stands; with the first lane's address. The second lane tells which of them it could be. */
static inline bool weft_exec_is_regular(const struct weft_exec_run *run,
                                        const struct weft_exec_insn *insn, uint32_t bytes,
                                        enum weft_exec_shape *shape, uint64_t *first)
{
    uint64_t step;
    bool regular;
    if (insn->wide_address) {
        const uint64_t *row = weft_exec_source(run, insn->a);
        step = row[1] - row[0];
        *first = row[0] + (uint64_t)insn->immediate;
        regular = (step == 0 || step == bytes) && weft_exec_is_series_u64(row, step);
    } else {
        const uint32_t *row = weft_exec_source(run, insn->a);
        step = row[1] - row[0];
        *first = (uint32_t)(row[0] + (uint32_t)insn->immediate);
        regular = (step == 0 || step == bytes) && weft_exec_is_series_u32(row, (uint32_t)step);
    }
    *shape = step ? WEFT_EXEC_CONTIGUOUS : WEFT_EXEC_UNIFORM;
    return regular;
}

/* The two shapes that most accesses have, in shared and device memory, without a list of addresses:
 * only offset[0] is filled. False where another way has to be tried. */
static inline bool weft_exec_resolve_regular(const struct weft_exec_run *run,
                                             const struct weft_exec_insn *insn,
                                             const uint64_t *live, uint32_t bytes,
                                             struct weft_exec_access *access)
{
    uint64_t first;
    if (run->mask != WEFT_EXEC_ALL_LANES || insn->a == WEFT_EXEC_NO_ROW ||
        !weft_exec_is_regular(run, insn, bytes, &access->shape, &first))
        return false;
    const bool is_shared = insn->space == WEFT_PTX_SHARED;
    const uint64_t whole =
        access->shape == WEFT_EXEC_CONTIGUOUS ? (uint64_t)WEFT_EXEC_LANES * bytes : bytes;
    const uint64_t limit = is_shared ? run->fast_shared_bytes : run->fast_window_bytes;
    first -= is_shared ? 0 : run->window_base;
    if (whole > limit || first > limit - whole || first & (bytes - 1))
        return false;
    access->offset[0] = first;
    access->base = is_shared ? run->shared
                             : (char *)(uintptr_t)(run->window_base + (uint64_t)run->alias_delta);
    return is_shared || weft_exec_is_live(live, first, whole);
}

/* Finds the memory for `bytes` (a power of two) a lane, to be read, or to be written if `live` is
 * the run's `writable`. Of a regular shape only offset[0] is filled. False after a fault. */
static inline bool weft_exec_resolve_in(struct weft_exec_run *run,
                                        const struct weft_exec_insn *insn, const uint64_t *live,
                                        uint32_t bytes, struct weft_exec_access *access)
{
    const bool may_be_contiguous = run->mask == WEFT_EXEC_ALL_LANES;
    if (insn->space == WEFT_PTX_PARAM && insn->a == WEFT_EXEC_NO_ROW &&
        (uint64_t)insn->immediate + bytes <= run->fast_param_bytes) {
        access->base = (char *)(uintptr_t)run->params;
        access->offset[0] = (uint64_t)insn->immediate;
        access->shape = WEFT_EXEC_UNIFORM;
        return true;
    }
    if (insn->space != WEFT_PTX_LOCAL && insn->space != WEFT_PTX_PARAM &&
        weft_exec_resolve_regular(run, insn, live, bytes, access))
        return true;
    weft_exec_addresses(run, insn, access->offset);
    bool found = false;
    switch (insn->space) {
    case WEFT_PTX_SHARED:
        found = weft_exec_resolve_shared(run, bytes, may_be_contiguous, access);
        break;
    case WEFT_PTX_LOCAL:
        found = weft_exec_resolve_local(run, bytes, access);
        break;
    case WEFT_PTX_PARAM:
        break;
    case WEFT_PTX_GENERIC:
        found = weft_exec_resolve_window(run, live, bytes, may_be_contiguous, access) ||
                weft_exec_resolve_generic(run, bytes, may_be_contiguous, access);
        break;
    default:
        found = weft_exec_resolve_window(run, live, bytes, may_be_contiguous, access);
    }
    return found || weft_exec_resolve_slowly(run, insn, bytes, access);
}

static inline bool weft_exec_resolve_read(struct weft_exec_run *run,
                                          const struct weft_exec_insn *insn, uint32_t bytes,
                                          struct weft_exec_access *access)
{
    return weft_exec_resolve_in(run, insn, run->live, bytes, access);
}

static inline bool weft_exec_resolve_write(struct weft_exec_run *run,
                                           const struct weft_exec_insn *insn, uint32_t bytes,
                                           struct weft_exec_access *access)
{
    return weft_exec_resolve_in(run, insn, run->writable, bytes, access);
}

#endif
