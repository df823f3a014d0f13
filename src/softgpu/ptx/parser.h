/* What the files of the parser share: its state, and the steps that read one construct of the
 * grammar each.
 *
 * The first failure sticks: it is recorded, the current token becomes END, and every
 * further step is a no-op that ends its loops. So no step returns a code; who needs to know
 * asks weft_ptx_parser_failed. */
#ifndef WEFT_SOFTGPU_PTX_PARSER_H
#define WEFT_SOFTGPU_PTX_PARSER_H

#include <pthread.h>

#include "softgpu/ptx/arena.h"
#include "softgpu/ptx/form.h"
#include "softgpu/ptx/lexer.h"
#include "softgpu/ptx/names.h"
#include "softgpu/ptx/places.h"
#include "softgpu/ptx/ptx.h"

/* Text above this is refused: positions have 32 bits, and no compiler comes near it. */
#define WEFT_PTX_TEXT_BYTES_MAX ((size_t)512 << 20)
/* ( within ( within - within ?: */
#define WEFT_PTX_EXPRESSION_DEPTH_MAX 64
#define WEFT_PTX_DIMENSIONS_MAX 16
/* Elements of {a, b, …}: the largest fragment, that of tcgen05.ld, has 128. */
#define WEFT_PTX_ELEMENTS_MAX 128
#define WEFT_PTX_ARGUMENTS_MAX 1024
/* Registers a range may declare. Those that are not used cost nothing. */
#define WEFT_PTX_RANGE_COUNT_MAX 100000000
#define WEFT_PTX_REGISTERS_MAX (1u << 24)
/* Instructions of one function: each takes some hundred times the four
 * bytes that its shortest text has. */
#define WEFT_PTX_INSNS_MAX (1u << 22)
/* Bytes of one variable; parameters of one function; all initialisers of a module together. */
#define WEFT_PTX_VARIABLE_BYTES_MAX ((uint64_t)1 << 40)
#define WEFT_PTX_PARAMETER_BYTES_MAX (1u << 20)
#define WEFT_PTX_INITIALISER_BYTES_MAX ((uint64_t)256 << 20)
#define WEFT_PTX_ALIGNMENT_MAX (1u << 20)

enum weft_ptx_constant_kind {
    WEFT_PTX_S64_CONSTANT,
    WEFT_PTX_U64_CONSTANT,
    WEFT_PTX_F32_CONSTANT,
    WEFT_PTX_F64_CONSTANT
};

/* The value of a constant expression. F32 is a bare 0f… literal, whose 32 bits stay as they are. */
struct weft_ptx_constant {
    uint8_t kind;
    uint64_t bits;
};

/* A label that was used: resolved when the scope closes that has it. */
struct weft_ptx_fixup {
    struct weft_ptx_name *name;
    uint32_t line, column;
    uint32_t insn; /* whose operand or table it is, or WEFT_PTX_NONE */
    uint32_t operand;
    bool table;       /* brx.idx names a table */
    uint32_t *target; /* where insn is WEFT_PTX_NONE: an entry of a branch table */
};

/* The type, place and size that a declaration states before its names. */
struct weft_ptx_declaration {
    uint8_t space, type, vector, linkage;
    bool managed;
    uint32_t align; /* 0: not stated */
};

/* Where a body lies that is read late, and what became of it. Functions that have one body share
 * it: an .alias, and what was linked. */
struct weft_ptx_deferred {
    struct weft_ptx_parser *parser;      /* borrowed: its module's */
    struct weft_ptx_lexer lexer;         /* stands behind `open` */
    struct weft_ptx_token open;          /* its '{' */
    uint32_t function;                   /* of the parser's module: whose body it is */
    uint32_t visible;                    /* what the module had declared before it */
    uint32_t prototype, prototype_count; /* functions kept for its .callprototypes */
    const struct weft_err *failure;      /* the parser's lock; why it cannot be read */
};

/* The function whose body is being read. */
struct weft_ptx_builder {
    uint32_t function; /* WEFT_PTX_NONE outside */
    /* Of a body that is read late: the functions kept for its .callprototypes. */
    uint32_t prototype, prototype_end;
    struct weft_ptx_vector registers, variables, insns, fixups;
};

