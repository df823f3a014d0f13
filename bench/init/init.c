/* What `cuInit` costs when 1, 8 and 64 processes start at once: wall time and CPU time of each,
 * against the same processes that say hello to nobody and only read the two clocks. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/cuda.h>

#include "../timing.h"

#define PROCESSES_MAX 64
#define ROUNDS 5

struct sample {
    double wall_ns, cpu_ns;
};

static double cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int nothing(void)
{
    return 0;
}

static int initialise(void)
{
    return cuInit(0);
}

/* Starts `count` children, lets all go at once, and waits. False where one failed. */
static int run_together(int count, int (*body)(void), struct sample *samples)
{
    int gate[2];
    if (pipe(gate) != 0)
        return 0;
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            char byte;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0)
                _exit(1);
            double wall = bench_now_ns(), cpu = cpu_now_ns();
            int result = body();
            samples[i] = (struct sample){bench_now_ns() - wall, cpu_now_ns() - cpu};
            _exit(result ? 1 : 0);
        }
    }
    close(gate[0]);
    close(gate[1]);
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    return !failed;
}

static void measure(int count, struct sample *samples)
{
    static double wall[2][PROCESSES_MAX * ROUNDS], cpu[2][PROCESSES_MAX * ROUNDS];
    int (*const bodies[2])(void) = {nothing, initialise};
    for (int round = 0; round < ROUNDS; round++) {
        for (int side = 0; side < 2; side++) {
            if (!run_together(count, bodies[side], samples)) {
                fprintf(stderr, "bench: cuInit failed with %d processes\n", count);
                exit(1);
            }
            for (int i = 0; i < count; i++) {
                wall[side][round * count + i] = samples[i].wall_ns / 1e6;
                cpu[side][round * count + i] = samples[i].cpu_ns / 1e6;
            }
        }
    }
    size_t total = (size_t)count * ROUNDS;
    printf("cuInit, %2d processes at once: CPU p50 %.3f p99 %.3f ms, wall p50 %.3f p99 %.3f ms; "
           "doing nothing instead: "
           "CPU p99 %.3f ms, wall p99 %.3f ms; goal: CPU and waiting p99 <= 2 ms\n",
           count, bench_quantile(cpu[1], total, 0.5), bench_quantile(cpu[1], total, 0.99),
           bench_quantile(wall[1], total, 0.5), bench_quantile(wall[1], total, 0.99),
           bench_quantile(cpu[0], total, 0.99), bench_quantile(wall[0], total, 0.99));
}

int main(void)
{
    struct sample *samples = mmap(NULL, PROCESSES_MAX * sizeof(*samples), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (samples == MAP_FAILED)
        return 1;
    const int counts[] = {1, 8, 64};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        measure(counts[i], samples);
    return 0;
}
