/* At no instant is memory that somebody has charged to nobody: while who paid for it dies, or lets
 * go, or its only trace is a descriptor in a socket. Under a limit, what is free tells. What breaks
 * it: a charge that ends before another has begun, one that stays, or an import that the tenant has
 * no room for twice. Argument: how the memory changes hands. */
#include "share.h"

#define BYTES (8 * MIB)
#define ROUNDS 4
#define WATCHED_NS 40000000ull /* four times as long as it takes at most to notice a death */

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

static void run_exporter(int socket)
{
    struct step step;
    int fd;
    share_receive(socket, &step);
    struct program program = program_start();
    CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .requestedHandleTypes =
                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, program.device}};
    CUmemGenericAllocationHandle handle;
    DO(cuMemCreate(&handle, BYTES, &properties, 0));
    CUdeviceptr address = map_memory(handle, program.device);
    DO(cuMemsetD8(address, 7, BYTES));
    DO(cuCtxSynchronize());
    DO(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    share_send(socket, &step, fd);
    close(fd);
    share_receive(socket, &step);
    DO(cuMemUnmap(address, BYTES));
    DO(cuMemRelease(handle));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
}

static void run_importer(int socket)
{
    struct step step;
    int fd = share_receive(socket, &step);
    struct program program = program_start();
    CUmemGenericAllocationHandle handle;
    DO(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    close(fd);
    CUdeviceptr address = map_memory(handle, program.device);
    TRUE(share_word(address) == 0x07070707);
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    TRUE(share_word(address + BYTES - 4) == 0x07070707);
}

static unsigned long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

/* However often one looks, no more is free than what the memory leaves. */
static void watch(size_t most)
{
    unsigned long long end_ns = now_ns() + WATCHED_NS;
    for (int i = 0; i == 0 || now_ns() < end_ns; i++) {
        size_t now = share_free();
        if (now > most) {
            fprintf(stderr, "%zu bytes are free, more than %zu, at look %d\n", now, most, i);
            exit(1);
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static void end(struct peer *importer, size_t before)
{
    struct step step = {0};
    share_send(importer->socket, &step, -1);
    share_join(importer);
    EXPECT_FREE(before);
}

/* The exporter and one importer die, or the exporter lets go, while another has the memory. */
static void change_hands(const char *how, size_t before, struct peer *exporter,
                         struct peer importers[2])
{
    struct step step = {0};
    int fd = share_next(exporter, &step, -1);
    share_next(&importers[0], &step, fd);
    share_next(&importers[1], &step, fd);
    close(fd);
    EXPECT_FREE(before - BYTES);
    if (strcmp(how, "leave") == 0)
        share_next(exporter, &step, -1);
    else
        share_kill(exporter);
    if (strcmp(how, "kill two") == 0)
        share_kill(&importers[0]);
    watch(before - BYTES);
    EXPECT_FREE(before - BYTES);
    if (strcmp(how, "kill two") != 0)
        end(&importers[0], before - BYTES);
    watch(before - BYTES);
    end(&importers[1], before);
    if (strcmp(how, "leave") == 0)
        share_kill(exporter);
}

/* Nothing but a descriptor leads to the memory, and a socket with it in; then somebody imports it
 * who has no room for it a second time. */
static void fly(size_t before, struct peer *exporter, struct peer importers[2])
{
    struct step step = {0};
    CUdeviceptr rest;
    int fd = share_next(exporter, &step, -1);
    EXPECT_FREE(before - BYTES);
    DO(cuMemAlloc(&rest, before - BYTES));
    share_kill(exporter);
    watch(0);
    share_send(importers[0].socket, &step, fd);
    close(fd);
    watch(0);
    share_receive(importers[0].socket, &step);
    EXPECT(cuMemAlloc(&rest, 512), CUDA_ERROR_OUT_OF_MEMORY);
    end(&importers[0], BYTES);
    DO(cuMemFree(rest));
    EXPECT_FREE(before);
    share_kill(&importers[1]);
}

int main(int count, char **arguments)
{
    const char *how = count > 1 ? arguments[1] : "kill exporter";
    struct peer exporters[ROUNDS], importers[ROUNDS][2];
    for (int i = 0; i < ROUNDS; i++) {
        exporters[i] = share_start(run_exporter);
        importers[i][0] = share_start(run_importer);
        importers[i][1] = share_start(run_importer);
    }
    program_start();
    size_t before = share_free();
    for (int i = 0; i < ROUNDS; i++) {
        if (strcmp(how, "in flight") == 0)
            fly(before, &exporters[i], importers[i]);
        else
            change_hands(how, before, &exporters[i], importers[i]);
    }
    return 0;
}
