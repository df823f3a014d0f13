/* charged LIMIT: every kind of device memory is charged to the tenant, and given back to the byte,
 * by its own end and by kill -9. Under `weft run --memory LIMIT` and alone in its tenant, so that
 * what cuMemGetInfo tells as free is the limit less what is charged. Breaks when a kind is not
 * counted, counted twice or at another size, or stays after its end. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gpu.h"

#define BLOCK 512
#define SETTLES_MAX 20000
#define SETTLE_NS 1000000

static const char plain[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
                            ".visible .global .align 8 .b8 table[3000000];\n"
                            ".visible .entry touch()\n{\n    ret;\n}\n";
static const char managed[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
                              ".visible .global .attribute(.managed) .align 8 .b8 shared[70000];\n"
                              ".visible .entry touch()\n{\n    ret;\n}\n";

static union {
    struct piece piece;
    CUmodule module;
    struct {
        CUgraph graph;
        CUgraphExec run;
    } graph;
} now;

static size_t free_bytes(void)
{
    size_t free, total;
    CU(cuMemGetInfo(&free, &total));
    return free;
}

/* The module's own variables, and nothing else. */
static size_t load(const char *text, size_t bytes)
{
    CU(cuModuleLoadData(&now.module, text));
    return round_to(bytes, BLOCK);
}

static size_t begin_variables(void)
{
    return load(plain, 3000000);
}

static size_t begin_managed_variables(void)
{
    return load(managed, 70000);
}

static void end_module(void)
{
    CU(cuModuleUnload(now.module));
}

static size_t begin_piece(enum kind kind)
{
    CU(piece_create(&now.piece, kind, 70001, NULL));
    return piece_charge(&now.piece);
}

static size_t begin_linear(void)
{
    return begin_piece(LINEAR);
}

static size_t begin_managed(void)
{
    return begin_piece(MANAGED);
}

static size_t begin_mapped(void)
{
    return begin_piece(VMM);
}

static size_t begin_array(void)
{
    return begin_piece(ARRAY);
}

static size_t begin_mipmapped(void)
{
    return begin_piece(MIPMAPPED);
}

static void end_piece(void)
{
    piece_destroy(&now.piece, NULL);
}

/* The pool reserves what it gives out, rounded as it likes. */
static size_t begin_pooled(void)
{
    CUmemoryPool pool;
    cuuint64_t reserved;
    CU(piece_create(&now.piece, ASYNC, 70001, NULL));
    CU(cuDeviceGetDefaultMemPool(&pool, 0));
    CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    EXPECT(reserved >= 70001, "%zu bytes", (size_t)reserved);
    return reserved;
}

static void end_pooled(void)
{
    CUmemoryPool pool;
    piece_destroy(&now.piece, NULL);
    CU(cuStreamSynchronize(NULL));
    CU(cuDeviceGetDefaultMemPool(&pool, 0));
    CU(cuMemPoolTrimTo(pool, 0));
}

/* What an allocation node of a launched graph keeps. */
static size_t begin_graph(void)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
        .bytesize = 3 * MIB};
    CUgraphNode allocation, end;
    cuuint64_t reserved;
    CU(cuGraphCreate(&now.graph.graph, 0));
    CU(cuGraphAddMemAllocNode(&allocation, now.graph.graph, NULL, 0, &params));
    CU(cuGraphAddMemFreeNode(&end, now.graph.graph, &allocation, 1, params.dptr));
    CU(cuGraphInstantiate(&now.graph.run, now.graph.graph, 0));
    CU(cuGraphLaunch(now.graph.run, NULL));
    CU(cuStreamSynchronize(NULL));
    CU(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &reserved));
    EXPECT(reserved >= 3 * MIB, "%zu bytes", (size_t)reserved);
    return reserved;
}

static void end_graph(void)
{
    CU(cuGraphExecDestroy(now.graph.run));
    CU(cuGraphDestroy(now.graph.graph));
    CU(cuDeviceGraphMemTrim(0));
}

static const struct {
    const char *name;
    size_t (*begin)(void); /* returns what is to be charged */
    void (*end)(void);
} kinds[] = {
    {"linear", begin_linear, end_piece},
    {"managed", begin_managed, end_piece},
    {"mapped", begin_mapped, end_piece},
    {"array", begin_array, end_piece},
    {"mipmapped array", begin_mipmapped, end_piece},
    {"pooled", begin_pooled, end_pooled},
    {"graph node", begin_graph, end_graph},
    {"module variables", begin_variables, end_module},
    {"managed variables", begin_managed_variables, end_module},
};
#define COUNT (sizeof(kinds) / sizeof(kinds[0]))

static void check_each(void)
{
    size_t before = free_bytes();
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = kinds[i].begin();
        size_t between = free_bytes();
        EXPECT(before - between == bytes, "%s: %zu charged, %zu held", kinds[i].name,
               before - between, bytes);
        kinds[i].end();
        EXPECT(free_bytes() == before, "%s: %zu stay charged", kinds[i].name,
               before - free_bytes());
    }
}

/* Holds one of each, tells it, and waits to be killed. */
static void hold(int told)
{
    gpu_start();
    for (size_t i = 0; i < COUNT; i++)
        kinds[i].begin();
    if (write(told, "x", 1) == 1)
        pause();
    exit(1);
}

static void kill_a_holder(void)
{
    int told[2], status;
    char byte;
    EXPECT(pipe(told) == 0, "no pipe");
    pid_t pid = fork();
    if (pid == 0)
        hold(told[1]);
    close(told[1]);
    EXPECT(read(told[0], &byte, 1) == 1, "the child ended");
    close(told[0]);
    kill(pid, SIGKILL);
    EXPECT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "status %d", status);
}

int main(int argc, char **argv)
{
    size_t limit = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    kill_a_holder();
    gpu_start();
    for (int i = 0; i < SETTLES_MAX && free_bytes() != limit; i++)
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_NS}, NULL);
    EXPECT(free_bytes() == limit, "%zu of %zu are free after a kill", free_bytes(), limit);
    check_each();
    /* More than the limit in variables is refused, as anything else. */
    CUdeviceptr rest;
    CUmodule module;
    CU(cuMemAlloc(&rest, limit - MIB));
    EXPECT(cuModuleLoadData(&module, plain) == CUDA_ERROR_OUT_OF_MEMORY,
           "a module got past the limit");
    CU(cuMemFree(rest));
    EXPECT(free_bytes() == limit, "%zu of %zu are free at the end", free_bytes(), limit);
    puts("done");
    return 0;
}
