/* .entry and .func: parameters, results, directives. */
#include "softgpu/ptx/parser.h"

#include <string.h>

#include "util/util.h"

/* What the ISA lets a kernel take. */
#define ENTRY_PARAMETER_BYTES_MAX 32764

/* What may have a value behind it in a function's head. */
struct directive {
    const char *word;
    uint32_t values_min, values_max;
};

static const struct directive directives[] = {
    {".maxntid", 1, 3},         {".reqntid", 1, 3},
    {".minnctapersm", 1, 1},    {".maxnctapersm", 1, 1},
    {".maxnreg", 1, 1},         {".noreturn", 0, 0},
    {".abi_preserve", 1, 1},    {".abi_preserve_control", 1, 1},
    {".explicitcluster", 0, 0}, {".reqnctapercluster", 1, 3},
    {".maxclusterrank", 1, 1},  {".blocksareclusters", 0, 0},
};

struct parameter_list {
    struct weft_ptx_vector items; /* struct weft_ptx_parameter */
    enum weft_ptx_binding_kind kind;
    bool entry, prototype;
    uint64_t bytes;
};

static void bind_parameter(struct weft_ptx_parser *parser, struct parameter_list *list,
                           struct weft_ptx_parameter *parameter, struct weft_ptx_name *name,
                           const struct weft_ptx_token *at)
{
    enum weft_ptx_binding_kind kind = list->kind;
    uint32_t index = (uint32_t)list->items.count - 1;
    if (parameter->space == WEFT_PTX_REG) {
        kind = WEFT_PTX_BINDING_REGISTER;
        index = weft_ptx_parser_add_register(parser, name, parameter->type, parameter->vector);
        parameter->reg = index;
    }
    bool unnamed = name->length == 1 && name->text[0] == '_';
    if (!unnamed && !weft_ptx_parser_failed(parser))
        weft_ptx_parser_declare(parser, name, at, kind, index);
}

static void place_parameter(struct weft_ptx_parser *parser, struct parameter_list *list,
                            struct weft_ptx_parameter *parameter, uint64_t bytes,
                            const struct weft_ptx_token *at)
{
    uint64_t most = list->entry ? ENTRY_PARAMETER_BYTES_MAX : WEFT_PTX_PARAMETER_BYTES_MAX;
    uint64_t offset = weft_round_up(list->bytes, parameter->align);
    if (bytes > most || offset + bytes > most) {
        weft_ptx_parser_fail(parser, WEFT_ERANGE, at, "the parameters have more than %llu bytes",
                             (unsigned long long)most);
        return;
    }
    parameter->bytes = (uint32_t)bytes;
    if (parameter->space == WEFT_PTX_REG)
        return;
    parameter->offset = (uint32_t)offset;
    list->bytes = offset + bytes;
}

static uint8_t parse_parameter_space(struct weft_ptx_parser *parser, bool entry)
{
    if (weft_ptx_parser_accept_dot(parser, ".param"))
        return WEFT_PTX_PARAM;
    if (!entry && weft_ptx_parser_accept_dot(parser, ".reg"))
        return WEFT_PTX_REG;
    weft_ptx_parser_unexpected(parser, entry ? ".param" : ".param or .reg");
    return WEFT_PTX_GENERIC;
}

static void parse_parameter(struct weft_ptx_parser *parser, struct parameter_list *list)
{
    struct weft_ptx_declaration declaration = {0};
    declaration.space = parse_parameter_space(parser, list->entry);
    weft_ptx_parser_declaration_type(parser, &declaration);
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    uint64_t dimensions[WEFT_PTX_DIMENSIONS_MAX];
    uint32_t dimension_count;
    bool open;
    uint64_t count = weft_ptx_parser_dimensions(parser, dimensions, &dimension_count, &open);
    struct weft_ptx_parameter *parameter =
        name ? weft_ptx_parser_push(parser, &list->items, sizeof(*parameter), 1) : NULL;
    if (!parameter || weft_ptx_parser_failed(parser))
        return;
    *parameter = (struct weft_ptx_parameter){.name = name->text,
                                             .space = declaration.space,
                                             .type = declaration.type,
                                             .vector = declaration.vector,
                                             .align = weft_ptx_declaration_align(&declaration),
                                             .reg = WEFT_PTX_NONE};
    uint64_t bytes = count * weft_ptx_type_bytes(declaration.type) * declaration.vector;
    place_parameter(parser, list, parameter, bytes, &at);
    bind_parameter(parser, list, parameter, name, &at);
}

