/* Instructions about textures and surfaces: which modifiers go together, which operands they have,
 * and the initialisers of samplers. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "softgpu/ptx/sets.h"
#include "util/util.h"

/* Coordinates by geometry: how many stand in the tuple, and how many of them are read. */
struct geometry {
    uint8_t written, axes;
    bool is_array, is_cube;
};

static const struct geometry geometries[] = {
    [WEFT_PTX_GEOMETRY_1D] = {1, 1, false, false},
    [WEFT_PTX_GEOMETRY_2D] = {2, 2, false, false},
    [WEFT_PTX_GEOMETRY_3D] = {4, 3, false, false},
    [WEFT_PTX_GEOMETRY_A1D] = {2, 1, true, false},
    [WEFT_PTX_GEOMETRY_A2D] = {4, 2, true, false},
    [WEFT_PTX_GEOMETRY_CUBE] = {4, 3, false, true},
    [WEFT_PTX_GEOMETRY_ACUBE] = {4, 3, true, true},
    [WEFT_PTX_GEOMETRY_2DMS] = {4, 2, false, false},
    [WEFT_PTX_GEOMETRY_A2DMS] = {4, 2, true, false},
};

bool weft_ptx_image_checks(const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_TEX:
    case WEFT_PTX_TLD4:
    case WEFT_PTX_TXQ:
    case WEFT_PTX_SUQ:
    case WEFT_PTX_SULD:
    case WEFT_PTX_SUST:
    case WEFT_PTX_SURED:
        return true;
    default:
        return false;
    }
}

static const char *broken_texture(const struct weft_ptx_insn *insn)
{
    bool cube = geometries[insn->geometry].is_cube;
    bool samples =
        insn->geometry == WEFT_PTX_GEOMETRY_2DMS || insn->geometry == WEFT_PTX_GEOMETRY_A2DMS;
    if (insn->vector != (insn->types[0] == WEFT_PTX_F16X2 ? 2 : 4))
        return "a texture gives .v4, or .v2 of .f16x2";
    if (insn->types[1] != WEFT_PTX_F32 && insn->types[1] != WEFT_PTX_S32)
        return "coordinates are .s32 or .f32";
    if (cube && insn->types[1] != WEFT_PTX_F32)
        return "the coordinates of a cube are .f32";
    if (samples && insn->types[1] != WEFT_PTX_S32)
        return "the coordinates of samples are .s32";
    if (insn->opcode == WEFT_PTX_TEX)
        return NULL;
    if (insn->geometry != WEFT_PTX_GEOMETRY_2D && insn->geometry != WEFT_PTX_GEOMETRY_A2D && !cube)
        return "tld4 takes .2d, .a2d, .cube or .acube";
    return insn->types[1] == WEFT_PTX_F32 ? NULL : "the coordinates of tld4 are .f32";
}

static const char *broken_query(const struct weft_ptx_insn *insn)
{
    bool size = insn->mode >= WEFT_PTX_QUERY_WIDTH && insn->mode <= WEFT_PTX_QUERY_DEPTH;
    bool both = size || insn->mode == WEFT_PTX_QUERY_CHANNEL_DATA_TYPE ||
                insn->mode == WEFT_PTX_QUERY_CHANNEL_ORDER ||
                insn->mode == WEFT_PTX_QUERY_ARRAY_SIZE;
    if (insn->opcode == WEFT_PTX_SUQ)
        return both || insn->mode == WEFT_PTX_QUERY_MEMORY_LAYOUT
                   ? NULL
                   : "a surface has no such attribute";
    if (insn->mode == WEFT_PTX_QUERY_MEMORY_LAYOUT)
        return "a texture has no such attribute";
    if (insn->detail != WEFT_PTX_DETAIL_NONE && (insn->detail != WEFT_PTX_DETAIL_LEVEL || !size))
        return ".level goes with .width, .height and .depth";
    return NULL;
}

static const char *broken_reduction(const struct weft_ptx_insn *insn)
{
    uint64_t types;
    switch (insn->operation) {
    case WEFT_PTX_OP_ADD:
        types = T(U32) | T(U64) | T(S32);
        break;
    case WEFT_PTX_OP_MIN:
    case WEFT_PTX_OP_MAX:
        types = T_WIDE_INT;
        break;
    case WEFT_PTX_OP_AND:
    case WEFT_PTX_OP_OR:
        types = T(B32);
        break;
    default:
        return "sured adds, ands, ors, or takes .min or .max";
    }
    if (insn->mode == WEFT_PTX_SURFACE_SAMPLES)
        types = T(B32) | T(B64);
    return types >> insn->types[0] & 1 ? NULL : "this operation does not take the type";
}

