/* ledger_kill_test KILLS: eight processes charge and give back under one limit while one after the
 * other is killed with signal 9 wherever it happens to be. Breaks if the total ever passes the
 * limit, if the total and what the survivors know that they hold ever differ by a byte, or if
 * anything is left at the end. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/ledger.h"

#define WORKERS 8
#define DEVICES 2
#define LIMIT_BYTES 5000
#define KILLS_BETWEEN_COUNTS 10

#define EXPECT(condition)  \
    ((condition) ? (void)0 \
                 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

/* Shared by all. A worker that sees `rounds` change writes down what it knows that it holds and
 * waits for the next. */
static struct scene {
    struct weft_ledger *ledger;
    uint32_t round; /* odd: everybody counts */
    uint32_t passed_limit;
    struct worker {
        uint32_t counted;
        uint64_t operations;
        uint64_t held[DEVICES];
    } workers[WORKERS];
} * scene;

static struct {
    pid_t pid;
    uint32_t slot;
} processes[WORKERS];

static uint64_t random_next(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 33;
}

/* Both parties of a count go through here: neither depends on how long the other takes. */
static void wait_until(const uint32_t *word, uint32_t value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        sched_yield();
}

static void worker_count(struct worker *worker, const uint64_t *held)
{
    uint32_t round = __atomic_load_n(&scene->round, __ATOMIC_ACQUIRE);
    if (round % 2 == 0)
        return;
    for (int device = 0; device < DEVICES; device++)
        worker->held[device] = held[device];
    __atomic_store_n(&worker->counted, round, __ATOMIC_RELEASE);
    wait_until(&scene->round, round + 1);
}

static void worker_main(int index, uint64_t random)
{
    struct worker *worker = &scene->workers[index];
    struct weft_ledger_account account;
    uint64_t held[DEVICES] = {0};
    weft_ledger_account_init(&account, scene->ledger, processes[index].slot);
    for (;;) {
        uint32_t device = random_next(&random) % DEVICES;
        uint64_t bytes = random_next(&random) % 2000 + 1;
        if (weft_ledger_charge(&account, device, bytes, LIMIT_BYTES) == 0)
            held[device] += bytes;
        if (weft_ledger_total(scene->ledger, device) > LIMIT_BYTES)
            __atomic_store_n(&scene->passed_limit, 1, __ATOMIC_RELAXED);
        if (random_next(&random) % 4 && held[device]) {
            uint64_t back = random_next(&random) % held[device] + 1;
            weft_ledger_discharge(&account, device, back);
            held[device] -= back;
        }
        __atomic_add_fetch(&worker->operations, 1, __ATOMIC_RELAXED);
        worker_count(worker, held);
    }
}

static void worker_start(int index, uint64_t random)
{
    EXPECT(weft_ledger_slot_take(scene->ledger, &processes[index].slot, NULL) == 0);
    scene->workers[index] = (struct worker){0};
    processes[index].pid = fork();
    EXPECT(processes[index].pid >= 0);
    if (processes[index].pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody running */
    worker_main(index, random);
}

static void worker_kill(int index)
{
    EXPECT(kill(processes[index].pid, SIGKILL) == 0);
    EXPECT(waitpid(processes[index].pid, NULL, 0) == processes[index].pid);
    weft_ledger_slot_settle(scene->ledger, processes[index].slot);
    EXPECT(!weft_ledger_slot_taken(scene->ledger, processes[index].slot));
}

/* Has every worker stand still and compares, to the byte. */
static void count_all(void)
{
    uint64_t sums[DEVICES] = {0};
    uint32_t round = __atomic_add_fetch(&scene->round, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < WORKERS; i++) {
        wait_until(&scene->workers[i].counted, round);
        for (uint32_t device = 0; device < DEVICES; device++) {
            uint64_t held = scene->workers[i].held[device];
            EXPECT(weft_ledger_slot_held(scene->ledger, processes[i].slot, device) == held);
            sums[device] += held;
        }
    }
    for (uint32_t device = 0; device < DEVICES; device++)
        EXPECT(weft_ledger_total(scene->ledger, device) == sums[device]);
    __atomic_add_fetch(&scene->round, 1, __ATOMIC_RELEASE);
}

static void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    return memory;
}

int main(int argc, char **argv)
{
    int kills = argc > 1 ? atoi(argv[1]) : 0;
    EXPECT(kills > 0);
    uint64_t random = (uint64_t)getpid();
    scene = shared_memory(sizeof(*scene));
    scene->ledger = weft_ledger_format(shared_memory(weft_ledger_bytes()));
    for (int i = 0; i < WORKERS; i++)
        worker_start(i, random_next(&random));
    for (int i = 0; i < kills; i++) {
        int index = (int)(random_next(&random) % WORKERS);
        uint64_t work = random_next(&random) % 2000;
        while (__atomic_load_n(&scene->workers[index].operations, __ATOMIC_RELAXED) < work)
            sched_yield();
        worker_kill(index);
        worker_start(index, random_next(&random));
        if (i % KILLS_BETWEEN_COUNTS == 0)
            count_all();
    }
    count_all();
    EXPECT(!scene->passed_limit);
    for (int i = 0; i < WORKERS; i++)
        worker_kill(i);
    for (uint32_t device = 0; device < DEVICES; device++)
        EXPECT(weft_ledger_total(scene->ledger, device) == 0);
    printf("%d killed, nothing left\n", kills + WORKERS);
    return 0;
}
