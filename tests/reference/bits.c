/* Logic, shifts and the instructions that pick bits apart. */
#include "alu.h"

#include "types.h"

static uint64_t shift_right(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    unsigned bits = type_bits(type);
    uint64_t amount = alu->source[1] > bits ? bits : alu->source[1];
    __int128 value = integer_value(alu->source[0], type);
    return (uint64_t)(value >> amount);
}

static uint64_t funnel_shift(const struct alu *alu)
{
    uint8_t mode = alu->insn->mode;
    bool clamp = mode == WEFT_PTX_LEFT_CLAMP || mode == WEFT_PTX_RIGHT_CLAMP;
    bool left = mode == WEFT_PTX_LEFT_CLAMP || mode == WEFT_PTX_LEFT_WRAP;
    uint64_t amount = alu->source[2];
    if (clamp)
        amount = amount > 32 ? 32 : amount;
    else
        amount &= 31;
    uint64_t both = alu->source[1] << 32 | alu->source[0];
    if (left)
        return amount == 32 ? alu->source[0] : both << amount >> 32;
    return both >> amount;
}

static uint64_t population(uint64_t value)
{
    uint64_t count = 0;
    for (; value; value >>= 1)
        count += value & 1;
    return count;
}

static uint64_t leading_zeros(uint64_t value, unsigned bits)
{
    uint64_t count = 0;
    while (count < bits && !(value >> (bits - 1 - count) & 1))
        count++;
    return count;
}

static uint64_t reversed(uint64_t value, unsigned bits)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < bits; i++)
        result |= (value >> i & 1) << (bits - 1 - i);
    return result;
}

static uint64_t find_leading(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    unsigned bits = type_bits(type);
    uint64_t value = alu->source[0];
    if (type_is_signed(type) && value >> (bits - 1) & 1)
        value = low_bits(~value, bits);
    if (value == 0)
        return 0xffffffff;
    uint64_t position = bits - 1 - leading_zeros(value, bits);
    return alu->insn->flags & WEFT_PTX_SHIFTAMT ? bits - 1 - position : position;
}

static uint64_t extract_field(const struct alu *alu)
{
    uint8_t type = alu->insn->types[0];
    unsigned bits = type_bits(type);
    unsigned position = alu->source[1] & 0xff;
    unsigned length = alu->source[2] & 0xff;
    bool sign = false;
    if (type_is_signed(type) && length > 0) {
        unsigned last = position + length - 1;
        sign = alu->source[0] >> (last < bits - 1 ? last : bits - 1) & 1;
    }
    uint64_t result = 0;
    for (unsigned i = 0; i < bits; i++) {
        bool inside = i < length && position + i < bits;
        uint64_t bit = inside ? alu->source[0] >> (position + i) & 1 : sign;
        result |= bit << i;
    }
    return result;
}

static uint64_t insert_field(const struct alu *alu)
{
    unsigned bits = type_bits(alu->insn->types[0]);
    unsigned position = alu->source[2] & 0xff;
    unsigned length = alu->source[3] & 0xff;
    uint64_t result = alu->source[1];
    for (unsigned i = 0; i < length && position + i < bits; i++) {
        uint64_t bit = 1ull << (position + i);
        result = (result & ~bit) | (alu->source[0] >> i & 1) << (position + i);
    }
    return result;
}

/* Which of the eight source bytes the result's byte `i` takes, for a mode other than the plain one.
 */
static unsigned mode_selector(uint8_t mode, unsigned i, unsigned c)
{
    switch (mode) {
    case WEFT_PTX_F4E:
        return c + i;
    case WEFT_PTX_B4E:
        return (c - i) & 7;
    case WEFT_PTX_RC8:
        return c;
    case WEFT_PTX_ECL:
        return i < c ? c : i;
    case WEFT_PTX_ECR:
        return i < c ? i : c;
    default: /* RC16 */
        return (i & 1) + 2 * (c & 1);
    }
}

static uint64_t permute(const struct alu *alu)
{
    uint64_t bytes = alu->source[1] << 32 | alu->source[0];
    uint64_t result = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned selector = alu->source[2] >> (4 * i) & 15;
        bool replicate_sign = selector & 8;
        if (alu->insn->mode != WEFT_PTX_MODE_NONE) {
            selector = mode_selector(alu->insn->mode, i, alu->source[2] & 3);
            replicate_sign = false;
        }
        uint64_t byte = bytes >> (8 * (selector & 7)) & 0xff;
        if (replicate_sign)
            byte = byte & 0x80 ? 0xff : 0;
        result |= byte << (8 * i);
    }
    return result;
}

