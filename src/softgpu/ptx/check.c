/* Operands against the form of their instruction: how many, of which kind and type, as the ISA's
 * rules of operands say. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "softgpu/ptx/matrix.h"
#include "util/util.h"

enum type_class {
    CLASS_BITS,
    CLASS_INTEGER,
    CLASS_FLOAT,
    CLASS_PACKED,
    CLASS_PREDICATE,
    CLASS_OPAQUE
};

struct checking {
    struct weft_ptx_parser *parser;
    const struct weft_ptx_insn *insn;
    const struct weft_ptx_token *mnemonic, *tokens;
    uint32_t operand; /* the next */
};

static enum type_class class_of(enum weft_ptx_type type)
{
    if (type == WEFT_PTX_PRED)
        return CLASS_PREDICATE;
    if (type >= WEFT_PTX_TEXREF)
        return CLASS_OPAQUE;
    if (type >= WEFT_PTX_U8 && type <= WEFT_PTX_S64)
        return CLASS_INTEGER;
    if (type >= WEFT_PTX_B8 && type <= WEFT_PTX_B128)
        return CLASS_BITS;
    if (type == WEFT_PTX_F16 || type == WEFT_PTX_F32 || type == WEFT_PTX_F64)
        return CLASS_FLOAT;
    return CLASS_PACKED;
}

/* Whether a register of type `have` may stand where the instruction says
 * `want`; `wider` lets it be larger. */
static bool fits(enum weft_ptx_type want, enum weft_ptx_type have, bool wider)
{
    enum type_class a = class_of(want), b = class_of(have);
    if (a == CLASS_PREDICATE || b == CLASS_PREDICATE)
        return a == b;
    uint32_t want_bytes = weft_ptx_type_bytes(want), have_bytes = weft_ptx_type_bytes(have);
    if (wider ? have_bytes < want_bytes : have_bytes != want_bytes)
        return false;
    if (a == CLASS_BITS || b == CLASS_BITS)
        return true;
    if (a == CLASS_PACKED || b == CLASS_PACKED)
        return want == have || a != b;
    return a == b && (a != CLASS_FLOAT || want_bytes == have_bytes);
}

static void fail_at(struct checking *checking, const char *reason)
{
    const struct weft_ptx_token *at = &checking->tokens[checking->operand];
    weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, at, "%s: \"%.*s\"", reason,
                         (int)at->length, at->text);
}

static void fail_type(struct checking *checking, enum weft_ptx_type want, enum weft_ptx_type have)
{
    const struct weft_ptx_token *at = &checking->tokens[checking->operand];
    weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, at,
                         "\"%.*s\" is .%s, which does not fit the .%s of \"%s\"", (int)at->length,
                         at->text, weft_ptx_type_name(have), weft_ptx_type_name(want),
                         checking->insn->text);
}

static enum weft_ptx_type register_type(const struct checking *checking,
                                        const struct weft_ptx_operand *operand)
{
    const struct weft_ptx_register *registers = checking->parser->builder.registers.items;
    return registers[operand->index].type;
}

static enum weft_ptx_type special_type(const struct weft_ptx_operand *operand)
{
    static const uint8_t types[] = {
#define SPECIAL(name, text, type, components) WEFT_PTX_##type,
#include "softgpu/ptx/specials.def"
#undef SPECIAL
    };
    return types[operand->index];
}

static bool takes_float_constant(enum weft_ptx_type want)
{
    return want == WEFT_PTX_F32 || want == WEFT_PTX_F64 || want == WEFT_PTX_B32 ||
           want == WEFT_PTX_B64;
}

static bool takes_integer_constant(enum weft_ptx_type want)
{
    enum type_class class = class_of(want);
    return class == CLASS_INTEGER || class == CLASS_BITS || class == CLASS_PREDICATE;
}

/* Only mov and cvt read special registers. The three numbers of a thread were once of 16 bits, that
 * of a grid of 32. */