/* ( … ), or nothing at all. */
static struct weft_ptx_parameter *parse_parameters(struct weft_ptx_parser *parser,
                                                   struct parameter_list *list, uint32_t *count)
{
    *count = 0;
    if (!weft_ptx_parser_accept(parser, '('))
        return NULL;
    bool more = !weft_ptx_parser_at_sign(parser, ')');
    while (more && !weft_ptx_parser_failed(parser)) {
        if (list->items.count == WEFT_PTX_ARGUMENTS_MAX) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, &parser->token,
                                 "a function has at most %d parameters", WEFT_PTX_ARGUMENTS_MAX);
            break;
        }
        parse_parameter(parser, list);
        more = weft_ptx_parser_accept(parser, ',');
    }
    weft_ptx_parser_expect(parser, ')');
    struct weft_ptx_parameter *items =
        weft_ptx_parser_settle(parser, &list->items, sizeof(struct weft_ptx_parameter), count);
    weft_ptx_vector_finish(&list->items);
    return items;
}

static struct weft_ptx_parameter *parse_returns(struct weft_ptx_parser *parser, uint32_t *count)
{
    struct parameter_list list = {.kind = WEFT_PTX_BINDING_RETURN};
    return parse_parameters(parser, &list, count);
}

static void set_directive(struct weft_ptx_function *function, const char *word,
                          const uint32_t *values)
{
    if (strcmp(word, ".maxntid") == 0)
        memcpy(function->maxntid, values, sizeof(function->maxntid));
    else if (strcmp(word, ".reqntid") == 0)
        memcpy(function->reqntid, values, sizeof(function->reqntid));
    else if (strcmp(word, ".minnctapersm") == 0)
        function->minnctapersm = values[0];
    else if (strcmp(word, ".maxnreg") == 0)
        function->maxnreg = values[0];
    else if (strcmp(word, ".reqnctapercluster") == 0)
        memcpy(function->reqnctapercluster, values, sizeof(function->reqnctapercluster));
    else if (strcmp(word, ".maxclusterrank") == 0)
        function->maxclusterrank = values[0];
    else if (strcmp(word, ".explicitcluster") == 0)
        function->explicitcluster = true;
    else if (strcmp(word, ".noreturn") == 0)
        function->noreturn = true;
}

static bool parse_directive(struct weft_ptx_parser *parser, struct weft_ptx_function *function)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(directives); i++) {
        const struct directive *directive = &directives[i];
        if (!weft_ptx_parser_accept_dot(parser, directive->word))
            continue;
        uint32_t values[3] = {1, 1, 1}, count = 0;
        while (count < directive->values_max && !weft_ptx_parser_failed(parser)) {
            values[count++] = (uint32_t)weft_ptx_parser_integer(parser, 0, UINT32_MAX);
            if (count == directive->values_max || !weft_ptx_parser_accept(parser, ','))
                break;
        }
        set_directive(function, directive->word, values);
        return true;
    }
    bool managed; /* means nothing of a function */
    if (weft_ptx_parser_accept_dot(parser, ".attribute")) {
        weft_ptx_parser_attributes(parser, &managed);
        return true;
    }
    return parser->token.kind == WEFT_PTX_TOKEN_DOT && weft_ptx_parser_skip_debug(parser);
}

