/* Linking in three steps: every symbol that other modules may see gets one place, then what is
 * private to its module gets places behind, and then all that was chosen is told the new places. */
#include "softgpu/ptx/link.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/names.h"
#include "util/util.h"

/* Where the symbols of one input went: an index of the result for each index of the input. */
struct map {
    uint32_t *functions, *variables; /* in `scratch` */
};

struct linking {
    struct weft_ptx_link_input *inputs; /* borrowed */
    uint32_t input_count;
    struct map *maps; /* in `scratch`, one an input */
    struct weft_ptx_module *module;
    uint32_t *function_inputs, *variable_inputs; /* in `scratch`: which input a symbol is of */
    struct weft_ptx_names names;
    struct weft_ptx_arena scratch;
    struct weft_err *err;
};

bool weft_ptx_is_device_runtime(const char *name)
{
    return strncmp(name, "cuda", strlen("cuda")) == 0;
}

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

static bool function_is_shared(const struct weft_ptx_function *function)
{
    return !function->prototype && (function->linkage != WEFT_PTX_STATIC || !function->body);
}

/* Nothing, a weak definition, or one that no other may stand beside. */
enum strength { UNDEFINED, WEAK, STRONG };

static enum strength strength_of(uint8_t linkage, bool defined)
{
    if (!defined)
        return UNDEFINED;
    return linkage == WEFT_PTX_WEAK_LINKAGE || linkage == WEFT_PTX_COMMON ? WEAK : STRONG;
}

static int fail_duplicate(struct linking *linking, const char *symbol, uint32_t first,
                          uint32_t second)
{
    return weft_fail(linking->err, WEFT_EEXIST, "\"%s\" is defined in both %s and %s", symbol,
                     linking->inputs[first].name, linking->inputs[second].name);
}

static int fail_different(struct linking *linking, const char *symbol, uint32_t first,
                          uint32_t second)
{
    return weft_fail(linking->err, WEFT_EINVAL, "\"%s\" is declared differently in %s and %s",
                     symbol, linking->inputs[first].name, linking->inputs[second].name);
}

static bool parameters_agree(const struct weft_ptx_parameter *one,
                             const struct weft_ptx_parameter *other, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (one[i].space != other[i].space || one[i].bytes != other[i].bytes ||
            one[i].offset != other[i].offset)
            return false;
    return true;
}

static bool functions_agree(const struct weft_ptx_function *one,
                            const struct weft_ptx_function *other)
{
    return one->entry == other->entry && one->parameter_count == other->parameter_count &&
           one->return_count == other->return_count &&
           parameters_agree(one->parameters, other->parameters, one->parameter_count) &&
           parameters_agree(one->returns, other->returns, one->return_count);
}

static bool are_common(const struct weft_ptx_variable *one, const struct weft_ptx_variable *other)
{
    return one->linkage == WEFT_PTX_COMMON && other->linkage == WEFT_PTX_COMMON;
}

/* extern int a[]; says nothing of the size, and the largest of several .common is the one. */
static bool variables_agree(const struct weft_ptx_variable *one,
                            const struct weft_ptx_variable *other)
{
    bool open = are_common(one, other) || (one->linkage == WEFT_PTX_EXTERN && one->bytes == 0) ||
                (other->linkage == WEFT_PTX_EXTERN && other->bytes == 0);
    return one->space == other->space && (open || one->bytes == other->bytes);
}

/* The place that `name` has by now, or a new one at `next`. */
static int find_place(struct linking *linking, const char *name, enum weft_ptx_binding_kind kind,
                      uint32_t input, uint32_t next, uint32_t *place)
{
    struct weft_ptx_name *interned = weft_ptx_names_intern(&linking->names, name, strlen(name));
    if (!interned)
        return weft_fail(linking->err, WEFT_ENOMEM, "no memory to link");
    if (!interned->binding) {
        struct weft_ptx_binding *binding = weft_ptx_names_bind(&linking->names, interned, 0);
        if (!binding)
            return weft_fail(linking->err, WEFT_ENOMEM, "no memory to link");
        binding->kind = (uint8_t)kind;
        binding->index = next;
        binding->line = input; /* who brought the name */
    }
    if (interned->binding->kind != kind)
        return fail_different(linking, name, interned->binding->line, input);
    *place = interned->binding->index;
    return 0;
}

static void put_function(struct linking *linking, uint32_t input, uint32_t index, uint32_t place)
{
    struct weft_ptx_module *module = linking->module;
    module->functions[place] = linking->inputs[input].module->functions[index];
    linking->function_inputs[place] = input;
    linking->maps[input].functions[index] = place;
    module->function_count = WEFT_MAX(module->function_count, place + 1);
}

