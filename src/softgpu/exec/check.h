/* The checker (WEFT_SOFT_CHECK=1): looks at each access of a kernel before it happens.
 *
 * A block that is checked has no fast ways to memory: their limits are 0 (run.h), so that every
 * access takes the slow way, which asks here. Blocks that are not checked pay nothing. */
#ifndef WEFT_SOFTGPU_EXEC_CHECK_H
#define WEFT_SOFTGPU_EXEC_CHECK_H

#include "softgpu/exec/exec.h"

struct weft_exec_run;
struct weft_exec_insn;

/* Device memory as somebody allocated it, to the byte. */
struct weft_exec_extent {
    uint64_t first, bytes;
    bool tracked; /* `written` knows it; else it counts as written */
};

/* What the checker asks of its owner. Any thread. */
struct weft_exec_check {
    /* The allocation that holds `address`; false where there is none. */
    bool (*find)(uint64_t address, struct weft_exec_extent *extent);
    /* Bit (address - window_base): the byte was written. Changed by atomic operations. */
    uint8_t *written;
};

/* A piece of shared, local or parameter memory that the program has a name for. */
struct weft_exec_variable {
    const char *name; /* borrowed from the module */
    uint64_t offset, bytes;
};

/* Notes a variable of the kernel; false where memory has run out. */
struct weft_exec_variables {
    struct weft_exec_variable *items; /* owned */
    uint32_t count, room;
};
bool weft_exec_variables_add(struct weft_exec_variables *variables,
                             const struct weft_exec_variable *variable);
void weft_exec_variables_finish(struct weft_exec_variables *variables);

enum weft_exec_access_kind {
    WEFT_EXEC_ACCESS_NONE = 0, /* only where it goes matters */
    WEFT_EXEC_ACCESS_READ = 1,
    WEFT_EXEC_ACCESS_WRITE = 2,
    WEFT_EXEC_ACCESS_UPDATE = 3, /* reads and writes */
};

/* What one lane does with memory. */
struct weft_exec_touch {
    uint8_t space, kind; /* enum weft_exec_access_kind */
    uint32_t lane, bytes;
    uint64_t address;
};
/* Of an instruction with one address, which says what it does. */
struct weft_exec_touch weft_exec_touch_of(const struct weft_exec_insn *insn, uint32_t lane,
                                          uint64_t address, uint32_t bytes);

/* One lane's access to memory that is there: false where it is not in what was allocated. Writes
 * are noted, reads of what nothing has written told. */
bool weft_exec_check_lane(struct weft_exec_run *run, const struct weft_exec_insn *insn,
                          const struct weft_exec_touch *touch);
/* Notes a write to device memory whose place needs no check. */
void weft_exec_check_note(struct weft_exec_run *run, uint64_t address, uint32_t bytes);
/* Fills in what a fault at that access says of it. */
void weft_exec_check_explain(const struct weft_exec_run *run, const struct weft_exec_touch *touch,
                             struct weft_exec_fault *fault);

#endif
