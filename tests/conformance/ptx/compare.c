#include "compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *compare_isa_name(int isa)
{
    static const char *const names[] = {"baseline", "AVX2", "AVX-512"};
    return names[isa];
}

static bool same_memory(const struct rig *rig, const struct rig_run *run, uint64_t *different)
{
    for (uint64_t at = 0; at < rig->used; at += 4) {
        if (RIG_WINDOW_BASE + at - run->heap_base < run->heap_bytes)
            continue;
        uint32_t got;
        uint32_t want;
        memcpy(&got, rig->host + at, sizeof got);
        memcpy(&want, rig->expected + at, sizeof want);
        if (got == want)
            continue;
        printf("at 0x%" PRIx64 ": 0x%" PRIx32 ", not 0x%" PRIx32 "\n",
               (uint64_t)(RIG_WINDOW_BASE + at), got, want);
        *different = RIG_WINDOW_BASE + at;
        return false;
    }
    return true;
}

static bool same_fault(const struct weft_exec_fault *got, const struct weft_exec_fault *want)
{
    if (got->kind == want->kind && got->line == want->line && got->address == want->address &&
        memcmp(got->thread, want->thread, sizeof got->thread) == 0 &&
        memcmp(got->block, want->block, sizeof got->block) == 0)
        return true;
    printf("fault %d line %u thread %u.%u.%u address 0x%" PRIx64
           ", not %d line %u thread %u.%u.%u address 0x%" PRIx64 "\n",
           got->kind, got->line, got->thread[0], got->thread[1], got->thread[2], got->address,
           want->kind, want->line, want->thread[0], want->thread[1], want->thread[2],
           want->address);
    return false;
}

static int compare_once(struct rig *rig, struct rig_program *program, const struct rig_run *run,
                        const struct rig_result *want, uint64_t *different)
{
    struct rig_result got;
    rig_recall(rig);
    rig_execute(rig, program, run, &got);
    if (got.status != want->status) {
        printf("%s; the reference: %s\n", got.err.text, want->err.text);
        if (got.status == -WEFT_EFAULT)
            same_fault(&got.fault, &want->fault);
        return got.status == -WEFT_ENOSYS ? -WEFT_ENOSYS : -WEFT_EBUG;
    }
    if (want->status)
        return same_fault(&got.fault, &want->fault) ? 0 : -WEFT_EBUG;
    if (got.prints != want->prints || got.print_digest != want->print_digest) {
        printf("printed %" PRIu64 " texts, not %" PRIu64 ", or others\n", got.prints, want->prints);
        return -WEFT_EBUG;
    }
    return same_memory(rig, run, different) ? 0 : -WEFT_EBUG;
}

int compare_run(struct rig *rig, struct rig_program *program, const struct rig_run *run,
                const uint64_t *budgets, size_t budget_count, uint64_t *different)
{
    uint64_t ignored;
    struct rig_result want;
    rig_remember(rig);
    rig_refer(rig, program, run, &want);
    rig_expect(rig);
    if (want.status && want.status != -WEFT_EFAULT) {
        printf("the reference: %s\n", want.err.text);
        return -WEFT_EBUG;
    }
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++) {
        if (!weft_exec_isa_force((enum weft_exec_isa)isa))
            continue;
        for (size_t i = 0; i < budget_count; i++) {
            struct rig_run turn = *run;
            turn.budget = budgets[i];
            int status = compare_once(rig, program, &turn, &want, different ? different : &ignored);
            if (status == 0)
                continue;
            printf("on %s in turns of %" PRIu64 "\n", compare_isa_name(isa), budgets[i]);
            return status;
        }
    }
    return 0;
}
