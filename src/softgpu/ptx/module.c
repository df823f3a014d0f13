/* The module: its head, its list of declarations, and the calls that the rest of weft makes. */
#include "softgpu/ptx/parser.h"

#include <stdlib.h>
#include <string.h>

#include "util/util.h"

/* "9.0", which the lexer takes for a float. */
static void parse_version(struct weft_ptx_parser *parser)
{
    const struct weft_ptx_token *token = &parser->token;
    uint32_t numbers[2] = {0, 0}, dots = 0;
    bool good = weft_ptx_parser_accept_dot(parser, ".version") &&
                token->kind == WEFT_PTX_TOKEN_FLOAT && token->length <= 6;
    for (uint32_t i = 0; good && i < token->length; i++) {
        char c = token->text[i];
        if (c == '.')
            good = ++dots == 1;
        else if (c < '0' || c > '9')
            good = false;
        else
            numbers[dots] = numbers[dots] * 10 + (uint32_t)(c - '0');
    }
    if (!good || !dots) {
        weft_ptx_parser_unexpected(parser, "\".version MAJOR.MINOR\"");
        return;
    }
    parser->module->version_major = numbers[0];
    parser->module->version_minor = numbers[1];
    weft_ptx_parser_advance(parser);
}

/* sm_90, sm_90a, sm_100f; compute_… stands for the same in some tools.
 * False where it is another word. */
static bool read_architecture(const struct weft_ptx_token *token, uint32_t *number)
{
    if (token->length < 4 || token->length > 7 || memcmp(token->text, "sm_", 3) != 0)
        return false;
    uint32_t value = 0, i = 3;
    for (; i < token->length && token->text[i] >= '0' && token->text[i] <= '9'; i++)
        value = value * 10 + (uint32_t)(token->text[i] - '0');
    bool suffix = i + 1 == token->length && (token->text[i] == 'a' || token->text[i] == 'f');
    if (i == 3 || (i != token->length && !suffix))
        return false;
    *number = value;
    return true;
}

static bool is_target_option(const struct weft_ptx_parser *parser)
{
    static const char *const options[] = {"texmode_unified", "texmode_independent", "debug",
                                          "map_f64_to_f32"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(options); i++)
        if (weft_ptx_parser_at_name(parser, options[i]))
            return true;
    return false;
}

static void parse_target(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token at = parser->token;
    if (!weft_ptx_parser_accept_dot(parser, ".target"))
        weft_ptx_parser_unexpected(parser, "\".target sm_NN\"");
    do {
        bool known = parser->token.kind == WEFT_PTX_TOKEN_NAME &&
                     (read_architecture(&parser->token, &parser->module->target_sm) ||
                      is_target_option(parser));
        if (!known)
            weft_ptx_parser_unexpected(parser, "a target as sm_75");
        weft_ptx_parser_advance(parser);
    } while (weft_ptx_parser_accept(parser, ','));
    if (!parser->module->target_sm)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "\".target\" names no sm_NN");
}

/* Where nothing is stated the ISA says 32. */
static void parse_address_size(struct weft_ptx_parser *parser)
{
    parser->module->address_bits = 32;
    if (!weft_ptx_parser_accept_dot(parser, ".address_size"))
        return;
    struct weft_ptx_token at = parser->token;
    int64_t bits = weft_ptx_parser_integer(parser, 32, 64);
    if (bits != 32 && bits != 64)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "an address has 32 or 64 bits, not %lld",
                             (long long)bits);
    parser->module->address_bits = (uint32_t)bits;
}

