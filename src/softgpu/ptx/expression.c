/* Constant expressions, evaluated as they are read, in the ISA's types: .s64, .u64 and .f64. */
#include "softgpu/ptx/parser.h"

#include <inttypes.h>
#include <string.h>

#include "util/util.h"

#define WARP_SIZE 32

static struct weft_ptx_constant make_signed(int64_t value)
{
    return (struct weft_ptx_constant){.kind = WEFT_PTX_S64_CONSTANT, .bits = (uint64_t)value};
}

static struct weft_ptx_constant make_double(double value)
{
    struct weft_ptx_constant result = {.kind = WEFT_PTX_F64_CONSTANT};
    memcpy(&result.bits, &value, sizeof(value));
    return result;
}

static bool is_float(const struct weft_ptx_constant *value)
{
    return value->kind == WEFT_PTX_F32_CONSTANT || value->kind == WEFT_PTX_F64_CONSTANT;
}

double weft_ptx_constant_double(const struct weft_ptx_constant *value)
{
    double wide;
    float narrow;
    uint32_t low = (uint32_t)value->bits;
    switch (value->kind) {
    case WEFT_PTX_F32_CONSTANT:
        memcpy(&narrow, &low, sizeof(narrow));
        return narrow;
    case WEFT_PTX_F64_CONSTANT:
        memcpy(&wide, &value->bits, sizeof(wide));
        return wide;
    case WEFT_PTX_U64_CONSTANT:
        return (double)value->bits;
    default:
        return (double)(int64_t)value->bits;
    }
}

static bool is_true(const struct weft_ptx_constant *value)
{
    return is_float(value) ? weft_ptx_constant_double(value) != 0 : value->bits != 0;
}

static struct weft_ptx_constant parse_ternary(struct weft_ptx_parser *parser);
static struct weft_ptx_constant parse_unary(struct weft_ptx_parser *parser);

/* Every way down into a nested expression passes here. */
static bool enter(struct weft_ptx_parser *parser)
{
    if (++parser->expression_depth <= WEFT_PTX_EXPRESSION_DEPTH_MAX)
        return true;
    weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                         "the expression is nested deeper than %d", WEFT_PTX_EXPRESSION_DEPTH_MAX);
    return false;
}

static struct weft_ptx_constant parse_cast(struct weft_ptx_parser *parser)
{
    uint8_t kind =
        weft_ptx_parser_at_dot(parser, ".u64") ? WEFT_PTX_U64_CONSTANT : WEFT_PTX_S64_CONSTANT;
    struct weft_ptx_token at = parser->token;
    if (kind == WEFT_PTX_S64_CONSTANT && !weft_ptx_parser_at_dot(parser, ".s64"))
        weft_ptx_parser_unexpected(parser, "a cast to .s64 or .u64");
    weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, ')');
    struct weft_ptx_constant value = parse_unary(parser);
    if (is_float(&value))
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%.*s\" casts integers only",
                             (int)at.length, at.text);
    value.kind = kind;
    return value;
}

static struct weft_ptx_constant parse_primary(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token token = parser->token;
    struct weft_ptx_constant value = {.bits = token.bits};
    if (weft_ptx_parser_accept(parser, '(')) {
        if (parser->token.kind == WEFT_PTX_TOKEN_DOT)
            return parse_cast(parser);
        value = parse_ternary(parser);
        weft_ptx_parser_expect(parser, ')');
        return value;
    }
    if (weft_ptx_parser_at_name(parser, "WARP_SZ")) {
        value = make_signed(WARP_SIZE);
    } else if (token.kind == WEFT_PTX_TOKEN_INTEGER) {
        value.kind = token.is_unsigned ? WEFT_PTX_U64_CONSTANT : WEFT_PTX_S64_CONSTANT;
    } else if (token.kind == WEFT_PTX_TOKEN_FLOAT) {
        value.kind = token.single ? WEFT_PTX_F32_CONSTANT : WEFT_PTX_F64_CONSTANT;
    } else {
        weft_ptx_parser_unexpected(parser, "a constant");
        return value;
    }
    weft_ptx_parser_advance(parser);
    return value;
}

static struct weft_ptx_constant negate(struct weft_ptx_constant value)
{
    if (value.kind == WEFT_PTX_F32_CONSTANT)
        value.bits ^= 0x80000000u;
    else if (value.kind == WEFT_PTX_F64_CONSTANT)
        value.bits ^= (uint64_t)1 << 63;
    else
        value.bits = -value.bits;
    return value;
}