static int share_function(struct linking *linking, uint32_t input, uint32_t index)
{
    const struct weft_ptx_function *now = &linking->inputs[input].module->functions[index];
    uint32_t next = linking->module->function_count, place;
    int rc = find_place(linking, now->name, WEFT_PTX_BINDING_FUNCTION, input, next, &place);
    if (rc)
        return rc;
    if (place == next) {
        put_function(linking, input, index, place);
        return 0;
    }
    const struct weft_ptx_function *old = &linking->module->functions[place];
    if (!functions_agree(old, now))
        return fail_different(linking, now->name, linking->function_inputs[place], input);
    enum strength had = strength_of(old->linkage, old->body);
    enum strength has = strength_of(now->linkage, now->body);
    if (had == STRONG && has == STRONG)
        return fail_duplicate(linking, now->name, linking->function_inputs[place], input);
    if (has > had)
        put_function(linking, input, index, place);
    linking->maps[input].functions[index] = place;
    return 0;
}

static void put_variable(struct linking *linking, uint32_t input, uint32_t index, uint32_t place)
{
    struct weft_ptx_module *module = linking->module;
    module->variables[place] = linking->inputs[input].module->variables[index];
    linking->variable_inputs[place] = input;
    linking->maps[input].variables[index] = place;
    module->variable_count = WEFT_MAX(module->variable_count, place + 1);
}

static bool is_initialised(const struct weft_ptx_variable *variable)
{
    return variable->init || variable->relocation_count;
}

/* Of several .common one at most has an initialiser, and it is the one, being as large as all. */
static int choose_common(struct linking *linking, const struct weft_ptx_variable *old,
                         const struct weft_ptx_variable *now, uint32_t first, uint32_t second,
                         bool *takes)
{
    bool had = is_initialised(old), has = is_initialised(now);
    if (had && has)
        return fail_duplicate(linking, now->name, first, second);
    *takes = has || (!had && now->bytes > old->bytes);
    const struct weft_ptx_variable *chosen = *takes ? now : old, *other = *takes ? old : now;
    if (chosen->bytes < other->bytes)
        return fail_different(linking, now->name, first, second);
    return 0;
}

static int share_variable(struct linking *linking, uint32_t input, uint32_t index)
{
    const struct weft_ptx_variable *now = &linking->inputs[input].module->variables[index];
    uint32_t next = linking->module->variable_count, place;
    int rc = find_place(linking, now->name, WEFT_PTX_BINDING_VARIABLE, input, next, &place);
    if (rc)
        return rc;
    if (place == next) {
        put_variable(linking, input, index, place);
        return 0;
    }
    const struct weft_ptx_variable *old = &linking->module->variables[place];
    if (!variables_agree(old, now))
        return fail_different(linking, now->name, linking->variable_inputs[place], input);
    enum strength had = strength_of(old->linkage, old->linkage != WEFT_PTX_EXTERN);
    enum strength has = strength_of(now->linkage, now->linkage != WEFT_PTX_EXTERN);
    if (had == STRONG && has == STRONG)
        return fail_duplicate(linking, now->name, linking->variable_inputs[place], input);
    bool takes = has > had;
    if (are_common(old, now))
        rc = choose_common(linking, old, now, linking->variable_inputs[place], input, &takes);
    if (rc)
        return rc;
    uint32_t align = WEFT_MAX(old->align, now->align);
    if (takes)
        put_variable(linking, input, index, place);
    linking->module->variables[place].align = align;
    linking->maps[input].variables[index] = place;
    return 0;
}

static int share_symbols(struct linking *linking, uint32_t input)
{
    const struct weft_ptx_module *module = linking->inputs[input].module;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < module->function_count; i++)
        if (function_is_shared(&module->functions[i]))
            rc = share_function(linking, input, i);
    for (uint32_t i = 0; rc == 0 && i < module->variable_count; i++)
        if (module->variables[i].linkage != WEFT_PTX_STATIC)
            rc = share_variable(linking, input, i);
    return rc;
}

static void keep_private(struct linking *linking, uint32_t input)
{
    const struct weft_ptx_module *module = linking->inputs[input].module;
    for (uint32_t i = 0; i < module->function_count; i++)
        if (!function_is_shared(&module->functions[i]))
            put_function(linking, input, i, linking->module->function_count);
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (module->variables[i].linkage == WEFT_PTX_STATIC)
            put_variable(linking, input, i, linking->module->variable_count);
}

/* -- telling the new places ------------------------------------------------------------------- */