static uint64_t lookup3(const struct alu *alu)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < 32; i++) {
        unsigned row = (alu->source[0] >> i & 1) << 2 | (alu->source[1] >> i & 1) << 1 |
                       (alu->source[2] >> i & 1);
        result |= (alu->source[3] >> row & 1) << i;
    }
    return result;
}

static uint64_t make_mask(const struct alu *alu)
{
    bool clamp = alu->insn->mode == WEFT_PTX_CLAMP;
    uint64_t position = clamp ? alu->source[0] : alu->source[0] & 31;
    uint64_t width = clamp ? alu->source[1] : alu->source[1] & 31;
    uint64_t result = 0;
    for (uint64_t i = 0; i < 32; i++)
        if (i >= position && i - position < width)
            result |= 1ull << i;
    return result;
}

static uint64_t extend_sign_or_zero(const struct alu *alu)
{
    uint64_t n = alu->insn->mode == WEFT_PTX_CLAMP ? alu->source[1] : alu->source[1] & 31;
    if (n == 0)
        return 0;
    if (n >= 32)
        return alu->source[0];
    uint64_t low = low_bits(alu->source[0], (unsigned)n);
    return type_is_signed(alu->insn->types[0]) ? (uint64_t)sign_extend(low, (unsigned)n) : low;
}

/* The n-th set bit from `base`, upwards or downwards. */
static uint64_t find_nth_set(const struct alu *alu)
{
    int base = (int)(alu->source[1] & 31);
    int offset = (int)(int32_t)alu->source[2];
    if (offset == 0)
        return alu->source[0] >> base & 1 ? (uint64_t)base : 0xffffffff;
    int step = offset > 0 ? 1 : -1;
    int wanted = offset > 0 ? offset : -offset;
    for (int i = base; i >= 0 && i < 32; i += step)
        if (alu->source[0] >> i & 1 && --wanted == 0)
            return (uint64_t)i;
    return 0xffffffff;
}

static bool logic(struct alu *alu, unsigned bits)
{
    uint64_t a = alu->source[0];
    uint64_t b = alu->source[1];
    switch (alu->insn->opcode) {
    case WEFT_PTX_MOV:
        alu->result = a;
        return true;
    case WEFT_PTX_AND:
        alu->result = a & b;
        return true;
    case WEFT_PTX_OR:
        alu->result = a | b;
        return true;
    case WEFT_PTX_XOR:
        alu->result = a ^ b;
        return true;
    case WEFT_PTX_NOT:
        alu->result = ~a;
        return true;
    case WEFT_PTX_CNOT:
        alu->result = a == 0;
        return true;
    case WEFT_PTX_SHL:
        alu->result = b >= bits ? 0 : a << b;
        return true;
    case WEFT_PTX_SHR:
        alu->result = shift_right(alu);
        return true;
    case WEFT_PTX_SHF:
        alu->result = funnel_shift(alu);
        return true;
    case WEFT_PTX_LOP3:
        alu->result = lookup3(alu);
        alu->second = alu->insn->operation == WEFT_PTX_OP_OR ? alu->result || alu->source[4]
                                                             : alu->result && alu->source[4];
        return true;
    default:
        return false;
    }
}

bool alu_bits(struct alu *alu)
{
    unsigned bits = type_bits(alu->insn->types[0]);
    if (logic(alu, bits))
        return true;
    switch (alu->insn->opcode) {
    case WEFT_PTX_POPC:
        alu->result = population(alu->source[0]);
        return true;
    case WEFT_PTX_CLZ:
        alu->result = leading_zeros(alu->source[0], bits);
        return true;
    case WEFT_PTX_BREV:
        alu->result = reversed(alu->source[0], bits);
        return true;
    case WEFT_PTX_BFIND:
        alu->result = find_leading(alu);
        return true;
    case WEFT_PTX_BFE:
        alu->result = extract_field(alu);
        return true;
    case WEFT_PTX_BFI:
        alu->result = insert_field(alu);
        return true;
    case WEFT_PTX_PRMT:
        alu->result = permute(alu);
        return true;
    case WEFT_PTX_BMSK:
        alu->result = make_mask(alu);
        return true;
    case WEFT_PTX_SZEXT:
        alu->result = extend_sign_or_zero(alu);
        return true;
    case WEFT_PTX_FNS:
        alu->result = find_nth_set(alu);
        return true;
    default:
        return false;
    }
}
