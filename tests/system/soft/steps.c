/* A program that makes driver calls as it is told on stdin, one word a line, and prints the result
 * of each: what a fault of the device looks like from inside. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/cuda.h>

/* endless: spins for ever; quick: one instruction; sleepy: sleeps for ever; wild: writes where
 * nothing is; squares: the square of each thread's number. */
static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry endless()\n{\nagain: bra again;\n}\n"
    ".visible .entry sleepy()\n{\nagain: nanosleep.u32 1000; bra again;\n}\n"
    ".visible .entry quick()\n{\n    ret;\n}\n"
    ".visible .entry wild()\n{\n"
    "    .reg .u64 %d;\n    mov.u64 %d, 64;\n    st.u32 [%d], 1;\n    ret;\n}\n"
    ".visible .entry squares(.param .u64 to)\n{\n"
    "    .reg .u64 %d<2>;\n    .reg .u32 %r<4>;\n"
    "    ld.param.u64 %d0, [to];\n    mov.u32 %r0, %tid.x;\n"
    "    mov.u32 %r1, %ctaid.x;\n    mad.lo.u32 %r0, %r1, 256, %r0;\n"
    "    mul.lo.u32 %r2, %r0, %r0;\n    mad.wide.u32 %d1, %r0, 4, %d0;\n"
    "    st.u32 [%d1], %r2;\n    ret;\n}\n";

#define SQUARES 4096

static CUcontext context, first;
static CUmodule module, first_module;

static CUresult init(void)
{
    return cuInit(0);
}

static CUresult make(void)
{
    CUresult result = cuCtxCreate(&context, NULL, 0, 0);
    return result ? result : cuModuleLoadData(&module, ptx);
}

static CUresult launch(const char *name)
{
    CUfunction function;
    CUresult result = cuModuleGetFunction(&function, module, name);
    return result ? result : cuLaunchKernel(function, 2, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL);
}

/* Another context, in which the next steps are; and back to the one before. */
static CUresult second(void)
{
    first = context;
    first_module = module;
    return make();
}

static CUresult back(void)
{
    CUcontext other = first;
    CUmodule other_module = first_module;
    first = context;
    first_module = module;
    context = other;
    module = other_module;
    return cuCtxSetCurrent(context);
}

static CUresult wild(void)
{
    CUresult result = launch("wild");
    return result ? result : cuCtxSynchronize();
}

/* ERROR_UNKNOWN where the result is wrong. */
static CUresult squares(void)
{
    CUdeviceptr to;
    CUfunction function;
    static unsigned int got[SQUARES];
    void *params[] = {&to};
    CUresult result = cuModuleGetFunction(&function, module, "squares");
    if (result || (result = cuMemAlloc(&to, sizeof(got))))
        return result;
    result = cuLaunchKernel(function, SQUARES / 256, 1, 1, 256, 1, 1, 0, NULL, params, NULL);
    if (result || (result = cuMemcpyDtoH(got, to, sizeof(got))))
        return result;
    for (unsigned int i = 0; i < SQUARES; i++) {
        if (got[i] != i * i)
            return CUDA_ERROR_UNKNOWN;
    }
    return cuMemFree(to);
}

static CUresult endless(void)
{
    return launch("endless");
}

static CUresult sleepy(void)
{
    return launch("sleepy");
}

static CUresult quick(void)
{
    CUresult result = launch("quick");
    return result ? result : cuCtxSynchronize();
}

static CUresult allocate(void)
{
    CUdeviceptr address;
    return cuMemAlloc(&address, 4096);
}

static CUresult copy(void)
{
    CUdeviceptr address;
    char byte;
    CUresult result = cuMemAlloc(&address, 4096);
    return result ? result : cuMemcpyDtoH(&byte, address, 1);
}

static CUresult query(void)
{
    int value;
    return cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0);
}

static CUresult timeout(void)
{
    int value = 0;
    CUresult result = cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT, 0);
    return result ? result : (CUresult)value;
}

static CUresult destroy(void)
{
    return cuCtxDestroy(context);
}

/* At exit, behind what the program registered before: destroys the context while the kernel runs.
 */
static void destroy_at_exit(void)
{
    printf("destroyed %d\n", (int)destroy());
}

static CUresult later(void)
{
    return atexit(destroy_at_exit) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

/* A child that makes no CUDA call, and ends as programs do; its status. */
static CUresult fork_child(void)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        exit(cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
    waitpid(pid, &status, 0);
    return (CUresult)status;
}

static CUresult end(void)
{
    exit(0);
}

/* As programs do when a call failed. */
static CUresult give_up(void)
{
    exit(3);
}

static const struct {
    const char *name;
    CUresult (*run)(void);
} steps[] = {
    {"init", init},
    {"make", make},
    {"endless", endless},
    {"sleepy", sleepy},
    {"quick", quick},
    {"query", query},
    {"allocate", allocate},
    {"copy", copy},
    {"destroy", destroy},
    {"end", end},
    {"sync", cuCtxSynchronize},
    {"timeout", timeout},
    {"later", later},
    {"fork", fork_child},
    {"wild", wild},
    {"squares", squares},
    {"second", second},
    {"back", back},
    {"fail", give_up},
};

int main(void)
{
    char line[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            if (strcmp(steps[i].name, line) == 0) {
                printf("begin %s\n", line);
                printf("%s %d\n", line, (int)steps[i].run());
            }
        }
    }
    return 0;
}
