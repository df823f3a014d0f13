/* One run on the reference, and the same run on the executor in all its ways. */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_COMPARE_H
#define WEFT_TESTS_CONFORMANCE_PTX_COMPARE_H

#include "rig.h"
#include "values.h"

/* Runs with each instruction set and each budget. 0 where all memory and, if it faults, the fault
 * equal the reference's; else it prints what differs first, and if that is memory, its address goes
 * into *different (may be NULL). -WEFT_ENOSYS where the executor lacks a form. */
int compare_run(struct rig *rig, struct rig_program *program, const struct rig_run *run,
                const uint64_t *budgets, size_t budget_count, uint64_t *different);

/* The text of an instruction set's name. */
const char *compare_isa_name(int isa);

#endif
