/* Threads that make, fill, copy, describe and destroy arrays, mipmaps, texture objects and
 * references at once. What breaks it: memory that two of them hold, a lock taken in two orders, a
 * handle that two of them are given, or bytes that do not come back. */
#include <pthread.h>

#include "model.h"

#define THREADS 4
#define ROUNDS 200
#define SIDE 32u
#define BYTES (SIDE * SIDE * 4)

static struct program program;

static CUDA_MEMCPY3D describe(CUarray to, CUarray from, void *host)
{
    CUDA_MEMCPY3D copy = {.srcMemoryType = from ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_HOST,
                          .srcArray = from,
                          .srcHost = host,
                          .dstMemoryType = to ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_HOST,
                          .dstArray = to,
                          .dstHost = host,
                          .WidthInBytes = SIDE * 4,
                          .Height = SIDE,
                          .Depth = 1};
    copy.srcPitch = copy.dstPitch = SIDE * 4;
    return copy;
}

static void objects(CUarray array)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_ARRAY}, told;
    CUDA_TEXTURE_DESC texture = {0};
    CUtexObject object;
    CUtexref reference;
    CUarray bound;
    resource.res.array.hArray = array;
    DO(cuTexObjectCreate(&object, &resource, &texture, NULL));
    DO(cuTexRefCreate(&reference));
    DO(cuTexRefSetArray(reference, array, CU_TRSA_OVERRIDE_FORMAT));
    DO(cuTexObjectGetResourceDesc(&told, object));
    DO(cuTexRefGetArray(&bound, reference));
    TRUE(told.res.array.hArray == array && bound == array);
    DO(cuTexRefDestroy(reference));
    DO(cuTexObjectDestroy(object));
}

static void one_round(unsigned int *state, CUstream stream)
{
    unsigned int words[SIDE * SIDE], value = model_random(state);
    CUDA_ARRAY3D_DESCRIPTOR shape = {SIDE, SIDE, 0, CU_AD_FORMAT_UNSIGNED_INT32, 1, 0};
    CUarray array, level;
    CUmipmappedArray mipmap;
    for (size_t i = 0; i < SIDE * SIDE; i++)
        words[i] = value + (unsigned int)i;
    DO(cuArray3DCreate(&array, &shape));
    DO(cuMipmappedArrayCreate(&mipmap, &shape, 3));
    DO(cuMipmappedArrayGetLevel(&level, mipmap, 0));
    CUDA_MEMCPY3D in = describe(array, NULL, words), across = describe(level, array, NULL);
    CUDA_MEMCPY3D out = describe(NULL, level, words);
    DO(cuMemcpy3DAsync(&in, stream));
    DO(cuMemcpy3DAsync(&across, stream));
    memset(words, 0, sizeof(words));
    objects(array);
    DO(cuMemcpy3DAsync(&out, stream));
    DO(cuStreamSynchronize(stream));
    for (size_t i = 0; i < SIDE * SIDE; i++)
        TRUE(words[i] == value + (unsigned int)i);
    DO(cuArrayDestroy(array));
    DO(cuMipmappedArrayDestroy(mipmap));
}

static void *run(void *number)
{
    unsigned int state = (unsigned int)(uintptr_t)number;
    CUstream stream;
    DO(cuCtxSetCurrent(program.context));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < ROUNDS; i++)
        one_round(&state, stream);
    DO(cuStreamDestroy(stream));
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    size_t before, after, total;
    program = program_start();
    DO(cuMemGetInfo(&before, &total));
    for (uintptr_t i = 0; i < THREADS; i++)
        TRUE(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    DO(cuMemGetInfo(&after, &total));
    TRUE(before == after);
    return 0;
}
