/* Initialisers: numbers, nested braces, and addresses, which become relocations. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

struct filling {
    struct weft_ptx_variable *variable;
    const uint64_t *dimensions;
    uint32_t dimension_count;
    bool open;       /* the first dimension grows with what is given */
    uint64_t offset; /* of the next element */
    uint32_t element_bytes;
};

/* Bytes of one item at a depth of braces: 0 is the variable, then its dimensions, then the elements
 * of a vector. */
static uint64_t slice_bytes(const struct filling *filling, uint32_t level)
{
    uint64_t bytes = filling->element_bytes;
    if (level <= filling->dimension_count)
        bytes *= filling->variable->vector;
    for (uint32_t i = filling->dimension_count; i > level; i--)
        bytes *= filling->dimensions[i - 1];
    return bytes;
}

/* Memory for the bytes up to `end`, zeroed where nothing was written yet; NULL after a failure. */
static unsigned char *reserve(struct weft_ptx_parser *parser, const struct weft_ptx_token *at,
                              uint64_t end)
{
    struct weft_ptx_vector *bytes = &parser->initialiser;
    if (end > bytes->count) {
        uint64_t more = end - bytes->count;
        if (more > WEFT_PTX_INITIALISER_BYTES_MAX - parser->initialiser_bytes) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, at,
                                 "the module's initialisers are larger than %llu bytes",
                                 (unsigned long long)WEFT_PTX_INITIALISER_BYTES_MAX);
            return NULL;
        }
        parser->initialiser_bytes += more;
        if (!weft_ptx_parser_push(parser, bytes, 1, more))
            return NULL;
    }
    return bytes->items;
}

static uint64_t encode(const struct weft_ptx_constant *value, enum weft_ptx_type type)
{
    uint64_t bits = 0;
    bool is_float = value->kind == WEFT_PTX_F32_CONSTANT || value->kind == WEFT_PTX_F64_CONSTANT;
    if (type == WEFT_PTX_F64) {
        double wide = weft_ptx_constant_double(value);
        memcpy(&bits, &wide, sizeof(wide));
        return value->kind == WEFT_PTX_F64_CONSTANT ? value->bits : bits;
    }
    if (type == WEFT_PTX_F32 || (value->kind == WEFT_PTX_F64_CONSTANT && type == WEFT_PTX_B32)) {
        float narrow = (float)weft_ptx_constant_double(value);
        uint32_t low;
        memcpy(&low, &narrow, sizeof(low));
        return value->kind == WEFT_PTX_F32_CONSTANT ? value->bits : low;
    }
    if (is_float && type == WEFT_PTX_B64 && value->kind == WEFT_PTX_F32_CONSTANT)
        return encode(value, WEFT_PTX_F64);
    return value->bits;
}

static bool takes_float(enum weft_ptx_type type)
{
    return type == WEFT_PTX_F32 || type == WEFT_PTX_F64 || type == WEFT_PTX_B32 ||
           type == WEFT_PTX_B64;
}

static void fill_number(struct weft_ptx_parser *parser, struct filling *filling)
{
    struct weft_ptx_token at = parser->token;
    enum weft_ptx_type type = filling->variable->type;
    struct weft_ptx_constant value = weft_ptx_parser_constant(parser);
    if (weft_ptx_parser_failed(parser))
        return;
    bool is_float = value.kind >= WEFT_PTX_F32_CONSTANT;
    bool wants_float = type == WEFT_PTX_F32 || type == WEFT_PTX_F64;
    if (is_float ? !takes_float(type) : wants_float) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "%s cannot initialise type \".%s\"",
                             is_float ? "a float" : "an integer", weft_ptx_type_name(type));
        return;
    }
    unsigned char *bytes = reserve(parser, &at, filling->offset + filling->element_bytes);
    if (!bytes)
        return;
    uint64_t bits = encode(&value, type);
    for (uint32_t i = 0; i < filling->element_bytes; i++)
        bytes[filling->offset + i] = i < 8 ? (unsigned char)(bits >> 8 * i) : 0;
}

