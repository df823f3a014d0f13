/* Debugging directives: where instructions come from is kept, for messages; the rest is read,
 * because what follows must be found, and dropped. */
#include "softgpu/ptx/parser.h"

#include <string.h>

static void skip_number(struct weft_ptx_parser *parser)
{
    weft_ptx_parser_integer(parser, 0, INT64_MAX);
}

static void skip_place(struct weft_ptx_parser *parser)
{
    skip_number(parser);
    skip_number(parser);
    skip_number(parser);
}

/* .loc file line column [, function_name label [+ n]] [, inlined_at file line column] */
static void parse_loc(struct weft_ptx_parser *parser)
{
    parser->file = (uint32_t)weft_ptx_parser_integer(parser, 0, INT64_MAX);
    parser->file_line = (uint32_t)weft_ptx_parser_integer(parser, 0, INT64_MAX);
    skip_number(parser);
    while (weft_ptx_parser_accept(parser, ',')) {
        if (weft_ptx_parser_at_name(parser, "inlined_at")) {
            weft_ptx_parser_advance(parser);
            skip_place(parser);
        } else if (weft_ptx_parser_at_name(parser, "function_name")) {
            weft_ptx_parser_advance(parser);
            weft_ptx_parser_expect_name(parser);
            if (weft_ptx_parser_accept(parser, '+'))
                skip_number(parser);
        } else {
            weft_ptx_parser_unexpected(parser, "function_name or inlined_at");
        }
    }
}

static void skip_string(struct weft_ptx_parser *parser)
{
    if (parser->token.kind == WEFT_PTX_TOKEN_STRING)
        weft_ptx_parser_advance(parser);
    else
        weft_ptx_parser_unexpected(parser, "a string");
}

/* .file index "name" [, time, size] */
static void parse_file(struct weft_ptx_parser *parser)
{
    struct weft_ptx_file file = {.number = (uint32_t)weft_ptx_parser_integer(parser, 0, INT64_MAX)};
    char *name = weft_ptx_parser_alloc(parser, parser->token.length + 1);
    if (name)
        memcpy(name, parser->token.text, parser->token.length);
    file.name = name;
    skip_string(parser);
    struct weft_ptx_file *slot = weft_ptx_parser_push(parser, &parser->files, sizeof(file), 1);
    if (slot)
        *slot = file;
    while (weft_ptx_parser_accept(parser, ','))
        skip_number(parser);
}

/* .section name { … }: its data name labels and sections that nothing else knows. */
static void skip_section(struct weft_ptx_parser *parser)
{
    bool named = parser->token.kind == WEFT_PTX_TOKEN_DOT ||
                 parser->token.kind == WEFT_PTX_TOKEN_NAME ||
                 parser->token.kind == WEFT_PTX_TOKEN_STRING;
    if (!named)
        weft_ptx_parser_unexpected(parser, "the name of a section");
    weft_ptx_parser_advance(parser);
    while (parser->token.kind == WEFT_PTX_TOKEN_STRING || weft_ptx_parser_at_sign(parser, ','))
        weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, '{');
    while (parser->token.kind != WEFT_PTX_TOKEN_END && !weft_ptx_parser_at_sign(parser, '{') &&
           !weft_ptx_parser_at_sign(parser, '}'))
        weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, '}');
}

/* .pragma "a", "b"; */
static void skip_pragma(struct weft_ptx_parser *parser)
{
    do {
        skip_string(parser);
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, ';');
}

bool weft_ptx_parser_skip_debug(struct weft_ptx_parser *parser)
{
    if (weft_ptx_parser_accept_dot(parser, ".loc"))
        parse_loc(parser);
    else if (weft_ptx_parser_accept_dot(parser, ".file"))
        parse_file(parser);
    else if (weft_ptx_parser_accept_dot(parser, ".section"))
        skip_section(parser);
    else if (weft_ptx_parser_accept_dot(parser, ".pragma"))
        skip_pragma(parser);
    else
        return false;
    return true;
}
