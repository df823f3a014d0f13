/* Matrix instructions of the reference. */
#ifndef WEFT_TESTS_REFERENCE_MATRIX_H
#define WEFT_TESTS_REFERENCE_MATRIX_H

#include "machine.h"

/* Executes it for all lanes of a warp; NULL for a lane that is not there. NEXT, or FAULT with the
 * fault recorded, or UNKNOWN. */
enum step matrix_perform(struct thread *lanes[WEFT_EXEC_WARP_LANES],
                         const struct weft_ptx_insn *insn);

#endif
