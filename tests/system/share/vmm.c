/* Memory of cuMemCreate, handed from one process to another as a descriptor. What would break it:
 * memory that the two do not share, a charge that is counted twice, lost while somebody has the
 * memory, or kept when nobody has. Argument: who ends how. */
#include <fcntl.h>
#include <sys/mman.h>

#include "share.h"

#define BYTES (8 * MIB)

static CUdeviceptr map_memory(CUmemGenericAllocationHandle handle, CUdevice device)
{
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, device},
                              CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr address;
    DO(cuMemAddressReserve(&address, BYTES, 0, 0, 0));
    DO(cuMemMap(address, BYTES, 0, handle, 0));
    DO(cuMemSetAccess(address, BYTES, &access, 1));
    return address;
}

static CUmemAllocationProp shareable(CUdevice device)
{
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .requestedHandleTypes =
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
    return properties;
}

static void run_exporter(int socket)
{
    struct step step;
    int fd;
    share_receive(socket, &step);
    struct program program = program_start();
    CUmemAllocationProp properties = shareable(program.device);
    CUmemGenericAllocationHandle handle;
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    CUdeviceptr address = map_memory(handle, program.device);
    DO(cuMemsetD32(address, 7, BYTES / 4));
    DO(cuCtxSynchronize());
    DO(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    share_send(socket, &step, fd);
    share_receive(socket, &step); /* the importer has doubled the first word */
    TRUE(share_word(address) == 14);
    DO(cuMemUnmap(address, BYTES));
    DO(cuMemRelease(handle));
    share_send(socket, &step, -1);
    share_receive(socket, &step); /* the descriptor is the last that it has */
    close(fd);
    share_free();
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

static void run_importer(int socket)
{
    struct step step;
    int fd = share_receive(socket, &step);
    struct program program = program_start();
    CUmemAllocationProp properties;
    CUmemGenericAllocationHandle handle;
    DO(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    close(fd);
    DO(cuMemGetAllocationPropertiesFromHandle(&properties, handle));
    TRUE(properties.requestedHandleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
    CUdeviceptr address = map_memory(handle, program.device);
    TRUE(share_word(address) == 7 && share_word(address + BYTES - 4) == 7);
    program_twice(&program, address, address, 1, NULL);
    DO(cuCtxSynchronize());
    share_send(socket, &step, -1);
    share_receive(socket, &step); /* whatever the exporter did, its memory is still there */
    TRUE(share_word(address) == 14 && share_word(address + BYTES - 4) == 7);
    DO(cuMemUnmap(address, BYTES));
    TRUE(step.words[0] || cuMemRelease(handle) == CUDA_SUCCESS);
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

static void refusals(const struct program *program)
{
    CUmemAllocationProp properties = shareable(program->device);
    CUmemGenericAllocationHandle handle, other;
    int fd, file = memfd_create("not weft's", MFD_CLOEXEC);
    TRUE(ftruncate(file, 4 * MIB + 4096) == 0);
    EXPECT(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)file,
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemImportFromShareableHandle(&handle, (void *)-1,
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    EXPECT(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 1),
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_FABRIC, 0),
           CUDA_ERROR_INVALID_VALUE);
    /* Its own memory comes back to a process as what it is, charged once. */
    size_t before = share_free();
    DO(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    DO(cuMemImportFromShareableHandle(&other, (void *)(intptr_t)fd,
                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    EXPECT_FREE(before);
    CUdeviceptr one = map_memory(handle, program->device), two = map_memory(other, program->device);
    DO(cuMemsetD32(one, 5, 1));
    TRUE(share_word(two) == 5);
    DO(cuMemUnmap(one, BYTES));
    DO(cuMemUnmap(two, BYTES));
    DO(cuMemRelease(handle));
    DO(cuMemRelease(other));
    close(fd);
    EXPECT_FREE(before + BYTES);
    properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    EXPECT(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuMemRelease(handle));
    close(file);
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "leave";
    struct peer exporter = share_start(run_exporter), importer = share_start(run_importer);
    struct program program = program_start();
    struct step step = {.words = {strcmp(how, "kill importer") == 0}};
    size_t before = share_free();
    refusals(&program);
    EXPECT_FREE(before);
    int fd = share_next(&exporter, &step, -1);
    EXPECT_FREE(before - BYTES);
    share_next(&importer, &step, fd);
    close(fd);
    EXPECT_FREE(before - BYTES);
    if (strcmp(how, "kill exporter") == 0) {
        share_kill(&exporter);
        EXPECT_FREE(before - BYTES);
        share_next(&importer, &step, -1);
        EXPECT_FREE(before);
        share_send(importer.socket, &step, -1);
        share_join(&importer);
        return 0;
    }
    if (strcmp(how, "kill importer") == 0) {
        share_kill(&importer);
        EXPECT_FREE(before - BYTES);
        share_next(&exporter, &step, -1);
        EXPECT_FREE(before - BYTES); /* its descriptor is open */
        share_next(&exporter, &step, -1);
        EXPECT_FREE(before);
        share_send(exporter.socket, &step, -1);
        share_join(&exporter);
        return 0;
    }
    share_next(&exporter, &step, -1);
    EXPECT_FREE(before - BYTES);
    share_next(&exporter, &step, -1);
    EXPECT_FREE(before - BYTES); /* the importer pays now */
    if (strcmp(how, "kill both") == 0) {
        share_kill(&exporter);
        share_kill(&importer);
        EXPECT_FREE(before);
        return 0;
    }
    share_next(&importer, &step, -1);
    EXPECT_FREE(before);
    share_send(exporter.socket, &step, -1);
    share_send(importer.socket, &step, -1);
    share_join(&exporter);
    share_join(&importer);
    return 0;
}
