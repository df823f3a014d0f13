/* What was read with the places of one module is told those of the module that it was linked into.
 */
#include "softgpu/ptx/places.h"

#include <string.h>

#include "softgpu/ptx/link.h"
#include "util/util.h"

/* Functions that every device has, and those of the device runtime: a kernel that calls one of them
 * cannot run, but the others of its module can. */
static bool is_of_the_device(const char *name)
{
    if (weft_ptx_is_device_runtime(name))
        return true;
    static const char *const offered[] = {"vprintf", "__assertfail", "malloc", "free"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(offered); i++)
        if (strcmp(name, offered[i]) == 0)
            return true;
    return false;
}

static int check_function(const struct weft_ptx_places *places,
                          const struct weft_ptx_function *function, struct weft_err *err)
{
    if (function->body || function->prototype || is_of_the_device(function->name))
        return 0;
    return weft_fail(err, WEFT_ENOENT, "%s uses \"%s\", which no input defines", places->input,
                     function->name);
}

static int move_symbol(const struct weft_ptx_places *places, uint8_t symbol, uint32_t *index,
                       struct weft_err *err)
{
    if (symbol == WEFT_PTX_SYMBOL_VARIABLE)
        *index = places->variables[*index];
    if (symbol != WEFT_PTX_SYMBOL_FUNCTION)
        return 0;
    *index = places->functions[*index];
    return check_function(places, &places->result->functions[*index], err);
}

/* Elements of an address may be vectors, whose elements are simple. */
static int move_operand(const struct weft_ptx_places *places, struct weft_ptx_operand *operand,
                        struct weft_err *err)
{
    int rc = 0;
    bool named = operand->kind == WEFT_PTX_OPERAND_SYMBOL ||
                 (operand->kind == WEFT_PTX_OPERAND_ADDRESS && !operand->register_base);
    if (named)
        rc = move_symbol(places, operand->symbol, &operand->index, err);
    for (uint32_t i = 0; rc == 0 && operand->elements && i < operand->element_count; i++)
        rc = move_operand(places, &operand->elements[i], err);
    return rc;
}

static int move_operands(const struct weft_ptx_places *places, struct weft_ptx_operand *operands,
                         uint32_t count, struct weft_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = move_operand(places, &operands[i], err);
    return rc;
}

static int move_call(const struct weft_ptx_places *places, struct weft_ptx_call *call,
                     struct weft_err *err)
{
    if (call->prototype != WEFT_PTX_NONE)
        call->prototype = places->functions[call->prototype];
    int rc = move_operand(places, &call->target, err);
    if (rc == 0)
        rc = move_operands(places, call->returns, call->return_count, err);
    return rc ? rc : move_operands(places, call->arguments, call->argument_count, err);
}

int weft_ptx_places_move_variable(const struct weft_ptx_places *places,
                                  struct weft_ptx_variable *variable, struct weft_ptx_arena *memory,
                                  struct weft_err *err)
{
    if (variable->relocation_count == 0)
        return 0;
    struct weft_ptx_relocation *moved = weft_ptx_arena_copy(
        memory, variable->relocations, variable->relocation_count * sizeof(*moved));
    if (!moved)
        return weft_fail(err, WEFT_ENOMEM, "no memory to link");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < variable->relocation_count; i++)
        rc = move_symbol(places, moved[i].symbol, &moved[i].index, err);
    variable->relocations = moved;
    return rc;
}

int weft_ptx_places_move_body(const struct weft_ptx_places *places, struct weft_ptx_function *body,
                              struct weft_ptx_arena *memory, struct weft_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < body->variable_count; i++)
        rc = weft_ptx_places_move_variable(places, &body->variables[i], memory, err);
    for (uint32_t i = 0; rc == 0 && i < body->insn_count; i++) {
        struct weft_ptx_insn *insn = &body->insns[i];
        rc = move_operands(places, insn->operands, insn->operand_count, err);
        if (rc == 0 && insn->call)
            rc = move_call(places, insn->call, err);
    }
    return rc;
}
