/* Operands: registers, constants, symbols, addresses, vectors. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

static bool at_operand_name(const struct weft_ptx_parser *parser)
{
    return parser->token.kind == WEFT_PTX_TOKEN_NAME && !weft_ptx_parser_at_name(parser, "WARP_SZ");
}

static void undeclared(struct weft_ptx_parser *parser, const struct weft_ptx_token *at,
                       const struct weft_ptx_name *name)
{
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is not declared", name->text);
}

/* .x .y .z .w, or .r .g .b .a: their index, or 4. */
static unsigned component_index(const struct weft_ptx_token *token)
{
    static const char names[] = "xyzwrgba";
    const char *found = token->length == 2 ? memchr(names, token->text[1], 8) : NULL;
    return found ? (unsigned)(found - names) % 4 : 4;
}

static void parse_component(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand,
                            unsigned size)
{
    unsigned index = component_index(&parser->token);
    if (index >= size || size == 1) {
        weft_ptx_parser_unexpected(parser, size == 1 ? "',' or ';'" : "a component as .x");
        return;
    }
    operand->component = (uint8_t)index;
    weft_ptx_parser_advance(parser);
}

static const uint8_t special_sizes[] = {
#define SPECIAL(name, text, type, components) components,
#include "softgpu/ptx/specials.def"
#undef SPECIAL
};

/* A register of vector type, or %tid, that is named as a whole is the vector of its components. */
static void expand_vector(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand,
                          unsigned size)
{
    struct weft_ptx_operand *elements =
        weft_ptx_parser_alloc(parser, size * sizeof(struct weft_ptx_operand));
    if (!elements)
        return;
    for (unsigned i = 0; i < size; i++) {
        elements[i] = *operand;
        elements[i].component = (uint8_t)i;
    }
    *operand = (struct weft_ptx_operand){
        .kind = WEFT_PTX_OPERAND_VECTOR, .element_count = (uint8_t)size, .elements = elements};
}

static void parse_special(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand,
                          const struct weft_ptx_name *name)
{
    *operand = (struct weft_ptx_operand){.kind = WEFT_PTX_OPERAND_SPECIAL, .index = name->special};
    unsigned size = special_sizes[name->special];
    if (parser->token.kind == WEFT_PTX_TOKEN_DOT)
        parse_component(parser, operand, size);
    else if (size > 1)
        expand_vector(parser, operand, size);
}

/* .b0 … .b3, .h0, .h1, and the masks of four bytes or two halves. */
static bool parse_selector(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    const struct weft_ptx_token *token = &parser->token;
    char kind = token->length > 2 ? token->text[1] : '\0';
    unsigned digits = token->length - 2;
    if ((kind != 'b' && kind != 'h') || digits > (kind == 'b' ? 4 : 2))
        return false;
    char last = kind == 'b' ? '7' : '3';
    for (unsigned i = 0; i < digits; i++) {
        char digit = token->text[2 + i];
        if (digit < '0' || digit > last)
            return false;
        operand->bits = operand->bits << 4 | (unsigned)(digit - '0');
    }
    operand->element_count = (uint8_t)digits;
    if (digits > 1)
        operand->selector = kind == 'b' ? WEFT_PTX_SELECT_BYTES : WEFT_PTX_SELECT_HALVES;
    else if (operand->bits < (kind == 'b' ? 4u : 2u))
        operand->selector =
            (uint8_t)((kind == 'b' ? WEFT_PTX_SELECT_B0 : WEFT_PTX_SELECT_H0) + operand->bits);
    else
        return false;
    weft_ptx_parser_advance(parser);
    return true;
}

static void parse_register(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand,
                           uint32_t index)
{
    const struct weft_ptx_register *registers = parser->builder.registers.items;
    unsigned size = registers[index].vector;
    *operand = (struct weft_ptx_operand){.kind = WEFT_PTX_OPERAND_REGISTER, .index = index};
    if (parser->token.kind == WEFT_PTX_TOKEN_DOT) {
        if (size > 1 || !parse_selector(parser, operand))
            parse_component(parser, operand, size);
    } else if (size > 1) {
        expand_vector(parser, operand, size);
    }
}

