/* Where the registers of a function lie in its frame.
 *
 * PTX names registers without end, most of them for a few instructions: those that are never in use
 * at the same time share a row, so that a warp's rows stay in the nearest cache. A lane uses a row
 * as its own way through the code says, whatever the others do, so what holds for one thread holds
 * for a warp. Lifetimes are whole stretches of code; rows are given out from the first instruction
 * to the last, the one that became free last first (linear scan; Poletto and Sarkar, 1999). What an
 * instruction reads and what it writes lie apart. */
#include <string.h>

#include "softgpu/exec/lower.h"
#include "util/util.h"

#define SIZES 8 /* of rows: powers of two from 64 bytes on, or predicates */

uint32_t weft_exec_register_slot(const struct weft_ptx_function *function, bool result,
                                 uint32_t index)
{
    uint32_t slot = index;
    if (result)
        slot += function->parameter_count;
    return WEFT_EXEC_FRAME_HEAD_BYTES + slot * WEFT_EXEC_ROW_BYTES_MAX;
}

uint32_t weft_exec_register_slot_count(const struct weft_ptx_function *function)
{
    bool any = false;
    for (uint32_t i = 0; i < function->parameter_count; i++)
        any |= function->parameters[i].space == WEFT_PTX_REG;
    for (uint32_t i = 0; i < function->return_count; i++)
        any |= function->returns[i].space == WEFT_PTX_REG;
    return any ? function->parameter_count + function->return_count : 0;
}

static uint32_t bytes_of(const struct weft_ptx_register *reg)
{
    uint32_t row = weft_exec_row_bytes(reg->type) * WEFT_EXEC_LANES;
    return row == 0 ? 4 : row * (reg->vector > 1 ? reg->vector : 1);
}

/* Lists of registers; one is in one list at a time. */
struct rows {
    const struct weft_ptx_function *function;
    struct weft_exec_layout *layout;
    uint32_t *next;         /* owned; by register: the next one in its list */
    uint32_t *beginning;    /* owned; by instruction: those whose lifetime begins there */
    uint32_t *ending;       /* owned; by instruction: those that have a row up to there */
    uint32_t unused[SIZES]; /* those whose rows are free again */
    uint64_t end;           /* of the frame so far */
};

static void push(struct rows *rows, uint32_t *head, uint32_t reg)
{
    rows->next[reg] = *head;
    *head = reg;
}

static uint32_t pop(const struct rows *rows, uint32_t *head)
{
    uint32_t reg = *head;
    *head = rows->next[reg];
    return reg;
}

static uint32_t *unused_of(struct rows *rows, uint32_t reg)
{
    uint32_t bytes = bytes_of(&rows->function->registers[reg]), size = 0;
    while (size + 1 < SIZES && 64u << size < bytes)
        size++;
    return &rows->unused[size];
}

static void place(struct rows *rows, uint32_t reg)
{
    uint32_t *unused = unused_of(rows, reg);
    if (*unused == WEFT_PTX_NONE) {
        rows->layout->row_of[reg] = (int32_t)WEFT_MIN(rows->end, (uint64_t)INT32_MAX);
        rows->end += bytes_of(&rows->function->registers[reg]);
    } else {
        rows->layout->row_of[reg] = rows->layout->row_of[pop(rows, unused)];
    }
    push(rows, &rows->ending[rows->layout->lifetimes[reg].last], reg);
}

/* One kind at a time: rows first, so that they stay aligned; then the predicates, four bytes each.
 * Registers that have a slot keep it, and those that are not used get none. */
