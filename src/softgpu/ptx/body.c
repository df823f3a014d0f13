/* The body of a function: statements in scopes, and the labels that they meet in. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

static bool resolve(struct weft_ptx_parser *parser, const struct weft_ptx_fixup *fixup,
                    const struct weft_ptx_binding *binding)
{
    if (!binding ||
        binding->kind != (fixup->table ? WEFT_PTX_BINDING_TABLE : WEFT_PTX_BINDING_LABEL))
        return false;
    if (fixup->insn == WEFT_PTX_NONE) {
        *fixup->target = binding->index;
        return true;
    }
    struct weft_ptx_insn *insn = (struct weft_ptx_insn *)parser->builder.insns.items + fixup->insn;
    struct weft_ptx_operand *operand = &insn->operands[fixup->operand];
    operand->kind = WEFT_PTX_OPERAND_LABEL;
    operand->index = binding->index;
    if (fixup->table) {
        operand->kind = WEFT_PTX_OPERAND_NONE;
        insn->table = binding->table;
    }
    return true;
}

/* Labels of this scope serve what was used in it and within it; the rest
 * is left to the scope around. */
static void resolve_scope(struct weft_ptx_parser *parser, bool outermost)
{
    struct weft_ptx_vector *fixups = &parser->builder.fixups;
    uint32_t depth = parser->names.depth;
    size_t kept = parser->names.scopes[depth].first_fixup;
    for (size_t i = kept; i < fixups->count && !weft_ptx_parser_failed(parser); i++) {
        struct weft_ptx_fixup *all = fixups->items;
        struct weft_ptx_fixup *fixup = &all[i];
        if (resolve(parser, fixup, weft_ptx_names_taken(fixup->name, depth)))
            continue;
        struct weft_ptx_token at = {.line = fixup->line, .column = fixup->column};
        if (outermost)
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "%s \"%s\" is not there",
                                 fixup->table ? "the .branchtargets" : "the label",
                                 fixup->name->text);
        all[kept++] = *fixup;
    }
    fixups->count = kept;
}

static void open_scope(struct weft_ptx_parser *parser)
{
    if (parser->names.depth + 1 == WEFT_PTX_SCOPES_MAX) {
        weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                             "scopes are nested deeper than %d", WEFT_PTX_SCOPES_MAX - 1);
        return;
    }
    weft_ptx_names_open(&parser->names);
    parser->names.scopes[parser->names.depth].first_fixup = parser->builder.fixups.count;
    weft_ptx_parser_advance(parser);
}

static void parse_branch_targets(struct weft_ptx_parser *parser, struct weft_ptx_name *label,
                                 const struct weft_ptx_token *at)
{
    struct weft_ptx_branch_table *table = weft_ptx_parser_alloc(parser, sizeof(*table));
    struct weft_ptx_vector *fixups = &parser->builder.fixups;
    size_t first = fixups->count;
    do {
        weft_ptx_parser_label_operand(parser, WEFT_PTX_NONE, 0, false);
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, ';');
    if (weft_ptx_parser_failed(parser))
        return;
    table->count = (uint32_t)(fixups->count - first);
    table->targets = weft_ptx_parser_alloc(parser, table->count * sizeof(uint32_t));
    for (uint32_t i = 0; i < table->count && table->targets; i++)
        ((struct weft_ptx_fixup *)fixups->items)[first + i].target = &table->targets[i];
    struct weft_ptx_binding *binding =
        weft_ptx_parser_declare(parser, label, at, WEFT_PTX_BINDING_TABLE, 0);
    if (binding)
        binding->table = table;
}

/* The functions of .calltargets look alike: the first stands for them. */
static void parse_call_targets(struct weft_ptx_parser *parser, struct weft_ptx_name *label,
                               const struct weft_ptx_token *at)
{
    uint32_t first = WEFT_PTX_NONE;
    do {
        struct weft_ptx_token place = parser->token;
        struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
        const struct weft_ptx_binding *binding =
            name ? weft_ptx_names_meaning(&parser->names, name) : NULL;
        if (name && (!binding || binding->kind != WEFT_PTX_BINDING_FUNCTION))
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &place, "\"%s\" is not a function",
                                 name->text);
        else if (name && first == WEFT_PTX_NONE)
            first = binding->index;
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, ';');
    if (!weft_ptx_parser_failed(parser))
        weft_ptx_parser_declare(parser, label, at, WEFT_PTX_BINDING_PROTOTYPE, first);
}

static void parse_label(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    weft_ptx_parser_expect(parser, ':');
    if (!name || weft_ptx_parser_failed(parser))
        return;
    if (weft_ptx_parser_accept_dot(parser, ".branchtargets"))
        parse_branch_targets(parser, name, &at);
    else if (weft_ptx_parser_accept_dot(parser, ".calltargets"))
        parse_call_targets(parser, name, &at);
    else if (weft_ptx_parser_accept_dot(parser, ".callprototype"))
        weft_ptx_parser_prototype(parser, name, &at);
    else
        weft_ptx_parser_declare(parser, name, &at, WEFT_PTX_BINDING_LABEL,
                                (uint32_t)parser->builder.insns.count);
}

static bool at_label(const struct weft_ptx_parser *parser)
{
    if (parser->token.kind != WEFT_PTX_TOKEN_NAME)
        return false;
    struct weft_ptx_lexer ahead = parser->lexer;
    struct weft_ptx_token next;
    weft_ptx_lexer_next(&ahead, &next);
    return next.kind == WEFT_PTX_TOKEN_SIGN && next.sign == ':';
}

static void parse_statement(struct weft_ptx_parser *parser)
{
    if (weft_ptx_parser_at_declaration(parser))
        weft_ptx_parser_declaration(parser, WEFT_PTX_STATIC);
    else if (weft_ptx_parser_accept_dot(parser, ".extern"))
        weft_ptx_parser_declaration(parser, WEFT_PTX_EXTERN);
    else if (parser->token.kind == WEFT_PTX_TOKEN_DOT && weft_ptx_parser_skip_debug(parser))
        return;
    else if (at_label(parser))
        parse_label(parser);
    else
        weft_ptx_parser_instruction(parser);
}

void weft_ptx_parser_body(struct weft_ptx_parser *parser)
{
    uint32_t outermost = parser->names.depth;
    weft_ptx_parser_expect(parser, '{');
    while (!weft_ptx_parser_failed(parser)) {
        if (weft_ptx_parser_at_sign(parser, '{')) {
            open_scope(parser);
        } else if (!weft_ptx_parser_at_sign(parser, '}')) {
            parse_statement(parser);
        } else {
            bool last = parser->names.depth == outermost;
            resolve_scope(parser, last);
            weft_ptx_parser_advance(parser);
            if (last)
                return;
            weft_ptx_names_close(&parser->names);
        }
    }
}
