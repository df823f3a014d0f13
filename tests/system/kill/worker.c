/* worker SEED: computes on the GPU, takes memory in every way and gives it back, until stdin has a
 * line or its end. Says "begun PID" after the first results, "right ROUNDS" at the end, and ends
 * with 1 where a result or what lies in its memory is wrong. 7: no weftd was there to begin with.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../quota/gpu.h"

#define COUNT 512
#define PIECES_MAX 6
#define PIECE_BYTES_MAX MIB
#define TRIES_MAX 60000
#define TRY_PAUSE_US 1000
#define NOT_READY_STATUS 7

/* x = x * 1664525 + 1013904223 + i, so many times. */
static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry step(.param .u64 values, .param .u32 times)\n{\n"
    "    .reg .u64 %p, %o;\n    .reg .u32 %i, %b, %n, %x, %t;\n    .reg .pred %more;\n"
    "    ld.param.u64 %p, [values];\n    ld.param.u32 %t, [times];\n"
    "    mov.u32 %i, %tid.x;\n    mov.u32 %b, %ctaid.x;\n    mov.u32 %n, %ntid.x;\n"
    "    mad.lo.u32 %i, %b, %n, %i;\n    mul.wide.u32 %o, %i, 4;\n    add.u64 %p, %p, %o;\n"
    "    ld.global.u32 %x, [%p];\n"
    "again:\n    mul.lo.u32 %x, %x, 1664525;\n    add.u32 %x, %x, 1013904223;\n"
    "    add.u32 %x, %x, %i;\n    sub.u32 %t, %t, 1;\n    setp.ne.u32 %more, %t, 0;\n"
    "    @%more bra again;\n    st.global.u32 [%p], %x;\n    ret;\n}\n";

struct worker {
    uint64_t random;
    CUfunction step;
    CUdeviceptr values;
    uint32_t expected[COUNT];
    struct piece pieces[PIECES_MAX];
    uint32_t patterns[PIECES_MAX];
    size_t piece_count;
};

static uint32_t next(struct worker *worker)
{
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(worker->random >> 33);
}

/* The other processes of the tenant may hold all of it for a moment. */
static CUdeviceptr allocate(size_t bytes)
{
    CUdeviceptr address = 0;
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;
    for (int i = 0; i < TRIES_MAX && rc == CUDA_ERROR_OUT_OF_MEMORY; i++) {
        rc = cuMemAlloc(&address, bytes);
        if (rc)
            usleep(TRY_PAUSE_US);
    }
    CU(rc);
    return address;
}

static void start(struct worker *worker, uint64_t seed)
{
    CUmodule module;
    worker->random = seed;
    CUresult rc = cuInit(0);
    if (rc == CUDA_ERROR_SYSTEM_NOT_READY)
        exit(NOT_READY_STATUS);
    CU(rc);
    gpu_start();
    CU(cuModuleLoadData(&module, ptx));
    CU(cuModuleGetFunction(&worker->step, module, "step"));
    worker->values = allocate(sizeof(worker->expected));
    for (size_t i = 0; i < COUNT; i++)
        worker->expected[i] = next(worker);
    CU(cuMemcpyHtoD(worker->values, worker->expected, sizeof(worker->expected)));
}

static void compute(struct worker *worker)
{
    unsigned int times = next(worker) % 300 + 1;
    void *parameters[] = {&worker->values, &times};
    CU(cuLaunchKernel(worker->step, COUNT / 64, 1, 1, 64, 1, 1, 0, NULL, parameters, NULL));
    for (uint32_t i = 0; i < COUNT; i++) {
        for (unsigned int t = 0; t < times; t++)
            worker->expected[i] = worker->expected[i] * 1664525u + 1013904223u + i;
    }
}

static void check_values(const struct worker *worker)
{
    uint32_t found[COUNT];
    CU(cuMemcpyDtoH(found, worker->values, sizeof(found)));
    for (size_t i = 0; i < COUNT; i++)
        EXPECT(found[i] == worker->expected[i], "value %zu is %u, not %u", i, found[i],
               worker->expected[i]);
}

static bool has_bytes(const struct piece *piece)
{
    return piece->kind == LINEAR || piece->kind == MANAGED || piece->kind == ASYNC;
}

static void drop(struct worker *worker)
{
    struct piece *piece = &worker->pieces[--worker->piece_count];
    uint32_t ends[2], pattern = worker->patterns[worker->piece_count];
    if (has_bytes(piece)) {
        CU(cuMemcpyDtoH(&ends[0], piece->address, 4));
        CU(cuMemcpyDtoH(&ends[1], piece->address + piece->bytes - 4, 4));
        EXPECT(ends[0] == pattern && ends[1] == pattern, "%zu bytes of kind %d hold %x, %x, not %x",
               piece->bytes, piece->kind, ends[0], ends[1], pattern);
    }
    piece_destroy(piece, NULL);
}

static void take(struct worker *worker)
{
    struct piece *piece = &worker->pieces[worker->piece_count];
    size_t bytes = (next(worker) % (PIECE_BYTES_MAX / 4) + 1) * 4;
    CUresult rc = piece_create(piece, (enum kind)(next(worker) % KINDS), bytes, NULL);
    EXPECT(rc == CUDA_SUCCESS || rc == CUDA_ERROR_OUT_OF_MEMORY, "error %d", (int)rc);
    if (rc)
        return;
    worker->patterns[worker->piece_count++] = next(worker);
    if (has_bytes(piece))
        CU(cuMemsetD32(piece->address, worker->patterns[worker->piece_count - 1], bytes / 4));
}

static void churn(struct worker *worker)
{
    bool more = worker->piece_count < PIECES_MAX && next(worker) % 2;
    if (more)
        take(worker);
    else if (worker->piece_count)
        drop(worker);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned long rounds = 0;
    start(&worker, argc > 1 ? strtoull(argv[1], NULL, 10) : 1);
    for (; poll(&input, 1, 0) == 0; rounds++) {
        compute(&worker);
        churn(&worker);
        if (rounds % 4 == 0)
            check_values(&worker);
        if (rounds == 0) {
            printf("begun %d\n", (int)getpid());
            fflush(stdout);
        }
    }
    while (worker.piece_count)
        drop(&worker);
    check_values(&worker);
    CU(cuMemFree(worker.values));
    printf("right %lu\n", rounds);
    return 0;
}
