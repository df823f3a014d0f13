/* The list of a kernel's named memory, which lowering fills in for the checker. */
#include <stdlib.h>

#include "softgpu/exec/check.h"

#define FIRST_ROOM 8

bool weft_exec_variables_add(struct weft_exec_variables *variables,
                             const struct weft_exec_variable *variable)
{
    if (variables->count == variables->room) {
        uint32_t room = variables->room ? 2 * variables->room : FIRST_ROOM;
        void *items = realloc(variables->items, room * sizeof(*variables->items));
        if (!items)
            return false;
        variables->items = items;
        variables->room = room;
    }
    variables->items[variables->count++] = *variable;
    return true;
}

void weft_exec_variables_finish(struct weft_exec_variables *variables)
{
    free(variables->items);
    *variables = (struct weft_exec_variables){0};
}
