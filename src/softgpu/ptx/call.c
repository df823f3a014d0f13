/* call (returns), target, (arguments), prototype; */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

static struct weft_ptx_function *function_at(struct weft_ptx_parser *parser, uint32_t index)
{
    return (struct weft_ptx_function *)parser->functions.items + index;
}

/* (a, b, c), which may be empty; the operands go to the module's memory. */
static struct weft_ptx_operand *parse_list(struct weft_ptx_parser *parser, uint32_t *count,
                                           struct weft_ptx_token *at)
{
    struct weft_ptx_vector list = {0};
    *at = parser->token;
    weft_ptx_parser_expect(parser, '(');
    bool more = !weft_ptx_parser_at_sign(parser, ')');
    while (more && !weft_ptx_parser_failed(parser)) {
        if (list.count == WEFT_PTX_ARGUMENTS_MAX) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                                 "a call has at most %d arguments", WEFT_PTX_ARGUMENTS_MAX);
            break;
        }
        struct weft_ptx_operand *operand =
            weft_ptx_parser_push(parser, &list, sizeof(struct weft_ptx_operand), 1);
        if (operand)
            weft_ptx_parser_operand(parser, operand);
        more = weft_ptx_parser_accept(parser, ',');
    }
    weft_ptx_parser_expect(parser, ')');
    struct weft_ptx_operand *items =
        weft_ptx_parser_settle(parser, &list, sizeof(struct weft_ptx_operand), count);
    weft_ptx_vector_finish(&list);
    return items;
}

static void parse_target(struct weft_ptx_parser *parser, struct weft_ptx_operand *target)
{
    struct weft_ptx_token at = parser->token;
    if (at.kind != WEFT_PTX_TOKEN_NAME) {
        weft_ptx_parser_unexpected(parser, "a function or register");
        return;
    }
    weft_ptx_parser_operand(parser, target);
    bool function =
        target->kind == WEFT_PTX_OPERAND_SYMBOL && target->symbol == WEFT_PTX_SYMBOL_FUNCTION;
    if (!function && target->kind != WEFT_PTX_OPERAND_REGISTER)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\"%.*s\" is not a function",
                             (int)at.length, at.text);
    else if (function && function_at(parser, target->index)->entry)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                             "\"%.*s\" is an .entry, which is not called", (int)at.length, at.text);
}

static uint32_t parse_prototype_name(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    const struct weft_ptx_binding *binding = name ? weft_ptx_parser_lookup(parser, name) : NULL;
    if (binding && binding->kind == WEFT_PTX_BINDING_PROTOTYPE)
        return binding->index;
    if (name)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                             "\"%s\" is not the label of a .callprototype or .calltargets",
                             name->text);
    return WEFT_PTX_NONE;
}

/* Bytes of what a call passes, or 0 where any size will do. */
static uint64_t passed_bytes(struct weft_ptx_parser *parser, const struct weft_ptx_token *at,
                             const struct weft_ptx_operand *operand)
{
    const struct weft_ptx_variable *variables = parser->builder.variables.items;
    const struct weft_ptx_register *registers = parser->builder.registers.items;
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        return weft_ptx_type_bytes(registers[operand->index].type);
    case WEFT_PTX_OPERAND_SYMBOL:
        if (operand->symbol != WEFT_PTX_SYMBOL_LOCAL)
            return 0;
        if (variables[operand->index].space != WEFT_PTX_PARAM)
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is not a .param variable",
                                 variables[operand->index].name);
        return variables[operand->index].bytes;
    default:
        return 0;
    }
}

static void check_list(struct weft_ptx_parser *parser, const struct weft_ptx_token *at,
                       const char *what, const struct weft_ptx_operand *given, uint32_t count,
                       const struct weft_ptx_parameter *wanted, uint32_t wanted_count)
{
    if (count != wanted_count) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "the call has %u %s, the function %u", count,
                             what, wanted_count);
        return;
    }
    for (uint32_t i = 0; i < count && !weft_ptx_parser_failed(parser); i++) {
        uint64_t bytes = passed_bytes(parser, at, &given[i]);
        if (bytes && wanted[i].bytes && bytes != wanted[i].bytes)
            weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at,
                                 "number %u of the call's %s has %llu bytes, the function's has %u",
                                 i + 1, what, (unsigned long long)bytes, wanted[i].bytes);
    }
}

static void check_call(struct weft_ptx_parser *parser, const struct weft_ptx_call *call,
                       const struct weft_ptx_token *returns, const struct weft_ptx_token *arguments)
{
    uint32_t index =
        call->target.kind == WEFT_PTX_OPERAND_SYMBOL ? call->target.index : call->prototype;
    if (index == WEFT_PTX_NONE || weft_ptx_parser_failed(parser))
        return;
    const struct weft_ptx_function *function = function_at(parser, index);
    check_list(parser, returns, "results", call->returns, call->return_count, function->returns,
               function->return_count);
    check_list(parser, arguments, "arguments", call->arguments, call->argument_count,
               function->parameters, function->parameter_count);
}

void weft_ptx_parser_call(struct weft_ptx_parser *parser, struct weft_ptx_insn *insn)
{
    struct weft_ptx_call *call = weft_ptx_parser_alloc(parser, sizeof(*call));
    if (!call)
        return;
    insn->call = call;
    call->prototype = WEFT_PTX_NONE;
    struct weft_ptx_token returns = parser->token, arguments = parser->token;
    if (weft_ptx_parser_at_sign(parser, '(')) {
        call->returns = parse_list(parser, &call->return_count, &returns);
        weft_ptx_parser_expect(parser, ',');
    }
    arguments = parser->token;
    parse_target(parser, &call->target);
    bool more = weft_ptx_parser_accept(parser, ',');
    if (more && weft_ptx_parser_at_sign(parser, '(')) {
        call->arguments = parse_list(parser, &call->argument_count, &arguments);
        more = weft_ptx_parser_accept(parser, ',');
    }
    struct weft_ptx_token at = parser->token;
    if (more)
        call->prototype = parse_prototype_name(parser);
    else if (call->target.kind == WEFT_PTX_OPERAND_REGISTER)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at,
                             "a call through a register needs a .callprototype or .calltargets");
    check_call(parser, call, &returns, &arguments);
}
