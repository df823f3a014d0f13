/* Memory by IPC handles. What would break it: a handle that leads to other memory, stays good after
 * its allocation, or is good for its own process; a mapping that ends too early; a charge of the
 * importer; what a kill leaves. Argument: who ends how. */
#include "share.h"

#define WORDS 3000 /* no whole number of pages, and not at the beginning of one */

static void run_exporter(int socket)
{
    struct step step;
    CUipcMemHandle handle, again;
    CUdeviceptr before, address, managed;
    share_receive(socket, &step);
    struct program program = program_start();
    DO(cuMemAlloc(&before, 512));
    DO(cuMemAlloc(&address, WORDS * 4));
    DO(cuMemsetD32(before, 1, 128));
    DO(cuMemsetD32(address, 7, WORDS));
    DO(cuCtxSynchronize());
    /* Any address inside names the whole allocation. */
    DO(cuIpcGetMemHandle(&handle, address));
    DO(cuIpcGetMemHandle(&again, address + 8));
    TRUE(memcmp(&handle, &again, sizeof(handle)) == 0);
    EXPECT(cuIpcOpenMemHandle(&before, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
           CUDA_ERROR_INVALID_CONTEXT);
    DO(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    EXPECT(cuIpcGetMemHandle(&again, managed), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcGetMemHandle(&again, address + WORDS * 4 + 4096), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcGetMemHandle(NULL, address), CUDA_ERROR_INVALID_VALUE);
    DO(cuMemFree(managed));
    memcpy(step.handle, &handle, sizeof(handle));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    TRUE(share_word(address) == 14 && share_word(address + 4 * (WORDS - 1)) == 14);
    DO(cuMemFree(address));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    (void)program;
}

static CUipcMemHandle handle_of(const struct step *step)
{
    CUipcMemHandle handle;
    memcpy(&handle, step->handle, sizeof(handle));
    return handle;
}

static void run_importer(int socket)
{
    struct step step;
    CUdeviceptr address, again, base;
    size_t bytes;
    share_receive(socket, &step);
    struct program program = program_start();
    CUipcMemHandle handle = handle_of(&step), wrong = handle;
    size_t before = share_free();
    EXPECT(cuIpcOpenMemHandle(&address, handle, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcOpenMemHandle(NULL, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
           CUDA_ERROR_INVALID_VALUE);
    wrong.reserved[20] ^= 1; /* whoever does not know it cannot guess it */
    EXPECT(cuIpcOpenMemHandle(&address, wrong, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
           CUDA_ERROR_INVALID_VALUE);
    memset(&wrong, 0, sizeof(wrong));
    EXPECT(cuIpcOpenMemHandle(&address, wrong, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
           CUDA_ERROR_INVALID_VALUE);
    DO(cuIpcOpenMemHandle(&address, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    DO(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    TRUE(again == address);
    DO(cuMemGetAddressRange(&base, &bytes, address + 100));
    TRUE(base == address && bytes == WORDS * 4);
    EXPECT(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcGetMemHandle(&wrong, address), CUDA_ERROR_INVALID_VALUE);
    TRUE(share_word(address) == 7 && share_word(address + 4 * (WORDS - 1)) == 7);
    program_twice(&program, address, address, WORDS, NULL);
    DO(cuCtxSynchronize());
    if (getenv("SHARE_LIMITED"))
        TRUE(share_free() == before); /* the exporter has paid */
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    /* Opened twice, so it is still there after one of two. */
    DO(cuIpcCloseMemHandle(address));
    share_word(address);
    DO(cuIpcCloseMemHandle(address));
    EXPECT(cuIpcCloseMemHandle(address), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoH(&bytes, address, 8), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
           step.words[0] ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
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
    share_next(&exporter, &step, -1);
    share_next(&importer, &step, -1);
    if (strcmp(how, "kill exporter") == 0) {
        share_kill(&exporter);
        EXPECT_FREE(before);
        step.words[0] = 1; /* the handle leads nowhere */
        share_next(&importer, &step, -1);
        share_send(importer.socket, &step, -1);
        share_join(&importer);
        EXPECT_FREE(before);
        return 0;
    }
    if (strcmp(how, "kill importer") == 0)
        share_kill(&importer);
    else
        share_next(&importer, &step, -1);
    share_next(&exporter, &step, -1);
    share_send(exporter.socket, &step, -1);
    share_join(&exporter);
    EXPECT_FREE(before);
    if (strcmp(how, "kill importer") == 0)
        return 0;
    share_send(importer.socket, &step, -1);
    share_join(&importer);
    EXPECT_FREE(before);
    return 0;
}