static void check_special(struct checking *checking, const struct weft_ptx_operand *operand,
                          enum weft_ptx_type want)
{
    enum weft_ptx_type have = special_type(operand);
    uint32_t opcode = checking->insn->opcode;
    bool narrow = (want == WEFT_PTX_U16 && operand->index <= WEFT_PTX_SPECIAL_NCTAID) ||
                  (want == WEFT_PTX_U32 && operand->index == WEFT_PTX_SPECIAL_GRIDID);
    if (opcode != WEFT_PTX_MOV && opcode != WEFT_PTX_CVT)
        fail_at(checking, "a special register is read by mov alone");
    else if (opcode == WEFT_PTX_MOV && !narrow && !fits(want, have, false))
        fail_type(checking, want, have);
}

/* A register, special register or constant. `want` NOTYPE: any type. */
static void check_value(struct checking *checking, const struct weft_ptx_operand *operand,
                        enum weft_ptx_type want, bool wider)
{
    enum weft_ptx_type have = WEFT_PTX_NOTYPE;
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        have = register_type(checking, operand);
        if (operand->minus || operand->selector || (operand->negated && want != WEFT_PTX_PRED))
            fail_at(checking, "the register stands here alone");
        else if (want && !fits(want, have, wider))
            fail_type(checking, want, have);
        return;
    case WEFT_PTX_OPERAND_SPECIAL:
        check_special(checking, operand, want);
        return;
    case WEFT_PTX_OPERAND_INTEGER:
        if (want && !takes_integer_constant(want))
            fail_at(checking,
                    "an integer cannot stand for a float; write it as 0f… or with a point");
        return;
    case WEFT_PTX_OPERAND_FLOAT:
        if (want && !takes_float_constant(want))
            fail_at(checking, "a float cannot stand here");
        return;
    default:
        fail_at(checking, "a register or constant is expected");
    }
}

static void check_destination(struct checking *checking, const struct weft_ptx_operand *operand,
                              enum weft_ptx_type want, bool wider, bool sink)
{
    if (operand->kind == WEFT_PTX_OPERAND_SINK && sink)
        return;
    if (operand->kind != WEFT_PTX_OPERAND_REGISTER || operand->negated)
        fail_at(checking, "a register is expected");
    else
        check_value(checking, operand, want, wider);
}

/* {a, b} of ld, st and atom: as many as the instruction says. */
static void check_vector(struct checking *checking, const struct weft_ptx_operand *operand,
                         enum weft_ptx_type want, bool written)
{
    if (operand->element_count != checking->insn->vector) {
        fail_at(checking, "the vector has not the size that the instruction states");
        return;
    }
    for (uint32_t i = 0; i < operand->element_count; i++) {
        const struct weft_ptx_operand *element = &operand->elements[i];
        if (written)
            check_destination(checking, element, want, true, true);
        else
            check_value(checking, element, want, true);
    }
}

static void check_vector_or_value(struct checking *checking, const struct weft_ptx_operand *operand,
                                  enum weft_ptx_type want, char kind)
{
    bool written = kind != 'w';
    if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
        check_vector(checking, operand, want, written);
    else if (checking->insn->vector > 1)
        fail_at(checking, "a vector in braces is expected");
    else if (written)
        check_destination(checking, operand, want, true, kind == 'V');
    else
        check_value(checking, operand, want, true);
}

/* mov.b64 {a, b}, c and back: the elements fill the type together, each with the same bytes. */
static void check_packing(struct checking *checking, const struct weft_ptx_operand *operand,
                          enum weft_ptx_type want)
{
    uint32_t whole = weft_ptx_type_bytes(want), count = operand->element_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct weft_ptx_operand *element = &operand->elements[i];
        if (element->kind == WEFT_PTX_OPERAND_SPECIAL) {
            fail_at(checking, "a component as .x is expected");
            return;
        }
        if (element->kind == WEFT_PTX_OPERAND_REGISTER &&
            weft_ptx_type_bytes(register_type(checking, element)) * count != whole) {
            fail_at(checking, "the elements of the vector do not fill the type");
            return;
        }
    }
}

