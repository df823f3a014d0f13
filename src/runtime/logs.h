/* What the runtime notes of calls that fail, for cudaLogs…. */
#ifndef WEFT_RUNTIME_LOGS_H
#define WEFT_RUNTIME_LOGS_H

#include "runtime/runtime.h"

/* Any thread. `call` is a name without end: it is not copied. */
void weft_cudart_log(const char *call, cudaError_t error);

#endif