static bool is_memory(const struct weft_ptx_binding *binding, uint8_t *symbol)
{
    switch ((enum weft_ptx_binding_kind)binding->kind) {
    case WEFT_PTX_BINDING_VARIABLE:
        *symbol = WEFT_PTX_SYMBOL_VARIABLE;
        return true;
    case WEFT_PTX_BINDING_LOCAL:
        *symbol = WEFT_PTX_SYMBOL_LOCAL;
        return true;
    case WEFT_PTX_BINDING_PARAMETER:
        *symbol = WEFT_PTX_SYMBOL_PARAMETER;
        return true;
    case WEFT_PTX_BINDING_RETURN:
        *symbol = WEFT_PTX_SYMBOL_RETURN;
        return true;
    case WEFT_PTX_BINDING_FUNCTION:
        *symbol = WEFT_PTX_SYMBOL_FUNCTION;
        return true;
    default:
        return false;
    }
}

/* a[3]: counted in elements of the array. It stands for the place, or in a mov for its address. */
static void parse_index(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    const struct weft_ptx_variable *variable = NULL;
    if (operand->symbol == WEFT_PTX_SYMBOL_VARIABLE)
        variable = (struct weft_ptx_variable *)parser->variables.items + operand->index;
    else if (operand->symbol == WEFT_PTX_SYMBOL_LOCAL)
        variable = (struct weft_ptx_variable *)parser->builder.variables.items + operand->index;
    if (!variable) {
        weft_ptx_parser_unexpected(parser, "',' or ';'");
        return;
    }
    int64_t bytes = (int64_t)weft_ptx_type_bytes(variable->type) * variable->vector;
    operand->kind = WEFT_PTX_OPERAND_ADDRESS;
    weft_ptx_parser_expect(parser, '[');
    operand->offset =
        bytes * weft_ptx_parser_integer(parser, 0, (int64_t)WEFT_PTX_VARIABLE_BYTES_MAX);
    weft_ptx_parser_expect(parser, ']');
}

static void parse_offset(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    if (weft_ptx_parser_at_sign(parser, '+') || weft_ptx_parser_at_sign(parser, '-'))
        operand->offset = weft_ptx_parser_integer(parser, INT64_MIN, INT64_MAX);
}

/* A register, special register or symbol without its offset. */
static void parse_name(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    if (!name)
        return;
    const struct weft_ptx_binding *binding = weft_ptx_parser_lookup(parser, name);
    if (weft_ptx_parser_failed(parser))
        return;
    *operand = (struct weft_ptx_operand){.kind = WEFT_PTX_OPERAND_SYMBOL};
    if (!binding && name->special != WEFT_PTX_NONE) {
        parse_special(parser, operand, name);
    } else if (!binding && name->length == 1 && name->text[0] == '_') {
        operand->kind = WEFT_PTX_OPERAND_SINK;
    } else if (!binding) {
        undeclared(parser, &at, name);
    } else if (binding->kind == WEFT_PTX_BINDING_REGISTER) {
        parse_register(parser, operand, binding->index);
    } else if (is_memory(binding, &operand->symbol)) {
        operand->index = binding->index;
    } else {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%s\" cannot be an operand here",
                             name->text);
    }
}

static void parse_constant(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_constant value = weft_ptx_parser_constant(parser);
    bool is_float = value.kind == WEFT_PTX_F32_CONSTANT || value.kind == WEFT_PTX_F64_CONSTANT;
    *operand = (struct weft_ptx_operand){
        .kind = is_float ? WEFT_PTX_OPERAND_FLOAT : WEFT_PTX_OPERAND_INTEGER, .bits = value.bits};
    if (is_float)
        operand->type = value.kind == WEFT_PTX_F32_CONSTANT ? WEFT_PTX_F32 : WEFT_PTX_F64;
}

/* Whether the token after the current one is a name: tells !%p and -%r from constants. */
static bool name_follows(const struct weft_ptx_parser *parser)
{
    struct weft_ptx_lexer ahead = parser->lexer;
    struct weft_ptx_token next;
    weft_ptx_lexer_next(&ahead, &next);
    return next.kind == WEFT_PTX_TOKEN_NAME &&
           !(next.length == 7 && memcmp(next.text, "WARP_SZ", 7) == 0);
}

static void parse_prefixed(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    bool negated = weft_ptx_parser_at_sign(parser, '!');
    weft_ptx_parser_advance(parser);
    struct weft_ptx_token at = parser->token;
    parse_name(parser, operand);
    if (weft_ptx_parser_failed(parser))
        return;
    if (operand->kind != WEFT_PTX_OPERAND_REGISTER)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "a register is expected, not \"%.*s\"",
                             (int)at.length, at.text);
    operand->negated = negated;
    operand->minus = !negated;
}

