/* A texture object destroyed right after the launch that reads through it, which begins only then.
 * What would break it: a handle that ends before the work that was given it. */
#include "check.h"

#include <semaphore.h>
#include <time.h>

#define WIDTH 32
#define LATE_NS 50000000 /* only a longer wait finds more; a shorter one finds nothing false */

static const char ptx[] =
    PTX_HEAD ".visible .entry fetch(.param .u64 texture, .param .u64 out) {\n"
             " .reg .b64 %d<4>;\n .reg .b32 %r<6>;\n"
             " ld.param.u64 %d0, [texture];\n ld.param.u64 %d1, [out];\n mov.u32 %r0, %tid.x;\n"
             " tex.1d.v4.u32.s32 {%r1, %r2, %r3, %r4}, [%d0, {%r0}];\n"
             " mul.wide.u32 %d2, %r0, 4;\n add.u64 %d1, %d1, %d2;\n st.global.u32 [%d1], %r1;\n"
             " ret;\n}\n";

static void come_late(void *about_to_destroy)
{
    sem_wait(about_to_destroy);
    nanosleep(&(struct timespec){.tv_nsec = LATE_NS}, NULL);
}

static CUtexObject texture_of(CUdeviceptr memory)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_LINEAR};
    CUDA_TEXTURE_DESC texture = {.flags = CU_TRSF_READ_AS_INTEGER};
    CUtexObject object;
    resource.res.linear.devPtr = memory;
    resource.res.linear.format = CU_AD_FORMAT_UNSIGNED_INT32;
    resource.res.linear.numChannels = 1;
    resource.res.linear.sizeInBytes = WIDTH * sizeof(uint32_t);
    OK(cuTexObjectCreate(&object, &resource, &texture, NULL));
    return object;
}

int main(void)
{
    CUfunction fetch = function_of(start(ptx), "fetch");
    uint32_t values[WIDTH], read[WIDTH];
    CUdeviceptr memory, out;
    CUstream stream;
    sem_t about_to_destroy;
    sem_init(&about_to_destroy, 0, 0);
    for (uint32_t i = 0; i < WIDTH; i++)
        values[i] = 7 * i + 1;
    OK(cuMemAlloc(&memory, sizeof(values)));
    OK(cuMemAlloc(&out, sizeof(read)));
    OK(cuMemcpyHtoD(memory, values, sizeof(values)));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUtexObject object = texture_of(memory);
    void *arguments[] = {&object, &out};
    OK(cuLaunchHostFunc(stream, come_late, &about_to_destroy));
    OK(cuLaunchKernel(fetch, 1, 1, 1, WIDTH, 1, 1, 0, stream, arguments, NULL));
    sem_post(&about_to_destroy);
    OK(cuTexObjectDestroy(object));
    OK(cuStreamSynchronize(stream));
    OK(cuMemcpyDtoH(read, out, sizeof(read)));
    CHECK(memcmp(read, values, sizeof(read)) == 0);
    EXPECT(cuTexObjectDestroy(object), CUDA_ERROR_INVALID_VALUE);
    return 0;
}
