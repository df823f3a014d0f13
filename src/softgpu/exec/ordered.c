/* Atomic operations: lane by lane, each a single access of the host. */
#include "softgpu/exec/half.h"
#include "softgpu/exec/memory.h"

static char *lane_pointer(const struct weft_exec_access *access, uint32_t lane, uint32_t bytes)
{
    switch (access->shape) {
    case WEFT_EXEC_CONTIGUOUS:
        return access->base + access->offset[0] + (uint64_t)lane * bytes;
    case WEFT_EXEC_UNIFORM:
        return access->base + access->offset[0];
    default:
        return access->base + access->offset[lane];
    }
}

static uint32_t flushed(uint32_t bits, bool wanted)
{
    return wanted && !(bits & 0x7f800000) ? bits & 0x80000000 : bits;
}

static uint64_t add_half(uint64_t a, uint64_t b, bool bfloat)
{
    uint16_t x = (uint16_t)a;
    uint16_t y = (uint16_t)b;
    return bfloat ? to_bfloat(from_bfloat(x) + from_bfloat(y), 0)
                  : to_half(from_half(x) + from_half(y), 0);
}

/* f32 in global memory flushes subnormals, in shared memory it does not: so the ISA states it. */
static uint64_t add(uint8_t type, uint64_t a, uint64_t b, bool shared)
{
    switch (type) {
    case WEFT_PTX_F32: {
        float sum = from_bits_f32(flushed((uint32_t)a, !shared)) +
                    from_bits_f32(flushed((uint32_t)b, !shared));
        return sum != sum ? 0x7fffffff : flushed(to_bits_f32(sum), !shared);
    }
    case WEFT_PTX_F64: {
        double sum = from_bits_f64(a) + from_bits_f64(b);
        return sum != sum ? 0x7fffffffffffffff : to_bits_f64(sum);
    }
    case WEFT_PTX_F16:
    case WEFT_PTX_BF16:
        return add_half(a, b, type == WEFT_PTX_BF16);
    case WEFT_PTX_F16X2:
    case WEFT_PTX_BF16X2:
        return add_half(a >> 16, b >> 16, type == WEFT_PTX_BF16X2) << 16 |
               add_half(a, b, type == WEFT_PTX_BF16X2);
    default:
        return a + b;
    }
}

static bool is_less(uint8_t type, uint64_t a, uint64_t b)
{
    switch (type) {
    case WEFT_PTX_S32:
        return (int32_t)a < (int32_t)b;
    case WEFT_PTX_S64:
        return (int64_t)a < (int64_t)b;
    default:
        return a < b;
    }
}

/* min and max: a number beats NaN, and -0 lies below +0. */
static uint64_t extreme_half(uint64_t a, uint64_t b, bool bfloat, bool wants_max)
{
    uint16_t x = (uint16_t)a;
    uint16_t y = (uint16_t)b;
    double p = bfloat ? from_bfloat(x) : from_half(x);
    double q = bfloat ? from_bfloat(y) : from_half(y);
    if (p != p)
        return q != q ? 0x7fff : y;
    if (q != q)
        return x;
    bool below = p < q || (p == q && x & 0x8000);
    return below != wants_max ? x : y;
}

static uint64_t extreme(uint8_t type, uint64_t a, uint64_t b, bool wants_max)
{
    switch (type) {
    case WEFT_PTX_F16:
    case WEFT_PTX_BF16:
        return extreme_half(a, b, type == WEFT_PTX_BF16, wants_max);
    case WEFT_PTX_F16X2:
    case WEFT_PTX_BF16X2:
        return extreme_half(a >> 16, b >> 16, type == WEFT_PTX_BF16X2, wants_max) << 16 |
               extreme_half(a, b, type == WEFT_PTX_BF16X2, wants_max);
    default:
        return is_less(type, a, b) != wants_max ? a : b;
    }
}

/* kind: enum weft_ptx_operation; count: type. `b` is the operand; of cas the value to compare with,
 * and `c` the new one. */
static uint64_t apply(const struct weft_exec_insn *insn, uint64_t old, uint64_t b, uint64_t c,
                      bool shared)
{
    switch (insn->kind) {
    case WEFT_PTX_OP_AND:
        return old & b;
    case WEFT_PTX_OP_OR:
        return old | b;
    case WEFT_PTX_OP_XOR:
        return old ^ b;
    case WEFT_PTX_OP_ADD:
        return add(insn->count, old, b, shared);
    case WEFT_PTX_OP_INC:
        return old >= b ? 0 : old + 1;
    case WEFT_PTX_OP_DEC:
        return old == 0 || old > b ? b : old - 1;
    case WEFT_PTX_OP_MIN:
    case WEFT_PTX_OP_MAX:
        return extreme(insn->count, old, b, insn->kind == WEFT_PTX_OP_MAX);
    case WEFT_PTX_OP_CAS:
        return old == b ? c : old;
    default:
        return b;
    }
}

