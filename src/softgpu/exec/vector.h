/* For the files that are built once for each instruction set (WEFT_EXEC_ISA names it): loops over
 * 32 lanes that the compiler turns into vector instructions.
 *
 * Each loop stands twice: where all lanes take part it stores, else it blends. Lanes that take no
 * part are computed too, so nothing here may trap on their values. */
#ifndef WEFT_SOFTGPU_EXEC_VECTOR_H
#define WEFT_SOFTGPU_EXEC_VECTOR_H

#include <immintrin.h>
#include <string.h>

#include "softgpu/exec/ops.h"

#define WEFT_EXEC_PASTE2(name, isa) weft_exec_op_##name##_##isa
#define WEFT_EXEC_PASTE(name, isa) WEFT_EXEC_PASTE2(name, isa)
#define HANDLER_NAME(name) WEFT_EXEC_PASTE(name, WEFT_EXEC_ISA)
#define HANDLER(name) \
    void HANDLER_NAME(name)(struct weft_exec_run * run, const struct weft_exec_insn *insn)

#define OP(name) HANDLER(name);
#define COMMON(name)
#include "softgpu/exec/ops.def"
#undef OP

/* Rows are either the same or apart, so no lane depends on another. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#define ROW(type, offset) ((type *)__builtin_assume_aligned(weft_exec_row(run, offset), 64))
#define SOURCE(type, offset) \
    ((const type *)__builtin_assume_aligned(weft_exec_source(run, offset), 64))

/* row[lane] = value for each lane of run->mask; `value` is an expression in `lane`. */
#define WRITE_LANES(row, value)                                                        \
    do {                                                                               \
        const uint32_t lane_mask = run->mask;                                          \
        if (lane_mask == WEFT_EXEC_ALL_LANES) {                                        \
            INDEPENDENT                                                                \
            LANES(lane)(row)[lane] = (value);                                          \
        } else {                                                                       \
            INDEPENDENT                                                                \
            LANES(lane)(row)[lane] = lane_mask & (1u << lane) ? (value) : (row)[lane]; \
        }                                                                              \
    } while (0)

#define UNARY(name, result, operand, ...)                \
    HANDLER(name)                                        \
    {                                                    \
        result *d = ROW(result, insn->d);                \
        const operand *a_row = SOURCE(operand, insn->a); \
        WRITE_LANES(d, ({                                \
                        const operand a = a_row[lane];   \
                        (result)(__VA_ARGS__);           \
                    }));                                 \
    }

#define BINARY(name, result, operand, ...) BINARY2(name, result, operand, operand, __VA_ARGS__)
#define BINARY2(name, result, operand, operand2, ...)      \
    HANDLER(name)                                          \
    {                                                      \
        result *d = ROW(result, insn->d);                  \
        const operand *a_row = SOURCE(operand, insn->a);   \
        const operand2 *b_row = SOURCE(operand2, insn->b); \
        WRITE_LANES(d, ({                                  \
                        const operand a = a_row[lane];     \
                        const operand2 b = b_row[lane];    \
                        (result)(__VA_ARGS__);             \
                    }));                                   \
    }

#define TERNARY(name, result, operand, operand3, ...) \
    TERNARY2(name, result, operand, operand, operand3, __VA_ARGS__)
#define TERNARY2(name, result, operand, operand2, operand3, ...) \
    HANDLER(name)                                                \
    {                                                            \
        result *d = ROW(result, insn->d);                        \
        const operand *a_row = SOURCE(operand, insn->a);         \
        const operand2 *b_row = SOURCE(operand2, insn->b);       \
        const operand3 *c_row = SOURCE(operand3, insn->c);       \
        WRITE_LANES(d, ({                                        \
                        const operand a = a_row[lane];           \
                        const operand2 b = b_row[lane];          \
                        const operand3 c = c_row[lane];          \
                        (result)(__VA_ARGS__);                   \
                    }));                                         \
    }

/* The types of the families of ops.def. */
#define FOR_B3(macro, name, ...)                          \
    macro(name##_b16, uint16_t, int16_t, __VA_ARGS__)     \
        macro(name##_b32, uint32_t, int32_t, __VA_ARGS__) \
            macro(name##_b64, uint64_t, int64_t, __VA_ARGS__)
#define FOR_I6(macro, name, ...)                                                         \
    macro(name##_u16, uint16_t, __VA_ARGS__) macro(name##_s16, int16_t, __VA_ARGS__)     \
        macro(name##_u32, uint32_t, __VA_ARGS__) macro(name##_s32, int32_t, __VA_ARGS__) \
            macro(name##_u64, uint64_t, __VA_ARGS__) macro(name##_s64, int64_t, __VA_ARGS__)

/* Bit `lane` of the result is the truth of flags[lane], which is 0 or -1. */
static inline uint32_t weft_exec_gather_bits(const int32_t *flags)
{
    uint32_t bits = 0;
#if defined(__AVX2__)
    for (unsigned i = 0; i < WEFT_EXEC_LANES; i += 8) {
        __m256 part = _mm256_castsi256_ps(_mm256_load_si256((const __m256i *)(flags + i)));
        bits |= (uint32_t)_mm256_movemask_ps(part) << i;
    }
#else
    for (unsigned i = 0; i < WEFT_EXEC_LANES; i += 4) {
        __m128 part = _mm_castsi128_ps(_mm_load_si128((const __m128i *)(flags + i)));
        bits |= (uint32_t)_mm_movemask_ps(part) << i;
    }
#endif
    return bits;
}

/* A comparison's answer, combined with the third source where there is one. */
static inline uint32_t weft_exec_combine(const struct weft_exec_run *run,
                                         const struct weft_exec_insn *insn, uint32_t bits)
{
    uint32_t combine = insn->modifiers >> WEFT_EXEC_COMBINE_SHIFT & 15;
    if (!combine)
        return bits;
    uint32_t c = weft_exec_predicate(run, insn->c);
    c ^= insn->modifiers & WEFT_EXEC_COMBINE_FLIP ? UINT32_MAX : 0;
    return combine == WEFT_PTX_OP_AND ? bits & c : combine == WEFT_PTX_OP_OR ? bits | c : bits ^ c;
}

/* The end of every setp: bits are the comparison, combined with a third source, stored as d and its
 * complement. */
static inline void weft_exec_finish_compare(struct weft_exec_run *run,
                                            const struct weft_exec_insn *insn, uint32_t bits)
{
    if (insn->modifiers & WEFT_EXEC_NEGATE)
        bits = ~bits;
    uint32_t second = weft_exec_combine(run, insn, ~bits);
    weft_exec_set_predicate(run, insn->d, weft_exec_combine(run, insn, bits));
    if (insn->more[0] != WEFT_EXEC_NO_ROW)
        weft_exec_set_predicate(run, insn->more[0], second);
}

#define COMPARE(name, operand, ...)                                        \
    HANDLER(name)                                                          \
    {                                                                      \
        const operand *a_row = SOURCE(operand, insn->a);                   \
        const operand *b_row = SOURCE(operand, insn->b);                   \
        int32_t flags[WEFT_EXEC_LANES] __attribute__((aligned(64)));       \
        INDEPENDENT                                                        \
        LANES(lane)                                                        \
        {                                                                  \
            const operand a = a_row[lane];                                 \
            const operand b = b_row[lane];                                 \
            flags[lane] = -(int32_t)(__VA_ARGS__);                         \
        }                                                                  \
        weft_exec_finish_compare(run, insn, weft_exec_gather_bits(flags)); \
    }

#endif