static int check_function(struct linking *linking, uint32_t place, uint32_t input)
{
    const struct weft_ptx_function *function = &linking->module->functions[place];
    if (function->body || function->prototype || is_of_the_device(function->name))
        return 0;
    return weft_fail(linking->err, WEFT_ENOENT, "%s uses \"%s\", which no input defines",
                     linking->inputs[input].name, function->name);
}

static int move_symbol(struct linking *linking, uint32_t input, uint8_t symbol, uint32_t *index)
{
    const struct map *map = &linking->maps[input];
    if (symbol == WEFT_PTX_SYMBOL_VARIABLE)
        *index = map->variables[*index];
    if (symbol != WEFT_PTX_SYMBOL_FUNCTION)
        return 0;
    *index = map->functions[*index];
    return check_function(linking, *index, input);
}

static int move_operand(struct linking *linking, uint32_t input, struct weft_ptx_operand *operand)
{
    int rc = 0;
    bool named = operand->kind == WEFT_PTX_OPERAND_SYMBOL ||
                 (operand->kind == WEFT_PTX_OPERAND_ADDRESS && !operand->register_base);
    if (named)
        rc = move_symbol(linking, input, operand->symbol, &operand->index);
    /* Elements are simple operands and have none themselves. */
    for (uint32_t i = 0; rc == 0 && operand->elements && i < operand->element_count; i++)
        if (operand->elements[i].kind == WEFT_PTX_OPERAND_SYMBOL)
            rc = move_symbol(linking, input, operand->elements[i].symbol,
                             &operand->elements[i].index);
    return rc;
}

static int move_call(struct linking *linking, uint32_t input, struct weft_ptx_call *call)
{
    int rc = move_operand(linking, input, &call->target);
    for (uint32_t i = 0; rc == 0 && i < call->return_count; i++)
        rc = move_operand(linking, input, &call->returns[i]);
    for (uint32_t i = 0; rc == 0 && i < call->argument_count; i++)
        rc = move_operand(linking, input, &call->arguments[i]);
    if (call->prototype != WEFT_PTX_NONE)
        call->prototype = linking->maps[input].functions[call->prototype];
    return rc;
}

/* The relocations are copied: the records of two variables may share them. */
static int move_relocations(struct linking *linking, uint32_t input,
                            struct weft_ptx_variable *variable)
{
    if (variable->relocation_count == 0)
        return 0;
    struct weft_ptx_relocation *moved =
        weft_ptx_arena_copy(linking->module->memory, variable->relocations,
                            variable->relocation_count * sizeof(*moved));
    if (!moved)
        return weft_fail(linking->err, WEFT_ENOMEM, "no memory to link");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < variable->relocation_count; i++)
        rc = move_symbol(linking, input, moved[i].symbol, &moved[i].index);
    variable->relocations = moved;
    return rc;
}

static int move_body(struct linking *linking, uint32_t input, struct weft_ptx_function *function)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < function->variable_count; i++)
        rc = move_relocations(linking, input, &function->variables[i]);
    for (uint32_t i = 0; rc == 0 && i < function->insn_count; i++) {
        struct weft_ptx_insn *insn = &function->insns[i];
        for (uint32_t j = 0; rc == 0 && j < insn->operand_count; j++)
            rc = move_operand(linking, input, &insn->operands[j]);
        if (rc == 0 && insn->call)
            rc = move_call(linking, input, insn->call);
    }
    return rc;
}

/* An .alias has the very body of the function that it stands for. */
static bool body_is_moved(const struct weft_ptx_module *module, uint32_t index)
{
    const struct weft_ptx_function *function = &module->functions[index];
    for (uint32_t i = 0; i < index; i++)
        if (module->functions[i].insns == function->insns &&
            module->functions[i].variables == function->variables)
            return true;
    return false;
}

static int move_all(struct linking *linking)
{
    struct weft_ptx_module *module = linking->module;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < module->variable_count; i++)
        rc = move_relocations(linking, linking->variable_inputs[i], &module->variables[i]);
    for (uint32_t i = 0; rc == 0 && i < module->function_count; i++) {
        struct weft_ptx_function *function = &module->functions[i];
        bool empty = function->insn_count == 0 && function->variable_count == 0;
        if (!empty && !body_is_moved(module, i))
            rc = move_body(linking, linking->function_inputs[i], function);
    }
    return rc;
}

/* -- the frame --------------------------------------------------------------------------------- */

