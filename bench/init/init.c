/* What `cuInit` costs when 1, 8 and 64 processes start at once: the CPU time of each, and how long
 * it waited for weft (wall time less its own CPU time and the time that it was ready to run but
 * another process had the core). The baseline is the same processes exchanging one word with a
 * plain echo server over a unix socket, which is the least that asking anybody costs. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/cuda.h>

#include "../timing.h"

#define PROCESSES_MAX 64
#define ROUNDS 5

struct sample {
    double cpu_ms, waiting_ms, wall_ms;
};

struct clocks {
    double wall_ns, cpu_ns, ready_ns;
};

/* /proc/self/schedstat: time on a CPU and time ready to run, in nanoseconds. */
static struct clocks read_clocks(void)
{
    struct clocks clocks = {.wall_ns = bench_now_ns()};
    char text[128] = "";
    int fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t size = read(fd, text, sizeof(text) - 1);
        text[size > 0 ? size : 0] = '\0';
        close(fd);
    }
    sscanf(text, "%lf %lf", &clocks.cpu_ns, &clocks.ready_ns);
    return clocks;
}

static struct sample since(const struct clocks *start)
{
    struct clocks now = read_clocks();
    double wall = now.wall_ns - start->wall_ns, cpu = now.cpu_ns - start->cpu_ns;
    double waiting = wall - cpu - (now.ready_ns - start->ready_ns);
    return (struct sample){cpu / 1e6, (waiting > 0 ? waiting : 0) / 1e6, wall / 1e6};
}

static struct sockaddr_un echo_address(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "weft-bench-%d", (int)getpgrp());
    return address;
}

/* Answers each client with what it said, until the benchmark ends. */
static void serve_echo(void)
{
    struct sockaddr_un address = echo_address();
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server, PROCESSES_MAX) != 0) {
        perror("bench: echo server");
        exit(1);
    }
    if (fork() != 0) {
        close(server);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int client; (client = accept(server, NULL, NULL)) >= 0; close(client)) {
        char word;
        if (read(client, &word, 1) == 1 && write(client, &word, 1) != 1)
            break;
    }
    _exit(1);
}

static int ask_echo(void)
{
    struct sockaddr_un address = echo_address();
    char word = 'x';
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = connect(client, (struct sockaddr *)&address, sizeof(address)) != 0 ||
                 write(client, &word, 1) != 1 || read(client, &word, 1) != 1;
    close(client);
    return failed;
}

static int initialise(void)
{
    return cuInit(0);
}

/* Starts `count` children, lets all go at once, and waits. False where one failed. */
static int run_together(int count, int (*body)(void), struct sample *samples)
{
    pid_t children[PROCESSES_MAX];
    int gate[2];
    if (pipe(gate) != 0)
        return 0;
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char byte;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0)
                _exit(1);
            struct clocks start = read_clocks();
            int result = body();
            samples[i] = since(&start);
            _exit(result ? 1 : 0);
        }
    }
    close(gate[0]);
    close(gate[1]);
    int failed = 0, status;
    for (int i = 0; i < count; i++)
        failed |= waitpid(children[i], &status, 0) != children[i] || status != 0;
    return !failed;
}

static void print_side(const char *what, const struct sample *samples, size_t total)
{
    static double cpu[PROCESSES_MAX * ROUNDS], waiting[PROCESSES_MAX * ROUNDS],
        both[PROCESSES_MAX * ROUNDS];
    for (size_t i = 0; i < total; i++) {
        cpu[i] = samples[i].cpu_ms;
        waiting[i] = samples[i].waiting_ms;
        both[i] = cpu[i] + waiting[i];
    }
    printf(
        "  %-28s CPU p50 %6.3f p99 %6.3f ms   waiting p50 %6.3f p99 %6.3f ms   both p99 %6.3f ms\n",
        what, bench_quantile(cpu, total, 0.5), bench_quantile(cpu, total, 0.99),
        bench_quantile(waiting, total, 0.5), bench_quantile(waiting, total, 0.99),
        bench_quantile(both, total, 0.99));
}

static void measure(int count, struct sample *shared)
{
    static struct sample samples[2][PROCESSES_MAX * ROUNDS];
    int (*const bodies[2])(void) = {ask_echo, initialise};
    for (int round = 0; round < ROUNDS; round++) {
        for (int side = 0; side < 2; side++) {
            if (!run_together(count, bodies[side], shared)) {
                fprintf(stderr, "bench: %s failed with %d processes\n", side ? "cuInit" : "echo",
                        count);
                exit(1);
            }
            memcpy(samples[side] + round * count, shared, (size_t)count * sizeof(*shared));
        }
    }
    printf("cuInit of %d at once (goal: CPU and waiting p99 <= 2 ms)\n", count);
    print_side("one word to an echo server", samples[0], (size_t)count * ROUNDS);
    print_side("cuInit on a soft GPU", samples[1], (size_t)count * ROUNDS);
}

int main(void)
{
    struct sample *shared = mmap(NULL, PROCESSES_MAX * sizeof(*shared), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    serve_echo();
    const int counts[] = {1, 8, 64};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        measure(counts[i], shared);
    return 0;
}
