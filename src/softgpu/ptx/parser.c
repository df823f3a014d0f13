/* Tokens, failures and names: what every step of the parser uses. */
#include "softgpu/ptx/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/util.h"

/* Longer tokens are cut where an error quotes them. */
#define QUOTED_MAX 60

bool weft_ptx_parser_failed(const struct weft_ptx_parser *parser)
{
    return parser->code < 0;
}

void weft_ptx_parser_fail(struct weft_ptx_parser *parser, enum weft_errno code,
                          const struct weft_ptx_token *at, const char *format, ...)
{
    if (parser->code < 0)
        return;
    uint32_t line = at->line, column = at->column;
    char reason[WEFT_ERR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    parser->code = weft_fail(parser->err, code, "ptx:%u:%u: %s", line, column, reason);
    parser->token.kind = WEFT_PTX_TOKEN_END;
}

void weft_ptx_parser_unexpected(struct weft_ptx_parser *parser, const char *expected)
{
    const struct weft_ptx_token *token = &parser->token;
    if (token->kind == WEFT_PTX_TOKEN_END) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, token, "%s expected, but the text ends",
                             expected);
        return;
    }
    int length = (int)WEFT_MIN(token->length, QUOTED_MAX);
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, token, "%s expected, not \"%.*s\"", expected, length,
                         token->text);
}

void weft_ptx_parser_no_memory(struct weft_ptx_parser *parser)
{
    weft_ptx_parser_fail(parser, WEFT_ENOMEM, &parser->token, "out of memory");
}

void weft_ptx_parser_advance(struct weft_ptx_parser *parser)
{
    if (parser->code < 0)
        return;
    weft_ptx_lexer_next(&parser->lexer, &parser->token);
    const struct weft_ptx_token *token = &parser->token;
    if (token->kind != WEFT_PTX_TOKEN_BAD)
        return;
    int length = (int)WEFT_MIN(token->length, QUOTED_MAX);
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, token, "%s: \"%.*s\"", token->reason, length,
                         token->text);
}

bool weft_ptx_parser_at_sign(const struct weft_ptx_parser *parser, unsigned sign)
{
    return parser->token.kind == WEFT_PTX_TOKEN_SIGN && parser->token.sign == sign;
}

static bool token_is(const struct weft_ptx_token *token, const char *text)
{
    return strlen(text) == token->length && memcmp(token->text, text, token->length) == 0;
}

bool weft_ptx_parser_at_dot(const struct weft_ptx_parser *parser, const char *word)
{
    return parser->token.kind == WEFT_PTX_TOKEN_DOT && token_is(&parser->token, word);
}

bool weft_ptx_parser_at_name(const struct weft_ptx_parser *parser, const char *word)
{
    return parser->token.kind == WEFT_PTX_TOKEN_NAME && token_is(&parser->token, word);
}

bool weft_ptx_parser_accept(struct weft_ptx_parser *parser, unsigned sign)
{
    if (!weft_ptx_parser_at_sign(parser, sign))
        return false;
    weft_ptx_parser_advance(parser);
    return true;
}

bool weft_ptx_parser_accept_dot(struct weft_ptx_parser *parser, const char *word)
{
    if (!weft_ptx_parser_at_dot(parser, word))
        return false;
    weft_ptx_parser_advance(parser);
    return true;
}

void weft_ptx_parser_expect(struct weft_ptx_parser *parser, unsigned sign)
{
    if (weft_ptx_parser_accept(parser, sign))
        return;
    char expected[] = {'\'', (char)sign, '\'', '\0'};
    weft_ptx_parser_unexpected(parser, expected);
}

struct weft_ptx_name *weft_ptx_parser_expect_name(struct weft_ptx_parser *parser)
{
    if (parser->token.kind != WEFT_PTX_TOKEN_NAME) {
        weft_ptx_parser_unexpected(parser, "a name");
        return NULL;
    }
    struct weft_ptx_name *name =
        weft_ptx_names_intern(&parser->names, parser->token.text, parser->token.length);
    if (!name)
        weft_ptx_parser_no_memory(parser);
    weft_ptx_parser_advance(parser);
    return weft_ptx_parser_failed(parser) ? NULL : name;
}

