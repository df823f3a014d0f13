/* Declarations of registers and variables. */
#include "softgpu/ptx/parser.h"

#include <stdio.h>
#include <string.h>

#include "util/util.h"

#define VARIABLE_RANGE_MAX 4096
#define VARIABLE_NAME_BYTES 1024

struct space_word {
    const char *word;
    uint8_t space;
};

static const struct space_word space_words[] = {
    {".reg", WEFT_PTX_REG},       {".global", WEFT_PTX_GLOBAL}, {".shared", WEFT_PTX_SHARED},
    {".local", WEFT_PTX_LOCAL},   {".const", WEFT_PTX_CONST},   {".param", WEFT_PTX_PARAM},
    {".tex", WEFT_PTX_SPACE_TEX},
};

static const struct space_word *find_space(const struct weft_ptx_parser *parser)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(space_words); i++)
        if (weft_ptx_parser_at_dot(parser, space_words[i].word))
            return &space_words[i];
    return NULL;
}

bool weft_ptx_parser_at_declaration(const struct weft_ptx_parser *parser)
{
    return parser->token.kind == WEFT_PTX_TOKEN_DOT && find_space(parser);
}

static void parse_align(struct weft_ptx_parser *parser, struct weft_ptx_declaration *declaration)
{
    struct weft_ptx_token at = parser->token;
    int64_t align = weft_ptx_parser_integer(parser, 1, WEFT_PTX_ALIGNMENT_MAX);
    if (align & (align - 1))
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "alignment %lld is not a power of two",
                             (long long)align);
    declaration->align = (uint32_t)align;
}

void weft_ptx_parser_attributes(struct weft_ptx_parser *parser, bool *managed)
{
    weft_ptx_parser_expect(parser, '(');
    do {
        if (weft_ptx_parser_accept_dot(parser, ".managed")) {
            *managed = true;
        } else if (weft_ptx_parser_accept_dot(parser, ".unified")) {
            weft_ptx_parser_expect(parser, '(');
            weft_ptx_parser_constant(parser);
            weft_ptx_parser_expect(parser, ',');
            weft_ptx_parser_constant(parser);
            weft_ptx_parser_expect(parser, ')');
        } else {
            weft_ptx_parser_unexpected(parser, "an attribute");
        }
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, ')');
}

/* .ptr .global .align 8: what a pointer parameter points to, which nothing needs. */
static void skip_pointee(struct weft_ptx_parser *parser)
{
    if (find_space(parser))
        weft_ptx_parser_advance(parser);
    if (weft_ptx_parser_accept_dot(parser, ".align"))
        weft_ptx_parser_integer(parser, 1, WEFT_PTX_ALIGNMENT_MAX);
}

static bool parse_one_property(struct weft_ptx_parser *parser,
                               struct weft_ptx_declaration *declaration)
{
    uint8_t type = WEFT_PTX_NOTYPE;
    if (weft_ptx_parser_accept_dot(parser, ".align")) {
        parse_align(parser, declaration);
    } else if (weft_ptx_parser_accept_dot(parser, ".attribute")) {
        weft_ptx_parser_attributes(parser, &declaration->managed);
    } else if (weft_ptx_parser_accept_dot(parser, ".ptr")) {
        skip_pointee(parser);
    } else if (weft_ptx_parser_accept_dot(parser, ".v2")) {
        declaration->vector = 2;
    } else if (weft_ptx_parser_accept_dot(parser, ".v4")) {
        declaration->vector = 4;
    } else if (parser->token.kind == WEFT_PTX_TOKEN_DOT && declaration->type == WEFT_PTX_NOTYPE &&
               (type = weft_ptx_type_find(parser->token.text + 1, parser->token.length - 1))) {
        declaration->type = type;
        weft_ptx_parser_advance(parser);
    } else {
        return false;
    }
    return true;
}

