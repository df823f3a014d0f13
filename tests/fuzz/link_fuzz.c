/* Texts, parted by lines of ====, into the linker, and then each body of the result, read late.
 * What it takes must be whole, and each body must be that of its text read by itself, but for the
 * places of symbols: these must be the ones that the link gave to symbols of the same name. */
#include <stdlib.h>
#include <string.h>

#include "ptx_check.h"
#include "softgpu/ptx/link.h"
#include "softgpu/ptx/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXTS_MAX 4

static const char parting[] = "====\n";

struct texts {
    uint32_t count;
    struct weft_ptx_module *whole[TEXTS_MAX]; /* owned; NULL: it is not to be taken */
    struct weft_ptx_link_input inputs[TEXTS_MAX];
};

/* An input of the result beside the same text read by itself. */
struct pair {
    const struct weft_ptx_module *whole, *input, *result;
    const struct weft_ptx_places *places;
};

static uint32_t expected_place(const struct pair *pair, uint8_t symbol, uint32_t index)
{
    if (symbol == WEFT_PTX_SYMBOL_VARIABLE)
        return pair->places->variables[index];
    if (symbol != WEFT_PTX_SYMBOL_FUNCTION)
        return index;
    /* Records for .callprototypes shift those behind them. */
    uint32_t found = weft_ptx_find_function(pair->input, pair->whole->functions[index].name);
    REQUIRE(found != WEFT_PTX_NONE);
    return pair->places->functions[found];
}

static void compare_operand(const struct pair *pair, const struct weft_ptx_operand *alone,
                            const struct weft_ptx_operand *linked)
{
    REQUIRE(alone->kind == linked->kind && alone->symbol == linked->symbol);
    REQUIRE(alone->element_count == linked->element_count);
    REQUIRE(linked->index == expected_place(pair, alone->symbol, alone->index));
    for (uint32_t i = 0; alone->elements && i < alone->element_count; i++)
        compare_operand(pair, &alone->elements[i], &linked->elements[i]);
}

static void compare_operands(const struct pair *pair, const struct weft_ptx_operand *alone,
                             const struct weft_ptx_operand *linked, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        compare_operand(pair, &alone[i], &linked[i]);
}

static void compare_prototype(const struct pair *pair, uint32_t alone, uint32_t linked)
{
    REQUIRE((alone == WEFT_PTX_NONE) == (linked == WEFT_PTX_NONE));
    if (alone == WEFT_PTX_NONE)
        return;
    const struct weft_ptx_function *one = &pair->whole->functions[alone];
    const struct weft_ptx_function *other = &pair->result->functions[linked];
    REQUIRE(strcmp(one->name, other->name) == 0 && one->prototype == other->prototype);
    REQUIRE(one->parameter_count == other->parameter_count);
    REQUIRE(one->return_count == other->return_count);
}

static void compare_relocations(const struct pair *pair, const struct weft_ptx_variable *alone,
                                const struct weft_ptx_variable *linked)
{
    REQUIRE(alone->relocation_count == linked->relocation_count);
    for (uint32_t i = 0; i < alone->relocation_count; i++)
        REQUIRE(linked->relocations[i].index ==
                expected_place(pair, alone->relocations[i].symbol, alone->relocations[i].index));
}

static void compare_body(const struct pair *pair, const struct weft_ptx_function *alone,
                         const struct weft_ptx_function *linked)
{
    REQUIRE(alone->register_count == linked->register_count);
    REQUIRE(alone->variable_count == linked->variable_count);
    REQUIRE(alone->insn_count == linked->insn_count);
    for (uint32_t i = 0; i < alone->variable_count; i++)
        compare_relocations(pair, &alone->variables[i], &linked->variables[i]);
    for (uint32_t i = 0; i < alone->insn_count; i++) {
        const struct weft_ptx_insn *one = &alone->insns[i], *other = &linked->insns[i];
        REQUIRE(one->opcode == other->opcode && one->operand_count == other->operand_count);
        compare_operands(pair, one->operands, other->operands, one->operand_count);
        if (!one->call)
            continue;
        compare_operand(pair, &one->call->target, &other->call->target);
        compare_operands(pair, one->call->returns, other->call->returns, one->call->return_count);
        compare_operands(pair, one->call->arguments, other->call->arguments,
                         one->call->argument_count);
        compare_prototype(pair, one->call->prototype, other->call->prototype);
    }
}

/* The variables and functions that the link chose of an input. */
static void compare_input(const struct pair *pair)
{
    for (uint32_t i = 0; i < pair->input->variable_count; i++) {
        const struct weft_ptx_variable *linked =
            &pair->result->variables[pair->places->variables[i]];
        if (linked->init && linked->init == pair->input->variables[i].init)
            compare_relocations(pair, &pair->whole->variables[i], linked);
    }
    for (uint32_t i = 0; i < pair->input->function_count; i++) {
        const struct weft_ptx_function *function = &pair->input->functions[i];
        const struct weft_ptx_function *linked =
            &pair->result->functions[pair->places->functions[i]];
        if (function->deferred && linked->deferred == function->deferred && linked->read) {
            uint32_t alone = weft_ptx_find_function(pair->whole, function->name);
            REQUIRE(alone != WEFT_PTX_NONE);
            compare_body(pair, &pair->whole->functions[alone], linked);
        }
    }
}

static void check_linked(const struct texts *texts, const struct weft_ptx_module *result)
{
    bool complete = true;
    for (uint32_t i = result->function_count; i > 0; i--) {
        struct weft_err err = {0};
        int rc = weft_ptx_read_body(result, i - 1, &err);
        REQUIRE(rc == weft_ptx_read_body(result, i - 1, NULL));
        REQUIRE(rc == 0 || strncmp(err.text, "text", 4) == 0);
        complete &= rc == 0;
    }
    if (complete)
        fuzz_check_module(result);
    for (uint32_t i = 0; i < texts->count; i++) {
        const struct weft_ptx_module *input = result->inputs[i];
        const struct pair pair = {texts->whole[i], input, result, input->unread->places};
        if (pair.whole)
            compare_input(&pair);
    }
}

/* Whether the heads could be read. */
static bool add_text(struct texts *texts, const uint8_t *data, size_t size)
{
    struct weft_ptx_link_input *input = &texts->inputs[texts->count];
    char *text = fuzz_with_head(data, &size);
    bool good = text && weft_ptx_parse_heads(&input->module, text, size, NULL) == 0;
    if (good) {
        input->name = "text";
        weft_ptx_parse(&texts->whole[texts->count++], text, size, NULL);
    }
    free(text);
    return good;
}

static bool add_texts(struct texts *texts, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    while (texts->count < TEXTS_MAX - 1) {
        const uint8_t *next = memmem(data, (size_t)(end - data), parting, sizeof(parting) - 1);
        if (!next)
            break;
        if (!add_text(texts, data, (size_t)(next - data)))
            return false;
        data = next + sizeof(parting) - 1;
    }
    return add_text(texts, data, (size_t)(end - data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct texts texts = {0};
    struct weft_ptx_module *result;
    struct weft_err err = {0};
    bool good = add_texts(&texts, data, size);
    for (uint32_t i = 0; !good && i < texts.count; i++)
        weft_ptx_destroy(texts.inputs[i].module);
    if (good && weft_ptx_link(&result, texts.inputs, texts.count, &err) == 0) {
        check_linked(&texts, result);
        weft_ptx_destroy(result);
    } else if (good) {
        REQUIRE(err.code < 0 && err.text[0]);
    }
    for (uint32_t i = 0; i < texts.count; i++)
        weft_ptx_destroy(texts.whole[i]);
    return 0;
}
