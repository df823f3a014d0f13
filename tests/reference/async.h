/* Asynchronous copies and barriers in memory, of the reference. */
#ifndef WEFT_TESTS_REFERENCE_ASYNC_H
#define WEFT_TESTS_REFERENCE_ASYNC_H

#include "machine.h"

bool async_knows(uint16_t opcode);
enum step async_perform(struct thread *thread, const struct weft_ptx_insn *insn);

#endif