/* The record under a function's name, made where it is new; WEFT_PTX_NONE after a failure. */
static uint32_t find_record(struct weft_ptx_parser *parser, struct weft_ptx_name *name,
                            const struct weft_ptx_token *at)
{
    const struct weft_ptx_binding *taken = name->binding;
    if (taken && taken->depth == 0 && taken->kind == WEFT_PTX_BINDING_FUNCTION)
        return taken->index;
    if (taken) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is already declared in line %u",
                             name->text, taken->line);
        return WEFT_PTX_NONE;
    }
    struct weft_ptx_function *function =
        weft_ptx_parser_push(parser, &parser->functions, sizeof(*function), 1);
    struct weft_ptx_binding *binding =
        function ? weft_ptx_names_bind(&parser->names, name, 0) : NULL;
    if (!binding) {
        weft_ptx_parser_no_memory(parser);
        return WEFT_PTX_NONE;
    }
    binding->kind = WEFT_PTX_BINDING_FUNCTION;
    binding->index = (uint32_t)parser->functions.count - 1;
    binding->line = at->line;
    return binding->index;
}

void weft_ptx_parser_check_redeclaration(struct weft_ptx_parser *parser,
                                         const struct weft_ptx_token *at,
                                         const struct weft_ptx_function *old,
                                         const struct weft_ptx_function *now)
{
    if (!old->name)
        return;
    bool same = old->entry == now->entry && old->parameter_count == now->parameter_count &&
                old->return_count == now->return_count;
    for (uint32_t i = 0; same && i < now->parameter_count; i++)
        same = old->parameters[i].bytes == now->parameters[i].bytes;
    for (uint32_t i = 0; same && i < now->return_count; i++)
        same = old->returns[i].bytes == now->returns[i].bytes;
    if (!same)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at,
                             "\"%s\" was declared in line %u with other parameters", now->name,
                             old->line);
    else if (old->body && now->body)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s\" is already defined in line %u",
                             now->name, old->line);
}

static void store(struct weft_ptx_parser *parser, uint32_t index,
                  const struct weft_ptx_function *function)
{
    struct weft_ptx_function *slot = (struct weft_ptx_function *)parser->functions.items + index;
    bool definition_stays = slot->body && !function->body;
    if (!definition_stays)
        *slot = *function;
}

void weft_ptx_parser_finish_body(struct weft_ptx_parser *parser, struct weft_ptx_function *function)
{
    struct weft_ptx_builder *builder = &parser->builder;
    function->registers = weft_ptx_parser_settle(
        parser, &builder->registers, sizeof(struct weft_ptx_register), &function->register_count);
    function->variables = weft_ptx_parser_settle(
        parser, &builder->variables, sizeof(struct weft_ptx_variable), &function->variable_count);
    function->insns = weft_ptx_parser_settle(parser, &builder->insns, sizeof(struct weft_ptx_insn),
                                             &function->insn_count);
    builder->fixups.count = 0;
}

/* Name, parameters and directives, into `function`. Returns its index. */
static uint32_t parse_head(struct weft_ptx_parser *parser, struct weft_ptx_function *function)
{
    struct parameter_list list = {.kind = WEFT_PTX_BINDING_PARAMETER, .entry = function->entry};
    if (!function->entry)
        function->returns = parse_returns(parser, &function->return_count);
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    uint32_t index = name ? find_record(parser, name, &at) : WEFT_PTX_NONE;
    if (index == WEFT_PTX_NONE)
        return index;
    function->name = name->text;
    function->line = at.line;
    function->parameters = parse_parameters(parser, &list, &function->parameter_count);
    function->parameter_bytes = (uint32_t)list.bytes;
    while (!weft_ptx_parser_failed(parser) && parse_directive(parser, function))
        ;
    function->body = weft_ptx_parser_at_sign(parser, '{');
    if (!weft_ptx_parser_failed(parser))
        weft_ptx_parser_check_redeclaration(
            parser, &at, (struct weft_ptx_function *)parser->functions.items + index, function);
    return index;
}