static struct weft_ptx_constant parse_unary(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token at = parser->token;
    static const char signs[] = "+-~!";
    struct weft_ptx_constant value = {0};
    if (!enter(parser))
        return value;
    if (at.kind != WEFT_PTX_TOKEN_SIGN || at.sign > 127 || !at.sign || !strchr(signs, at.sign)) {
        value = parse_primary(parser);
    } else {
        weft_ptx_parser_advance(parser);
        value = parse_unary(parser);
        if (at.sign == '-') {
            value = negate(value);
        } else if (at.sign == '!') {
            value = make_signed(!is_true(&value));
        } else if (at.sign == '~') {
            if (is_float(&value))
                weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"~\" takes integers only");
            value = (struct weft_ptx_constant){.kind = WEFT_PTX_U64_CONSTANT, .bits = ~value.bits};
        }
    }
    parser->expression_depth--;
    return value;
}

/* How tightly a binary operator binds; 0: it is none. */
static unsigned precedence(const struct weft_ptx_token *token)
{
    if (token->kind != WEFT_PTX_TOKEN_SIGN)
        return 0;
    switch (token->sign) {
    case WEFT_PTX_SIGN_OR:
        return 1;
    case WEFT_PTX_SIGN_AND:
        return 2;
    case '|':
        return 3;
    case '^':
        return 4;
    case '&':
        return 5;
    case WEFT_PTX_SIGN_EQUAL:
    case WEFT_PTX_SIGN_NOT_EQUAL:
        return 6;
    case '<':
    case '>':
    case WEFT_PTX_SIGN_LESS_EQUAL:
    case WEFT_PTX_SIGN_GREATER_EQUAL:
        return 7;
    case WEFT_PTX_SIGN_SHIFT_LEFT:
    case WEFT_PTX_SIGN_SHIFT_RIGHT:
        return 8;
    case '+':
    case '-':
        return 9;
    case '*':
    case '/':
    case '%':
        return 10;
    default:
        return 0;
    }
}

static struct weft_ptx_constant apply_float(struct weft_ptx_parser *parser,
                                            const struct weft_ptx_token *at, double a, double b)
{
    switch (at->sign) {
    case '+':
        return make_double(a + b);
    case '-':
        return make_double(a - b);
    case '*':
        return make_double(a * b);
    case '/':
        return make_double(a / b);
    case '<':
        return make_signed(a < b);
    case '>':
        return make_signed(a > b);
    case WEFT_PTX_SIGN_LESS_EQUAL:
        return make_signed(a <= b);
    case WEFT_PTX_SIGN_GREATER_EQUAL:
        return make_signed(a >= b);
    case WEFT_PTX_SIGN_EQUAL:
        return make_signed(a == b);
    case WEFT_PTX_SIGN_NOT_EQUAL:
        return make_signed(a != b);
    default:
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%.*s\" takes integers only",
                             (int)at->length, at->text);
        return (struct weft_ptx_constant){0};
    }
}

/* Division as the hardware of the field has it: the one overflow wraps. */
static uint64_t divide(bool is_signed, bool remainder, uint64_t a, uint64_t b)
{
    if (!is_signed)
        return remainder ? a % b : a / b;
    if (b == UINT64_MAX)
        return remainder ? 0 : -a;
    int64_t x = (int64_t)a, y = (int64_t)b;
    return (uint64_t)(remainder ? x % y : x / y);
}

static struct weft_ptx_constant compare(unsigned sign, bool is_signed, uint64_t a, uint64_t b)
{
    bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;
    switch (sign) {
    case '<':
        return make_signed(less);
    case '>':
        return make_signed(!less && a != b);
    case WEFT_PTX_SIGN_LESS_EQUAL:
        return make_signed(less || a == b);
    case WEFT_PTX_SIGN_GREATER_EQUAL:
        return make_signed(!less);
    case WEFT_PTX_SIGN_EQUAL:
        return make_signed(a == b);
    default:
        return make_signed(a != b);
    }
}

/* The left operand alone decides the type of a shift, and whether it brings in signs. The count
 * wraps at 64. */