static void check_mov(struct checking *checking, const struct weft_ptx_operand *operand,
                      enum weft_ptx_type want)
{
    bool first = checking->operand == 0;
    if (operand->kind == WEFT_PTX_OPERAND_VECTOR && checking->insn->vector > 1)
        check_vector(checking, operand, want, first);
    else if (operand->kind == WEFT_PTX_OPERAND_VECTOR)
        check_packing(checking, operand, want);
    else if (first)
        check_destination(checking, operand, want, false, false);
    else if (operand->kind != WEFT_PTX_OPERAND_SYMBOL)
        check_value(checking, operand, want, false);
    else if (weft_ptx_type_bytes(want) < 4)
        fail_at(checking, "an address does not fit here");
}

static void check_address(struct checking *checking, const struct weft_ptx_operand *operand)
{
    if (operand->kind != WEFT_PTX_OPERAND_ADDRESS) {
        fail_at(checking, "an address in brackets is expected");
        return;
    }
    if (!operand->register_base)
        return;
    enum weft_ptx_type type = register_type(checking, operand);
    enum type_class class = class_of(type);
    if ((class != CLASS_INTEGER && class != CLASS_BITS) || weft_ptx_type_bytes(type) < 4 ||
        weft_ptx_type_bytes(type) > 8)
        fail_at(checking, "a register of 32 or 64 bits is expected as address");
}

static void check_predicate(struct checking *checking, const struct weft_ptx_operand *operand)
{
    struct weft_ptx_operand plain = *operand;
    plain.negated = false;
    check_value(checking, &plain, WEFT_PTX_PRED, false);
}

static bool is_part(uint8_t selector)
{
    return selector == WEFT_PTX_SELECT_NONE || selector < WEFT_PTX_SELECT_BYTES;
}

/* Lanes to be written, each named once, the highest first: .b3, .b20, .h10. */
static bool is_lane_mask(const struct weft_ptx_operand *operand, bool bytes)
{
    uint8_t first = bytes ? WEFT_PTX_SELECT_B0 : WEFT_PTX_SELECT_H0;
    uint8_t last = bytes ? WEFT_PTX_SELECT_B3 : WEFT_PTX_SELECT_H1;
    if (operand->selector != (bytes ? WEFT_PTX_SELECT_BYTES : WEFT_PTX_SELECT_HALVES))
        return operand->selector == WEFT_PTX_SELECT_NONE ||
               (operand->selector >= first && operand->selector <= last);
    for (uint32_t i = 0; i + 1 < operand->element_count; i++)
        if ((operand->bits >> 4 * i & 15) >= (operand->bits >> 4 * (i + 1) & 15))
            return false;
    return operand->bits >> 4 * (operand->element_count - 1u) < (bytes ? 4u : 2u);
}

static bool selector_fits(const struct weft_ptx_operand *operand, char letter, bool written)
{
    uint8_t selector = operand->selector;
    switch (letter) {
    case '2':
        return written ? is_lane_mask(operand, false)
                       : !selector || selector == WEFT_PTX_SELECT_HALVES;
    case '4':
        return written ? is_lane_mask(operand, true)
                       : !selector ||
                             (selector == WEFT_PTX_SELECT_BYTES && operand->element_count == 4);
    case '0':
        return selector == WEFT_PTX_SELECT_NONE;
    default:
        return is_part(selector);
    }
}

/* An operand of a video instruction: a word, or parts of it. */
static void check_video(struct checking *checking, const struct weft_ptx_operand *operand,
                        char letter, bool written)
{
    struct weft_ptx_operand plain = *operand;
    bool minus = letter == 'm' && !(checking->insn->flags & WEFT_PTX_PLUS_ONE);
    if (!selector_fits(operand, letter, written) || (operand->minus && !minus)) {
        fail_at(checking, "the part of the register does not fit the instruction");
        return;
    }
    plain.selector = WEFT_PTX_SELECT_NONE;
    plain.minus = false;
    if (written)
        check_destination(checking, &plain, WEFT_PTX_B32, false, false);
    else
        check_value(checking, &plain, WEFT_PTX_B32, false);
}

