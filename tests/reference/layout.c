/* Where variables lie. Each space is filled in the order of declaration; the executor may choose
 * another order, so that tests never look at such an address. */
#include "machine.h"

static uint64_t aligned(uint64_t offset, uint64_t align)
{
    return align > 1 ? (offset + align - 1) & ~(align - 1) : offset;
}

/* Goes over all .shared variables: those of the module, then those of each function. Stops at the
 * wanted one. */
static uint64_t walk_shared(const struct weft_ptx_module *module,
                            const struct weft_ptx_variable *wanted)
{
    uint64_t offset = 0;
    for (uint32_t f = 0; f <= module->function_count; f++) {
        bool own = f == 0;
        uint32_t count = own ? module->variable_count : module->functions[f - 1].variable_count;
        const struct weft_ptx_variable *list =
            own ? module->variables : module->functions[f - 1].variables;
        for (uint32_t i = 0; i < count; i++) {
            if (list[i].space != WEFT_PTX_SHARED || list[i].bytes == 0)
                continue;
            offset = aligned(offset, list[i].align);
            if (&list[i] == wanted)
                return offset;
            offset += list[i].bytes;
        }
    }
    return aligned(offset, 16);
}

uint32_t layout_shared_bytes(const struct weft_ptx_module *module)
{
    return (uint32_t)walk_shared(module, NULL);
}

uint64_t layout_shared_offset(const struct weft_ptx_module *module,
                              const struct weft_ptx_function *function, uint32_t index,
                              bool module_variable)
{
    /* An unsized array is not found, and so begins where the sized ones end: dynamic shared memory.
     */
    return walk_shared(module,
                       module_variable ? &module->variables[index] : &function->variables[index]);
}

static uint64_t walk_frame(const struct weft_ptx_function *function, uint8_t space, uint32_t stop)
{
    uint64_t offset = 0;
    for (uint32_t i = 0; i < function->variable_count; i++) {
        const struct weft_ptx_variable *variable = &function->variables[i];
        if (variable->space != space)
            continue;
        offset = aligned(offset, variable->align);
        if (i == stop)
            return offset;
        offset += variable->bytes;
    }
    return aligned(offset, 16);
}

uint64_t layout_frame_offset(const struct weft_ptx_function *function, uint32_t index)
{
    return walk_frame(function, function->variables[index].space, index);
}

uint64_t layout_frame_bytes(const struct weft_ptx_function *function, uint8_t space)
{
    return walk_frame(function, space, UINT32_MAX);
}