static const char *broken_surface(const struct weft_ptx_insn *insn)
{
    bool flat = insn->geometry <= WEFT_PTX_GEOMETRY_3D;
    bool samples = insn->mode == WEFT_PTX_SURFACE_SAMPLES;
    if (insn->geometry > WEFT_PTX_GEOMETRY_A2D)
        return "a surface is .1d, .2d, .3d, .a1d or .a2d";
    if (insn->opcode == WEFT_PTX_SURED)
        return flat ? broken_reduction(insn) : "sured takes .1d, .2d or .3d";
    if (insn->vector == 8)
        return "a surface takes .v2 or .v4";
    if (insn->opcode == WEFT_PTX_SULD)
        return samples ? "suld has no formatted form" : NULL;
    if (samples && (!flat || insn->types[0] != WEFT_PTX_B32))
        return "sust.p takes .b32 and .1d, .2d or .3d";
    return NULL;
}

const char *weft_ptx_image_broken(const struct weft_ptx_insn *insn)
{
    switch (insn->opcode) {
    case WEFT_PTX_TEX:
    case WEFT_PTX_TLD4:
        return broken_texture(insn);
    case WEFT_PTX_TXQ:
    case WEFT_PTX_SUQ:
        return broken_query(insn);
    case WEFT_PTX_SULD:
    case WEFT_PTX_SUST:
    case WEFT_PTX_SURED:
        return broken_surface(insn);
    default:
        return NULL;
    }
}

struct checking {
    struct weft_ptx_parser *parser;
    const struct weft_ptx_insn *insn;
    const struct weft_ptx_token *mnemonic, *tokens;
    uint32_t operand; /* the next */
};

static void fail_at(struct checking *checking, const char *reason)
{
    const struct weft_ptx_token *at = &checking->tokens[checking->operand];
    weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, at, "%s: \"%.*s\"", reason,
                         (int)at->length, at->text);
}

static bool at_end(const struct checking *checking)
{
    return checking->operand == checking->insn->operand_count ||
           weft_ptx_parser_failed(checking->parser);
}

static void fail_count(struct checking *checking)
{
    weft_ptx_parser_fail(checking->parser, WEFT_ESYNTAX, checking->mnemonic,
                         "\"%s\" cannot have %u operands", checking->insn->text,
                         checking->insn->operand_count);
}

static uint8_t register_type(const struct checking *checking, uint32_t index)
{
    const struct weft_ptx_register *registers = checking->parser->builder.registers.items;
    return registers[index].type;
}

static bool is_float(uint8_t type)
{
    return type == WEFT_PTX_F16 || type == WEFT_PTX_F32 || type == WEFT_PTX_F64;
}

static bool is_integer(uint8_t type)
{
    return type >= WEFT_PTX_U8 && type <= WEFT_PTX_S64;
}

/* Whether a register of type `have` holds a value of type `want`; bits fit both kinds. */
static bool holds(uint8_t have, uint8_t want, bool wider)
{
    uint32_t have_bytes = weft_ptx_type_bytes(have), want_bytes = weft_ptx_type_bytes(want);
    if (have >= WEFT_PTX_PRED || (wider ? have_bytes < want_bytes : have_bytes != want_bytes))
        return false;
    return !(is_float(have) && is_integer(want)) && !(is_integer(have) && is_float(want));
}

/* A register or constant, or, where it is written, a register or _. */
static void check_value(struct checking *checking, const struct weft_ptx_operand *operand,
                        uint8_t want, bool written)
{
    bool plain = !operand->negated && !operand->minus && !operand->selector;
    bool fits;
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        fits = plain && holds(register_type(checking, operand->index), want,
                              checking->insn->opcode == WEFT_PTX_SULD ||
                                  checking->insn->opcode == WEFT_PTX_SUST);
        break;
    case WEFT_PTX_OPERAND_SINK:
        fits = written;
        break;
    case WEFT_PTX_OPERAND_INTEGER:
        fits = !written && !is_float(want);
        break;
    case WEFT_PTX_OPERAND_FLOAT:
        fits = !written && !is_integer(want);
        break;
    default:
        fits = false;
    }
    if (!fits)
        fail_at(checking, "the operand has not the kind or type that stands here");
}

/* {a, b}, or a alone where `count` is 1. */
static void check_tuple(struct checking *checking, const struct weft_ptx_operand *operand,
                        uint32_t count, uint8_t want, bool written)
{
    bool vector = operand->kind == WEFT_PTX_OPERAND_VECTOR;
    if (!vector && count == 1) {
        check_value(checking, operand, want, written);
    } else if (!vector || operand->element_count != count) {
        fail_at(checking, "the tuple has not the size that the instruction states");
    } else {
        for (uint32_t i = 0; i < count; i++)
            check_value(checking, &operand->elements[i], want, written);
    }
}