static enum weft_ptx_type widened(const struct weft_ptx_insn *insn)
{
    if (!(insn->flags & WEFT_PTX_WIDE))
        return insn->types[0];
    switch (insn->types[0]) {
    case WEFT_PTX_U16:
        return WEFT_PTX_U32;
    case WEFT_PTX_S16:
        return WEFT_PTX_S32;
    case WEFT_PTX_U32:
        return WEFT_PTX_U64;
    default:
        return WEFT_PTX_S64;
    }
}

static enum weft_ptx_type wanted_type(const struct weft_ptx_insn *insn, char letter)
{
    switch (letter) {
    case 'e':
        return insn->types[insn->type_count > 1];
    case 'W':
        return widened(insn);
    case 'b':
        return WEFT_PTX_B32;
    case 'l':
        return WEFT_PTX_B64;
    case 'p':
        return WEFT_PTX_PRED;
    case '-':
        return WEFT_PTX_NOTYPE;
    default:
        return insn->types[letter - '0'];
    }
}

static void check_operand(struct checking *checking, char kind, char letter)
{
    const struct weft_ptx_operand *operand = &checking->insn->operands[checking->operand];
    bool video = kind == 'y' || kind == 'z';
    enum weft_ptx_type want = video ? WEFT_PTX_B32 : wanted_type(checking->insn, letter);
    switch (kind) {
    case 'y':
    case 'z':
        check_video(checking, operand, letter, kind == 'y');
        break;
    case 'd':
    case 'D':
    case 'r':
        check_destination(checking, operand, want, kind == 'r', kind == 'D');
        break;
    case 'q':
        check_destination(checking, operand, want, false, true);
        break;
    case 's':
    case 't':
        check_value(checking, operand, want, kind == 't');
        break;
    case 'g':
        if (operand->kind != WEFT_PTX_OPERAND_SYMBOL)
            check_value(checking, operand, want, false);
        break;
    case 'n':
        check_predicate(checking, operand);
        break;
    case 'a':
        check_address(checking, operand);
        break;
    case 'i':
        if (operand->kind != WEFT_PTX_OPERAND_INTEGER)
            fail_at(checking, "an integer constant is expected");
        break;
    case 'v':
    case 'V':
    case 'w':
        check_vector_or_value(checking, operand, want, kind);
        break;
    case 'm':
        check_mov(checking, operand, want);
        break;
    default: /* l: checked where labels are resolved; x: anything */
        break;
    }
}

static void fail_count(struct checking *checking, uint32_t have)
{
    weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, checking->mnemonic,
                         "\"%s\" cannot have %u operand%s", checking->insn->text, have,
                         have == 1 ? "" : "s");
}

/* Where the number of operands hangs on a modifier. */
static bool count_is_right(const struct weft_ptx_insn *insn)
{
    uint32_t count = insn->operand_count - insn->paired;
    switch (insn->opcode) {
    case WEFT_PTX_SHFL:
        return count == (insn->flags & WEFT_PTX_SYNC ? 5u : 4u);
    case WEFT_PTX_VOTE:
        return count == (insn->flags & WEFT_PTX_SYNC ? 3u : 2u);
    case WEFT_PTX_MATCH:
        return !insn->paired || insn->mode == WEFT_PTX_ALL;
    case WEFT_PTX_ATOM:
        return insn->operation == WEFT_PTX_OP_CAS ? count == 4 || count == 5
                                                  : count == 3 || count == 4;
    case WEFT_PTX_VADD:
    case WEFT_PTX_VSUB:
    case WEFT_PTX_VABSDIFF:
    case WEFT_PTX_VMIN:
    case WEFT_PTX_VMAX:
    case WEFT_PTX_VSHL:
    case WEFT_PTX_VSHR:
    case WEFT_PTX_VSET:
        return count == (insn->operation || insn->operands[0].selector ? 4u : 3u) &&
               !(insn->operation && insn->operands[0].selector);
    case WEFT_PTX_VMAD: /* the product or the third may be negated */
        return insn->operands[1].minus == insn->operands[2].minus || !insn->operands[3].minus;
    case WEFT_PTX_SET:
        return count == (insn->operation ? 4u : 3u);
    case WEFT_PTX_SETP:
        return count == (insn->operation ? 4u : 3u);
    default:
        return true;
    }
}

