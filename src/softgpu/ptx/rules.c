/* Which modifiers go with which types: what the table of forms cannot say of each word alone. */
#include <stdbool.h>

#include "softgpu/ptx/sets.h"
#include "util/util.h"

#define ANY_OPCODE UINT32_MAX
#define T_NARROW (T(F32) | T(F16) | T(F16X2) | T(F32X2))
#define T_ROUNDED (T_FLOAT | T(F32X2))
#define T_SATURATED (T(F32) | T(F16) | T(F16X2))

/* Where a modifier of the group stands, the first type has to be one of these. The first line that
 * fits decides. */
struct rule {
    uint32_t opcode;
    uint32_t group;
    uint64_t types;
    const char *broken;
};

#define RULE(opcode, group, types, text)                                          \
    {                                                                             \
        opcode, WEFT_PTX_GROUP_##group, types, text " does not go with this type" \
    }

static const struct rule rules[] = {
    RULE(WEFT_PTX_RCP, FTZ, T_FLOAT, ".ftz"),
    RULE(WEFT_PTX_RSQRT, FTZ, T_FLOAT, ".ftz"),
    RULE(WEFT_PTX_EX2, FTZ, T(F32) | T(BF16) | T(BF16X2), ".ftz"),
    RULE(WEFT_PTX_CVT, FTZ, T_ANY, ".ftz"),
    RULE(WEFT_PTX_SET, FTZ, T_ANY, ".ftz"),
    RULE(WEFT_PTX_SLCT, FTZ, T_ANY, ".ftz"),
    RULE(ANY_OPCODE, FTZ, T_NARROW, ".ftz"),
    RULE(WEFT_PTX_ADD, SAT, T(S32) | T_SATURATED, ".sat"),
    RULE(WEFT_PTX_SUB, SAT, T(S32) | T_SATURATED, ".sat"),
    RULE(WEFT_PTX_MUL, SAT, T_SATURATED, ".sat"),
    RULE(WEFT_PTX_FMA, SAT, T_SATURATED, ".sat"),
    RULE(WEFT_PTX_MAD, SAT, T(S32) | T(F32), ".sat"),
    RULE(WEFT_PTX_MAD24, SAT, T(S32), ".sat"),
    RULE(WEFT_PTX_CVT, ROUND, T_ANY, "the rounding"),
    RULE(ANY_OPCODE, ROUND, T_ROUNDED | T_HALF, "the rounding"),
    RULE(ANY_OPCODE, CC, T_WIDE_INT, ".cc"),
    RULE(WEFT_PTX_MUL, HALF, T_INT, ".lo or .hi"),
    RULE(WEFT_PTX_MAD, HALF, T_INT, ".lo or .hi"),
    RULE(ANY_OPCODE, WIDE, T(U16) | T(S16) | T_INT32, ".wide"),
    RULE(ANY_OPCODE, NAN, T(F32) | T_HALF, ".NaN"),
    RULE(ANY_OPCODE, XORSIGN, T(F32) | T_HALF, ".xorsign"),
    RULE(ANY_OPCODE, ABS, T(F32) | T_HALF, ".abs"),
    RULE(WEFT_PTX_FMA, RELU, T_HALF, ".relu"),
    RULE(WEFT_PTX_MIN, RELU, T(S32) | T(S16X2), ".relu"),
    RULE(WEFT_PTX_MAX, RELU, T(S32) | T(S16X2), ".relu"),
    RULE(ANY_OPCODE, OOB, T_HALF, ".oob"),
    RULE(WEFT_PTX_DIV, APPROX, T(F32), ".approx"),
    RULE(WEFT_PTX_SQRT, APPROX, T(F32), ".approx"),
    RULE(ANY_OPCODE, FULL, T(F32), ".full"),
};

/* The types that an operation on memory or among the threads of a warp takes. */
static uint64_t operation_types(const struct weft_ptx_insn *insn)
{
    bool redux = insn->opcode == WEFT_PTX_REDUX;
    switch (insn->operation) {
    case WEFT_PTX_OP_AND:
    case WEFT_PTX_OP_OR:
    case WEFT_PTX_OP_XOR:
        return redux ? T(B32) : T(B32) | T(B64);
    case WEFT_PTX_OP_ADD:
        return redux ? T_INT32 : T_INT32 | T(U64) | T_FLOAT | T_HALF;
    case WEFT_PTX_OP_INC:
    case WEFT_PTX_OP_DEC:
        return redux ? T_NONE : T(U32);
    case WEFT_PTX_OP_MIN:
    case WEFT_PTX_OP_MAX:
        return redux ? T_INT32 | T(F32)
                     : T_WIDE_INT | (insn->vector > 1 ? T_HALF | T(F32) : T_NONE);
    case WEFT_PTX_OP_EXCH:
        return insn->opcode == WEFT_PTX_ATOM ? T(B32) | T(B64) | T(B128) : T_NONE;
    case WEFT_PTX_OP_CAS:
        return insn->opcode == WEFT_PTX_ATOM ? T_BITS | T(B128) : T_NONE;
    default:
        return T_ANY;
    }
}