void *weft_ptx_parser_alloc(struct weft_ptx_parser *parser, size_t bytes)
{
    void *piece = weft_ptx_arena_alloc(parser->memory, bytes);
    if (!piece)
        weft_ptx_parser_no_memory(parser);
    return piece;
}

void *weft_ptx_parser_push(struct weft_ptx_parser *parser, struct weft_ptx_vector *vector,
                           size_t item_bytes, size_t count)
{
    void *item = weft_ptx_vector_push(vector, item_bytes, count);
    if (!item)
        weft_ptx_parser_no_memory(parser);
    return item;
}

void *weft_ptx_parser_settle(struct weft_ptx_parser *parser, struct weft_ptx_vector *vector,
                             size_t item_bytes, uint32_t *count)
{
    void *items = NULL;
    if (vector->count)
        items = weft_ptx_arena_copy(parser->memory, vector->items, vector->count * item_bytes);
    if (vector->count && !items)
        weft_ptx_parser_no_memory(parser);
    *count = items ? (uint32_t)vector->count : 0;
    vector->count = 0;
    return items;
}

uint32_t weft_ptx_parser_add_register(struct weft_ptx_parser *parser,
                                      const struct weft_ptx_name *name, uint8_t type,
                                      uint8_t vector)
{
    struct weft_ptx_vector *registers = &parser->builder.registers;
    if (registers->count >= WEFT_PTX_REGISTERS_MAX) {
        weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                             "the function has more than %u registers", WEFT_PTX_REGISTERS_MAX);
        return WEFT_PTX_NONE;
    }
    struct weft_ptx_register *reg =
        weft_ptx_parser_push(parser, registers, sizeof(struct weft_ptx_register), 1);
    if (!reg)
        return WEFT_PTX_NONE;
    *reg = (struct weft_ptx_register){.name = name->text, .type = type, .vector = vector};
    return (uint32_t)registers->count - 1;
}

const struct weft_ptx_binding *weft_ptx_parser_lookup(struct weft_ptx_parser *parser,
                                                      struct weft_ptx_name *name)
{
    const struct weft_ptx_range *range = weft_ptx_names_find_range(&parser->names, name);
    if (!range)
        return weft_ptx_names_meaning(&parser->names, name);
    uint32_t index = weft_ptx_parser_add_register(parser, name, range->type, range->vector);
    if (index == WEFT_PTX_NONE)
        return NULL;
    struct weft_ptx_binding *binding = weft_ptx_names_bind(&parser->names, name, range->depth);
    if (!binding) {
        weft_ptx_parser_no_memory(parser);
        return NULL;
    }
    binding->kind = WEFT_PTX_BINDING_REGISTER;
    binding->index = index;
    binding->line = range->line;
    return binding;
}

struct weft_ptx_binding *weft_ptx_parser_declare(struct weft_ptx_parser *parser,
                                                 struct weft_ptx_name *name,
                                                 const struct weft_ptx_token *at,
                                                 enum weft_ptx_binding_kind kind, uint32_t index)
{
    uint32_t depth = parser->names.depth;
    const struct weft_ptx_binding *taken = weft_ptx_names_taken(name, depth);
    const struct weft_ptx_range *range = weft_ptx_names_find_range(&parser->names, name);
    if (taken || (range && range->depth == depth)) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is already declared in line %u",
                             name->text, taken ? taken->line : range->line);
        return NULL;
    }
    if (name->special != WEFT_PTX_NONE) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is a special register", name->text);
        return NULL;
    }
    struct weft_ptx_binding *binding = weft_ptx_names_bind(&parser->names, name, depth);
    if (!binding) {
        weft_ptx_parser_no_memory(parser);
        return NULL;
    }
    binding->kind = kind;
    binding->index = index;
    binding->line = at->line;
    return binding;
}