/* Types that exist inside instructions only. */
static bool type_is_declarable(const struct weft_ptx_declaration *declaration)
{
    enum weft_ptx_type type = declaration->type;
    if (type == WEFT_PTX_PRED)
        return declaration->space == WEFT_PTX_REG && declaration->vector == 1;
    if (type >= WEFT_PTX_TEXREF && type <= WEFT_PTX_SURFREF)
        return declaration->space == WEFT_PTX_GLOBAL || declaration->space == WEFT_PTX_PARAM;
    return type <= WEFT_PTX_BF16X2 && type != WEFT_PTX_TF32 && type != WEFT_PTX_NOTYPE;
}

void weft_ptx_parser_declaration_type(struct weft_ptx_parser *parser,
                                      struct weft_ptx_declaration *declaration)
{
    struct weft_ptx_token at = parser->token;
    declaration->vector = 1;
    declaration->type = WEFT_PTX_NOTYPE;
    while (!weft_ptx_parser_failed(parser) && parse_one_property(parser, declaration))
        ;
    if (declaration->type == WEFT_PTX_NOTYPE)
        weft_ptx_parser_unexpected(parser, "a type");
    else if (!type_is_declarable(declaration))
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "type \".%s\" cannot be declared here",
                             weft_ptx_type_name(declaration->type));
    else if (declaration->vector * weft_ptx_type_bytes(declaration->type) > 16)
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, &at, "the vector is larger than 16 bytes");
}

uint32_t weft_ptx_declaration_align(const struct weft_ptx_declaration *declaration)
{
    uint32_t natural = weft_ptx_type_bytes(declaration->type) * declaration->vector;
    return WEFT_MAX(natural, declaration->align);
}

uint64_t weft_ptx_parser_dimensions(struct weft_ptx_parser *parser, uint64_t *dimensions,
                                    uint32_t *count, bool *open)
{
    uint64_t product = 1;
    bool empty = false;
    *open = false;
    *count = 0;
    while (weft_ptx_parser_at_sign(parser, '[')) {
        struct weft_ptx_token at = parser->token;
        weft_ptx_parser_advance(parser);
        if (*count == WEFT_PTX_DIMENSIONS_MAX) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, &at, "an array has at most %d dimensions",
                                 WEFT_PTX_DIMENSIONS_MAX);
            return 0;
        }
        uint64_t size = 0;
        if (*count == 0 && weft_ptx_parser_at_sign(parser, ']'))
            *open = true;
        else
            size =
                (uint64_t)weft_ptx_parser_integer(parser, 0, (int64_t)WEFT_PTX_VARIABLE_BYTES_MAX);
        weft_ptx_parser_expect(parser, ']');
        dimensions[(*count)++] = size;
        empty |= size == 0;
        if (__builtin_mul_overflow(product, WEFT_MAX(size, 1u), &product) ||
            product > WEFT_PTX_VARIABLE_BYTES_MAX)
            weft_ptx_parser_fail(parser, WEFT_ERANGE, &at, "the array is too large");
    }
    return empty ? 0 : product;
}

/* <10>: the registers %r0 … %r9. */
static void declare_range(struct weft_ptx_parser *parser, struct weft_ptx_name *name,
                          const struct weft_ptx_token *at,
                          const struct weft_ptx_declaration *declaration)
{
    const struct weft_ptx_range *taken = name->range;
    if (taken && taken->depth == parser->names.depth) {
        weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at, "\"%s<\" is already declared in line %u",
                             name->text, taken->line);
        return;
    }
    /* A register's number alone: a comparison would take the closing '>' for its own. */
    if (parser->token.kind != WEFT_PTX_TOKEN_INTEGER ||
        parser->token.bits > WEFT_PTX_RANGE_COUNT_MAX) {
        weft_ptx_parser_unexpected(parser, "a number of registers");
        return;
    }
    uint32_t count = (uint32_t)parser->token.bits;
    weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, '>');
    if (weft_ptx_parser_failed(parser))
        return;
    struct weft_ptx_range *range = weft_ptx_names_bind_range(&parser->names, name);
    if (!range) {
        weft_ptx_parser_no_memory(parser);
        return;
    }
    range->type = declaration->type;
    range->vector = declaration->vector;
    range->count = count;
    range->line = at->line;
}