struct weft_ptx_parser {
    struct weft_ptx_lexer lexer;
    struct weft_ptx_token token;
    int code; /* negative once something failed */
    struct weft_err *err;
    struct weft_ptx_arena *memory; /* the module's */
    struct weft_ptx_names names;
    struct weft_ptx_module *module;
    const struct weft_ptx_places *places; /* borrowed; NULL: the module was not linked */
    struct weft_ptx_vector variables, functions, files;
    struct weft_ptx_builder builder;
    struct weft_ptx_vector initialiser, relocations;
    uint64_t initialiser_bytes; /* of all variables so far */
    uint32_t expression_depth;
    uint32_t file, file_line; /* of the last .loc */
    bool defers;              /* bodies are read late */
    pthread_mutex_t lock; /* of a parser that defers: guards all of it once the heads are read */
};

/* module.c: an empty one, or NULL when there is no memory. */
struct weft_ptx_module *weft_ptx_module_create(void);

/* parser.c: tokens and failures. */
bool weft_ptx_parser_failed(const struct weft_ptx_parser *parser);
void weft_ptx_parser_fail(struct weft_ptx_parser *parser, enum weft_errno code,
                          const struct weft_ptx_token *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same as WEFT_ESYNTAX at the current token, whose text is quoted behind the reason. */
void weft_ptx_parser_unexpected(struct weft_ptx_parser *parser, const char *expected);
void weft_ptx_parser_no_memory(struct weft_ptx_parser *parser);
void weft_ptx_parser_advance(struct weft_ptx_parser *parser);
bool weft_ptx_parser_at_sign(const struct weft_ptx_parser *parser, unsigned sign);
bool weft_ptx_parser_at_dot(const struct weft_ptx_parser *parser, const char *word);
bool weft_ptx_parser_at_name(const struct weft_ptx_parser *parser, const char *word);
bool weft_ptx_parser_accept(struct weft_ptx_parser *parser, unsigned sign);
bool weft_ptx_parser_accept_dot(struct weft_ptx_parser *parser, const char *word);
void weft_ptx_parser_expect(struct weft_ptx_parser *parser, unsigned sign);
/* A name, interned; NULL after a failure. */
struct weft_ptx_name *weft_ptx_parser_expect_name(struct weft_ptx_parser *parser);
/* What a name stands for here. A register of a range comes into being. NULL where it is unknown. */
const struct weft_ptx_binding *weft_ptx_parser_lookup(struct weft_ptx_parser *parser,
                                                      struct weft_ptx_name *name);
/* Gives a name its meaning in the innermost scope; fails where it has one
 * there. NULL after a failure. */
struct weft_ptx_binding *weft_ptx_parser_declare(struct weft_ptx_parser *parser,
                                                 struct weft_ptx_name *name,
                                                 const struct weft_ptx_token *at,
                                                 enum weft_ptx_binding_kind kind, uint32_t index);
/* A further register of the function that is being read; WEFT_PTX_NONE after a failure. */
uint32_t weft_ptx_parser_add_register(struct weft_ptx_parser *parser,
                                      const struct weft_ptx_name *name, uint8_t type,
                                      uint8_t vector);
void *weft_ptx_parser_alloc(struct weft_ptx_parser *parser, size_t bytes);
void *weft_ptx_parser_push(struct weft_ptx_parser *parser, struct weft_ptx_vector *vector,
                           size_t item_bytes, size_t count);
/* Moves the items of a vector into the module's memory and empties it. */
void *weft_ptx_parser_settle(struct weft_ptx_parser *parser, struct weft_ptx_vector *vector,
                             size_t item_bytes, uint32_t *count);

/* expression.c */
struct weft_ptx_constant weft_ptx_parser_constant(struct weft_ptx_parser *parser);
/* A constant that has to be an integer; at least `min`, at most `max`,
 * which is said where it is not. */
int64_t weft_ptx_parser_integer(struct weft_ptx_parser *parser, int64_t min, int64_t max);
double weft_ptx_constant_double(const struct weft_ptx_constant *constant);

/* declaration.c: .reg and variables at module scope and in bodies, behind linkage. */
void weft_ptx_parser_declaration(struct weft_ptx_parser *parser, enum weft_ptx_linkage linkage);
/* Whether the current token can begin one. */
bool weft_ptx_parser_at_declaration(const struct weft_ptx_parser *parser);
/* Reads alignment, vector size, type and attributes into a declaration. */
void weft_ptx_parser_declaration_type(struct weft_ptx_parser *parser,
                                      struct weft_ptx_declaration *declaration);
/* (.managed), (.unified(a, b)): what stands behind .attribute. */
void weft_ptx_parser_attributes(struct weft_ptx_parser *parser, bool *managed);
/* [n][m]…: their product; `open` says that the first was empty. 1 where there are none. */
uint64_t weft_ptx_parser_dimensions(struct weft_ptx_parser *parser, uint64_t *dimensions,
                                    uint32_t *count, bool *open);
uint32_t weft_ptx_declaration_align(const struct weft_ptx_declaration *declaration);

/* initialiser.c: what stands behind '='. Fills the variable's init, relocations and, if it was
 * open, its size. */
void weft_ptx_parser_initialiser(struct weft_ptx_parser *parser, struct weft_ptx_variable *variable,
                                 const uint64_t *dimensions, uint32_t dimension_count, bool open);

/* function.c */
void weft_ptx_parser_function(struct weft_ptx_parser *parser, enum weft_ptx_linkage linkage);
/* A function may be declared often and defined once, always with the same parameters: fails where
 * `now` does not go with `old`. */
void weft_ptx_parser_check_redeclaration(struct weft_ptx_parser *parser,
                                         const struct weft_ptx_token *at,
                                         const struct weft_ptx_function *old,
                                         const struct weft_ptx_function *now);
/* The parameters and results of the function that is being read, in its innermost scope. */
void weft_ptx_parser_bind_parameters(struct weft_ptx_parser *parser,
                                     const struct weft_ptx_function *function);
/* What the builder gathered becomes the body of `function`. */
void weft_ptx_parser_finish_body(struct weft_ptx_parser *parser,
                                 struct weft_ptx_function *function);
/* What a record that was kept for a .callprototype is told of it. That it is a prototype, and so
 * nothing else, others may be reading: that stays as it is. */
void weft_ptx_prototype_fill(struct weft_ptx_function *slot,
                             const struct weft_ptx_function *prototype);
/* LABEL: .callprototype …; the label has been read. */
void weft_ptx_parser_prototype(struct weft_ptx_parser *parser, struct weft_ptx_name *label,
                               const struct weft_ptx_token *at);

/* body.c: from '{' to its '}'. */
void weft_ptx_parser_body(struct weft_ptx_parser *parser);

/* deferred.c: passes over the body at whose '{' the parser stands, to read it late. False where no
 * end of it is to be found. */
bool weft_ptx_parser_defer(struct weft_ptx_parser *parser, uint32_t index,
                           struct weft_ptx_function *function);

/* debug.c: .loc, .file, .section and .pragma are read and dropped. False
 * where the token is none of them. */
bool weft_ptx_parser_skip_debug(struct weft_ptx_parser *parser);

/* instruction.c: from an optional guard to the semicolon. */
void weft_ptx_parser_instruction(struct weft_ptx_parser *parser);

/* operand.c */
void weft_ptx_parser_operand(struct weft_ptx_parser *parser, struct weft_ptx_operand *operand);
/* An operand whose name may be a label that comes later. */
void weft_ptx_parser_label_operand(struct weft_ptx_parser *parser, uint32_t insn, uint32_t operand,
                                   bool table);

/* call.c: what follows the mnemonic of a call. */
void weft_ptx_parser_call(struct weft_ptx_parser *parser, struct weft_ptx_insn *insn);

/* check.c: operands against the form of their instruction. `tokens`
 * says where each operand begins. */
void weft_ptx_parser_check(struct weft_ptx_parser *parser, const struct weft_ptx_insn *insn,
                           const struct weft_ptx_form *form, const struct weft_ptx_token *mnemonic,
                           const struct weft_ptx_token *tokens);

/* image.c: whether an instruction is about a texture or a surface, and the same check for those. */
bool weft_ptx_image_checks(const struct weft_ptx_insn *insn);
void weft_ptx_parser_check_image(struct weft_ptx_parser *parser, const struct weft_ptx_insn *insn,
                                 const struct weft_ptx_token *mnemonic,
                                 const struct weft_ptx_token *tokens);
/* { filter_mode = linear, … } behind a .texref, .samplerref or .surfref. */
void weft_ptx_parser_image_initialiser(struct weft_ptx_parser *parser,
                                       struct weft_ptx_variable *variable);

#endif
