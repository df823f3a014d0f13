/* holders: a family of processes, forked before cuInit, that each allocate in every way, tell `held
 * PID PARENT BYTES` on stdout, and then wait for the end of stdin. Two of them have a child of
 * their own, which lives on without them. For the test that kills some. `holders churn COUNT`:
 * processes that allocate and free without end; one that dies is replaced, until a line comes on
 * stdin; then it waits for stdin's end, using no GPU. `holders free`: prints how much memory is
 * free. */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu.h"

#define FAMILY 8
#define PARENTS 2
#define PIECES_MAX 64
#define CHURNERS_MAX 64

static void tell(size_t bytes)
{
    char line[96];
    int length =
        snprintf(line, sizeof(line), "held %d %d %zu\n", (int)getpid(), (int)getppid(), bytes);
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        exit(1);
}

/* Nobody outlives the test: stdin is a pipe from it. */
static void wait_for_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

/* Holds a different number of bytes in each process, so that none can be taken for another. */
static void hold(int index)
{
    struct piece piece;
    size_t charged = 0;
    gpu_start();
    for (int kind = 0; kind < KINDS; kind++) {
        CU(piece_create(&piece, (enum kind)kind, (size_t)(index + 1) * 512 + (size_t)kind * 70000,
                        NULL));
        charged += piece_charge(&piece);
    }
    CUmemoryPool pool;
    cuuint64_t reserved;
    CU(cuDeviceGetDefaultMemPool(&pool, 0));
    CU(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    tell(charged + reserved);
    wait_for_end();
    exit(0);
}

static void family(void)
{
    for (int i = 0; i < FAMILY; i++) {
        if (fork() == 0) {
            if (i < PARENTS && fork() == 0)
                hold(FAMILY + i);
            hold(i);
        }
    }
    wait_for_end();
}

static void churn_forever(uint64_t random)
{
    struct piece pieces[PIECES_MAX];
    size_t count = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gpu_start();
    for (;;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t bytes = (random >> 33) % (2 * MIB) + 1;
        CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;
        if (count < PIECES_MAX && (random >> 20) % 3)
            rc = piece_create(&pieces[count], (enum kind)((random >> 24) % KINDS), bytes, NULL);
        EXPECT(rc == CUDA_SUCCESS || rc == CUDA_ERROR_OUT_OF_MEMORY, "error %d", (int)rc);
        if (rc == CUDA_SUCCESS)
            count++;
        else if (count > 0)
            piece_destroy(&pieces[--count], NULL);
    }
}

static pid_t churn_start(uint64_t random)
{
    pid_t pid = fork();
    if (pid == 0)
        churn_forever(random);
    return pid;
}

static void churn(int count)
{
    pid_t pids[CHURNERS_MAX];
    uint64_t started = 0;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (int i = 0; i < count; i++)
        pids[i] = churn_start(++started);
    while (poll(&input, 1, 1) == 0) {
        for (int i = 0; i < count; i++) {
            int status;
            if (waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            EXPECT(WIFSIGNALED(status), "a process ended by itself: status %d", status);
            pids[i] = churn_start(++started);
        }
    }
    for (int i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    while (wait(NULL) > 0) {
    }
    printf("stopped after %d started\n", (int)started);
    fflush(stdout);
    wait_for_end();
}

static void print_free(void)
{
    size_t free, total;
    gpu_start();
    CU(cuMemGetInfo(&free, &total));
    printf("%zu\n", free);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "free") == 0) {
        print_free();
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "churn") == 0) {
        int count = atoi(argv[2]);
        EXPECT(count > 0 && count <= CHURNERS_MAX, "%d processes", count);
        churn(count);
        return 0;
    }
    family();
}
