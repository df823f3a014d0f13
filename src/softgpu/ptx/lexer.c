#include "softgpu/ptx/lexer.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/util.h"

/* A decimal float longer than this is refused: strtod wants its text with a zero behind it. */
#define DECIMAL_FLOAT_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
    return is_letter(c) || is_digit(c) || c == '_';
}

static bool is_name(char c)
{
    return is_word(c) || c == '$';
}

static char peek(const struct weft_ptx_lexer *lexer, size_t ahead)
{
    return (size_t)(lexer->end - lexer->at) > ahead ? lexer->at[ahead] : '\0';
}

void weft_ptx_lexer_init(struct weft_ptx_lexer *lexer, const char *text, size_t size)
{
    *lexer = (struct weft_ptx_lexer){.at = text, .end = text + size, .line_start = text, .line = 1};
}

static void start_line(struct weft_ptx_lexer *lexer)
{
    lexer->line++;
    lexer->line_start = lexer->at;
}

void weft_ptx_lexer_skip_line(struct weft_ptx_lexer *lexer)
{
    const char *line_end = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));
    lexer->at = line_end ? line_end : lexer->end;
}

/* Stands behind the opening of a comment; false where the text ends within it. */
static bool skip_block_comment(struct weft_ptx_lexer *lexer)
{
    lexer->at += 2;
    while (lexer->at < lexer->end) {
        if (peek(lexer, 0) == '*' && peek(lexer, 1) == '/') {
            lexer->at += 2;
            return true;
        }
        if (*lexer->at++ == '\n')
            start_line(lexer);
    }
    return false;
}

static bool skip_blank(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    while (lexer->at < lexer->end) {
        char c = *lexer->at;
        if (c == '\n') {
            lexer->at++;
            start_line(lexer);
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
            lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '/') {
            weft_ptx_lexer_skip_line(lexer);
        } else if (c == '/' && peek(lexer, 1) == '*') {
            token->line = lexer->line;
            token->column = (uint32_t)(lexer->at - lexer->line_start) + 1;
            if (!skip_block_comment(lexer))
                return false;
        } else {
            break;
        }
    }
    return true;
}

static void set_bad(struct weft_ptx_token *token, const char *reason)
{
    token->kind = WEFT_PTX_TOKEN_BAD;
    token->reason = reason;
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 255;
}

/* Digits of `radix` up to the end of the word, which may be a U. */
static void lex_integer(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token, unsigned radix)
{
    uint64_t value = 0;
    bool any = false, overflow = false;
    for (; (unsigned)digit_value(peek(lexer, 0)) < radix; lexer->at++) {
        unsigned digit = (unsigned)digit_value(*lexer->at);
        overflow |= value > (UINT64_MAX - digit) / radix;
        value = value * radix + digit;
        any = true;
    }
    token->kind = WEFT_PTX_TOKEN_INTEGER;
    token->bits = value;
    token->is_unsigned = value > INT64_MAX;
    if (peek(lexer, 0) == 'U') {
        token->is_unsigned = true;
        lexer->at++;
    }
    if (!any || is_name(peek(lexer, 0)))
        set_bad(token, "malformed number");
    else if (overflow)
        set_bad(token, "number does not fit in 64 bits");
    while (is_name(peek(lexer, 0)))
        lexer->at++;
}

/* 0f and 0d: the bits of the float in exactly so many hexadecimal digits. */
static void lex_float_bits(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token,
                           unsigned digits)
{
    lexer->at += 2;
    unsigned count = 0;
    for (; is_name(peek(lexer, 0)); lexer->at++, count++) {
        unsigned digit = (unsigned)digit_value(*lexer->at);
        if (digit > 15)
            set_bad(token, "malformed float: not a hexadecimal digit");
        token->bits = token->bits << 4 | (digit & 15);
    }
    if (token->kind == WEFT_PTX_TOKEN_BAD)
        return;
    token->kind = WEFT_PTX_TOKEN_FLOAT;
    token->single = digits == 8;
    if (count != digits)
        set_bad(token, digits == 8 ? "a float after 0f has 8 hexadecimal digits"
                                   : "a float after 0d has 16 hexadecimal digits");
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Where a decimal float that begins at the lexer's place ends; NULL where it is an integer. */
static const char *decimal_float_end(const struct weft_ptx_lexer *lexer)
{
    const char *end = lexer->end;
    const char *at = skip_digits(lexer->at, end);
    const char *whole = at;
    if (at < end && *at == '.')
        at = skip_digits(at + 1, end);
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *exponent = at + 1;
        if (exponent < end && (*exponent == '+' || *exponent == '-'))
            exponent++;
        if (exponent < end && is_digit(*exponent))
            at = skip_digits(exponent, end);
    }
    return at == whole ? NULL : at;
}

/* The program that we live in may have a locale whose decimal point is a comma. */
static bool read_double(const char *digits, uint64_t *bits)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", NULL);
    if (!plain)
        return false;
    double value = strtod_l(digits, NULL, plain);
    freelocale(plain);
    memcpy(bits, &value, sizeof(value));
    return true;
}

