/* How errors stay and go: the thread's last one, those that end a context, a reset and the life
 * after it, children of fork, images that no device can run. What would break it: an error of one
 * thread that another one sees, a context that stays broken after a reset, a module that is not
 * loaded again. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

static const char ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                          ".visible .global .u32 word = 5;\n"
                          ".visible .global .attribute(.managed) .u32 shared_word = 6;\n"
                          ".visible .entry store(.param .u64 to) {\n .reg .b64 %d<2>;\n"
                          " .reg .b32 %r<2>;\n ld.param.u64 %d0, [to];\n"
                          " ld.global.u32 %r0, [word];\n st.global.u32 [%d0], %r0;\n ret;\n}\n";

static const char store_stub, no_image_stub;
static uint32_t word;
static uint32_t *shared_word;

static cudaError_t store(void *to)
{
    dim3 one = {1, 1, 1};
    void *arguments[] = {&to};
    return cudaLaunchKernel(&store_stub, one, one, arguments, 0, NULL);
}

static void check_store(void)
{
    uint32_t *to, got = 0;
    OK(cudaMalloc((void **)&to, 4));
    OK(store(to));
    OK(cudaMemcpy(&got, to, 4, cudaMemcpyDeviceToHost));
    CHECK(got == 5);
    OK(cudaFree(to));
}

static void *other_thread(void *unused)
{
    (void)unused;
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    check_store();
    FAILS(cudaSetDevice(99), cudaErrorInvalidDevice);
    return NULL;
}

static void last_errors(void)
{
    pthread_t thread;
    FAILS(cudaSetDevice(-1), cudaErrorInvalidDevice);
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    pthread_join(thread, NULL);
    OK(cudaFree(NULL)); /* a success leaves the last error alone */
    FAILS(cudaPeekAtLastError(), cudaErrorInvalidDevice);
    FAILS(cudaGetLastError(), cudaErrorInvalidDevice);
    OK(cudaGetLastError());
}

static void broken_context(void)
{
    void *to;
    OK(store((void *)8));
    FAILS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    FAILS(cudaMalloc(&to, 4), cudaErrorIllegalAddress);
    /* What ended the context is said by every call until a reset: nothing makes it forgotten. */
    for (int i = 0; i < 3; i++) {
        FAILS(cudaPeekAtLastError(), cudaErrorIllegalAddress);
        FAILS(cudaGetLastError(), cudaErrorIllegalAddress);
    }
    FAILS(cudaFree(NULL), cudaErrorIllegalAddress);
    FAILS(store(to), cudaErrorIllegalAddress);
    FAILS(cudaStreamQuery(NULL), cudaErrorIllegalAddress);
    OK(cudaDeviceReset());
    cudaGetLastError();
    OK(cudaGetLastError());
}

/* What is given back twice, or was never given, is refused, and the rest goes on. */
static void given_back_twice(void)
{
    void *memory, *pinned;
    cudaStream_t stream;
    cudaEvent_t event;
    OK(cudaMalloc(&memory, 4));
    OK(cudaFree(memory));
    FAILS(cudaFree(memory), cudaErrorInvalidValue);
    FAILS(cudaFree(&stream), cudaErrorInvalidValue);
    OK(cudaFree(NULL));
    OK(cudaMallocHost(&pinned, 4));
    OK(cudaFreeHost(pinned));
    FAILS(cudaFreeHost(pinned), cudaErrorInvalidValue);
    OK(cudaFreeHost(NULL));
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamDestroy(stream));
    FAILS(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
    FAILS(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
    OK(cudaEventCreate(&event));
    OK(cudaEventDestroy(event));
    FAILS(cudaEventDestroy(event), cudaErrorInvalidResourceHandle);
    FAILS(cudaPeekAtLastError(), cudaErrorInvalidResourceHandle);
    FAILS(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    OK(cudaPeekAtLastError());
    check_store();
}

/* It takes all that the device held; the second finds nothing and is no error. */
static void resets(void)
{
    void *memory;
    cudaStream_t stream;
    size_t before, after, total;
    OK(cudaDeviceReset());
    OK(cudaMemGetInfo(&before, &total));
    OK(cudaMalloc(&memory, 1 << 20));
    OK(cudaStreamCreate(&stream));
    OK(cudaMemGetInfo(&after, &total));
    CHECK(after == before - (1 << 20));
    OK(cudaDeviceReset());
    OK(cudaDeviceReset());
    OK(cudaMemGetInfo(&after, &total));
    CHECK(after == before);
    FAILS(cudaFree(memory), cudaErrorInvalidValue);
    FAILS(cudaStreamQuery(stream), cudaErrorInvalidResourceHandle);
    FAILS(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    check_store();
}

static void images(void)
{
    static const char machine_code[64] = "\x7f"
                                         "ELF";
    dim3 one = {1, 1, 1};
    void **handle = __cudaRegisterFatBinary(program_wrap(machine_code, sizeof(machine_code), 2));
    program_kernel(handle, &no_image_stub, "store");
    for (int i = 0; i < 2; i++)
        FAILS(cudaLaunchKernel(&no_image_stub, one, one, NULL, 0, NULL),
              cudaErrorNoKernelImageForDevice);
    FAILS(cudaGetLastError(), cudaErrorNoKernelImageForDevice);
    __cudaUnregisterFatBinary(handle);
}

/* Something else has the variable's old place when its module is used after a reset. */
static void managed_moves(void)
{
    uint32_t *old = shared_word, *other = NULL;
    OK(cudaDeviceReset());
    for (int i = 0; i < 64 && other != old; i++)
        OK(cudaMallocManaged((void **)&other, 4, cudaMemAttachGlobal));
    *other = 0;
    check_store();
    CHECK(shared_word != old && *shared_word == 6);
    OK(cudaDeviceReset());
    check_store();
}

static void child_of_fork(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        void *to;
        _exit(cudaMalloc(&to, 4) == cudaErrorInitializationError ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    uint32_t more = 9, back;
    OK(cudaGetLastError()); /* before anything was initialised */
    OK(cudaFree(NULL));
    void **handle = program_register(ptx);
    program_kernel(handle, &store_stub, "store");
    __cudaRegisterVar(handle, (char *)&word, "word", "word", 0, 4, 0, 0);
    __cudaRegisterManagedVar(handle, (void **)&shared_word, "shared_word", "shared_word", 0, 4, 0,
                             0);
    check_store();
    last_errors();
    images();
    broken_context();
    check_store();
    CHECK(*shared_word == 6);
    given_back_twice();
    resets();
    managed_moves();
    OK(cudaMemcpyToSymbol(&word, &more, 4, 0, cudaMemcpyHostToDevice));
    OK(cudaDeviceReset());
    OK(cudaMemcpyFromSymbol(&back, &word, 4, 0, cudaMemcpyDeviceToHost));
    CHECK(back == 5);
    child_of_fork();
    check_store();
    CHECK(*shared_word == 6);
    *shared_word = 7;
    __cudaUnregisterFatBinary(handle);
    FAILS(store(NULL), cudaErrorInvalidDeviceFunction);
    return 0;
}