/* .alias name, function; */
static void parse_alias(struct weft_ptx_parser *parser)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *alias = weft_ptx_parser_expect_name(parser);
    weft_ptx_parser_expect(parser, ',');
    struct weft_ptx_token aliased_at = parser->token;
    struct weft_ptx_name *aliased = weft_ptx_parser_expect_name(parser);
    weft_ptx_parser_expect(parser, ';');
    if (!alias || !aliased || weft_ptx_parser_failed(parser))
        return;
    const struct weft_ptx_binding *to = aliased->binding, *from = alias->binding;
    if (!to || to->kind != WEFT_PTX_BINDING_FUNCTION || !from ||
        from->kind != WEFT_PTX_BINDING_FUNCTION) {
        bool first = !from || from->kind != WEFT_PTX_BINDING_FUNCTION;
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, first ? &at : &aliased_at,
                             "\"%s\" is not a declared function",
                             first ? alias->text : aliased->text);
        return;
    }
    struct weft_ptx_function *functions = parser->functions.items;
    const char *name = functions[from->index].name;
    uint8_t linkage = functions[from->index].linkage;
    struct weft_ptx_function alias_of = functions[to->index];
    alias_of.name = name;
    alias_of.linkage = linkage;
    weft_ptx_parser_check_redeclaration(parser, &at, &functions[from->index], &alias_of);
    functions[from->index] = alias_of;
}

static enum weft_ptx_linkage parse_linkage(struct weft_ptx_parser *parser)
{
    if (weft_ptx_parser_accept_dot(parser, ".visible"))
        return WEFT_PTX_VISIBLE;
    if (weft_ptx_parser_accept_dot(parser, ".extern"))
        return WEFT_PTX_EXTERN;
    if (weft_ptx_parser_accept_dot(parser, ".weak"))
        return WEFT_PTX_WEAK_LINKAGE;
    if (weft_ptx_parser_accept_dot(parser, ".common"))
        return WEFT_PTX_COMMON;
    return WEFT_PTX_STATIC;
}

static void parse_item(struct weft_ptx_parser *parser)
{
    if (weft_ptx_parser_at_sign(parser,
                                '@')) { /* @@DWARF of old compilers, to the end of its line */
        weft_ptx_lexer_skip_line(&parser->lexer);
        weft_ptx_parser_advance(parser);
        return;
    }
    if (parser->token.kind == WEFT_PTX_TOKEN_DOT && weft_ptx_parser_skip_debug(parser))
        return;
    if (weft_ptx_parser_accept_dot(parser, ".alias")) {
        parse_alias(parser);
        return;
    }
    enum weft_ptx_linkage linkage = parse_linkage(parser);
    if (weft_ptx_parser_at_dot(parser, ".entry") || weft_ptx_parser_at_dot(parser, ".func"))
        weft_ptx_parser_function(parser, linkage);
    else if (weft_ptx_parser_at_declaration(parser))
        weft_ptx_parser_declaration(parser, linkage);
    else
        weft_ptx_parser_unexpected(parser, "a directive or declaration");
}

static void parse_module(struct weft_ptx_parser *parser)
{
    weft_ptx_parser_advance(parser);
    parse_version(parser);
    parse_target(parser);
    parse_address_size(parser);
    while (parser->token.kind != WEFT_PTX_TOKEN_END)
        parse_item(parser);
    struct weft_ptx_module *module = parser->module;
    module->variables = weft_ptx_parser_settle(
        parser, &parser->variables, sizeof(struct weft_ptx_variable), &module->variable_count);
    module->functions = weft_ptx_parser_settle(
        parser, &parser->functions, sizeof(struct weft_ptx_function), &module->function_count);
    module->files = weft_ptx_parser_settle(parser, &parser->files, sizeof(struct weft_ptx_file),
                                           &module->file_count);
}

static void parser_destroy(struct weft_ptx_parser *parser)
{
    if (!parser)
        return;
    if (parser->module->unread == parser) { /* these are the module's by now */
        parser->variables.items = NULL;
        parser->functions.items = NULL;
    }
    weft_ptx_names_finish(&parser->names);
    weft_ptx_vector_finish(&parser->variables);
    weft_ptx_vector_finish(&parser->functions);
    weft_ptx_vector_finish(&parser->files);
    weft_ptx_vector_finish(&parser->builder.registers);
    weft_ptx_vector_finish(&parser->builder.variables);
    weft_ptx_vector_finish(&parser->builder.insns);
    weft_ptx_vector_finish(&parser->builder.fixups);
    weft_ptx_vector_finish(&parser->initialiser);
    weft_ptx_vector_finish(&parser->relocations);
    pthread_mutex_destroy(&parser->lock);
    free(parser);
}

