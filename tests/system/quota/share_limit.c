/* share_limit LIMIT PROCESSES: processes that are forked before cuInit allocate and free at random
 * under one limit. What they hold together by their own count never passes it; and when all of them
 * take what they can get, they get all of it. A count that each keeps of its own bytes is
 * independent of what the library believes. */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu.h"

#define PROCESSES_MAX 64
#define PIECES_MAX 64
#define ROUNDS 400
#define SMALLEST 512

static struct shared {
    size_t held; /* atomic: bytes that all hold, counted up after and down before */
    size_t most;
    uint32_t arrived; /* at the barrier, in all */
    bool passed;
} * shared;

static size_t limit;
static uint32_t process_count;

static void hold(size_t bytes)
{
    size_t now = __atomic_add_fetch(&shared->held, bytes, __ATOMIC_SEQ_CST);
    if (now > limit)
        __atomic_store_n(&shared->passed, true, __ATOMIC_RELAXED);
    size_t most = __atomic_load_n(&shared->most, __ATOMIC_RELAXED);
    while (now > most && !__atomic_compare_exchange_n(&shared->most, &most, now, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* Bytes that are certainly the process' own: what its address space holds of stream-ordered memory
 * is as much as it asked for. */
static size_t own(const struct piece *piece)
{
    return piece->kind == ASYNC ? piece->bytes : piece_charge(piece);
}

static bool take(struct piece *piece, enum kind kind, size_t bytes)
{
    CUresult rc = piece_create(piece, kind, bytes, NULL);
    EXPECT(rc == CUDA_SUCCESS || rc == CUDA_ERROR_OUT_OF_MEMORY, "error %d", (int)rc);
    if (rc == CUDA_SUCCESS)
        hold(own(piece));
    return rc == CUDA_SUCCESS;
}

static void give(struct piece *piece)
{
    __atomic_sub_fetch(&shared->held, own(piece), __ATOMIC_SEQ_CST);
    piece_destroy(piece, NULL);
}

static void barrier(uint32_t number)
{
    __atomic_add_fetch(&shared->arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->arrived, __ATOMIC_SEQ_CST) < number * process_count)
        sched_yield();
}

static void allocate_at_random(uint64_t random)
{
    struct piece pieces[PIECES_MAX];
    size_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t bytes = (random >> 33) % (4 * MIB) + 1;
        bool more = count < PIECES_MAX && (count == 0 || (random >> 20) % 3);
        if (more && take(&pieces[count], (enum kind)((random >> 24) % KINDS), bytes))
            count++;
        else if (count > 0)
            give(&pieces[--count]);
        if (round % 50 == 0)
            CU(cuCtxSynchronize());
    }
    while (count > 0)
        give(&pieces[--count]);
    CU(cuCtxSynchronize());
}

/* All take what they can until none can take more. The last refusals come after the last give, so
 * all is gone. */
static void take_all(void)
{
    struct piece piece;
    for (size_t bytes = 4 * MIB; bytes >= SMALLEST; bytes /= 2) {
        while (take(&piece, LINEAR, bytes)) {
        }
    }
}

static void process_main(uint32_t index)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody at a barrier */
    gpu_start();
    allocate_at_random(index + 1);
    barrier(1);
    EXPECT(shared->held == 0, "%zu bytes are counted after everything was freed", shared->held);
    barrier(2);
    take_all();
    barrier(3);
    EXPECT(shared->held == limit, "together %zu bytes of %zu", shared->held, limit);
    barrier(4);
    exit(0);
}

int main(int argc, char **argv)
{
    limit = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    process_count = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    EXPECT(process_count > 0 && process_count <= PROCESSES_MAX,
           "usage: share_limit LIMIT PROCESSES");
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(shared != MAP_FAILED, "no memory");
    for (uint32_t i = 0; i < process_count; i++) {
        if (fork() == 0)
            process_main(i);
    }
    int failed = 0;
    for (uint32_t i = 0; i < process_count && !failed; i++) {
        int status = 1;
        wait(&status);
        failed = status;
    }
    EXPECT(!failed, "a process failed");
    EXPECT(!shared->passed, "%zu bytes were held, limit %zu", shared->most, limit);
    printf("%u processes held at most %zu of %zu bytes\n", process_count, shared->most, limit);
    return 0;
}