#define EXCHANGE(type)                                                                         \
    {                                                                                          \
        type *place = (type *)to;                                                              \
        type old = __atomic_load_n(place, __ATOMIC_RELAXED);                                   \
        if (shared) {                                                                          \
            *place = (type)apply(insn, old, b, c, shared);                                     \
            return old;                                                                        \
        }                                                                                      \
        while (!__atomic_compare_exchange_n(place, &old, (type)apply(insn, old, b, c, shared), \
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))        \
            ;                                                                                  \
        return old;                                                                            \
    }

/* The shared memory of a block belongs to the thread that runs it, and needs no lock. */
uint64_t weft_exec_exchange_cell(const struct weft_exec_insn *insn, char *to, uint32_t bytes,
                                 uint64_t b, uint64_t c, bool shared)
{
    switch (bytes) {
    case 2:
        EXCHANGE(uint16_t)
    case 4:
        EXCHANGE(uint32_t)
    default:
        EXCHANGE(uint64_t)
    }
}

static int32_t row_bytes_of(uint32_t bytes)
{
    return bytes < 2 ? 2 : (int32_t)bytes;
}

COMMON_HANDLER(atom)
{
    uint32_t bytes = weft_ptx_type_bytes(insn->count);
    int32_t row_bytes = row_bytes_of(bytes);
    struct weft_exec_access access;
    if (!weft_exec_resolve_write(run, insn, bytes, &access))
        return;
    weft_exec_spin_hint(run);
    const void *b_row = weft_exec_source(run, insn->b);
    const void *c_row = insn->c == WEFT_EXEC_NO_ROW ? b_row : weft_exec_source(run, insn->c);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        char *to = lane_pointer(&access, lane, bytes);
        bool shared = to >= run->shared && to < run->shared + run->shared_bytes;
        uint64_t old =
            weft_exec_exchange_cell(insn, to, bytes, weft_exec_lane_read(b_row, row_bytes, lane),
                                    weft_exec_lane_read(c_row, row_bytes, lane), shared);
        if (insn->d != WEFT_EXEC_NO_ROW)
            weft_exec_lane_write(weft_exec_row(run, insn->d), row_bytes, lane, old);
    }
}

/* A vector's address, before its elements are touched one by one. b: bytes of all. */
COMMON_HANDLER(check_address)
{
    struct weft_exec_access access;
    weft_exec_resolve_read(run, insn, (uint32_t)insn->b, &access);
}

struct wide {
    uint64_t low, high;
};

/* Written out because the compilers' 16-byte exchange may become a call into libatomic, whose lock
 * is of one process. `from` becomes what was there. */
static bool exchange_wide(struct wide *place, struct wide *from, struct wide to)
{
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*place), "+a"(from->low), "+d"(from->high)
                     : "b"(to.low), "c"(to.high)
                     : "memory");
    return done;
}

/* What was there. A plain read writes back what it read. */
static struct wide apply_wide(uint8_t operation, struct wide *place, struct wide b, struct wide c)
{
    struct wide old = {0, 0};
    if (operation == WEFT_PTX_OP_CAS) {
        old = b;
        exchange_wide(place, &old, c);
        return old;
    }
    bool done = false;
    while (!done)
        done = exchange_wide(place, &old, operation == WEFT_PTX_OP_EXCH ? b : old);
    return old;
}

static struct wide read_wide(const struct weft_exec_run *run, int32_t low, int32_t high,
                             uint32_t lane)
{
    return (struct wide){((const uint64_t *)weft_exec_source(run, low))[lane],
                         ((const uint64_t *)weft_exec_source(run, high))[lane]};
}

/* 128 bits at once. kind: EXCH, CAS, or NONE for a read; the upper halves of d, b and c are in
 * more[]. */
COMMON_HANDLER(atom_wide)
{
    struct weft_exec_access access;
    const uint64_t *live = insn->kind == WEFT_PTX_OP_NONE ? run->live : run->writable;
    if (!weft_exec_resolve_in(run, insn, live, sizeof(struct wide), &access))
        return;
    weft_exec_spin_hint(run);
    for (uint32_t left = run->mask; left; left &= left - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        struct wide *place = (struct wide *)lane_pointer(&access, lane, sizeof(struct wide));
        struct wide old =
            apply_wide(insn->kind, place, read_wide(run, insn->b, insn->more[1], lane),
                       read_wide(run, insn->c, insn->more[2], lane));
        ((uint64_t *)weft_exec_row(run, insn->d))[lane] = old.low;
        ((uint64_t *)weft_exec_row(run, insn->more[0]))[lane] = old.high;
    }
}
