/* One instruction: guard, mnemonic, operands. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

#define MNEMONIC_BYTES_MAX 256
#define MNEMONIC_PIECES_MAX 40

/* The dotted text of an instruction, and where each piece of it stood. */
struct gathered {
    char text[MNEMONIC_BYTES_MAX];
    size_t size;
    uint32_t piece_count;
    size_t offsets[MNEMONIC_PIECES_MAX];
    struct weft_ptx_token pieces[MNEMONIC_PIECES_MAX];
};

static void gather_piece(struct weft_ptx_parser *parser, struct gathered *gathered)
{
    const struct weft_ptx_token *token = &parser->token;
    if (token->length > MNEMONIC_BYTES_MAX - gathered->size ||
        gathered->piece_count == MNEMONIC_PIECES_MAX) {
        weft_ptx_parser_fail(parser, WEFT_ERANGE, token, "the instruction's name is too long");
        return;
    }
    memcpy(gathered->text + gathered->size, token->text, token->length);
    gathered->offsets[gathered->piece_count] = gathered->size;
    gathered->pieces[gathered->piece_count++] = *token;
    gathered->size += token->length;
    weft_ptx_parser_advance(parser);
}

static void gather(struct weft_ptx_parser *parser, struct gathered *gathered)
{
    gathered->size = gathered->piece_count = 0;
    gather_piece(parser, gathered);
    while (parser->token.kind == WEFT_PTX_TOKEN_DOT)
        gather_piece(parser, gathered);
}

static void report_form(struct weft_ptx_parser *parser, const struct gathered *gathered,
                        const char *reason, size_t at, size_t length)
{
    uint32_t piece = gathered->piece_count - 1;
    while (piece > 0 && gathered->offsets[piece] > at)
        piece--;
    struct weft_ptx_token token = gathered->pieces[piece];
    token.column += (uint32_t)(at - gathered->offsets[piece]);
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &token, "%s: \"%.*s\"", reason, (int)length,
                         gathered->text + at);
}

/* Every text is decoded once; NULL after a failure. */
static const struct weft_ptx_mnemonic *decode(struct weft_ptx_parser *parser,
                                              const struct gathered *gathered)
{
    struct weft_ptx_name *name =
        weft_ptx_names_intern(&parser->names, gathered->text, gathered->size);
    if (name && name->mnemonic)
        return name->mnemonic;
    struct weft_ptx_mnemonic *mnemonic =
        name ? weft_ptx_arena_alloc(&parser->names.scratch, sizeof(*mnemonic)) : NULL;
    if (!mnemonic) {
        weft_ptx_parser_no_memory(parser);
        return NULL;
    }
    size_t at, length;
    const char *reason =
        weft_ptx_form_decode(gathered->text, gathered->size, mnemonic, &at, &length);
    if (reason) {
        report_form(parser, gathered, reason, at, length);
        return NULL;
    }
    mnemonic->insn.text = name->text;
    name->mnemonic = mnemonic;
    return mnemonic;
}

static void parse_guard(struct weft_ptx_parser *parser, uint32_t *guard, bool *negated)
{
    *guard = WEFT_PTX_NONE;
    *negated = false;
    if (!weft_ptx_parser_accept(parser, '@'))
        return;
    *negated = weft_ptx_parser_accept(parser, '!');
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    const struct weft_ptx_binding *binding = name ? weft_ptx_parser_lookup(parser, name) : NULL;
    if (!name || weft_ptx_parser_failed(parser))
        return;
    const struct weft_ptx_register *registers = parser->builder.registers.items;
    if (!binding)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%s\" is not declared", name->text);
    else if (binding->kind != WEFT_PTX_BINDING_REGISTER ||
             registers[binding->index].type != WEFT_PTX_PRED)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%s\" is not a predicate", name->text);
    else
        *guard = binding->index;
}

static bool takes_label(const struct weft_ptx_insn *insn, uint32_t operand)
{
    return (insn->opcode == WEFT_PTX_BRA && operand == 0) ||
           (insn->opcode == WEFT_PTX_BRX && operand == 1);
}

static void parse_one_operand(struct weft_ptx_parser *parser, const struct weft_ptx_insn *insn,
                              struct weft_ptx_operand *operand)
{
    bool named = parser->token.kind == WEFT_PTX_TOKEN_NAME;
    weft_ptx_parser_operand(parser, operand);
    bool takes_address = insn->opcode == WEFT_PTX_MOV || insn->opcode == WEFT_PTX_CVTA;
    if (named && takes_address && operand->kind == WEFT_PTX_OPERAND_ADDRESS)
        operand->kind = WEFT_PTX_OPERAND_SYMBOL;
}

static void parse_operands(struct weft_ptx_parser *parser, struct weft_ptx_insn *insn,
                           struct weft_ptx_token *tokens)
{
    bool more = !weft_ptx_parser_at_sign(parser, ';');
    while (more && !weft_ptx_parser_failed(parser)) {
        uint32_t operand = insn->operand_count;
        if (operand == WEFT_PTX_OPERANDS_MAX) {
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &parser->token,
                                 "\"%s\" has more than %d operands", insn->text,
                                 WEFT_PTX_OPERANDS_MAX);
            return;
        }
        tokens[operand] = parser->token;
        if (takes_label(insn, operand))
            weft_ptx_parser_label_operand(parser, (uint32_t)parser->builder.insns.count, operand,
                                          insn->opcode == WEFT_PTX_BRX);
        else
            parse_one_operand(parser, insn, &insn->operands[operand]);
        insn->operand_count++;
        if (operand == 0 && weft_ptx_parser_accept(parser, '|'))
            insn->paired = true;
        else
            more = weft_ptx_parser_accept(parser, ',');
    }
}

void weft_ptx_parser_instruction(struct weft_ptx_parser *parser)
{
    uint32_t guard;
    bool guard_negated;
    parse_guard(parser, &guard, &guard_negated);
    struct weft_ptx_token at = parser->token;
    if (at.kind != WEFT_PTX_TOKEN_NAME) {
        weft_ptx_parser_unexpected(parser, "an instruction");
        return;
    }
    struct gathered gathered;
    gather(parser, &gathered);
    const struct weft_ptx_mnemonic *mnemonic =
        weft_ptx_parser_failed(parser) ? NULL : decode(parser, &gathered);
    if (!mnemonic)
        return;
    struct weft_ptx_insn insn = mnemonic->insn;
    struct weft_ptx_token tokens[WEFT_PTX_OPERANDS_MAX];
    insn.guard = guard;
    insn.guard_negated = guard_negated;
    insn.line = at.line;
    insn.column = at.column;
    insn.file = parser->file;
    insn.file_line = parser->file_line;
    if (insn.opcode == WEFT_PTX_CALL)
        weft_ptx_parser_call(parser, &insn);
    else
        parse_operands(parser, &insn, tokens);
    weft_ptx_parser_expect(parser, ';');
    if (weft_ptx_parser_failed(parser))
        return;
    weft_ptx_parser_check(parser, &insn, mnemonic->form, &at, tokens);
    if (parser->builder.insns.count == WEFT_PTX_INSNS_MAX)
        weft_ptx_parser_fail(parser, WEFT_ERANGE, &at, "the function has more than %u instructions",
                             WEFT_PTX_INSNS_MAX);
    struct weft_ptx_insn *slot =
        weft_ptx_parser_push(parser, &parser->builder.insns, sizeof(insn), 1);
    if (slot)
        *slot = insn;
}
