/* Compiled before ledger.c in its tests: puts a call of the test's own between any two writes to
 * shared memory. */
#ifndef WEFT_TEST_LEDGER_STEP_H
#define WEFT_TEST_LEDGER_STEP_H

void weft_test_ledger_step(void);
#define WEFT_LEDGER_STEP() weft_test_ledger_step()

#endif