static void place_all(struct rows *rows, bool predicates)
{
    const struct weft_ptx_function *function = rows->function;
    memset(rows->unused, 0xff, sizeof(rows->unused)); /* WEFT_PTX_NONE */
    for (uint32_t reg = function->register_count; reg-- > 0;) {
        bool is_predicate = function->registers[reg].type == WEFT_PTX_PRED;
        const struct weft_exec_lifetime *lifetime = &rows->layout->lifetimes[reg];
        if (rows->layout->row_of[reg] == 0 && is_predicate == predicates && lifetime->is_used)
            push(rows, &rows->beginning[lifetime->first], reg);
    }
    for (uint32_t at = 0; at <= function->insn_count; at++) {
        while (rows->beginning[at] != WEFT_PTX_NONE)
            place(rows, pop(rows, &rows->beginning[at]));
        while (rows->ending[at] != WEFT_PTX_NONE) {
            uint32_t reg = pop(rows, &rows->ending[at]);
            push(rows, unused_of(rows, reg), reg);
        }
    }
}

static void give_slots(const struct weft_ptx_function *function, int32_t *row_of)
{
    for (uint32_t i = 0; i < function->parameter_count; i++)
        if (function->parameters[i].space == WEFT_PTX_REG)
            row_of[function->parameters[i].reg] =
                (int32_t)weft_exec_register_slot(function, false, i);
    for (uint32_t i = 0; i < function->return_count; i++)
        if (function->returns[i].space == WEFT_PTX_REG)
            row_of[function->returns[i].reg] = (int32_t)weft_exec_register_slot(function, true, i);
}

static bool create_lists(struct rows *rows)
{
    uint64_t bytes = ((uint64_t)rows->function->insn_count + 1) * sizeof(uint32_t);
    rows->next = calloc(rows->function->register_count + 1, sizeof(uint32_t));
    rows->beginning = malloc(bytes);
    rows->ending = malloc(bytes);
    if (!rows->next || !rows->beginning || !rows->ending)
        return false;
    memset(rows->beginning, 0xff, bytes); /* WEFT_PTX_NONE */
    memset(rows->ending, 0xff, bytes);
    return true;
}

int weft_exec_lay_registers(struct weft_exec_lowering *lowering,
                            const struct weft_ptx_function *function,
                            struct weft_exec_layout *layout)
{
    layout->row_of = calloc(function->register_count + 1, sizeof(*layout->row_of));
    layout->lifetimes = weft_exec_lifetimes_create(function);
    layout->temporaries = WEFT_EXEC_FRAME_HEAD_BYTES +
                          weft_exec_register_slot_count(function) * WEFT_EXEC_ROW_BYTES_MAX;
    struct rows rows = {.function = function,
                        .layout = layout,
                        .end = (uint64_t)layout->temporaries +
                               WEFT_EXEC_TEMPORARIES * WEFT_EXEC_ROW_BYTES_MAX};
    int rc = 0;
    if (layout->row_of && layout->lifetimes && create_lists(&rows)) {
        give_slots(function, layout->row_of);
        place_all(&rows, false);
        place_all(&rows, true);
        if (rows.end > WEFT_EXEC_FRAME_BYTES_MAX)
            rc = weft_fail(lowering->err, WEFT_ERANGE, "%s: too many registers", function->name);
        layout->frame_bytes = (uint32_t)weft_round_up(rows.end, 64);
    } else {
        rc = weft_fail(lowering->err, WEFT_ENOMEM, "lowering %s", function->name);
    }
    free(rows.next);
    free(rows.beginning);
    free(rows.ending);
    return rc;
}

/* Registers start as zeros, but clearing all of them costs as much as a short kernel: only those
 * are cleared that may be read before they are written. */
int weft_exec_find_cleared(struct weft_exec_lowering *lowering)
{
    struct weft_exec_kernel *kernel = lowering->kernel;
    const struct weft_ptx_function *function = kernel->function;
    const struct weft_exec_layout *layout = &lowering->layouts[0];
    kernel->cleared = calloc(function->register_count + 1, sizeof(*kernel->cleared));
    for (uint32_t i = 0; kernel->cleared && i < function->register_count; i++)
        if (layout->lifetimes[i].at_entry)
            kernel->cleared[kernel->cleared_count++] = (struct weft_exec_rows){
                (uint32_t)layout->row_of[i], bytes_of(&function->registers[i])};
    return kernel->cleared ? 0
                           : weft_fail(lowering->err, WEFT_ENOMEM, "lowering %s", function->name);
}