/* The types that a comparison is defined for. */
static uint64_t comparison_types(enum weft_ptx_compare compare)
{
    switch (compare) {
    case WEFT_PTX_EQ:
    case WEFT_PTX_NE:
        return T_ANY;
    case WEFT_PTX_LO:
    case WEFT_PTX_LS:
    case WEFT_PTX_HI:
    case WEFT_PTX_HS:
        return T_UNSIGNED;
    case WEFT_PTX_LT:
    case WEFT_PTX_LE:
    case WEFT_PTX_GT:
    case WEFT_PTX_GE:
        return ~(uint64_t)T_BITS;
    default:
        return T_FLOAT | T_HALF;
    }
}

static const char *broken_precision(const struct weft_ptx_insn *insn, uint64_t seen)
{
    bool is_integer = (uint64_t)T_INT >> insn->types[0] & 1;
    if (is_integer || (seen & (G(ROUND) | G(APPROX) | G(FULL))))
        return NULL;
    return "this instruction needs .approx or a rounding";
}

static const char *broken_product(const struct weft_ptx_insn *insn, uint64_t seen)
{
    bool is_integer = (uint64_t)T_INT >> insn->types[0] & 1;
    if (is_integer && !(seen & (G(HALF) | G(WIDE))))
        return "this instruction needs .lo, .hi or .wide";
    if (!is_integer && insn->opcode == WEFT_PTX_MAD && !(seen & G(ROUND)))
        return "this instruction needs a rounding";
    return NULL;
}

/* add.f32.f16: a small float into a sum of .f32 is the one mixture. */
static const char *broken_mixture(const struct weft_ptx_insn *insn)
{
    bool small = insn->types[1] == WEFT_PTX_F16 || insn->types[1] == WEFT_PTX_BF16;
    bool good = insn->type_count == 1 || (insn->types[0] == WEFT_PTX_F32 && small);
    return good ? NULL : "a second type is .f16 or .bf16 behind .f32";
}

static bool is_integer_type(enum weft_ptx_type type)
{
    return type >= WEFT_PTX_U8 && type <= WEFT_PTX_S64;
}

/* A conversion says how it rounds where it cannot be exact, as the ISA's table of cvt demands. */
static const char *broken_conversion(const struct weft_ptx_insn *insn, uint64_t seen)
{
    enum weft_ptx_type to = insn->types[0], from = insn->types[1];
    uint64_t floats = T_FLOAT | T(F16) | T(BF16);
    bool rounded = seen & (G(ROUND) | G(ROUND_MORE)), to_integer = seen & G(ROUND_INTEGER);
    bool to_float = floats >> to & 1, from_float = floats >> from & 1;
    if (is_integer_type(to) && from_float && !to_integer)
        return "a conversion from float to integer needs .rni, .rzi, .rmi or .rpi";
    if (is_integer_type(from) && to_float && !rounded)
        return "a conversion from integer to float needs a rounding";
    if (to_float && from_float && weft_ptx_type_bytes(to) < weft_ptx_type_bytes(from) && !rounded)
        return "a conversion to a smaller float needs a rounding";
    bool widens = weft_ptx_type_bytes(to) >= weft_ptx_type_bytes(from) &&
                  !(to == WEFT_PTX_F16 && from == WEFT_PTX_BF16);
    if (rounded && ((is_integer_type(to) && is_integer_type(from)) ||
                    (((T_FLOAT | T(F16)) >> to & 1) && from_float && widens)))
        return "an exact conversion takes no rounding";
    return NULL;
}

/* Of video instructions: the second operation, and the comparison of vset. */
static const char *broken_video(const struct weft_ptx_insn *insn)
{
    bool adds = insn->operation == WEFT_PTX_OP_NONE || insn->operation == WEFT_PTX_OP_ADD;
    bool simd = false;
    switch (insn->opcode) {
    case WEFT_PTX_VADD:
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VSET:
        break;
    case WEFT_PTX_VSHL:
    case WEFT_PTX_VSHR:
        if (insn->types[2] != WEFT_PTX_U32)
            return "a shift is by .u32";
        break;
    default:
        simd = true;
    }
    bool extreme = insn->operation == WEFT_PTX_OP_MIN || insn->operation == WEFT_PTX_OP_MAX;
    if (!adds && (simd || !extreme))
        return "this instruction does not take the second operation";
    if (simd && insn->operation && insn->flags & WEFT_PTX_SAT)
        return ".sat and .add do not go together here";
    return insn->compare > WEFT_PTX_GE ? "vset compares by .eq, .ne, .lt, .le, .gt or .ge" : NULL;
}