/* What may stand alone, in a vector, or behind the base of a texture's address. */
static void parse_simple(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    bool prefix = weft_ptx_parser_at_sign(parser, '!') || weft_ptx_parser_at_sign(parser, '-');
    if (at_operand_name(parser)) {
        parse_name(parser, operand);
        if (operand->kind == WEFT_PTX_OPERAND_SYMBOL && weft_ptx_parser_at_sign(parser, '['))
            parse_index(parser, operand);
        else if (operand->kind == WEFT_PTX_OPERAND_SYMBOL)
            parse_offset(parser, operand);
    } else if (prefix && name_follows(parser)) {
        parse_prefixed(parser, operand);
    } else {
        parse_constant(parser, operand);
    }
}

static void settle_elements(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand,
                            const struct weft_ptx_operand *elements, uint32_t count)
{
    operand->elements = weft_ptx_arena_copy(parser->memory, elements, count * sizeof(*elements));
    operand->element_count = (uint8_t)count;
    if (!operand->elements)
        weft_ptx_parser_no_memory(parser);
}

static void parse_vector(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_operand elements[WEFT_PTX_ELEMENTS_MAX];
    uint32_t count = 0;
    weft_ptx_parser_expect(parser, '{');
    do {
        if (count == WEFT_PTX_ELEMENTS_MAX) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                                 "a vector has at most %d elements", WEFT_PTX_ELEMENTS_MAX);
            return;
        }
        elements[count] = (struct weft_ptx_operand){0};
        struct weft_ptx_token at = parser->token;
        parse_simple(parser, &elements[count]);
        if (elements[count++].kind == WEFT_PTX_OPERAND_VECTOR)
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "a vector cannot hold a vector");
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, '}');
    if (weft_ptx_parser_failed(parser))
        return;
    *operand = (struct weft_ptx_operand){.kind = WEFT_PTX_OPERAND_VECTOR};
    settle_elements(parser, operand, elements, count);
}

static void parse_base(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_token at = parser->token;
    if (!at_operand_name(parser)) {
        operand->offset = weft_ptx_parser_integer(parser, INT64_MIN, INT64_MAX);
        return;
    }
    parse_name(parser, operand);
    if (weft_ptx_parser_failed(parser))
        return;
    operand->register_base = operand->kind == WEFT_PTX_OPERAND_REGISTER;
    if (!operand->register_base && operand->kind != WEFT_PTX_OPERAND_SYMBOL)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%.*s\" cannot be an address",
                             (int)at.length, at.text);
    parse_offset(parser, operand);
}

/* [tex, sampler, {x, y}]: what follows the base. */
static void parse_coordinates(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_operand elements[WEFT_PTX_OPERANDS_MAX] = {{0}};
    uint32_t count = 0;
    do {
        if (count == WEFT_PTX_OPERANDS_MAX) {
            weft_ptx_parser_unexpected(parser, "']'");
            return;
        }
        if (weft_ptx_parser_at_sign(parser, '{'))
            parse_vector(parser, &elements[count]);
        else
            parse_simple(parser, &elements[count]);
        count++;
    } while (weft_ptx_parser_accept(parser, ','));
    if (!weft_ptx_parser_failed(parser))
        settle_elements(parser, operand, elements, count);
}

static void parse_address(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    struct weft_ptx_operand address = {0};
    weft_ptx_parser_expect(parser, '[');
    parse_base(parser, &address);
    if (weft_ptx_parser_accept(parser, ','))
        parse_coordinates(parser, &address);
    weft_ptx_parser_expect(parser, ']');
    weft_ptx_parser_accept_dot(parser, ".unified");
    address.kind = WEFT_PTX_OPERAND_ADDRESS;
    *operand = address;
}

void weft_ptx_parser_operand(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand)
{
    *operand = (struct weft_ptx_operand){0};
    if (weft_ptx_parser_at_sign(parser, '{'))
        parse_vector(parser, operand);
    else if (weft_ptx_parser_at_sign(parser, '['))
        parse_address(parser, operand);
    else
        parse_simple(parser, operand);
}

void weft_ptx_parser_label_operand(struct weft_ptx_parser *parser, uint32_t insn, uint32_t operand,
                                   bool table)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    struct weft_ptx_fixup *fixup =
        name ? weft_ptx_parser_push(parser, &parser->builder.fixups, sizeof(*fixup), 1) : NULL;
    if (fixup)
        *fixup = (struct weft_ptx_fixup){.name = name,
                                         .line = at.line,
                                         .column = at.column,
                                         .insn = insn,
                                         .operand = operand,
                                         .table = table};
}