static void declare_register(struct weft_ptx_parser *parser,
                             const struct weft_ptx_declaration *declaration)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    if (!name)
        return;
    if (weft_ptx_parser_accept(parser, '<')) {
        declare_range(parser, name, &at, declaration);
        return;
    }
    uint32_t index =
        weft_ptx_parser_add_register(parser, name, declaration->type, declaration->vector);
    if (index != WEFT_PTX_NONE)
        weft_ptx_parser_declare(parser, name, &at, WEFT_PTX_BINDING_REGISTER, index);
}

/* A name that was declared .extern may be declared again and be
 * defined once. Returns it, or NULL. */
static struct weft_ptx_variable *find_declared(struct weft_ptx_parser *parser,
                                               const struct weft_ptx_name *name,
                                               enum weft_ptx_linkage linkage)
{
    const struct weft_ptx_binding *taken = weft_ptx_names_taken(name, 0);
    if (parser->names.depth || !taken || taken->kind != WEFT_PTX_BINDING_VARIABLE)
        return NULL;
    struct weft_ptx_variable *variables = parser->variables.items;
    struct weft_ptx_variable *variable = &variables[taken->index];
    bool either_extern = variable->linkage == WEFT_PTX_EXTERN || linkage == WEFT_PTX_EXTERN;
    return either_extern ? variable : NULL;
}

/* The variable that a declaration's name stands for, new or met before; NULL after a failure. */
static struct weft_ptx_variable *add_variable(struct weft_ptx_parser *parser,
                                              struct weft_ptx_name *name,
                                              const struct weft_ptx_token *at,
                                              enum weft_ptx_linkage linkage)
{
    struct weft_ptx_variable *variable = find_declared(parser, name, linkage);
    if (variable)
        return variable;
    bool local = parser->builder.function != WEFT_PTX_NONE;
    struct weft_ptx_vector *variables = local ? &parser->builder.variables : &parser->variables;
    enum weft_ptx_binding_kind kind = local ? WEFT_PTX_BINDING_LOCAL : WEFT_PTX_BINDING_VARIABLE;
    if (!weft_ptx_parser_declare(parser, name, at, kind, (uint32_t)variables->count))
        return NULL;
    return weft_ptx_parser_push(parser, variables, sizeof(struct weft_ptx_variable), 1);
}

static void check_open_array(struct weft_ptx_parser *parser, const struct weft_ptx_token *at,
                             const struct weft_ptx_variable *variable)
{
    if (variable->linkage == WEFT_PTX_EXTERN || variable->init || variable->relocation_count)
        return;
    weft_ptx_parser_fail(parser, WEFT_ESYNTAX, at,
                         "the array \"%s\" has no size, no initialiser and is not .extern",
                         variable->name);
}

/* The variable `name` with what stands behind its name: dimensions and an initialiser. */
static void declare_named(struct weft_ptx_parser *parser, struct weft_ptx_name *name,
                          const struct weft_ptx_token *at,
                          const struct weft_ptx_declaration *declaration)
{
    uint64_t dimensions[WEFT_PTX_DIMENSIONS_MAX];
    uint32_t dimension_count;
    bool open;
    uint64_t count = weft_ptx_parser_dimensions(parser, dimensions, &dimension_count, &open);
    struct weft_ptx_variable *variable = weft_ptx_parser_failed(parser)
                                             ? NULL
                                             : add_variable(parser, name, at, declaration->linkage);
    if (!variable)
        return;
    if (variable->name && declaration->linkage == WEFT_PTX_EXTERN)
        return; /* says again what is known */
    *variable = (struct weft_ptx_variable){
        .name = name->text,
        .space = declaration->space,
        .type = declaration->type,
        .vector = declaration->vector,
        .linkage = declaration->linkage,
        .managed = declaration->managed,
        .align = weft_ptx_declaration_align(declaration),
        .bytes = count * weft_ptx_type_bytes(declaration->type) * declaration->vector,
        .line = at->line,
    };
    if (weft_ptx_parser_accept(parser, '='))
        weft_ptx_parser_initialiser(parser, variable, dimensions, dimension_count, open);
    if (open && !weft_ptx_parser_failed(parser))
        check_open_array(parser, at, variable);
}

