/* held COUNT [exit|destroy]: a kernel of two seconds, and when that has ended COUNT short ones on
 * each of two streams, with an event behind each. Says "returned" when all of them are launched,
 * and, once its standard input has ended and so has the work, "done" if each stream's work came in
 * order; or then exits, or destroys the context, without waiting for anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#define STREAMS 2
#define COUNT_MAX 64
#define LONG_ITERATIONS 6666667u /* of 300 ns */
#define SHORT_ITERATIONS 3333u

/* Of the driver's modules no more counts than where their images are. */
static char images[2];
static CUstream streams[STREAMS];
static CUevent events[STREAMS][COUNT_MAX];

static void check(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(1);
}

static void launch(CUfunction function, CUstream stream, unsigned int iterations)
{
    void *parameters[] = {&iterations};
    check(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, parameters, NULL),
          "cuLaunchKernel");
}

static void launch_all(CUfunction function, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        for (size_t stream = 0; stream < STREAMS; stream++) {
            launch(function, streams[stream], SHORT_ITERATIONS);
            check(cuEventRecord(events[stream][i], streams[stream]), "cuEventRecord");
        }
    }
    puts("returned");
    fflush(stdout);
}

static void check_order(unsigned int count)
{
    float before_ms, time_ms;
    for (size_t stream = 0; stream < STREAMS; stream++) {
        before_ms = 0;
        for (unsigned int i = 0; i < count; i++) {
            check(cuEventElapsedTime(&time_ms, events[stream][0], events[stream][i]),
                  "cuEventElapsedTime");
            if (i && time_ms - before_ms < 0.9f)
                check(CUDA_ERROR_UNKNOWN, "the order");
            before_ms = time_ms;
        }
    }
}

int main(int argc, char **argv)
{
    CUdevice device;
    CUcontext context;
    CUfunction functions[2];
    unsigned int count = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 1;
    const char *then = argc > 2 ? argv[2] : "";
    if (count > COUNT_MAX)
        return 2;
    check(cuInit(0), "cuInit");
    check(cuDeviceGet(&device, 0), "cuDeviceGet");
    check(cuCtxCreate(&context, NULL, 0, device), "cuCtxCreate");
    for (size_t i = 0; i < 2; i++) {
        CUmodule module;
        check(cuModuleLoadData(&module, &images[i]), "cuModuleLoadData");
        check(cuModuleGetFunction(&functions[i], module, "any"), "cuModuleGetFunction");
    }
    for (size_t stream = 0; stream < STREAMS; stream++) {
        check(cuStreamCreate(&streams[stream], CU_STREAM_NON_BLOCKING), "cuStreamCreate");
        for (unsigned int i = 0; i < count; i++)
            check(cuEventCreate(&events[stream][i], CU_EVENT_DEFAULT), "cuEventCreate");
    }
    launch(functions[0], NULL, LONG_ITERATIONS);
    check(cuCtxSynchronize(), "cuCtxSynchronize");
    launch_all(functions[1], count);
    if (strcmp(then, "exit") == 0)
        return 0;
    if (strcmp(then, "destroy") == 0) {
        check(cuCtxDestroy(context), "cuCtxDestroy");
        return 0;
    }
    while (getchar() != EOF)
        continue;
    check(cuCtxSynchronize(), "cuCtxSynchronize");
    check_order(count);
    puts("done");
    return 0;
}