static struct weft_ptx_constant shift(unsigned sign, struct weft_ptx_constant a, uint64_t count)
{
    count &= 63;
    if (sign == WEFT_PTX_SIGN_SHIFT_LEFT)
        a.bits <<= count;
    else if (a.kind == WEFT_PTX_S64_CONSTANT)
        a.bits = (uint64_t)((int64_t)a.bits >> count);
    else
        a.bits >>= count;
    return a;
}

static struct weft_ptx_constant apply_integer(struct weft_ptx_parser *parser,
                                              const struct weft_ptx_token *at,
                                              struct weft_ptx_constant a,
                                              struct weft_ptx_constant b)
{
    bool is_signed = a.kind == WEFT_PTX_S64_CONSTANT && b.kind == WEFT_PTX_S64_CONSTANT;
    struct weft_ptx_constant result = {.kind = is_signed ? WEFT_PTX_S64_CONSTANT
                                                         : WEFT_PTX_U64_CONSTANT};
    switch (at->sign) {
    case '+':
        result.bits = a.bits + b.bits;
        return result;
    case '-':
        result.bits = a.bits - b.bits;
        return result;
    case '*':
        result.bits = a.bits * b.bits;
        return result;
    case '/':
    case '%':
        if (!b.bits)
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%c\" by zero", at->sign);
        else
            result.bits = divide(is_signed, at->sign == '%', a.bits, b.bits);
        return result;
    case '&':
        result.bits = a.bits & b.bits;
        return result;
    case '|':
        result.bits = a.bits | b.bits;
        return result;
    case '^':
        result.bits = a.bits ^ b.bits;
        return result;
    case WEFT_PTX_SIGN_SHIFT_LEFT:
    case WEFT_PTX_SIGN_SHIFT_RIGHT:
        return shift(at->sign, a, b.bits);
    default:
        return compare(at->sign, is_signed, a.bits, b.bits);
    }
}

static struct weft_ptx_constant apply(struct weft_ptx_parser *parser,
                                      const struct weft_ptx_token *at, struct weft_ptx_constant a,
                                      struct weft_ptx_constant b)
{
    if (at->sign == WEFT_PTX_SIGN_AND)
        return make_signed(is_true(&a) && is_true(&b));
    if (at->sign == WEFT_PTX_SIGN_OR)
        return make_signed(is_true(&a) || is_true(&b));
    if (is_float(&a) || is_float(&b))
        return apply_float(parser, at, weft_ptx_constant_double(&a), weft_ptx_constant_double(&b));
    return apply_integer(parser, at, a, b);
}

/* Precedence climbing; the operators are left-associative and there are ten levels of them. */
static struct weft_ptx_constant parse_binary(struct weft_ptx_parser *parser, unsigned lowest)
{
    struct weft_ptx_constant left = parse_unary(parser);
    for (;;) {
        struct weft_ptx_token at = parser->token;
        unsigned level = precedence(&at);
        if (!level || level < lowest)
            return left;
        weft_ptx_parser_advance(parser);
        struct weft_ptx_constant right = parse_binary(parser, level + 1);
        left = apply(parser, &at, left, right);
    }
}

static struct weft_ptx_constant parse_ternary(struct weft_ptx_parser *parser)
{
    struct weft_ptx_constant value = {0};
    if (!enter(parser))
        return value;
    value = parse_binary(parser, 1);
    if (weft_ptx_parser_accept(parser, '?')) {
        struct weft_ptx_constant yes = parse_ternary(parser);
        weft_ptx_parser_expect(parser, ':');
        struct weft_ptx_constant no = parse_ternary(parser);
        value = is_true(&value) ? yes : no;
        if (is_float(&yes) || is_float(&no))
            value = make_double(weft_ptx_constant_double(&value));
    }
    parser->expression_depth--;
    return value;
}

struct weft_ptx_constant weft_ptx_parser_constant(struct weft_ptx_parser *parser)
{
    return parse_ternary(parser);
}

int64_t weft_ptx_parser_integer(struct weft_ptx_parser *parser, int64_t min, int64_t max)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_constant value = parse_ternary(parser);
    if (weft_ptx_parser_failed(parser))
        return min;
    if (is_float(&value)) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "an integer is expected, not a float");
        return min;
    }
    int64_t number = (int64_t)value.bits;
    bool too_large = value.kind == WEFT_PTX_U64_CONSTANT && number < 0;
    if (too_large || number < min || number > max) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                             "%" PRIu64 " is not between %" PRId64 " and %" PRId64, value.bits, min,
                             max);
        return min;
    }
    return number;
}