/* <2> behind %P: the variables %P0 and %P1, all at once, for unlike registers they are few. */
static void declare_variable_range(struct weft_ptx_parser *parser, const struct weft_ptx_name *stem,
                                   const struct weft_ptx_token *at,
                                   const struct weft_ptx_declaration *declaration)
{
    char text[VARIABLE_NAME_BYTES];
    /* A number alone, as for registers: a comparison would take the '>'. */
    if (parser->token.kind != WEFT_PTX_TOKEN_INTEGER || parser->token.bits > VARIABLE_RANGE_MAX) {
        weft_ptx_parser_unexpected(parser, "a number of variables");
        return;
    }
    uint32_t count = (uint32_t)parser->token.bits;
    weft_ptx_parser_advance(parser);
    weft_ptx_parser_expect(parser, '>');
    for (uint32_t i = 0; i < count && !weft_ptx_parser_failed(parser); i++) {
        int length = snprintf(text, sizeof(text), "%s%u", stem->text, i);
        if ((size_t)length >= sizeof(text)) {
            weft_ptx_parser_fail(parser, WEFT_ERANGE, at, "\"%s\" is too long a name for a range",
                                 stem->text);
            return;
        }
        struct weft_ptx_name *name = weft_ptx_names_intern(&parser->names, text, (size_t)length);
        if (name)
            declare_named(parser, name, at, declaration);
        else
            weft_ptx_parser_no_memory(parser);
    }
}

static void declare_variable(struct weft_ptx_parser *parser,
                             const struct weft_ptx_declaration *declaration)
{
    struct weft_ptx_token at = parser->token;
    struct weft_ptx_name *name = weft_ptx_parser_expect_name(parser);
    if (name && weft_ptx_parser_accept(parser, '<'))
        declare_variable_range(parser, name, &at, declaration);
    else
        declare_named(parser, name, &at, declaration);
}

static void check_place(struct weft_ptx_parser *parser, const struct space_word *space,
                        enum weft_ptx_linkage linkage)
{
    bool inside = parser->builder.function != WEFT_PTX_NONE;
    bool only_inside = space->space == WEFT_PTX_REG || space->space == WEFT_PTX_PARAM;
    if (!inside && only_inside)
        weft_ptx_parser_unexpected(parser, "a declaration that may stand outside of functions");
    if (inside && linkage != WEFT_PTX_STATIC && linkage != WEFT_PTX_EXTERN)
        weft_ptx_parser_unexpected(parser, "a declaration that may stand in a function");
}

void weft_ptx_parser_declaration(struct weft_ptx_parser *parser, enum weft_ptx_linkage linkage)
{
    const struct space_word *space = find_space(parser);
    if (!space) {
        weft_ptx_parser_unexpected(parser, "a state space");
        return;
    }
    check_place(parser, space, linkage);
    weft_ptx_parser_advance(parser);
    struct weft_ptx_declaration declaration = {.space = space->space, .linkage = (uint8_t)linkage};
    weft_ptx_parser_declaration_type(parser, &declaration);
    if (space->space == WEFT_PTX_SPACE_TEX) {
        declaration.space = WEFT_PTX_GLOBAL;
        declaration.type = WEFT_PTX_TEXREF;
    }
    do {
        if (declaration.space == WEFT_PTX_REG)
            declare_register(parser, &declaration);
        else
            declare_variable(parser, &declaration);
    } while (weft_ptx_parser_accept(parser, ','));
    weft_ptx_parser_expect(parser, ';');
}
