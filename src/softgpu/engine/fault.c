#include "softgpu/engine/fault.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/util.h"

#define SENTENCE_BYTES 1000

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

void weft_soft_tell_once(struct weft_soft_context *context, const struct weft_device_fault *fault)
{
    struct weft_soft_context_engine *engine = weft_soft_engine_of(context);
    struct weft_device_fault said = *fault;
    pthread_mutex_lock(&context->lock);
    if (engine->fault_told)
        said.text = "";
    if (said.error && !engine->fault_sent && weft_soft.fault)
        weft_soft.fault(context->device->ordinal, &said);
    else if (!said.error && *said.text && weft_soft.report)
        weft_soft.report(said.text);
    engine->fault_told = true;
    engine->fault_sent |= said.error != 0;
    pthread_mutex_unlock(&context->lock);
}

/* Before the context's error can be seen; other blocks often fault too. */
static void report_once(const struct weft_soft_grid *grid, CUresult error, const char *text)
{
    const struct weft_soft_op *op = WEFT_CONTAINER_OF(grid, struct weft_soft_op, grid);
    weft_soft_tell_once(op->stream->context,
                        &(struct weft_device_fault){.error = (uint32_t)error, .text = text});
}

/* "PTX line 8 (saxpy.cu:12), st.global.f32 in saxpy, thread (3,0,0) of block (0,0,0)" */
static void describe_place(const struct weft_exec_fault *fault, char *text, size_t size)
{
    char source[160] = "";
    if (fault->source_file)
        snprintf(source, sizeof(source), " (%.120s:%u)", fault->source_file, fault->source_line);
    snprintf(text, size, "PTX line %u%s, %s%s%s, thread (%u,%u,%u) of block (%u,%u,%u)",
             fault->line, source, fault->insn ? fault->insn : "end of function",
             fault->function ? " in " : "", fault->function ? fault->function : "",
             fault->thread[0], fault->thread[1], fault->thread[2], fault->block[0], fault->block[1],
             fault->block[2]);
}

/* How the access lies to the variable that is named. */
static void describe_variable(const struct weft_exec_fault *fault, char *text, size_t size)
{
    uint64_t offset = fault->variable_offset, bytes = fault->variable_bytes;
    if (offset >= bytes) {
        snprintf(text, size, "%" PRIu64 " bytes past the end of %.100s (%" PRIu64 " bytes)",
                 offset - bytes, fault->variable, bytes);
    } else if (offset + fault->bytes > bytes) {
        snprintf(text, size,
                 "the last %" PRIu64 " of them past the end of %.100s (%" PRIu64 " bytes)",
                 offset + fault->bytes - bytes, fault->variable, bytes);
    } else {
        snprintf(text, size, "at byte %" PRIu64 " of %.100s (%" PRIu64 " bytes)", offset,
                 fault->variable, bytes);
    }
}

/* What the checker knows of an access: "wrote 4 bytes at 0x…, 0 bytes past the end of …". */
static void describe_access(const struct weft_exec_fault *fault, char *text, size_t size)
{
    char where[256] = "outside of what was declared";
    const char *verb = fault->is_write ? "wrote" : "read";
    if (fault->space == WEFT_PTX_GLOBAL) {
        weft_soft_memory_explain(fault->address, fault->bytes, where, sizeof(where));
        snprintf(text, size, "%s %u bytes at 0x%" PRIx64 ", %s", verb, fault->bytes, fault->address,
                 where);
        return;
    }
    const char *space = fault->space == WEFT_PTX_SHARED  ? "shared"
                        : fault->space == WEFT_PTX_LOCAL ? "local"
                                                         : "parameter";
    if (fault->variable)
        describe_variable(fault, where, sizeof(where));
    snprintf(text, size, "%s %u bytes of %s memory, %s", verb, fault->bytes, space, where);
}

static void describe(const struct weft_soft_grid *grid, const struct weft_exec_fault *fault,
                     const char *what, bool has_address, char *text, size_t size)
{
    char place[512], access[400] = "";
    const char *name = weft_exec_kernel_describe(grid->launch.kernel).name;
    describe_place(fault, place, sizeof(place));
    if (fault->bytes) {
        describe_access(fault, access, sizeof(access));
        snprintf(text, size, "kernel %.200s %s: %s: %s", name, what, access, place);
        return;
    }
    if (has_address)
        snprintf(access, sizeof(access), ", address 0x%" PRIx64, fault->address);
    snprintf(text, size, "kernel %.200s %s: %s%s", name, what, place, access);
}

CUresult weft_soft_fault_report(const struct weft_soft_grid *grid,
                                const struct weft_exec_fault *fault)
{
    size_t kind = (size_t)fault->kind < WEFT_ARRAY_COUNT(kinds) ? (size_t)fault->kind : 0;
    const char *what = kinds[kind].text;
    if (fault->kind == WEFT_EXEC_FAULT_ILLEGAL_ADDRESS && weft_soft_memory_reach(fault->address, 1))
        what = "used memory that it may only read, or that another context has to itself";
    char text[SENTENCE_BYTES];
    describe(grid, fault, what, kinds[kind].has_address, text, sizeof(text));
    report_once(grid, kinds[kind].error, text);
    return kinds[kind].error;
}

void weft_soft_fault_tell_unwritten(void *grid, const struct weft_exec_fault *fault)
{
    char text[SENTENCE_BYTES];
    describe(grid, fault, "read memory that nothing has written", true, text, sizeof(text));
    report_once(grid, CUDA_SUCCESS, text);
}

void weft_soft_fault_report_text(const struct weft_soft_grid *grid, CUresult error,
                                 const char *text)
{
    char sentence[SENTENCE_BYTES];
    snprintf(sentence, sizeof(sentence), "kernel %s: %.400s",
             weft_exec_kernel_describe(grid->launch.kernel).name, text);
    report_once(grid, error, sentence);
}

CUresult weft_soft_fault_report_overtime(const struct weft_soft_grid *grid)
{
    const struct weft_soft_op *op = WEFT_CONTAINER_OF(grid, struct weft_soft_op, grid);
    const struct weft_soft_device *device = op->stream->context->device;
    uint32_t limit_us = weft_soft_watchdog_us(device);
    char text[100];
    snprintf(text, sizeof(text), "takes more than %.6g s of device time: %s ends it",
             limit_us / 1e6,
             limit_us == weft_soft_timeout_us(device) ? "its tenant's --kernel-timeout"
                                                      : "the watchdog");
    weft_soft_fault_report_text(grid, CUDA_ERROR_LAUNCH_TIMEOUT, text);
    return CUDA_ERROR_LAUNCH_TIMEOUT;
}
