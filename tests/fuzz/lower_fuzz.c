/* Any module that the parser takes into the executor's lowering: it lowers each kernel or says why
 * not, and what it lowers branches only within its function and guards only by rows of the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "softgpu/exec/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static void check_insn(const struct weft_exec_kernel *kernel, const struct weft_exec_part *part,
                       const struct weft_exec_insn *insn)
{
    REQUIRE(insn->op < WEFT_EXEC_OP_COUNT);
    if (insn->guard != WEFT_EXEC_NO_GUARD)
        REQUIRE(insn->guard < part->frame_bytes);
    if (insn->op == WEFT_EXEC_OP_bra)
        REQUIRE(insn->immediate >= part->first_pc && insn->immediate < part->end_pc);
    if (insn->op == WEFT_EXEC_OP_call)
        REQUIRE(insn->immediate >= 0 && insn->immediate < kernel->part_count);
    if (insn->op >= WEFT_EXEC_OP_tex && insn->op <= WEFT_EXEC_OP_sured)
        REQUIRE(insn->immediate >= 0 && insn->immediate < kernel->sample_count);
    for (int32_t i = 0; insn->op == WEFT_EXEC_OP_brx && i < insn->b; i++) {
        uint64_t target = kernel->tables[insn->immediate + i];
        REQUIRE(target >= part->first_pc && target < part->end_pc);
    }
}

static void check_kernel(const struct weft_exec_kernel *kernel)
{
    for (uint32_t p = 0; p < kernel->part_count; p++) {
        const struct weft_exec_part *part = &kernel->parts[p];
        for (uint32_t pc = part->first_pc; pc < part->end_pc; pc++)
            check_insn(kernel, part, &kernel->code[pc]);
    }
    for (uint32_t i = 0; i < kernel->cleared_count; i++)
        REQUIRE(kernel->cleared[i].offset + kernel->cleared[i].bytes <=
                kernel->parts[0].frame_bytes);
}

static void lower_all(const struct weft_ptx_module *module)
{
    uint64_t *addresses = calloc(module->variable_count + 1, sizeof(*addresses));
    struct weft_exec_program *program = NULL;
    if (addresses == NULL || weft_exec_program_create(&program, module, addresses, NULL)) {
        free(addresses);
        return;
    }
    for (uint32_t i = 0; i < module->function_count; i++) {
        const struct weft_exec_kernel *kernel = NULL;
        struct weft_err err = {0};
        int rc = weft_exec_program_kernel(program, i, &kernel, &err);
        REQUIRE(rc == 0 || (rc < 0 && err.text[0]));
        if (rc == 0)
            check_kernel(kernel);
    }
    weft_exec_program_destroy(program);
    free(addresses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = ".version 9.0\n.target sm_90a\n.address_size 64\n";
    char *text = malloc(sizeof(head) + size);
    struct weft_ptx_module *module = NULL;
    if (!text)
        return 0;
    bool has = size > 8 && memcmp(data, ".version", 8) == 0;
    size_t before = has ? 0 : sizeof(head) - 1;
    memcpy(text, head, before);
    if (size)
        memcpy(text + before, data, size);
    if (weft_ptx_parse_heads(&module, text, before + size, NULL) == 0)
        lower_all(module);
    weft_ptx_destroy(module);
    free(text);
    return 0;
}