static const char *barrier_operands(const struct weft_ptx_insn *insn)
{
    switch (insn->mode) {
    case WEFT_PTX_BAR_WARP:
        return "sb";
    case WEFT_PTX_BAR_ARRIVE:
        return "sb sb";
    case WEFT_PTX_BAR_RED: /* the number of threads may be left out */
        if (insn->operand_count == 3)
            return insn->operation == WEFT_PTX_OP_POPC ? "db sb np" : "dp sb np";
        return insn->operation == WEFT_PTX_OP_POPC ? "db sb sb np" : "dp sb sb np";
    default:
        return "sb ?sb";
    }
}

static void check_items(struct checking *checking, const char *items)
{
    const struct weft_ptx_insn *insn = checking->insn;
    bool optional = false;
    for (; *items && !weft_ptx_parser_failed(checking->parser); items += *items == ' ') {
        if (*items == '*')
            return;
        optional |= *items == '?';
        items += *items == '?';
        char kind = items[0], letter = items[1];
        items += 2;
        if (kind == 'q' && !insn->paired)
            continue;
        if (checking->operand == insn->operand_count) {
            if (!optional)
                fail_count(checking, insn->operand_count);
            return;
        }
        if (insn->paired && checking->operand == 1 && kind != 'q') {
            fail_at(checking, "this instruction has no second result behind '|'");
            return;
        }
        check_operand(checking, kind, letter);
        checking->operand++;
    }
    if (checking->operand < insn->operand_count)
        fail_count(checking, insn->operand_count);
}

/* Shapes, layouts and fragments, and whether the module's target has them. */
static void check_matrix(struct checking *checking)
{
    const struct weft_ptx_insn *insn = checking->insn;
    struct weft_ptx_matrix matrix;
    uint32_t target = checking->parser->module->target_sm;
    const char *broken = weft_ptx_matrix_decode(insn, &matrix);
    if (!broken && !matrix.is_newer)
        broken = weft_ptx_matrix_operands(insn, &matrix);
    if (broken)
        weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, checking->mnemonic, "%s: \"%s\"",
                             broken, insn->text);
    else if (target < matrix.least_sm)
        weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, checking->mnemonic,
                             "\"%s\" needs .target sm_%u or above, not sm_%u", insn->text,
                             matrix.least_sm, target);
}

void weft_ptx_parser_check(struct weft_ptx_parser *parser, const struct weft_ptx_insn *insn,
                           const struct weft_ptx_form *form, const struct weft_ptx_token *mnemonic,
                           const struct weft_ptx_token *tokens)
{
    if (weft_ptx_parser_failed(parser) || insn->opcode == WEFT_PTX_CALL)
        return;
    struct checking checking = {
        .parser = parser, .insn = insn, .mnemonic = mnemonic, .tokens = tokens};
    if (weft_ptx_image_checks(insn)) {
        weft_ptx_parser_check_image(parser, insn, mnemonic, tokens);
        return;
    }
    const char *items = insn->opcode == WEFT_PTX_BAR ? barrier_operands(insn) : form->operands;
    check_items(&checking, items);
    if (!weft_ptx_parser_failed(parser) && !count_is_right(insn))
        fail_count(&checking, insn->operand_count);
    if (!weft_ptx_parser_failed(parser) && weft_ptx_is_matrix(insn->opcode))
        check_matrix(&checking);
}