void weft_ptx_parser_function(struct weft_ptx_parser *parser, enum weft_ptx_linkage linkage)
{
    struct weft_ptx_function function = {.linkage = (uint8_t)linkage};
    function.entry = weft_ptx_parser_at_dot(parser, ".entry");
    weft_ptx_parser_advance(parser);
    weft_ptx_names_open(&parser->names);
    uint32_t index = parse_head(parser, &function);
    if (!weft_ptx_parser_failed(parser)) {
        store(parser, index,
              &(struct weft_ptx_function){.name = function.name,
                                          .entry = function.entry,
                                          .linkage = function.linkage,
                                          .parameter_count = function.parameter_count,
                                          .return_count = function.return_count,
                                          .parameters = function.parameters,
                                          .returns = function.returns,
                                          .line = function.line});
        parser->builder.function = index;
        if (!function.body)
            weft_ptx_parser_expect(parser, ';');
        else if (!parser->defers || !weft_ptx_parser_defer(parser, index, &function))
            weft_ptx_parser_body(parser);
        weft_ptx_parser_finish_body(parser, &function);
        parser->builder.function = WEFT_PTX_NONE;
        store(parser, index, &function);
    }
    weft_ptx_names_close(&parser->names);
}

static void bind_list(struct weft_ptx_parser *parser, enum weft_ptx_binding_kind kind,
                      const struct weft_ptx_parameter *parameters, uint32_t count, uint32_t line)
{
    struct weft_ptx_token at = {.line = line};
    struct parameter_list list = {.kind = kind};
    for (uint32_t i = 0; i < count && !weft_ptx_parser_failed(parser); i++) {
        struct weft_ptx_parameter parameter = parameters[i]; /* others may read what stands there */
        struct weft_ptx_name *name =
            weft_ptx_names_intern(&parser->names, parameter.name, strlen(parameter.name));
        list.items.count = i + 1;
        if (name)
            bind_parameter(parser, &list, &parameter, name, &at);
        else
            weft_ptx_parser_no_memory(parser);
    }
}

void weft_ptx_parser_bind_parameters(struct weft_ptx_parser *parser,
                                     const struct weft_ptx_function *function)
{
    bind_list(parser, WEFT_PTX_BINDING_RETURN, function->returns, function->return_count,
              function->line);
    bind_list(parser, WEFT_PTX_BINDING_PARAMETER, function->parameters, function->parameter_count,
              function->line);
}

/* The index of a new record, or of one that was kept for the body. */
static uint32_t place_prototype(struct weft_ptx_parser *parser)
{
    struct weft_ptx_builder *builder = &parser->builder;
    if (builder->prototype < builder->prototype_end)
        return builder->prototype++;
    struct weft_ptx_function *slot =
        weft_ptx_parser_push(parser, &parser->functions, sizeof(*slot), 1);
    if (slot)
        slot->prototype = true;
    return (uint32_t)parser->functions.count - 1;
}

void weft_ptx_prototype_fill(struct weft_ptx_function *slot,
                             const struct weft_ptx_function *prototype)
{
    slot->name = prototype->name;
    slot->line = prototype->line;
    slot->noreturn = prototype->noreturn;
    slot->parameter_count = prototype->parameter_count;
    slot->parameters = prototype->parameters;
    slot->parameter_bytes = prototype->parameter_bytes;
    slot->return_count = prototype->return_count;
    slot->returns = prototype->returns;
}

void weft_ptx_parser_prototype(struct weft_ptx_parser *parser, struct weft_ptx_name *label,
                               const struct weft_ptx_token *at)
{
    struct weft_ptx_function prototype = {.name = label->text, .prototype = true, .line = at->line};
    struct parameter_list list = {.kind = WEFT_PTX_BINDING_PARAMETER};
    weft_ptx_names_open(&parser->names);
    prototype.returns = parse_returns(parser, &prototype.return_count);
    weft_ptx_parser_expect_name(parser);
    prototype.parameters = parse_parameters(parser, &list, &prototype.parameter_count);
    prototype.parameter_bytes = (uint32_t)list.bytes;
    while (!weft_ptx_parser_failed(parser) && parse_directive(parser, &prototype))
        ;
    weft_ptx_names_close(&parser->names);
    weft_ptx_parser_expect(parser, ';');
    uint32_t index = place_prototype(parser);
    if (weft_ptx_parser_failed(parser))
        return;
    weft_ptx_prototype_fill((struct weft_ptx_function *)parser->functions.items + index,
                            &prototype);
    weft_ptx_parser_declare(parser, label, at, WEFT_PTX_BINDING_PROTOTYPE, index);
}