static const struct weft_ptx_operand *next(struct checking *checking)
{
    if (!at_end(checking))
        return &checking->insn->operands[checking->operand];
    if (!weft_ptx_parser_failed(checking->parser))
        fail_count(checking);
    return NULL;
}

static void take_tuple(struct checking *checking, uint32_t count, uint8_t want, bool written)
{
    const struct weft_ptx_operand *operand = next(checking);
    if (operand)
        check_tuple(checking, operand, count, want, written);
    checking->operand += operand != NULL;
}

static void take_predicate(struct checking *checking)
{
    const struct weft_ptx_operand *operand = next(checking);
    bool fits = operand && (operand->kind == WEFT_PTX_OPERAND_SINK ||
                            (operand->kind == WEFT_PTX_OPERAND_REGISTER && !operand->negated &&
                             register_type(checking, operand->index) == WEFT_PTX_PRED));
    if (operand && !fits)
        fail_at(checking, "a predicate is expected");
    checking->operand += operand != NULL;
}

/* A variable of the module, or 64 bits in a register or a parameter. */
static bool names_image(const struct checking *checking, const struct weft_ptx_operand *operand)
{
    if (operand->kind == WEFT_PTX_OPERAND_REGISTER || operand->register_base) {
        uint8_t type = register_type(checking, operand->index);
        return (is_integer(type) || type == WEFT_PTX_B64) && weft_ptx_type_bytes(type) == 8;
    }
    return operand->symbol == WEFT_PTX_SYMBOL_VARIABLE ||
           operand->symbol == WEFT_PTX_SYMBOL_PARAMETER;
}

static void check_coordinates(struct checking *checking, const struct weft_ptx_operand *tuple)
{
    const struct weft_ptx_insn *insn = checking->insn;
    const struct geometry *geometry = &geometries[insn->geometry];
    uint8_t type = insn->opcode == WEFT_PTX_TEX || insn->opcode == WEFT_PTX_TLD4 ? insn->types[1]
                                                                                 : WEFT_PTX_S32;
    bool vector = tuple->kind == WEFT_PTX_OPERAND_VECTOR;
    if (vector && tuple->element_count != geometry->written) {
        fail_at(checking, "the coordinates are not as many as the geometry has");
        return;
    }
    uint32_t read = geometry->axes + geometry->is_array, count = vector ? geometry->written : 1;
    for (uint32_t i = 0; i < count; i++) {
        bool typed = i < read && !(geometry->is_array && i == 0);
        check_value(checking, vector ? &tuple->elements[i] : tuple, typed ? type : WEFT_PTX_B32,
                    false);
    }
}

/* [image], [image, coordinates], [image, sampler, coordinates] */
static void take_address(struct checking *checking)
{
    const struct weft_ptx_operand *operand = next(checking);
    bool query = checking->insn->geometry == WEFT_PTX_GEOMETRY_NONE;
    bool texture =
        checking->insn->opcode == WEFT_PTX_TEX || checking->insn->opcode == WEFT_PTX_TLD4;
    if (!operand)
        return;
    uint32_t count = operand->elements ? operand->element_count : 0;
    if (operand->kind != WEFT_PTX_OPERAND_ADDRESS || !names_image(checking, operand))
        fail_at(checking, "the name of a texture or surface in brackets is expected");
    else if (query ? count != 0 : count != 1 && !(texture && count == 2))
        fail_at(checking, "the brackets hold an image, a sampler if one is meant, and coordinates");
    else if (count == 2 && !names_image(checking, &operand->elements[0]))
        fail_at(checking, "the name of a sampler is expected");
    else if (count)
        check_coordinates(checking, &operand->elements[count - 1]);
    checking->operand++;
}

/* What follows the address: level or gradients, offsets, what to compare with. */
static void take_details(struct checking *checking)
{
    const struct weft_ptx_insn *insn = checking->insn;
    const struct geometry *geometry = &geometries[insn->geometry];
    uint32_t axes = geometry->axes == 3 ? 4 : geometry->axes;
    if (insn->detail == WEFT_PTX_DETAIL_LEVEL)
        take_tuple(checking, 1, insn->types[1], false);
    for (int i = 0; insn->detail == WEFT_PTX_DETAIL_GRADIENT && i < 2; i++)
        take_tuple(checking, axes, WEFT_PTX_F32, false);
    if (!at_end(checking) && next(checking)->kind == WEFT_PTX_OPERAND_VECTOR) {
        if (geometry->is_cube)
            fail_at(checking, "a cube takes no offset");
        take_tuple(checking, axes, WEFT_PTX_S32, false);
    }
    if (!at_end(checking)) {
        if (insn->geometry == WEFT_PTX_GEOMETRY_3D)
            fail_at(checking, "a .3d texture compares no depth");
        take_tuple(checking, 1, WEFT_PTX_F32, false);
    }
}

