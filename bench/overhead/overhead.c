/* What weft adds to a launch and to an allocation: the same calls to a driver that does nothing,
 * directly and through the face with the memory limit on. Interleaved pairs, medians. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/cuda_table.h>

#include "../timing.h"

#define PAIRS 41
#define CALLS 200000
#define LAUNCH_GOAL_NS 50
#define ALLOCATION_GOAL_NS 200

struct calls {
    __typeof__(((struct weft_cuda *)0)->cuInit) init;
    __typeof__(((struct weft_cuda *)0)->cuLaunchKernel) launch;
    __typeof__(((struct weft_cuda *)0)->cuMemAlloc_v2) allocate;
    __typeof__(((struct weft_cuda *)0)->cuMemFree_v2) free;
};

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "bench: %s\n", dlerror());
        exit(1);
    }
    return found;
}

static struct calls open_calls(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "bench: %s\n", dlerror());
        exit(1);
    }
    struct calls calls;
    calls.init = find(library, "cuInit");
    calls.launch = find(library, "cuLaunchKernel");
    calls.allocate = find(library, "cuMemAlloc_v2");
    calls.free = find(library, "cuMemFree_v2");
    if (calls.init(0) != CUDA_SUCCESS) {
        fprintf(stderr, "bench: cuInit of %s failed\n", path);
        exit(1);
    }
    return calls;
}

static double launch_ns(const struct calls *calls)
{
    void *arguments[4] = {0};
    double start = bench_now_ns();
    for (int i = 0; i < CALLS; i++)
        calls->launch(NULL, 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL);
    return (bench_now_ns() - start) / CALLS;
}

static double allocation_ns(const struct calls *calls)
{
    CUdeviceptr address;
    double start = bench_now_ns();
    for (int i = 0; i < CALLS; i++) {
        if (calls->allocate(&address, 4096) != CUDA_SUCCESS || calls->free(address) != CUDA_SUCCESS)
            exit(1);
    }
    return (bench_now_ns() - start) / CALLS;
}

static void compare(const char *what, double (*measure)(const struct calls *),
                    const struct calls *driver, const struct calls *weft, double goal_ns)
{
    double direct[PAIRS], through[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        direct[i] = measure(driver);
        through[i] = measure(weft);
    }
    double baseline = bench_quantile(direct, PAIRS, 0.5),
           measured = bench_quantile(through, PAIRS, 0.5);
    printf("%-28s driver alone %6.1f ns, with weft %6.1f ns (%.1fx): %+.1f ns added, goal <= %.0f "
           "ns\n",
           what, baseline, measured, measured / baseline, measured - baseline, goal_ns);
}

int main(void)
{
    setenv("WEFT_NATIVE_LIBCUDA", BENCH_DRIVER, 1);
    struct calls driver = open_calls(BENCH_DRIVER);
    struct calls weft = open_calls(BENCH_FACE);
    compare("launch", launch_ns, &driver, &weft, LAUNCH_GOAL_NS);
    compare("allocation and its free", allocation_ns, &driver, &weft, ALLOCATION_GOAL_NS);
    return 0;
}
