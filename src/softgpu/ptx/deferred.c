/* Bodies that are read late: passed over with their module, and read for the first kernel that
 * reaches them, with the names that were known where they stand. That of a module that was linked
 * is read by the parser of its input, which is all that is locked meanwhile. */
#include <string.h>

#include "softgpu/ptx/parser.h"

/* Records that bodies may not add to the module's list later, because others read it: one for each
 * time that the word stands in the text, in comments too, which wastes a few. */
static uint32_t count_prototypes(const char *at, const char *end)
{
    static const char word[] = ".callprototype";
    uint32_t count = 0;
    while ((at = memmem(at, (size_t)(end - at), word, sizeof(word) - 1))) {
        at += sizeof(word) - 1;
        count++;
    }
    return count;
}

static void keep_prototypes(struct weft_ptx_parser *parser, struct weft_ptx_deferred *deferred)
{
    deferred->prototype = (uint32_t)parser->functions.count;
    struct weft_ptx_function *kept = weft_ptx_parser_push(
        parser, &parser->functions, sizeof(struct weft_ptx_function), deferred->prototype_count);
    for (uint32_t i = 0; kept && i < deferred->prototype_count; i++)
        kept[i] = (struct weft_ptx_function){.name = "", .prototype = true};
}

bool weft_ptx_parser_defer(struct weft_ptx_parser *parser, uint32_t index,
                           struct weft_ptx_function *function)
{
    struct weft_ptx_lexer behind = parser->lexer;
    if (!weft_ptx_lexer_skip_body(&behind))
        return false;
    struct weft_ptx_deferred *deferred = weft_ptx_parser_alloc(parser, sizeof(*deferred));
    if (!deferred)
        return true;
    *deferred = (struct weft_ptx_deferred){
        .parser = parser,
        .lexer = parser->lexer,
        .open = parser->token,
        .function = index,
        .visible = parser->names.declared,
        .prototype_count = count_prototypes(parser->lexer.at, behind.at),
    };
    if (deferred->prototype_count)
        keep_prototypes(parser, deferred);
    function->deferred = deferred;
    parser->builder.registers.count = 0; /* those of its parameters, which come again */
    parser->lexer = behind;
    weft_ptx_parser_advance(parser);
    return true;
}

/* Ready for the next body, also after one that failed half-way. */
static void clear(struct weft_ptx_parser *parser)
{
    while (parser->names.depth)
        weft_ptx_names_close(&parser->names);
    parser->names.visible = UINT32_MAX;
    parser->builder.function = WEFT_PTX_NONE;
    parser->builder.prototype = parser->builder.prototype_end = 0;
    parser->builder.registers.count = 0;
    parser->builder.variables.count = 0;
    parser->builder.insns.count = 0;
    parser->builder.fixups.count = 0;
    parser->initialiser.count = 0;
    parser->relocations.count = 0;
    parser->expression_depth = 0;
    parser->file = parser->file_line = 0;
    parser->code = 0;
    parser->err = NULL;
}

static int parse_body(struct weft_ptx_parser *parser, const struct weft_ptx_deferred *deferred,
                      struct weft_ptx_function *body, struct weft_err *err)
{
    parser->err = err;
    parser->lexer = deferred->lexer;
    parser->token = deferred->open;
    parser->names.visible = deferred->visible;
    parser->builder.function = deferred->function;
    parser->builder.prototype = deferred->prototype;
    parser->builder.prototype_end = deferred->prototype + deferred->prototype_count;
    weft_ptx_names_open(&parser->names);
    weft_ptx_parser_bind_parameters(parser, &parser->module->functions[deferred->function]);
    weft_ptx_parser_body(parser);
    if (!weft_ptx_parser_failed(parser))
        weft_ptx_parser_finish_body(parser, body);
    int rc = parser->code;
    clear(parser);
    return rc;
}

/* What the body's .callprototypes say is said in the result's records of them too. */
static void move_prototypes(const struct weft_ptx_places *places,
                            const struct weft_ptx_deferred *deferred)
{
    const struct weft_ptx_function *functions = deferred->parser->module->functions;
    uint32_t end = deferred->prototype + deferred->prototype_count;
    for (uint32_t i = deferred->prototype; i < end; i++)
        weft_ptx_prototype_fill(&places->result->functions[places->functions[i]], &functions[i]);
}

/* With the places of the module that was linked, where one was: nobody else has seen the body. */
static int make_body(const struct weft_ptx_deferred *deferred, struct weft_ptx_function *body,
                     struct weft_err *err)
{
    struct weft_ptx_parser *parser = deferred->parser;
    const struct weft_ptx_places *places = parser->places;
    int rc = parse_body(parser, deferred, body, err);
    if (!places)
        return rc;
    if (rc)
        return weft_wrap(err, rc, "%s", places->input);
    move_prototypes(places, deferred);
    return weft_ptx_places_move_body(places, body, parser->memory, err);
}

/* Only what a body has: the head is read by others meanwhile. */
static void give_body(struct weft_ptx_function *to, const struct weft_ptx_function *body)
{
    to->registers = body->registers;
    to->register_count = body->register_count;
    to->variables = body->variables;
    to->variable_count = body->variable_count;
    to->insns = body->insns;
    to->insn_count = body->insn_count;
    to->read = true;
}

static int read_own(struct weft_ptx_function *function, struct weft_err *err)
{
    struct weft_ptx_deferred *deferred = function->deferred;
    if (function->read)
        return 0;
    if (deferred->failure)
        return weft_fail(err, (enum weft_errno) - deferred->failure->code, "%s",
                         deferred->failure->text);
    struct weft_err failure = {0};
    struct weft_ptx_function body = {0};
    int rc = make_body(deferred, &body, &failure);
    if (rc == 0)
        give_body(function, &body);
    else if (rc != -WEFT_ENOMEM) /* which may be over when somebody asks again */
        deferred->failure =
            weft_ptx_arena_copy(deferred->parser->memory, &failure, sizeof(failure));
    return rc ? weft_fail(err, (enum weft_errno) - rc, "%s", failure.text) : 0;
}

int weft_ptx_read_body(const struct weft_ptx_module *module, uint32_t index, struct weft_err *err)
{
    struct weft_ptx_function *function = &module->functions[index];
    const struct weft_ptx_deferred *deferred = function->deferred;
    if (!deferred)
        return 0;
    struct weft_ptx_parser *parser = deferred->parser;
    pthread_mutex_lock(&parser->lock);
    struct weft_ptx_function *owner = &parser->module->functions[deferred->function];
    int rc = read_own(owner, err);
    if (rc == 0 && !function->read)
        give_body(function, owner);
    pthread_mutex_unlock(&parser->lock);
    return rc;
}

int weft_ptx_read_bodies(const struct weft_ptx_module *module, struct weft_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < module->function_count; i++)
        rc = weft_ptx_read_body(module, i, err);
    return rc;
}
