/* Barriers in shared memory: one word each, counted by arrivals and by bytes. */
#ifndef WEFT_SOFTGPU_EXEC_MBARRIER_H
#define WEFT_SOFTGPU_EXEC_MBARRIER_H

#include "softgpu/exec/ops.h"

/* What an instruction does with its barrier: `kind` of the op mbarrier. */
enum weft_exec_mbarrier {
    WEFT_EXEC_MBARRIER_INIT, /* b: arrivals expected */
    WEFT_EXEC_MBARRIER_INVAL,
    WEFT_EXEC_MBARRIER_EXPECT,   /* b: bytes */
    WEFT_EXEC_MBARRIER_COMPLETE, /* b: bytes */
    WEFT_EXEC_MBARRIER_ARRIVE,   /* d: state or none; b: arrivals; c: bytes to expect, or none */
    WEFT_EXEC_MBARRIER_DROP,     /* the same, and so many fewer from the next phase on */
    WEFT_EXEC_MBARRIER_STATE,    /* d: predicate; b: the state that a phase began with */
    WEFT_EXEC_MBARRIER_PARITY    /* d: predicate; b: parity of the phase that is waited for */
};

/* So many bytes have come, for a barrier at that place. */
void weft_exec_mbarrier_complete(uint64_t *barrier, uint64_t bytes);

#endif
