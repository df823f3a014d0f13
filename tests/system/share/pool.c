/* A pool that one process allocates in and another one imports. What would break it: a pointer that
 * leads elsewhere, memory that the importer is charged for while the exporter lives, or nobody when
 * it is dead. Argument: who ends how. */
#include "share.h"

#define BYTES 6000

static CUmemPoolProps shareable(void)
{
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    return props;
}

static void put_pointer(struct step *step, CUdeviceptr address)
{
    CUmemPoolPtrExportData data;
    DO(cuMemPoolExportPointer(&data, address));
    memcpy(step->handle, &data, sizeof(data));
}

static void run_exporter(int socket)
{
    struct step step;
    CUmemPoolProps props = shareable();
    CUmemoryPool pool, plain;
    CUmemPoolPtrExportData data;
    CUdeviceptr first, second, other;
    cuuint64_t keep = ~0ull;
    int fd;
    share_receive(socket, &step);
    struct program program = program_start();
    DO(cuDeviceGetDefaultMemPool(&plain, program.device));
    EXPECT(
        cuMemPoolExportToShareableHandle(&fd, plain, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        CUDA_ERROR_INVALID_VALUE);
    DO(cuMemAllocAsync(&other, BYTES, NULL));
    EXPECT(cuMemPoolExportPointer(&data, other), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFreeAsync(other, NULL));
    DO(cuCtxSynchronize());
    DO(cuMemPoolCreate(&pool, &props));
    DO(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
    DO(cuMemAllocFromPoolAsync(&first, BYTES, pool, NULL));
    DO(cuMemAllocFromPoolAsync(&second, BYTES, pool, NULL));
    DO(cuMemsetD32(first, 1, BYTES / 4));
    DO(cuMemsetD32(second, 7, BYTES / 4));
    DO(cuCtxSynchronize());
    EXPECT(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 1),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    put_pointer(&step, second);
    EXPECT(cuMemPoolExportPointer(&data, second + 512), CUDA_ERROR_INVALID_VALUE);
    share_send(socket, &step, fd);
    close(fd);
    share_receive(socket, &step);
    TRUE(share_word(second) == 14 && share_word(first) == 1);
    DO(cuMemFreeAsync(first, NULL));
    DO(cuMemFreeAsync(second, NULL));
    DO(cuMemPoolDestroy(pool));
    DO(cuCtxSynchronize());
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

static void run_importer(int socket)
{
    struct step step;
    int fd = share_receive(socket, &step);
    CUmemPoolPtrExportData data, wrong;
    CUmemoryPool pool;
    CUdeviceptr address, again;
    cuuint64_t threshold = 0;
    struct program program = program_start();
    memcpy(&data, step.handle, sizeof(data));
    DO(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd,
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    close(fd);
    memset(&wrong, 0, sizeof(wrong));
    EXPECT(cuMemPoolImportPointer(&address, pool, &wrong), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemAllocFromPoolAsync(&address, BYTES, pool, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuDeviceSetMemPool(program.device, pool), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemPoolImportPointer(&address, pool, &data));
    EXPECT(cuMemPoolImportPointer(&again, pool, &data), CUDA_ERROR_INVALID_VALUE);
    TRUE(share_word(address) == 7 && share_word(address + BYTES - 4) == 7);
    program_twice(&program, address, address, BYTES / 4, NULL);
    DO(cuCtxSynchronize());
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    TRUE(share_word(address) == 14);
    DO(cuMemFreeAsync(address, NULL));
    DO(cuCtxSynchronize());
    DO(cuMemPoolImportPointer(&again, pool, &data)); /* once freed it can be imported again */
    DO(cuMemFree(again));
    DO(cuMemPoolDestroy(pool));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "leave";
    struct peer exporter = share_start(run_exporter), importer = share_start(run_importer);
    program_start();
    struct step step = {{0}};
    size_t before = share_free();
    int fd = share_next(&exporter, &step, -1);
    EXPECT_FREE(before - 2 * MIB);
    share_next(&importer, &step, fd);
    close(fd);
    EXPECT_FREE(before - 2 * MIB);
    if (strcmp(how, "kill exporter") == 0) {
        share_kill(&exporter);
        EXPECT_FREE(before - 2 * MIB); /* the importer has it still */
        share_next(&importer, &step, -1);
        EXPECT_FREE(before);
        share_send(importer.socket, &step, -1);
        share_join(&importer);
        return 0;
    }
    if (strcmp(how, "kill importer") == 0)
        share_kill(&importer);
    else
        share_next(&importer, &step, -1);
    share_next(&exporter, &step, -1);
    EXPECT_FREE(before);
    share_send(exporter.socket, &step, -1);
    share_join(&exporter);
    if (strcmp(how, "kill importer") == 0)
        return 0;
    share_send(importer.socket, &step, -1);
    share_join(&importer);
    return 0;
}
