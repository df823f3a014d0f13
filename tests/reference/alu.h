/* The value of one PTX instruction that reads and writes registers only, as a function of its
 * operands' bits. */
#ifndef WEFT_TESTS_REFERENCE_ALU_H
#define WEFT_TESTS_REFERENCE_ALU_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

#define ALU_SOURCES_MAX 5

struct alu {
    const struct weft_ptx_insn *insn;
    uint64_t source[ALU_SOURCES_MAX]; /* as wide as alu_source_type says, zeros above */
    bool carry;                       /* CC.CF: read and written */
    uint64_t result;
    bool second; /* the q of `p|q` */
};

/* Types of the sources in order, and of the destination; NOTYPE where the instruction has fewer, or
 * is not one of these. */
uint8_t alu_source_type(const struct weft_ptx_insn *insn, unsigned index);
uint8_t alu_result_type(const struct weft_ptx_insn *insn);

/* False where the reference does not know the form. */
bool alu_evaluate(struct alu *alu);

/* The parts, one file each; false where it is not theirs. */
bool alu_integer(struct alu *alu);
bool alu_bits(struct alu *alu);
bool alu_float(struct alu *alu);
bool alu_compare(struct alu *alu);
bool alu_convert(struct alu *alu);
bool alu_video(struct alu *alu);

/* Flushes a subnormal value to zero of its sign where the instruction says .ftz and means its type;
 * other values stay. */
uint64_t alu_flush(const struct weft_ptx_insn *insn, uint8_t type, uint64_t bits);
/* .sat of a float: clamped to [0, 1], NaN to +0. */
uint64_t alu_saturate(uint8_t type, uint64_t bits);
/* The comparison of two values of a type, by an enum weft_ptx_compare. */
bool alu_holds(uint8_t compare, uint8_t type, uint64_t a, uint64_t b);

#endif
