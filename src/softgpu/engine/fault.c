#include "softgpu/engine/fault.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/util.h"

#define SENTENCE_BYTES 512

static const struct {
    CUresult error;
    const char *text;
    bool has_address;
} kinds[] = {
    [WEFT_EXEC_FAULT_NONE] = {CUDA_ERROR_LAUNCH_FAILED, "failed", false},
    [WEFT_EXEC_FAULT_ILLEGAL_ADDRESS] = {CUDA_ERROR_ILLEGAL_ADDRESS,
                                         "used an address that is not allocated", true},
    [WEFT_EXEC_FAULT_MISALIGNED] = {CUDA_ERROR_MISALIGNED_ADDRESS, "used a misaligned address",
                                    true},
    [WEFT_EXEC_FAULT_ILLEGAL_INSTRUCTION] = {CUDA_ERROR_ILLEGAL_INSTRUCTION,
                                             "met an illegal instruction", false},
    [WEFT_EXEC_FAULT_INVALID_PC] = {CUDA_ERROR_INVALID_PC, "called an address that is no function",
                                    false},
    [WEFT_EXEC_FAULT_STACK_OVERFLOW] = {CUDA_ERROR_HARDWARE_STACK_ERROR,
                                        "ran out of stack (cuCtxSetLimit can raise it)", false},
    [WEFT_EXEC_FAULT_DEADLOCK] = {CUDA_ERROR_LAUNCH_FAILED,
                                  "waits at a barrier that no remaining thread can complete",
                                  false},
    [WEFT_EXEC_FAULT_ASSERT] = {CUDA_ERROR_ASSERT, "failed a device assertion", false},
};

void weft_soft_tell_once(struct weft_soft_context *context, const char *text)
{
    pthread_mutex_lock(&context->lock);
    bool *told = &weft_soft_engine_of(context)->fault_told;
    if (!*told && weft_soft.report)
        weft_soft.report(text);
    *told = true;
    pthread_mutex_unlock(&context->lock);
}

/* Before the context's error can be seen; other blocks often fault too. */
static void report_once(const struct weft_soft_grid *grid, const char *text)
{
    const struct weft_soft_op *op = WEFT_CONTAINER_OF(grid, struct weft_soft_op, grid);
    weft_soft_tell_once(op->stream->context, text);
}

CUresult weft_soft_fault_report(const struct weft_soft_grid *grid,
                                const struct weft_exec_fault *fault)
{
    size_t kind = (size_t)fault->kind < WEFT_ARRAY_COUNT(kinds) ? (size_t)fault->kind : 0;
    char address[40] = "", text[SENTENCE_BYTES];
    if (kinds[kind].has_address)
        snprintf(address, sizeof(address), ", address 0x%" PRIx64, fault->address);
    snprintf(text, sizeof(text),
             "kernel %s %s: PTX line %u, %s%s%s, thread (%u,%u,%u) of block (%u,%u,%u)%s",
             weft_exec_kernel_describe(grid->launch.kernel).name, kinds[kind].text, fault->line,
             fault->insn ? fault->insn : "end of function", fault->function ? " in " : "",
             fault->function ? fault->function : "", fault->thread[0], fault->thread[1],
             fault->thread[2], fault->block[0], fault->block[1], fault->block[2], address);
    report_once(grid, text);
    return kinds[kind].error;
}

void weft_soft_fault_report_text(const struct weft_soft_grid *grid, const char *text)
{
    char sentence[SENTENCE_BYTES];
    snprintf(sentence, sizeof(sentence), "kernel %s: %.400s",
             weft_exec_kernel_describe(grid->launch.kernel).name, text);
    report_once(grid, sentence);
}

CUresult weft_soft_fault_report_overtime(const struct weft_soft_grid *grid)
{
    const struct weft_soft_op *op = WEFT_CONTAINER_OF(grid, struct weft_soft_op, grid);
    char text[80];
    snprintf(text, sizeof(text), "takes more than %.6g s of device time: the watchdog ends it",
             weft_soft_watchdog_us(op->stream->context->device) / 1e6);
    weft_soft_fault_report_text(grid, text);
    return CUDA_ERROR_LAUNCH_TIMEOUT;
}
