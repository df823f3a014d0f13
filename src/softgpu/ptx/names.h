/* Names and what they stand for in the scopes that are open. Every spelling is kept once, in the
 * module's memory. */
#ifndef WEFT_SOFTGPU_PTX_NAMES_H
#define WEFT_SOFTGPU_PTX_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "softgpu/ptx/arena.h"

/* The module is scope 0, a function's parameters and outermost body scope 1. */
#define WEFT_PTX_SCOPES_MAX 128
/* The digits at the end of %r123 that may count as the number in a range. */
#define WEFT_PTX_RANGE_DIGITS_MAX 9

enum weft_ptx_binding_kind {
    WEFT_PTX_BINDING_REGISTER,  /* index: the function's registers */
    WEFT_PTX_BINDING_VARIABLE,  /* index: the module's variables */
    WEFT_PTX_BINDING_LOCAL,     /* index: the function's variables */
    WEFT_PTX_BINDING_PARAMETER, /* index: the function's parameters */
    WEFT_PTX_BINDING_RETURN,    /* index: the function's returns */
    WEFT_PTX_BINDING_FUNCTION,  /* index: the module's functions */
    WEFT_PTX_BINDING_PROTOTYPE, /* index: the module's functions */
    WEFT_PTX_BINDING_LABEL,     /* index: the function's instructions */
    WEFT_PTX_BINDING_TABLE      /* table */
};

struct weft_ptx_name;
struct weft_ptx_branch_table;

struct weft_ptx_binding {
    uint8_t kind;  /* enum weft_ptx_binding_kind */
    uint8_t depth; /* of the scope that it stands in */
    uint32_t index;
    uint32_t line;   /* of its declaration */
    uint32_t serial; /* of depth 0: how many the module had declared with it */
    struct weft_ptx_branch_table *table;
    struct weft_ptx_name *name;
    struct weft_ptx_binding *outer; /* what the name stands for outside that scope */
    struct weft_ptx_binding *next;  /* in the same scope */
};

/* .reg .b32 %r<100>; a register of it comes into being when it is first used. */
struct weft_ptx_range {
    uint8_t type, vector, depth;
    uint32_t count;
    uint32_t line;
    struct weft_ptx_name *name; /* %r */
    struct weft_ptx_range *outer, *next;
};

struct weft_ptx_name {
    const char *text; /* ends in a zero */
    uint32_t length, hash;
    uint32_t special;                 /* enum weft_ptx_special, or WEFT_PTX_NONE */
    struct weft_ptx_name *next;       /* in its bucket */
    struct weft_ptx_binding *binding; /* the innermost, or NULL */
    struct weft_ptx_range *range;     /* likewise */
    const struct weft_ptx_mnemonic
        *mnemonic; /* decoded form, where the name was met as an instruction */
};

struct weft_ptx_naming_scope {
    struct weft_ptx_binding *bindings;
    struct weft_ptx_range *ranges;
    size_t first_fixup; /* labels used in this scope or one within it: the parser's */
};

struct weft_ptx_names {
    struct weft_ptx_arena *spellings; /* borrowed; outlives the parse */
    struct weft_ptx_arena scratch;    /* names, bindings, ranges */
    struct weft_ptx_name **buckets;   /* owned */
    size_t bucket_count, count;
    uint32_t depth; /* the innermost open scope */
    /* What the module has declared so far, and how much of it is known where text is read: a body
     * that is read late sees nothing that stands behind it. */
    uint32_t declared, visible;
    struct weft_ptx_naming_scope scopes[WEFT_PTX_SCOPES_MAX];
};

/* All of these return NULL or false only when there is no memory. */
bool weft_ptx_names_init(struct weft_ptx_names *names, struct weft_ptx_arena *spellings);
void weft_ptx_names_finish(struct weft_ptx_names *names);
struct weft_ptx_name *weft_ptx_names_intern(struct weft_ptx_names *names, const char *text,
                                            size_t length);

/* Opening may go no further than WEFT_PTX_SCOPES_MAX: the caller looks at `depth` before. */
void weft_ptx_names_open(struct weft_ptx_names *names);
void weft_ptx_names_close(struct weft_ptx_names *names);

/* What a name stands for where text is being read, or NULL. Ranges apart. */
const struct weft_ptx_binding *weft_ptx_names_meaning(const struct weft_ptx_names *names,
                                                      const struct weft_ptx_name *name);
/* What already has this name in the scope `depth`, or NULL. */
const struct weft_ptx_binding *weft_ptx_names_taken(const struct weft_ptx_name *name,
                                                    uint32_t depth);
/* A name gets a further meaning in the scope `depth`, in which it has none; no open scope further
 * in has one either. */
struct weft_ptx_binding *weft_ptx_names_bind(struct weft_ptx_names *names,
                                             struct weft_ptx_name *name, uint32_t depth);
struct weft_ptx_range *weft_ptx_names_bind_range(struct weft_ptx_names *names,
                                                 struct weft_ptx_name *name);
/* The range that has a register of this name and is further in than the
 * name's own meaning, or NULL. */
const struct weft_ptx_range *weft_ptx_names_find_range(struct weft_ptx_names *names,
                                                       const struct weft_ptx_name *name);

#endif