/* The result runs where the most demanding input runs. */
static int merge_heads(struct linking *linking)
{
    struct weft_ptx_module *module = linking->module;
    for (uint32_t i = 0; i < linking->input_count; i++) {
        const struct weft_ptx_module *input = linking->inputs[i].module;
        if (i && input->address_bits != module->address_bits)
            return weft_fail(linking->err, WEFT_EINVAL, "%s has addresses of %u bits, %s of %u",
                             linking->inputs[0].name, module->address_bits, linking->inputs[i].name,
                             input->address_bits);
        module->address_bits = input->address_bits;
        module->target_sm = WEFT_MAX(module->target_sm, input->target_sm);
        bool newer = input->version_major > module->version_major ||
                     (input->version_major == module->version_major &&
                      input->version_minor > module->version_minor);
        if (!newer)
            continue;
        module->version_major = input->version_major;
        module->version_minor = input->version_minor;
    }
    return 0;
}

/* Room for all symbols of all inputs, before those that are one are made one. */
static bool make_room(struct linking *linking)
{
    struct weft_ptx_arena *scratch = &linking->scratch, *memory = linking->module->memory;
    uint64_t functions = 0, variables = 0;
    linking->maps = weft_ptx_arena_alloc(scratch, linking->input_count * sizeof(struct map));
    for (uint32_t i = 0; linking->maps && i < linking->input_count; i++) {
        const struct weft_ptx_module *input = linking->inputs[i].module;
        struct map *map = &linking->maps[i];
        map->functions = weft_ptx_arena_alloc(scratch, input->function_count * sizeof(uint32_t));
        map->variables = weft_ptx_arena_alloc(scratch, input->variable_count * sizeof(uint32_t));
        if (!map->functions || !map->variables)
            return false;
        functions += input->function_count;
        variables += input->variable_count;
    }
    if (!linking->maps || functions >= WEFT_PTX_NONE || variables >= WEFT_PTX_NONE)
        return false;
    linking->function_inputs = weft_ptx_arena_alloc(scratch, functions * sizeof(uint32_t));
    linking->variable_inputs = weft_ptx_arena_alloc(scratch, variables * sizeof(uint32_t));
    struct weft_ptx_module *module = linking->module;
    module->functions = weft_ptx_arena_alloc(memory, functions * sizeof(*module->functions));
    module->variables = weft_ptx_arena_alloc(memory, variables * sizeof(*module->variables));
    return linking->function_inputs && linking->variable_inputs && module->functions &&
           module->variables && weft_ptx_names_init(&linking->names, memory);
}

static int link_all(struct linking *linking)
{
    int rc = merge_heads(linking);
    if (rc == 0 && !make_room(linking))
        rc = weft_fail(linking->err, WEFT_ENOMEM, "no memory to link");
    for (uint32_t i = 0; rc == 0 && i < linking->input_count; i++)
        rc = share_symbols(linking, i);
    for (uint32_t i = 0; rc == 0 && i < linking->input_count; i++)
        keep_private(linking, i);
    return rc ? rc : move_all(linking);
}

static struct weft_ptx_module *create_empty(void)
{
    struct weft_ptx_arena *memory = calloc(1, sizeof(*memory));
    struct weft_ptx_module *module = memory ? weft_ptx_arena_alloc(memory, sizeof(*module)) : NULL;
    if (!module)
        free(memory);
    else
        module->memory = memory;
    return module;
}

/* What was chosen of the inputs lies in their memory, which the result keeps. */
static void take_over(struct weft_ptx_module *module, struct weft_ptx_link_input *inputs,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weft_ptx_arena *memory = inputs[i].module->memory;
        weft_ptx_arena_absorb(module->memory, memory);
        free(memory);
        inputs[i].module = NULL;
    }
}

int weft_ptx_link(struct weft_ptx_module **out, struct weft_ptx_link_input *inputs, uint32_t count,
                  struct weft_err *err)
{
    struct linking linking = {.inputs = inputs, .input_count = count, .err = err};
    linking.module = create_empty();
    if (!linking.module) {
        for (uint32_t i = 0; i < count; i++)
            weft_ptx_destroy(weft_steal(inputs[i].module));
        return weft_fail(err, WEFT_ENOMEM, "no memory to link");
    }
    int rc = 0;
    if (count == 0 || count > WEFT_PTX_LINK_INPUTS_MAX)
        rc = weft_fail(err, WEFT_ERANGE, "%u inputs to link; 1 to %d can be", count,
                       WEFT_PTX_LINK_INPUTS_MAX);
    else
        rc = link_all(&linking);
    weft_ptx_names_finish(&linking.names);
    weft_ptx_arena_finish(&linking.scratch);
    take_over(linking.module, inputs, count);
    if (rc)
        weft_ptx_destroy(linking.module);
    else
        *out = linking.module;
    return rc;
}
