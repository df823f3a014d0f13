/* What the words of a matrix instruction say: wmma, mma, ldmatrix, stmatrix, movmatrix. The generic
 * form of an instruction keeps types, space and flags; shapes, layouts and the like are read from
 * its text here, once, and checked against the ISA's table of shapes and types. */
#ifndef WEFT_SOFTGPU_PTX_MATRIX_H
#define WEFT_SOFTGPU_PTX_MATRIX_H

#include "softgpu/ptx/ptx.h"

#define WEFT_PTX_FRAGMENT_REGISTERS_MAX 8

enum weft_ptx_matrix_operand {
    WEFT_PTX_MATRIX_NONE,
    WEFT_PTX_MATRIX_A,
    WEFT_PTX_MATRIX_B,
    WEFT_PTX_MATRIX_C,
    WEFT_PTX_MATRIX_D
};

struct weft_ptx_matrix {
    uint16_t m, n, k;
    uint8_t a, b, c, d; /* types of the elements; of a load or store only the one it is about */
    uint8_t which;      /* enum weft_ptx_matrix_operand, of wmma.load and wmma.store */
    bool a_by_columns;  /* the layout of A, or of the matrix that is loaded or stored */
    bool b_by_columns;  /* of B */
    bool sparse;        /* mma.sp: half of A is stored */
    bool transposed;    /* .trans */
    uint8_t operation;  /* of .b1: WEFT_PTX_OP_XOR or WEFT_PTX_OP_AND */
    uint8_t count;      /* .x1, .x2, .x4 */
    uint8_t a_registers, b_registers, c_registers, d_registers;
    uint32_t least_sm; /* the first architecture that has it */
    bool is_newer;     /* one above sm_90, of which nothing else is known here */
};

/* Whether the opcode is one of those above. */
bool weft_ptx_is_matrix(uint16_t opcode);

/* NULL, or what is wrong with the instruction's words, and then *out is not meant to be read. */
const char *weft_ptx_matrix_decode(const struct weft_ptx_insn *insn, struct weft_ptx_matrix *out);

/* NULL, or what is wrong with its operands. */
const char *weft_ptx_matrix_operands(const struct weft_ptx_insn *insn,
                                     const struct weft_ptx_matrix *matrix);

/* Bits of one element in a fragment. */
uint32_t weft_ptx_matrix_bits(uint8_t type);

#endif
