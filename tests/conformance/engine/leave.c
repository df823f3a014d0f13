/* Leaves with kernels that never end on two streams and a callback that never returns: what would
 * break it (it hangs) is a thread that somebody waits for at exit. */
#include <unistd.h>

#include "check.h"

static const char ptx[] = PTX_HEAD ".visible .entry endless()\n{\nagain: bra again;\n}\n";

static void never_return(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

int main(void)
{
    CUmodule module = start(ptx);
    CUstream stream;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuLaunchKernel(function_of(module, "endless"), 1000, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    OK(cuLaunchKernel(function_of(module, "endless"), 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuLaunchHostFunc(stream, never_return, NULL));
    EXPECT(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    return 0;
}