/* What one instruction wants of its own modifiers. */
static const char *broken_alone(const struct weft_ptx_insn *insn, uint64_t seen)
{
    switch (insn->opcode) {
    case WEFT_PTX_MUL:
    case WEFT_PTX_MAD:
        return broken_product(insn, seen);
    case WEFT_PTX_ADD:
    case WEFT_PTX_SUB:
        return broken_mixture(insn);
    case WEFT_PTX_FMA:
        if (broken_mixture(insn))
            return broken_mixture(insn);
        return seen & G(ROUND) ? NULL : "this instruction needs a rounding";
    case WEFT_PTX_DIV:
    case WEFT_PTX_RCP:
    case WEFT_PTX_SQRT:
        return broken_precision(insn, seen);
    case WEFT_PTX_CVT:
        return broken_conversion(insn, seen);
    case WEFT_PTX_MEMBAR:
        return seen & (G(MEMBAR) | G(FENCE)) ? NULL : "this instruction needs .cta, .gl or .sys";
    case WEFT_PTX_FENCE:
        return seen & (G(SCOPE) | G(FENCE)) ? NULL : "this instruction needs a scope";
    case WEFT_PTX_SET: {
        bool pair = (T(F16X2) | T(BF16X2)) >> insn->types[1] & 1;
        uint64_t pairs = T_INT32 | UINT64_C(1) << insn->types[1];
        return !pair || pairs >> insn->types[0] & 1
                   ? NULL
                   : "a comparison of pairs gives .u32, .s32 or a pair of its type";
    }
    case WEFT_PTX_SLCT:
        return (T(S32) | T(F32)) >> insn->types[1] & 1 ? NULL
                                                       : "slct selects by .s32 or .f32 alone";
    case WEFT_PTX_VADD:
    case WEFT_PTX_VADD2:
    case WEFT_PTX_VADD4:
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VSUB2:
    case WEFT_PTX_VSUB4:
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VABSDIFF2:
    case WEFT_PTX_VABSDIFF4:
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMIN2:
    case WEFT_PTX_VMIN4:
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VMAX2:
    case WEFT_PTX_VMAX4:
    case WEFT_PTX_VAVRG2:
    case WEFT_PTX_VAVRG4:
    case WEFT_PTX_VSHL:
    case WEFT_PTX_VSHR:
    case WEFT_PTX_VSET:
    case WEFT_PTX_VSET2:
    case WEFT_PTX_VSET4:
        return broken_video(insn);
    case WEFT_PTX_VOTE:
        return (insn->mode == WEFT_PTX_BALLOT) == (insn->types[0] == WEFT_PTX_B32)
                   ? NULL
                   : "a ballot is .b32, another vote .pred";
    default:
        return weft_ptx_image_broken(insn);
    }
}

static const char *broken_rule(const struct weft_ptx_insn *insn, uint64_t seen)
{
    uint64_t settled = 0;
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(rules); i++) {
        const struct rule *rule = &rules[i];
        uint64_t group = UINT64_C(1) << rule->group;
        if (!(seen & group) || (settled & group) ||
            (rule->opcode != ANY_OPCODE && rule->opcode != insn->opcode))
            continue;
        settled |= group;
        if (!(rule->types >> insn->types[0] & 1))
            return rule->broken;
    }
    return NULL;
}

const char *weft_ptx_rules_broken(const struct weft_ptx_insn *insn, uint64_t seen)
{
    enum weft_ptx_type last =
        insn->type_count ? insn->types[insn->type_count - 1] : WEFT_PTX_NOTYPE;
    bool reduces = insn->opcode == WEFT_PTX_ATOM || insn->opcode == WEFT_PTX_RED ||
                   insn->opcode == WEFT_PTX_REDUX;
    bool compares = insn->opcode == WEFT_PTX_SET || insn->opcode == WEFT_PTX_SETP;
    if (reduces && !(operation_types(insn) >> last & 1))
        return "this operation does not take the type";
    if (compares && !(comparison_types(insn->compare) >> last & 1))
        return "this comparison does not take the type";
    const char *broken = broken_alone(insn, seen);
    if (broken || insn->opcode == WEFT_PTX_REDUX)
        return broken;
    return broken_rule(insn, seen);
}
