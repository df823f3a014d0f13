/* Bits of floating-point values and the switches that PTX puts on them, without branches, for loops
 * over lanes. */
#ifndef WEFT_SOFTGPU_EXEC_VECTOR_FLOAT_H
#define WEFT_SOFTGPU_EXEC_VECTOR_FLOAT_H

#include <math.h>

#include "softgpu/exec/half.h"
#include "softgpu/exec/vector.h"

/* PTX has one NaN: all ones but the sign. */
static inline float canonical_f32(float x)
{
    return x != x ? from_bits_f32(0x7fffffff) : x;
}
static inline double canonical_f64(double x)
{
    return x != x ? from_bits_f64(0x7fffffffffffffff) : x;
}

/* `keep`: all ones, or, for .ftz, the sign alone. */
static inline float flushed_f32(float x, uint32_t keep)
{
    uint32_t bits = to_bits_f32(x);
    return from_bits_f32(bits & 0x7f800000 ? bits : bits & keep);
}
static inline double flushed_f64(double x, uint32_t keep)
{
    (void)keep;
    return x;
}
static inline uint32_t flush_mask(const struct weft_exec_insn *insn)
{
    return insn->modifiers & WEFT_EXEC_FTZ ? 0x80000000 : UINT32_MAX;
}

/* .sat: clamped to [+0, 1], NaN to +0. */
static inline float saturated_f32(float x, bool wanted)
{
    float clamped = x > 0 ? (x < 1 ? x : 1) : 0;
    return wanted ? clamped : x;
}
static inline double saturated_f64(double x, bool wanted)
{
    double clamped = x > 0 ? (x < 1 ? x : 1) : 0;
    return wanted ? clamped : x;
}

/* The rounding of the instruction in MXCSR, for what stands between the two. The memory clobbers
 * keep the loop's loads and stores, and so its arithmetic, in between. */
static inline uint32_t weft_exec_enter_rounding(const struct weft_exec_insn *insn)
{
    uint32_t saved = _mm_getcsr();
    _mm_setcsr((saved & ~0x6000u) | (insn->modifiers >> WEFT_EXEC_ROUNDING_SHIFT & 3) << 13);
    __asm__ volatile("" ::: "memory");
    return saved;
}
static inline void weft_exec_leave_rounding(uint32_t saved)
{
    __asm__ volatile("" ::: "memory");
    _mm_setcsr(saved);
}

#endif
