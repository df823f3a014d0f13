/* What the benchmarks of sharing run under `weft run`: `launch` prints what a launch costs the
 * caller, in ns; `request COUNT` prints one line a request of 30 kernels of 50 µs, the device time
 * from before the first launch until the last kernel's end, in µs; `watch LINE` prints a line for
 * each change of what the device's tenant of that line is promised, the monotonic time in ns.
 * Device time and terms are read where all processes of the device keep them. Where it may, it asks
 * the host for a processor at once when it wakes: what is counted is the device's time, and not for
 * how long the host let somebody sleep who had his answer. */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/cuda.h>

#include "../timing.h"
#include "softgpu/device_page.h"

#define DESCRIPTORS_MAX 1024
#define LAUNCHES 2000
#define BATCHES 41
#define KERNELS 30
#define BLOCKS 8
#define WATCH_US 50
/* 50 µs of the profile `small`: 50,880 warp instructions a microsecond, three a round. */
#define ROUNDS (50880u * 50 / 3 / BLOCKS)

static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
                          ".visible .entry busy(.param .u32 rounds)\n{\n"
                          "    .reg .u32 %i;\n    .reg .pred %more;\n"
                          "    ld.param.u32 %i, [rounds];\n"
                          "again:\n    sub.u32 %i, %i, 1;\n    setp.ne.u32 %more, %i, 0;\n"
                          "    @%more bra again;\n    ret;\n}\n";

static CUfunction function;

static void check(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", call, (int)result);
    exit(1);
}
#define CHECK(call) check(call, #call)

static void launch(unsigned int blocks, unsigned int rounds)
{
    void *parameters[] = {&rounds};
    CHECK(cuLaunchKernel(function, blocks, 1, 1, 32, 1, 1, 0, NULL, parameters, NULL));
}

static const struct weft_device_time *find_time(void)
{
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        char path[32], name[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) < 0 || !strstr(name, "memfd:weft-device"))
            continue;
        size_t bytes = weft_device_time_offset() + sizeof(struct weft_device_time);
        char *page = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
            break;
        return (struct weft_device_time *)(page + weft_device_time_offset());
    }
    fprintf(stderr, "no device page\n");
    exit(1);
}

static void time_launches(void)
{
    double samples[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        double start = bench_now_ns();
        for (int j = 0; j < LAUNCHES; j++)
            launch(1, 1);
        samples[i] = (bench_now_ns() - start) / LAUNCHES;
        CHECK(cuCtxSynchronize());
    }
    printf("%.1f\n", bench_quantile(samples, BATCHES, 0.5));
}

static void time_requests(int count)
{
    const struct weft_share *share = &find_time()->share;
    for (int i = 0; i < count; i++) {
        uint64_t start = weft_share_clock(share);
        for (int j = 0; j < KERNELS; j++)
            launch(BLOCKS, ROUNDS);
        CHECK(cuCtxSynchronize());
        printf("%.1f\n", (double)(weft_share_clock(share) - start) / 1000);
        fflush(stdout);
        usleep(20000);
    }
}

/* Ends with the process that reads. */
static void watch_terms(uint32_t line)
{
    const struct weft_share_tenant *tenant = &find_time()->tenants[line % WEFT_DEVICE_TENANTS];
    uint64_t before = __atomic_load_n(&tenant->terms, __ATOMIC_ACQUIRE);
    for (puts("ready"); fflush(stdout) == 0;) {
        uint64_t terms = __atomic_load_n(&tenant->terms, __ATOMIC_ACQUIRE);
        if (terms != before)
            printf("%.0f\n", bench_now_ns());
        before = terms;
        usleep(WATCH_US);
    }
}

/* Threads that it makes, the device's, stay as they are. */
static void ask_for_a_processor(void)
{
    const struct sched_param most_urgent = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &most_urgent);
}

int main(int argc, char **argv)
{
    CUcontext context;
    CUmodule module;
    CHECK(cuInit(0));
    CHECK(cuCtxCreate(&context, NULL, 0, 0));
    CHECK(cuModuleLoadData(&module, ptx));
    CHECK(cuModuleGetFunction(&function, module, "busy"));
    if (argc > 1 && strcmp(argv[1], "launch") == 0)
        time_launches();
    ask_for_a_processor();
    if (argc > 2 && strcmp(argv[1], "watch") == 0)
        watch_terms((uint32_t)atoi(argv[2]));
    else if (argc > 2)
        time_requests(atoi(argv[2]));
    return 0;
}