struct weft_ptx_module *weft_ptx_module_create(void)
{
    struct weft_ptx_arena *memory = calloc(1, sizeof(*memory));
    struct weft_ptx_module *module = memory ? weft_ptx_arena_alloc(memory, sizeof(*module)) : NULL;
    if (!module)
        free(memory);
    else
        module->memory = memory;
    return module;
}

void weft_ptx_destroy(struct weft_ptx_module *module)
{
    if (!module)
        return;
    for (uint32_t i = 0; i < module->input_count; i++)
        weft_ptx_destroy(module->inputs[i]);
    parser_destroy(module->unread);
    struct weft_ptx_arena *memory = module->memory; /* which holds the module itself */
    weft_ptx_arena_finish(memory);
    free(memory);
}

/* The parser stays with the module: its names are needed to read the bodies, and what it added to
 * are the module's own lists now, which grow no more. */
static void keep_parser(struct weft_ptx_parser *parser)
{
    struct weft_ptx_module *module = parser->module;
    weft_ptx_vector_finish(&parser->variables);
    weft_ptx_vector_finish(&parser->functions);
    parser->variables.items = module->variables;
    parser->functions.items = module->functions;
    parser->err = NULL;
    module->unread = parser;
}

static struct weft_ptx_parser *parser_create(struct weft_ptx_module *module, struct weft_err *err)
{
    struct weft_ptx_parser *parser = calloc(1, sizeof(*parser));
    if (!parser)
        return NULL;
    parser->err = err;
    parser->module = module;
    parser->memory = module->memory;
    parser->builder.function = WEFT_PTX_NONE;
    pthread_mutex_init(&parser->lock, NULL);
    if (!weft_ptx_names_init(&parser->names, parser->memory))
        weft_ptx_parser_no_memory(parser);
    return parser;
}

static int parse(struct weft_ptx_module **out, const char *text, size_t size, bool defers,
                 struct weft_err *err)
{
    while (size && text[size - 1] == '\0')
        size--;
    if (size > WEFT_PTX_TEXT_BYTES_MAX)
        return weft_fail(err, WEFT_ERANGE,
                         "ptx:1:1: the text has %zu bytes, at most %zu can be read", size,
                         WEFT_PTX_TEXT_BYTES_MAX);
    struct weft_ptx_module *module = weft_ptx_module_create();
    struct weft_ptx_parser *parser = module ? parser_create(module, err) : NULL;
    if (parser && defers)
        text = weft_ptx_arena_copy(module->memory, text, size);
    if (!parser || !text) {
        parser_destroy(parser);
        weft_ptx_destroy(module);
        return weft_fail(err, WEFT_ENOMEM, "ptx:1:1: out of memory");
    }
    parser->defers = defers;
    weft_ptx_lexer_init(&parser->lexer, text, size);
    parse_module(parser);
    int code = parser->code;
    if (code == 0 && defers)
        keep_parser(parser);
    else
        parser_destroy(parser);
    if (code < 0)
        weft_ptx_destroy(module);
    else
        *out = module;
    return code;
}

int weft_ptx_parse(struct weft_ptx_module **out, const char *text, size_t size,
                   struct weft_err *err)
{
    return parse(out, text, size, false, err);
}

int weft_ptx_parse_heads(struct weft_ptx_module **out, const char *text, size_t size,
                         struct weft_err *err)
{
    return parse(out, text, size, true, err);
}

uint32_t weft_ptx_find_function(const struct weft_ptx_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->function_count; i++)
        if (!module->functions[i].prototype && strcmp(module->functions[i].name, name) == 0)
            return i;
    return WEFT_PTX_NONE;
}

uint32_t weft_ptx_find_variable(const struct weft_ptx_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (strcmp(module->variables[i].name, name) == 0)
            return i;
    return WEFT_PTX_NONE;
}

const char *weft_ptx_file_name(const struct weft_ptx_module *module,
                               const struct weft_ptx_function *function, uint32_t number)
{
    if (function->deferred) /* of an input, where the module was linked */
        module = function->deferred->parser->module;
    for (uint32_t i = 0; i < module->file_count; i++)
        if (module->files[i].number == number)
            return module->files[i].name;
    return NULL;
}