/* The symbol of an address; generic() around it asks for its generic address. */
static void parse_symbol(struct weft_ptx_parser *parser, struct weft_ptx_relocation *relocation)
{
    struct weft_ptx_token at = parser->token;
    bool wrapped = weft_ptx_parser_at_name(parser, "generic");
    if (wrapped) {
        weft_ptx_parser_advance(parser);
        weft_ptx_parser_expect(parser, '(');
        at = parser->token;
    }
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    const struct weft_ptx_binding *binding = name ? weft_ptx_parser_lookup(parser, name) : NULL;
    if (!name)
        return;
    if (binding && binding->kind == WEFT_PTX_BINDING_VARIABLE)
        relocation->symbol = WEFT_PTX_SYMBOL_VARIABLE;
    else if (binding && binding->kind == WEFT_PTX_BINDING_FUNCTION)
        relocation->symbol = WEFT_PTX_SYMBOL_FUNCTION;
    else
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                             "\"%s\" is not a variable or function of the module", name->text);
    relocation->generic = wrapped;
    relocation->index = binding ? binding->index : 0;
    if (wrapped)
        weft_ptx_parser_expect(parser, ')');
    if (weft_ptx_parser_at_sign(parser, '+') || weft_ptx_parser_at_sign(parser, '-'))
        relocation->addend = weft_ptx_parser_integer(parser, INT64_MIN, INT64_MAX);
}

/* 0xFF00(symbol) takes one byte of an address. */
static bool at_mask(const struct weft_ptx_parser *parser)
{
    if (parser->token.kind != WEFT_PTX_TOKEN_INTEGER)
        return false;
    struct weft_ptx_lexer ahead = parser->lexer;
    struct weft_ptx_token next;
    weft_ptx_lexer_next(&ahead, &next);
    return next.kind == WEFT_PTX_TOKEN_SIGN && next.sign == '(';
}

static void parse_mask(struct weft_ptx_parser *parser, struct weft_ptx_relocation *relocation)
{
    uint64_t mask = parser->token.bits;
    unsigned shift = 0;
    while (shift < 8 && mask != (uint64_t)0xff << 8 * shift)
        shift++;
    if (shift == 8)
        weft_ptx_parser_unexpected(parser, "a mask of one byte, as 0xFF00,");
    relocation->shift = (uint8_t)shift;
    weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, '(');
    parse_symbol(parser, relocation);
    weft_ptx_parser_expect(parser, ')');
}

static void fill_address(struct weft_ptx_parser *parser, struct filling *filling)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_relocation relocation = {.offset = filling->offset,
                                             .bytes = (uint8_t)filling->element_bytes};
    bool masked = parser->token.kind == WEFT_PTX_TOKEN_INTEGER;
    if (masked)
        parse_mask(parser, &relocation);
    else
        parse_symbol(parser, &relocation);
    if (weft_ptx_parser_failed(parser))
        return;
    if (masked ? filling->element_bytes > 8
               : filling->element_bytes < 4 || filling->element_bytes > 8) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "an address does not fit type \".%s\"",
                             weft_ptx_type_name(filling->variable->type));
        return;
    }
    struct weft_ptx_relocation *slot =
        reserve(parser, &at, filling->offset + filling->element_bytes)
            ? weft_ptx_parser_push(parser, &parser->relocations, sizeof(relocation), 1)
            : NULL;
    if (slot)
        *slot = relocation;
}

static void fill_element(struct weft_ptx_parser *parser, struct filling *filling)
{
    bool name =
        parser->token.kind == WEFT_PTX_TOKEN_NAME && !weft_ptx_parser_at_name(parser, "WARP_SZ");
    if (name || at_mask(parser))
        fill_address(parser, filling);
    else
        fill_number(parser, filling);
    filling->offset += filling->element_bytes;
}

