#include "ptx_check.h"

#include <stdlib.h>
#include <string.h>

static void check_symbol(const struct weft_ptx_module *module,
                         const struct weft_ptx_function *function, uint8_t symbol, uint32_t index)
{
    const uint32_t counts[] = {
        [WEFT_PTX_SYMBOL_NONE] = 1,
        [WEFT_PTX_SYMBOL_VARIABLE] = module->variable_count,
        [WEFT_PTX_SYMBOL_LOCAL] = function ? function->variable_count : 0,
        [WEFT_PTX_SYMBOL_PARAMETER] = function ? function->parameter_count : 0,
        [WEFT_PTX_SYMBOL_RETURN] = function ? function->return_count : 0,
        [WEFT_PTX_SYMBOL_FUNCTION] = module->function_count,
    };
    REQUIRE(symbol <= WEFT_PTX_SYMBOL_FUNCTION && index < counts[symbol]);
}

static void check_register(const struct weft_ptx_function *function, uint32_t index,
                           uint8_t component)
{
    REQUIRE(index < function->register_count);
    REQUIRE(component < function->registers[index].vector);
    REQUIRE(function->registers[index].type < WEFT_PTX_TYPE_COUNT);
}

static void check_operand(const struct weft_ptx_module *module,
                          const struct weft_ptx_function *function,
                          const struct weft_ptx_operand *operand, int depth)
{
    REQUIRE(depth < 4);
    switch (operand->kind) {
    case WEFT_PTX_OPERAND_REGISTER:
        check_register(function, operand->index, operand->component);
        break;
    case WEFT_PTX_OPERAND_SPECIAL:
        REQUIRE(operand->index < WEFT_PTX_SPECIAL_COUNT);
        break;
    case WEFT_PTX_OPERAND_SYMBOL:
        check_symbol(module, function, operand->symbol, operand->index);
        break;
    case WEFT_PTX_OPERAND_ADDRESS:
        if (operand->register_base)
            check_register(function, operand->index, operand->component);
        else
            check_symbol(module, function, operand->symbol, operand->index);
        break;
    case WEFT_PTX_OPERAND_LABEL:
        REQUIRE(operand->index <= function->insn_count);
        break;
    default:
        REQUIRE(operand->kind <= WEFT_PTX_OPERAND_SINK);
    }
    for (uint32_t i = 0; i < operand->element_count; i++)
        check_operand(module, function, &operand->elements[i], depth + 1);
}

static void check_call(const struct weft_ptx_module *module,
                       const struct weft_ptx_function *function, const struct weft_ptx_call *call)
{
    check_operand(module, function, &call->target, 0);
    for (uint32_t i = 0; i < call->return_count; i++)
        check_operand(module, function, &call->returns[i], 0);
    for (uint32_t i = 0; i < call->argument_count; i++)
        check_operand(module, function, &call->arguments[i], 0);
    REQUIRE(call->prototype == WEFT_PTX_NONE || call->prototype < module->function_count);
}

static void check_insn(const struct weft_ptx_module *module,
                       const struct weft_ptx_function *function, const struct weft_ptx_insn *insn)
{
    REQUIRE(insn->opcode < WEFT_PTX_OPCODE_COUNT && insn->operand_count <= WEFT_PTX_OPERANDS_MAX);
    REQUIRE(insn->type_count <= WEFT_PTX_TYPES_MAX && insn->text && insn->line && insn->column);
    REQUIRE((insn->opcode == WEFT_PTX_CALL) == (insn->call != NULL));
    REQUIRE((insn->opcode == WEFT_PTX_BRX) == (insn->table != NULL));
    if (insn->opcode == WEFT_PTX_BRA)
        REQUIRE(insn->operands[0].kind == WEFT_PTX_OPERAND_LABEL);
    if (insn->guard != WEFT_PTX_NONE) {
        check_register(function, insn->guard, 0);
        REQUIRE(function->registers[insn->guard].type == WEFT_PTX_PRED);
    }
    for (uint32_t i = 0; i < insn->operand_count; i++)
        check_operand(module, function, &insn->operands[i], 0);
    if (insn->call)
        check_call(module, function, insn->call);
    for (uint32_t i = 0; insn->table && i < insn->table->count; i++)
        REQUIRE(insn->table->targets[i] <= function->insn_count);
}

static void check_variable(const struct weft_ptx_module *module,
                           const struct weft_ptx_variable *variable)
{
    REQUIRE(variable->name && variable->align && !(variable->align & (variable->align - 1)));
    REQUIRE(variable->init_bytes <= variable->bytes && !variable->init_bytes == !variable->init);
    for (uint32_t i = 0; i < variable->relocation_count; i++) {
        const struct weft_ptx_relocation *relocation = &variable->relocations[i];
        REQUIRE(relocation->offset + relocation->bytes <= variable->init_bytes);
        REQUIRE(relocation->shift < 8);
        check_symbol(module, NULL, relocation->symbol, relocation->index);
    }
}

static void check_parameters(const struct weft_ptx_function *function,
                             const struct weft_ptx_parameter *parameters, uint32_t count,
                             uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parameters[i].space == WEFT_PTX_REG)
            REQUIRE(!function->body || parameters[i].reg < function->register_count);
        else
            REQUIRE(parameters[i].offset + parameters[i].bytes <= bytes);
    }
}

void fuzz_check_module(const struct weft_ptx_module *module)
{
    for (uint32_t i = 0; i < module->variable_count; i++)
        check_variable(module, &module->variables[i]);
    for (uint32_t i = 0; i < module->function_count; i++) {
        const struct weft_ptx_function *function = &module->functions[i];
        REQUIRE(function->name);
        check_parameters(function, function->parameters, function->parameter_count,
                         function->parameter_bytes);
        check_parameters(function, function->returns, function->return_count, UINT32_MAX);
        for (uint32_t n = 0; n < function->variable_count; n++)
            check_variable(module, &function->variables[n]);
        for (uint32_t n = 0; n < function->insn_count; n++)
            check_insn(module, function, &function->insns[n]);
    }
}

/* A file that ends in the middle of its head tells little. */
char *fuzz_with_head(const uint8_t *data, size_t *size)
{
    static const char head[] = ".version 9.0\n.target sm_90a\n.address_size 64\n";
    bool has = *size && data[0] == '.' && *size > 8 && memcmp(data, ".version", 8) == 0;
    size_t before = has ? 0 : sizeof(head) - 1;
    char *text = malloc(before + *size);
    if (!text)
        return NULL;
    memcpy(text, head, before);
    if (*size)
        memcpy(text + before, data, *size);
    *size += before;
    return text;
}
