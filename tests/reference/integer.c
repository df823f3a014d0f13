/* Integer arithmetic, in 128 bits, cut to the type at the end. */
#include "alu.h"

#include "types.h"

static __int128 source(const struct alu *alu, unsigned index)
{
    return integer_value(alu->source[index], alu_source_type(alu->insn, index));
}

static uint64_t saturated(__int128 value, uint8_t type)
{
    unsigned bits = type_bits(type);
    __int128 low = type_is_signed(type) ? -((__int128)1 << (bits - 1)) : 0;
    __int128 high = low + ((__int128)1 << bits) - 1;
    return (uint64_t)(value < low ? low : value > high ? high : value);
}

/* add, sub, mad with .cc write the carry, with `c` at the end of the mnemonic they read it. */
static uint64_t sum(struct alu *alu, __int128 a, __int128 b, bool with_carry)
{
    uint8_t type = alu_result_type(alu->insn);
    unsigned bits = type_bits(type);
    unsigned __int128 mask = mask_bits(bits);
    if (alu->insn->flags & WEFT_PTX_SAT)
        return saturated(a + b, type);
    unsigned __int128 total =
        ((unsigned __int128)a & mask) + ((unsigned __int128)b & mask) + (with_carry && alu->carry);
    if (alu->insn->flags & WEFT_PTX_CC)
        alu->carry = total >> bits & 1;
    return (uint64_t)total;
}

/* The flag says that nothing was borrowed, as what is added is the complement. */
static uint64_t difference(struct alu *alu, bool with_borrow)
{
    uint8_t type = alu->insn->types[0];
    unsigned bits = type_bits(type);
    if (alu->insn->flags & WEFT_PTX_SAT)
        return saturated(source(alu, 0) - source(alu, 1), type);
    __int128 a = low_bits(alu->source[0], bits);
    __int128 b = low_bits(alu->source[1], bits);
    __int128 result = a - b - (with_borrow && !alu->carry);
    if (alu->insn->flags & WEFT_PTX_CC)
        alu->carry = result >= 0;
    return (uint64_t)result;
}

/* The part of a product that mul and mad name: all of it for .wide, else its high or low half. */
static __int128 product(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    unsigned bits = type_bits(type);
    if (!(alu->insn->flags & WEFT_PTX_HI_HALF))
        return (__int128)((unsigned __int128)source(alu, 0) * (unsigned __int128)source(alu, 1));
    if (type == WEFT_PTX_U64) {
        unsigned __int128 full = (unsigned __int128)alu->source[0] * alu->source[1];
        return (__int128)(full >> 64);
    }
    return source(alu, 0) * source(alu, 1) >> bits;
}

static __int128 product24(const struct alu *alu)
{
    bool is_signed = type_is_signed(alu->insn->types[0]);
    __int128 a = low_bits(alu->source[0], 24);
    __int128 b = low_bits(alu->source[1], 24);
    if (is_signed) {
        a = sign_extend((uint64_t)a, 24);
        b = sign_extend((uint64_t)b, 24);
    }
    return alu->insn->flags & WEFT_PTX_HI_HALF ? a * b >> 16 : a * b;
}

/* Division by zero is unspecified in PTX: the reference gives all ones, and tests do not look at
 * it. */
static uint64_t quotient(const struct alu *alu, bool remainder)
{
    __int128 a = source(alu, 0);
    __int128 b = source(alu, 1);
    if (b == 0)
        return UINT64_MAX;
    return (uint64_t)(remainder ? a % b : a / b);
}

static uint64_t dot_product(const struct alu *alu, unsigned count, unsigned bits)
{
    const struct weft_ptx_insn *insn = alu->insn;
    unsigned a_bits = bits;
    unsigned a_shift = 0;
    unsigned b_shift = 0;
    if (insn->opcode == WEFT_PTX_DP2A) {
        a_bits = 16;
        b_shift = insn->flags & WEFT_PTX_HI_HALF ? 16 : 0;
    }
    int64_t total = (int64_t)alu->source[2];
    for (unsigned i = 0; i < count; i++) {
        uint64_t a = low_bits(alu->source[0] >> (a_shift + i * a_bits), a_bits);
        uint64_t b = low_bits(alu->source[1] >> (b_shift + i * 8), 8);
        int64_t a_value = insn->types[0] == WEFT_PTX_S32 ? sign_extend(a, a_bits) : (int64_t)a;
        int64_t b_value = insn->types[1] == WEFT_PTX_S32 ? sign_extend(b, 8) : (int64_t)b;
        total += a_value * b_value;
    }
    return (uint64_t)total;
}

static __int128 absolute(__int128 value)
{
    return value < 0 ? -value : value;
}

/* .relu: nothing below zero. */
static uint64_t rectified(const struct alu *alu, unsigned index)
{
    bool relu = alu->insn->flags & WEFT_PTX_RELU;
    return relu && source(alu, index) < 0 ? 0 : alu->source[index];
}

static bool arithmetic(struct alu *alu)
{
    switch (alu->insn->opcode) {
    case WEFT_PTX_ADD:
        alu->result = sum(alu, source(alu, 0), source(alu, 1), false);
        return true;
    case WEFT_PTX_ADDC:
        alu->result = sum(alu, source(alu, 0), source(alu, 1), true);
        return true;
    case WEFT_PTX_SUB:
        alu->result = difference(alu, false);
        return true;
    case WEFT_PTX_SUBC:
        alu->result = difference(alu, true);
        return true;
    case WEFT_PTX_MUL:
        alu->result = (uint64_t)product(alu);
        return true;
    case WEFT_PTX_MAD:
        alu->result = sum(alu, product(alu), source(alu, 2), false);
        return true;
    case WEFT_PTX_MADC:
        alu->result = sum(alu, product(alu), source(alu, 2), true);
        return true;
    case WEFT_PTX_MUL24:
        alu->result = (uint64_t)product24(alu);
        return true;
    case WEFT_PTX_MAD24:
        alu->result = sum(alu, product24(alu), source(alu, 2), false);
        return true;
    default:
        return false;
    }
}

bool alu_integer(struct alu *alu)
{
    if (arithmetic(alu))
        return true;
    switch (alu->insn->opcode) {
    case WEFT_PTX_DIV:
        alu->result = quotient(alu, false);
        return true;
    case WEFT_PTX_REM:
        alu->result = quotient(alu, true);
        return true;
    case WEFT_PTX_SAD:
        alu->result = (uint64_t)(source(alu, 2) + absolute(source(alu, 0) - source(alu, 1)));
        return true;
    case WEFT_PTX_NEG:
        alu->result = (uint64_t)-source(alu, 0);
        return true;
    case WEFT_PTX_ABS:
        alu->result = (uint64_t)absolute(source(alu, 0));
        return true;
    case WEFT_PTX_MIN:
        alu->result = rectified(alu, source(alu, 0) < source(alu, 1) ? 0 : 1);
        return true;
    case WEFT_PTX_MAX:
        alu->result = rectified(alu, source(alu, 0) > source(alu, 1) ? 0 : 1);
        return true;
    case WEFT_PTX_DP4A:
        alu->result = dot_product(alu, 4, 8);
        return true;
    case WEFT_PTX_DP2A:
        alu->result = dot_product(alu, 2, 8);
        return true;
    default:
        return false;
    }
}