/* One brace level; recursion ends at the number of dimensions. An item without braces fills
 * elements one by one. */
static void fill_braces(struct weft_ptx_parser *parser, struct filling *filling, uint32_t level)
{
    uint64_t start = filling->offset;
    bool grows = level == 0 && filling->open;
    uint64_t end = grows ? WEFT_PTX_VARIABLE_BYTES_MAX : start + slice_bytes(filling, level);
    uint32_t deepest = filling->dimension_count + (filling->variable->vector > 1);
    weft_ptx_parser_expect(parser, '{');
    while (!weft_ptx_parser_failed(parser) && !weft_ptx_parser_at_sign(parser, '}')) {
        struct weft_ptx_token at = parser->token;
        bool nested = weft_ptx_parser_at_sign(parser, '{');
        if (nested != (level + 1 < deepest)) {
            weft_ptx_parser_unexpected(parser, nested ? "a value" : "'{'");
        } else if (filling->offset >= end) {
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                                 "the initialiser has more values than its array");
        } else if (nested) {
            uint64_t next = filling->offset + slice_bytes(filling, level + 1);
            fill_braces(parser, filling, level + 1);
            filling->offset = next;
        } else {
            fill_element(parser, filling);
        }
        if (!weft_ptx_parser_accept(parser, ','))
            break;
    }
    weft_ptx_parser_expect(parser, '}');
    if (grows)
        filling->offset = weft_round_up(filling->offset, filling->element_bytes);
    else
        filling->offset = end;
}

static void check_initialisable(struct weft_ptx_parser *parser,
                                const struct weft_ptx_variable *variable)
{
    bool fits = variable->space == WEFT_PTX_GLOBAL || variable->space == WEFT_PTX_CONST;
    if (fits && variable->linkage != WEFT_PTX_EXTERN && variable->type != WEFT_PTX_F16 &&
        variable->type != WEFT_PTX_BF16 && variable->type != WEFT_PTX_F16X2)
        return;
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &parser->token,
                         "\"%s\" can have no initialiser: it is %s", variable->name,
                         !fits                                  ? "neither .global nor .const"
                         : variable->linkage == WEFT_PTX_EXTERN ? ".extern"
                                                                : "of half precision");
}

/* The size of an array that was declared with an empty first dimension, from what it was given. */
static uint64_t grown_bytes(const struct filling *filling)
{
    uint64_t row = slice_bytes(filling, 1);
    uint64_t rows = row ? (filling->offset + row - 1) / row : 0;
    return rows * row;
}

void weft_ptx_parser_initialiser(struct weft_ptx_parser *parser, struct weft_ptx_variable *variable,
                                 const uint64_t *dimensions, uint32_t dimension_count, bool open)
{
    if (variable->type >= WEFT_PTX_TEXREF && variable->type <= WEFT_PTX_SURFREF) {
        weft_ptx_parser_image_initialiser(parser, variable);
        return;
    }
    check_initialisable(parser, variable);
    struct filling filling = {.variable = variable,
                              .dimensions = dimensions,
                              .dimension_count = dimension_count,
                              .open = open,
                              .element_bytes = weft_ptx_type_bytes(variable->type)};
    parser->initialiser.count = parser->relocations.count = 0;
    if (weft_ptx_parser_at_sign(parser, '{'))
        fill_braces(parser, &filling, 0);
    else if (dimension_count || variable->vector > 1)
        weft_ptx_parser_unexpected(parser, "'{'");
    else
        fill_element(parser, &filling);
    if (open)
        variable->bytes = grown_bytes(&filling);
    uint32_t count;
    variable->init = weft_ptx_parser_settle(parser, &parser->initialiser, 1, &count);
    variable->init_bytes = count;
    variable->relocations =
        weft_ptx_parser_settle(parser, &parser->relocations, sizeof(struct weft_ptx_relocation),
                               &variable->relocation_count);
}
