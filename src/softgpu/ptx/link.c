/* Linking in three steps: every symbol that other modules may see gets one place, then what is
 * private to its module gets places behind, and then what was chosen is told the new places:
 * variables at once, bodies when they are read. */
#include "softgpu/ptx/link.h"

#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx/parser.h"
#include "util/util.h"

struct linking {
    struct weft_ptx_link_input *inputs; /* borrowed, for their names */
    struct weft_ptx_places *places;     /* in the module's memory, one an input */
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

static int no_memory(struct linking *linking)
{
    return weft_fail(linking->err, WEFT_ENOMEM, "no memory to link");
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
        return no_memory(linking);
    if (!interned->binding) {
        struct weft_ptx_binding *binding = weft_ptx_names_bind(&linking->names, interned, 0);
        if (!binding)
            return no_memory(linking);
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
    module->functions[place] = module->inputs[input]->functions[index];
    linking->function_inputs[place] = input;
    linking->places[input].functions[index] = place;
    module->function_count = WEFT_MAX(module->function_count, place + 1);
}

static int share_function(struct linking *linking, uint32_t input, uint32_t index)
{
    const struct weft_ptx_function *now = &linking->module->inputs[input]->functions[index];
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
    linking->places[input].functions[index] = place;
    return 0;
}

static void put_variable(struct linking *linking, uint32_t input, uint32_t index, uint32_t place)
{
    struct weft_ptx_module *module = linking->module;
    module->variables[place] = module->inputs[input]->variables[index];
    linking->variable_inputs[place] = input;
    linking->places[input].variables[index] = place;
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
    const struct weft_ptx_variable *now = &linking->module->inputs[input]->variables[index];
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
    linking->places[input].variables[index] = place;
    return 0;
}

static int share_symbols(struct linking *linking, uint32_t input)
{
    const struct weft_ptx_module *module = linking->module->inputs[input];
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
    const struct weft_ptx_module *module = linking->module->inputs[input];
    for (uint32_t i = 0; i < module->function_count; i++)
        if (!function_is_shared(&module->functions[i]))
            put_function(linking, input, i, linking->module->function_count);
    for (uint32_t i = 0; i < module->variable_count; i++)
        if (module->variables[i].linkage == WEFT_PTX_STATIC)
            put_variable(linking, input, i, linking->module->variable_count);
}

static int tell_places(struct linking *linking)
{
    struct weft_ptx_module *module = linking->module;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < module->variable_count; i++)
        rc = weft_ptx_places_move_variable(&linking->places[linking->variable_inputs[i]],
                                           &module->variables[i], module->memory, linking->err);
    for (uint32_t i = 0; i < module->input_count; i++)
        module->inputs[i]->unread->places = &linking->places[i];
    return rc;
}

static int check_inputs(struct linking *linking)
{
    const struct weft_ptx_module *module = linking->module;
    if (module->input_count == 0 || module->input_count > WEFT_PTX_LINK_INPUTS_MAX)
        return weft_fail(linking->err, WEFT_ERANGE, "%u inputs to link; 1 to %d can be",
                         module->input_count, WEFT_PTX_LINK_INPUTS_MAX);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < module->input_count; i++)
        rc = WEFT_CHECK(module->inputs[i]->unread, linking->err);
    return rc;
}

/* The result runs where the most demanding input runs. */
static int merge_heads(struct linking *linking)
{
    struct weft_ptx_module *module = linking->module;
    for (uint32_t i = 0; i < module->input_count; i++) {
        const struct weft_ptx_module *input = module->inputs[i];
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

static bool make_places(struct linking *linking, uint32_t input)
{
    struct weft_ptx_arena *memory = linking->module->memory;
    const struct weft_ptx_module *module = linking->module->inputs[input];
    struct weft_ptx_places *places = &linking->places[input];
    const char *name = linking->inputs[input].name;
    *places = (struct weft_ptx_places){
        .input = weft_ptx_arena_copy(memory, name, strlen(name) + 1),
        .result = linking->module,
        .functions = weft_ptx_arena_alloc(memory, module->function_count * sizeof(uint32_t)),
        .variables = weft_ptx_arena_alloc(memory, module->variable_count * sizeof(uint32_t)),
    };
    return places->input && places->functions && places->variables;
}

/* Room for all symbols of all inputs, before those that are one are made one. */
static bool make_room(struct linking *linking)
{
    struct weft_ptx_module *module = linking->module;
    struct weft_ptx_arena *scratch = &linking->scratch, *memory = module->memory;
    uint64_t functions = 0, variables = 0;
    linking->places = weft_ptx_arena_alloc(memory, module->input_count * sizeof(*linking->places));
    for (uint32_t i = 0; linking->places && i < module->input_count; i++) {
        if (!make_places(linking, i))
            return false;
        functions += module->inputs[i]->function_count;
        variables += module->inputs[i]->variable_count;
    }
    if (!linking->places || functions >= WEFT_PTX_NONE || variables >= WEFT_PTX_NONE)
        return false;
    linking->function_inputs = weft_ptx_arena_alloc(scratch, functions * sizeof(uint32_t));
    linking->variable_inputs = weft_ptx_arena_alloc(scratch, variables * sizeof(uint32_t));
    module->functions = weft_ptx_arena_alloc(memory, functions * sizeof(*module->functions));
    module->variables = weft_ptx_arena_alloc(memory, variables * sizeof(*module->variables));
    return linking->function_inputs && linking->variable_inputs && module->functions &&
           module->variables && weft_ptx_names_init(&linking->names, scratch);
}

static int link_all(struct linking *linking)
{
    uint32_t count = linking->module->input_count;
    int rc = check_inputs(linking);
    if (rc == 0)
        rc = merge_heads(linking);
    if (rc == 0 && !make_room(linking))
        rc = no_memory(linking);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = share_symbols(linking, i);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        keep_private(linking, i);
    return rc ? rc : tell_places(linking);
}

/* The modules are the result's from here on, or where there is no memory nobody's. */
static int take_over(struct linking *linking, uint32_t count)
{
    struct weft_ptx_module *module = linking->module, **taken = NULL;
    if (module)
        taken = weft_ptx_arena_alloc(module->memory, count * sizeof(struct weft_ptx_module *));
    for (uint32_t i = 0; i < count; i++) {
        struct weft_ptx_module *input = weft_steal(linking->inputs[i].module);
        if (taken)
            taken[i] = input;
        else
            weft_ptx_destroy(input);
    }
    if (!taken)
        return no_memory(linking);
    module->inputs = taken;
    module->input_count = count;
    return 0;
}

int weft_ptx_link(struct weft_ptx_module **out, struct weft_ptx_link_input *inputs, uint32_t count,
                  struct weft_err *err)
{
    struct linking linking = {.inputs = inputs, .module = weft_ptx_module_create(), .err = err};
    int rc = take_over(&linking, count);
    if (rc == 0)
        rc = link_all(&linking);
    weft_ptx_names_finish(&linking.names);
    weft_ptx_arena_finish(&linking.scratch);
    if (rc)
        weft_ptx_destroy(linking.module);
    else
        *out = linking.module;
    return rc;
}
