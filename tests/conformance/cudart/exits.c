/* exits: how a program of the runtime may end while it uses the device: from main and from a thread
 * while a kernel runs that never ends, in handlers of atexit and in destructors that use the
 * runtime themselves, before and after the program's fat binaries are taken back, while other
 * threads launch. Each way is a child of its own that must end with the status it chose. What would
 * break it: a handler that waits for the kernel, a module that goes while a thread uses it. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

#define STATUS 23
#define LAUNCHERS 4
#define RACES 10

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .global .u32 word = 5;\n"
                          ".visible .entry spin(.param .u64 flag) {\n .reg .b64 %d<2>;\n"
                          " .reg .b32 %r<2>;\n .reg .pred %p<2>;\n ld.param.u64 %d0, [flag];\n"
                          "again:\n ld.volatile.global.u32 %r0, [%d0];\n setp.eq.u32 %p0, %r0, 0;\n"
                          " @%p0 bra again;\n ret;\n}\n"
                          ".visible .entry store(.param .u64 to) {\n .reg .b64 %d<2>;\n"
                          " .reg .b32 %r<2>;\n ld.param.u64 %d0, [to];\n"
                          " ld.global.u32 %r0, [word];\n st.global.u32 [%d0], %r0;\n ret;\n}\n";

static const char spin_stub, store_stub;
static void **handle;
static uint32_t *left_over; /* device memory that a handler frees */

/* As nvcc has it: registered in a constructor, taken back by a handler that was set there. */
static void take_back(void)
{
    __cudaUnregisterFatBinary(handle);
}

__attribute__((constructor)) static void register_all(void)
{
    handle = program_register(ptx);
    program_kernel(handle, &spin_stub, "spin");
    program_kernel(handle, &store_stub, "store");
    __cudaRegisterFatBinaryEnd(handle);
    atexit(take_back);
}

static cudaError_t launch(const void *stub, void *argument)
{
    dim3 one = {1, 1, 1};
    void *arguments[] = {&argument};
    return cudaLaunchKernel(stub, one, one, arguments, 0, NULL);
}

/* Work from beginning to end; true if it was done right, or refused because nothing runs any more.
 */
static bool uses_the_device(void)
{
    uint32_t *to, got = 0;
    if (cudaMalloc((void **)&to, 4) || launch(&store_stub, to) ||
        cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost) || cudaFree(to)) {
        cudaError_t error = cudaGetLastError();
        return error == cudaErrorCudartUnloading || error == cudaErrorInvalidDeviceFunction;
    }
    return got == 5;
}

static void begin_endless(void)
{
    void *flag;
    OK(cudaMalloc(&flag, 4));
    OK(cudaMemset(flag, 0, 4));
    OK(launch(&spin_stub, flag));
}

static void running(void)
{
    begin_endless();
    exit(STATUS);
}

static void *end_from_thread(void *unused)
{
    (void)unused;
    exit(STATUS);
}

static void from_thread(void)
{
    pthread_t thread;
    begin_endless();
    CHECK(pthread_create(&thread, NULL, end_from_thread, NULL) == 0);
    cudaDeviceSynchronize();
    pause(); /* it never returns, or an error of the end */
}

static void use_in_handler(void)
{
    if (!uses_the_device())
        _exit(1);
    if (left_over && cudaFree(left_over))
        _exit(2);
}

static void in_handler(void)
{
    OK(cudaMalloc((void **)&left_over, 4));
    atexit(use_in_handler);
    exit(STATUS);
}

/* The driver is opened by the handler, and not before. */
static void first_in_handler(void)
{
    atexit(use_in_handler);
    exit(STATUS);
}

static bool at_the_end;
__attribute__((destructor)) static void use_in_destructor(void)
{
    if (at_the_end && !uses_the_device())
        _exit(1);
}

/* Behind the handler that takes the fat binaries back. */
static void in_destructor(void)
{
    CHECK(uses_the_device());
    at_the_end = true;
    exit(STATUS);
}

static void reset_in_handler(void)
{
    if (cudaDeviceReset())
        _exit(1);
}

static void with_reset(void)
{
    CHECK(uses_the_device());
    atexit(reset_in_handler);
    exit(STATUS);
}

static void *launch_for_ever(void *unused)
{
    (void)unused;
    while (uses_the_device())
        ;
    _exit(1);
}

static void while_others_launch(void)
{
    pthread_t threads[LAUNCHERS];
    for (int i = 0; i < LAUNCHERS; i++)
        CHECK(pthread_create(&threads[i], NULL, launch_for_ever, NULL) == 0);
    CHECK(uses_the_device());
    exit(STATUS);
}

#ifndef __SANITIZE_THREAD__
/* The process goes on in another thread, which ends it. */
static void *use_and_end(void *main_thread)
{
    pthread_join(*(pthread_t *)main_thread, NULL);
    exit(uses_the_device() ? STATUS : 1);
}

static void without_main_thread(void)
{
    static pthread_t self;
    pthread_t thread;
    CHECK(uses_the_device());
    self = pthread_self();
    CHECK(pthread_create(&thread, NULL, use_and_end, &self) == 0);
    pthread_exit(NULL);
}
#endif

static void quickly(void)
{
    begin_endless();
    quick_exit(STATUS);
}

static void killed(void)
{
    begin_endless();
    kill(getpid(), SIGKILL);
}

static const struct {
    const char *name;
    void (*run)(void);
    int times;
} ways[] = {{"running", running, 1},
            {"from-thread", from_thread, 1},
            {"in-handler", in_handler, 1},
            {"first-in-handler", first_in_handler, 1},
            {"in-destructor", in_destructor, 1},
            {"with-reset", with_reset, 1},
            {"while-others-launch", while_others_launch, RACES},
#ifndef __SANITIZE_THREAD__ /* it knows no other thread that joins the first */
            {"without-main-thread", without_main_thread, 1},
#endif
            {"quickly", quickly, 1},
            {"killed", killed, 1}};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void try_way(const char *self, size_t way)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl(self, self, ways[way].name, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    bool is_right = ways[way].run == killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                            : WIFEXITED(status) && WEXITSTATUS(status) == STATUS;
    if (!is_right)
        fprintf(stderr, "%s: wait status %#x\n", ways[way].name, (unsigned int)status);
    CHECK(is_right);
}

int main(int count, char **arguments)
{
    for (size_t i = 0; i < WAYS; i++) {
        if (count > 1 && strcmp(arguments[1], ways[i].name) == 0)
            ways[i].run();
        for (int k = 0; count == 1 && k < ways[i].times; k++)
            try_way(arguments[0], i);
    }
    return count == 1 ? 0 : 1;
}