void weft_ptx_parser_check_image(struct weft_ptx_parser *parser, const struct weft_ptx_insn *insn,
                                 const struct weft_ptx_token *mnemonic,
                                 const struct weft_ptx_token *tokens)
{
    struct checking checking = {
        .parser = parser, .insn = insn, .mnemonic = mnemonic, .tokens = tokens};
    bool texture = insn->opcode == WEFT_PTX_TEX || insn->opcode == WEFT_PTX_TLD4;
    bool stores = insn->opcode == WEFT_PTX_SUST || insn->opcode == WEFT_PTX_SURED;
    if (!stores)
        take_tuple(&checking, insn->vector, insn->types[0], true);
    if (insn->paired && !texture)
        fail_at(&checking, "this instruction has no second result behind '|'");
    if (insn->paired)
        take_predicate(&checking);
    take_address(&checking);
    if (stores)
        take_tuple(&checking, insn->vector, insn->types[0], false);
    if (texture)
        take_details(&checking);
    if (insn->opcode == WEFT_PTX_TXQ && insn->detail)
        take_tuple(&checking, 1, WEFT_PTX_B32, false);
    if (!at_end(&checking))
        fail_count(&checking);
}

static uint64_t address_bits(const char *field, uint32_t mode)
{
    return (uint64_t)mode << WEFT_PTX_SAMPLER_ADDRESS_SHIFT(field[strlen("addr_mode_")] - '0');
}

static bool is_address_field(const char *field)
{
    return !strcmp(field, "addr_mode_0") || !strcmp(field, "addr_mode_1") ||
           !strcmp(field, "addr_mode_2");
}

static uint64_t word_bits(struct weft_ptx_parser *parser, const char *field,
                          const struct weft_ptx_token *at, const char *word)
{
    static const char *const modes[] = {"wrap", "mirror", "clamp_ogl", "clamp_to_edge",
                                        "clamp_to_border"};
    for (uint32_t i = 0; is_address_field(field) && i < WEFT_ARRAY_COUNT(modes); i++)
        if (!strcmp(word, modes[i]))
            return address_bits(field, i);
    if (!strcmp(field, "filter_mode") && !strcmp(word, "linear"))
        return WEFT_PTX_SAMPLER_LINEAR;
    if (!strcmp(field, "filter_mode") && !strcmp(word, "nearest"))
        return 0;
    if (is_address_field(field) || !strcmp(field, "filter_mode"))
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "%s cannot be \"%s\"", field, word);
    return 0;
}

/* field = word or number: what a sampler keeps of it; fields of textures and surfaces are the
 * driver's to set. */
static uint64_t parse_field(struct weft_ptx_parser *parser)
{
    struct weft_ptx_name *field = weft_ptx_parser_expect_name(parser);
    weft_ptx_parser_expect(parser, '=');
    if (weft_ptx_parser_failed(parser))
        return 0;
    struct weft_ptx_token at = parser->token;
    if (at.kind == WEFT_PTX_TOKEN_NAME) {
        struct weft_ptx_name *word = weft_ptx_parser_expect_name(parser);
        return word ? word_bits(parser, field->text, &at, word->text) : 0;
    }
    int64_t value = weft_ptx_parser_integer(parser, INT64_MIN, INT64_MAX);
    if (!strcmp(field->text, "force_unnormalized_coords") && value)
        return WEFT_PTX_SAMPLER_UNNORMALISED;
    return 0;
}

void weft_ptx_parser_image_initialiser(struct weft_ptx_parser *parser,
                                       struct weft_ptx_variable *variable)
{
    uint64_t bits = WEFT_PTX_SAMPLER_TAG;
    weft_ptx_parser_expect(parser, '{');
    while (!weft_ptx_parser_failed(parser) && !weft_ptx_parser_at_sign(parser, '}')) {
        bits |= parse_field(parser);
        if (!weft_ptx_parser_accept(parser, ','))
            break;
    }
    weft_ptx_parser_expect(parser, '}');
    if (variable->type != WEFT_PTX_SAMPLERREF || weft_ptx_parser_failed(parser))
        return;
    uint8_t *init = weft_ptx_parser_alloc(parser, sizeof(bits));
    if (!init)
        return;
    memcpy(init, &bits, sizeof(bits));
    variable->init = init;
    variable->init_bytes = sizeof(bits);
}