static void lex_decimal_float(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token,
                              const char *float_end)
{
    char digits[DECIMAL_FLOAT_MAX + 1];
    size_t length = (size_t)(float_end - lexer->at);
    lexer->at = float_end;
    if (length > DECIMAL_FLOAT_MAX || is_name(peek(lexer, 0))) {
        set_bad(token, "malformed number");
        while (is_name(peek(lexer, 0)))
            lexer->at++;
        return;
    }
    memcpy(digits, token->text, length);
    digits[length] = '\0';
    token->kind = WEFT_PTX_TOKEN_FLOAT;
    if (!read_double(digits, &token->bits))
        set_bad(token, "out of memory");
}

static void lex_number(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    char second = peek(lexer, 0) == '0' ? peek(lexer, 1) : '\0';
    const char *float_end = NULL;
    if (second == 'f' || second == 'F') {
        lex_float_bits(lexer, token, 8);
    } else if (second == 'd' || second == 'D') {
        lex_float_bits(lexer, token, 16);
    } else if (second == 'x' || second == 'X') {
        lexer->at += 2;
        lex_integer(lexer, token, 16);
    } else if (second == 'b' || second == 'B') {
        lexer->at += 2;
        lex_integer(lexer, token, 2);
    } else if ((float_end = decimal_float_end(lexer))) {
        lex_decimal_float(lexer, token, float_end);
    } else {
        lex_integer(lexer, token, is_digit(second) ? 8 : 10);
    }
}

static void lex_dot(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    token->kind = WEFT_PTX_TOKEN_DOT;
    lexer->at++;
    if (!is_word(peek(lexer, 0))) {
        set_bad(token, "a word is expected after the dot");
        return;
    }
    for (;;) {
        while (is_word(peek(lexer, 0)))
            lexer->at++;
        if (peek(lexer, 0) != ':' || peek(lexer, 1) != ':' || !is_word(peek(lexer, 2)))
            return;
        lexer->at += 2;
    }
}

static void lex_string(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    token->kind = WEFT_PTX_TOKEN_STRING;
    token->text = ++lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n')
        lexer->at +=
            *lexer->at == '\\' && peek(lexer, 1) != '\n' && lexer->end - lexer->at > 1 ? 2 : 1;
    token->length = (uint32_t)(lexer->at - token->text);
    if (peek(lexer, 0) != '"') {
        set_bad(token, "the string has no closing quote");
        return;
    }
    lexer->at++;
}

static void lex_sign(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    static const struct {
        char text[3];
        uint16_t sign;
    } doubles[] = {
        {"<<", WEFT_PTX_SIGN_SHIFT_LEFT}, {">>", WEFT_PTX_SIGN_SHIFT_RIGHT},
        {"<=", WEFT_PTX_SIGN_LESS_EQUAL}, {">=", WEFT_PTX_SIGN_GREATER_EQUAL},
        {"==", WEFT_PTX_SIGN_EQUAL},      {"!=", WEFT_PTX_SIGN_NOT_EQUAL},
        {"&&", WEFT_PTX_SIGN_AND},        {"||", WEFT_PTX_SIGN_OR},
    };
    char first = *lexer->at, second = peek(lexer, 1);
    token->kind = WEFT_PTX_TOKEN_SIGN;
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(doubles); i++) {
        if (first == doubles[i].text[0] && second == doubles[i].text[1]) {
            token->sign = doubles[i].sign;
            lexer->at += 2;
            return;
        }
    }
    lexer->at++;
    token->sign = (unsigned char)first;
    if (!memchr("()[]{}<>,;:=+-*/%&|^~!?@", first, 24))
        set_bad(token, "unexpected character");
}

void weft_ptx_lexer_next(struct weft_ptx_lexer *lexer, struct weft_ptx_token *token)
{
    *token = (struct weft_ptx_token){.text = lexer->at};
    if (!skip_blank(lexer, token)) {
        token->text = "/*";
        token->length = 2;
        set_bad(token, "the comment is not closed");
        return;
    }
    token->line = lexer->line;
    token->column = (uint32_t)(lexer->at - lexer->line_start) + 1;
    token->text = lexer->at;
    if (lexer->at == lexer->end)
        return;
    char c = *lexer->at;
    if (is_letter(c) || c == '_' || c == '$' || (c == '%' && is_name(peek(lexer, 1)))) {
        token->kind = WEFT_PTX_TOKEN_NAME;
        lexer->at++;
        while (is_name(peek(lexer, 0)))
            lexer->at++;
    } else if (is_digit(c)) {
        lex_number(lexer, token);
    } else if (c == '.') {
        lex_dot(lexer, token);
    } else if (c == '"') {
        lex_string(lexer, token);
    } else {
        lex_sign(lexer, token);
    }
    if (token->kind != WEFT_PTX_TOKEN_STRING)
        token->length = (uint32_t)(lexer->at - token->text);
}
