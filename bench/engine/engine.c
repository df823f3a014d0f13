/* The soft GPU seen by a program, each figure against another of the same run: two workers against
 * one, copies against memcpy, ways to address memory against the one where lanes stand side by
 * side. Interleaved, medians. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/cuda.h>

#include "../timing.h"

#define SAMPLES 11
#define COPY_BYTES ((size_t)64 << 20)
#define THREADS 256
#define ROUNDS 20000
#define WORKERS_GOAL 1.8
#define COPY_GOAL 0.9

/* Each thread reads a word eight times a round, `lane` words from its neighbour's. */
static const char text[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry walk(.param .u64 data, .param .u32 lane, .param .u32 rounds)\n{\n"
    "    .reg .u64 %base, %at; .reg .u32 %t, %lane, %rounds, %v<9>; .reg .pred %p;\n"
    "    ld.param.u64 %base, [data]; ld.param.u32 %lane, [lane]; ld.param.u32 %rounds, [rounds];\n"
    "    mov.u32 %t, %tid.x; mul.lo.u32 %t, %t, %lane; mul.wide.u32 %at, %t, 4;\n"
    "    add.u64 %at, %base, %at; mov.u32 %v8, 0;\n"
    "next:\n"
    "    ld.global.u32 %v0, [%at]; ld.global.u32 %v1, [%at]; ld.global.u32 %v2, [%at];\n"
    "    ld.global.u32 %v3, [%at]; ld.global.u32 %v4, [%at]; ld.global.u32 %v5, [%at];\n"
    "    ld.global.u32 %v6, [%at]; ld.global.u32 %v7, [%at];\n"
    "    add.u32 %v8, %v8, %v0; sub.u32 %rounds, %rounds, 1;\n"
    "    setp.ne.u32 %p, %rounds, 0; @%p bra next;\n"
    "    st.global.u32 [%at], %v8; ret;\n}\n";

static CUfunction walk;
static CUdeviceptr first, second;
static unsigned char *host, *other;

static void check(CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", call, (int)result);
    exit(1);
}
#define CHECK(call) check(call, #call)

static double launch(unsigned int blocks, uint32_t lane, uint32_t rounds)
{
    void *params[] = {&first, &lane, &rounds};
    double start = bench_now_ns();
    CHECK(cuLaunchKernel(walk, blocks, 1, 1, THREADS, 1, 1, 0, NULL, params, NULL));
    CHECK(cuCtxSynchronize());
    return bench_now_ns() - start;
}

static double one_worker(void)
{
    return launch(1, 1, ROUNDS);
}

static double two_workers(void)
{
    return launch(2, 1, ROUNDS) / 2;
}

static double broadcast(void)
{
    return launch(1, 0, ROUNDS);
}

static double apart(void)
{
    return launch(1, 33, ROUNDS);
}

static double copy_host(void)
{
    double start = bench_now_ns();
    memcpy(other, host, COPY_BYTES);
    return bench_now_ns() - start;
}

static double copy_to_device(void)
{
    double start = bench_now_ns();
    CHECK(cuMemcpyHtoD(first, host, COPY_BYTES));
    return bench_now_ns() - start;
}

static double copy_from_device(void)
{
    double start = bench_now_ns();
    CHECK(cuMemcpyDtoH(other, first, COPY_BYTES));
    return bench_now_ns() - start;
}

static double copy_on_device(void)
{
    double start = bench_now_ns();
    CHECK(cuMemcpyDtoD(second, first, COPY_BYTES));
    CHECK(cuCtxSynchronize());
    return bench_now_ns() - start;
}

static const struct row {
    const char *name, *against;
    double (*measure)(void), (*baseline)(void);
    double goal; /* 0 where there is none */
} rows[] = {
    {"two workers", "one worker", two_workers, one_worker, WORKERS_GOAL},
    {"host to device", "memcpy", copy_to_device, copy_host, COPY_GOAL},
    {"device to host", "memcpy", copy_from_device, copy_host, COPY_GOAL},
    {"device to device", "memcpy", copy_on_device, copy_host, COPY_GOAL},
    {"lanes on one word", "lanes side by side", broadcast, one_worker, 0},
    {"lanes 132 bytes apart", "lanes side by side", apart, one_worker, 0},
};

static void measure(const struct row *row)
{
    double times[SAMPLES], baselines[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        times[i] = row->measure();
        baselines[i] = row->baseline();
    }
    double ratio = bench_quantile(baselines, SAMPLES, 0.5) / bench_quantile(times, SAMPLES, 0.5);
    printf("%-22s %5.2f × the speed of %-20s %s\n", row->name, ratio, row->against,
           row->goal == 0       ? ""
           : ratio >= row->goal ? "goal met"
                                : "BELOW GOAL");
}

static void start(void)
{
    CUcontext context;
    CUmodule module;
    CHECK(cuInit(0));
    CHECK(cuDevicePrimaryCtxRetain(&context, 0));
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuModuleLoadData(&module, text));
    CHECK(cuModuleGetFunction(&walk, module, "walk"));
    CHECK(cuMemAlloc(&first, COPY_BYTES));
    CHECK(cuMemAlloc(&second, COPY_BYTES));
    host = malloc(COPY_BYTES);
    other = malloc(COPY_BYTES);
    if (!host || !other)
        exit(1);
    memset(host, 1, COPY_BYTES);
    memset(other, 2, COPY_BYTES);
    CHECK(cuMemsetD8(first, 0, COPY_BYTES));
    CHECK(cuMemsetD8(second, 0, COPY_BYTES));
}

int main(void)
{
    start();
    printf("The soft GPU by the driver API; two workers need two free cores\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        measure(&rows[i]);
    return 0;
}
