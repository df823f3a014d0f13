/* Device memory of a process that dies, and of one that has it too, as a test that ends and starts
 * weftd wants them. Says which they are, ends the second when it is told to, then itself. With an
 * argument the second lets go at once, and what is left of the memory is the descriptor that this
 * process, which has no device, keeps until both have ended. */
#include <stdbool.h>

#include "share.h"

#define BYTES (8 * MIB)

static CUmemAllocationProp properties(CUdevice device)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                 .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                 .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
}

static void run_exporter(int socket)
{
    struct step step;
    int fd = share_receive(socket, &step);
    struct program program = program_start();
    CUmemAllocationProp wanted = properties(program.device);
    CUmemGenericAllocationHandle handle;
    DO(cuMemCreate(&handle, BYTES, &wanted, 0));
    DO(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    share_send(socket, &step, fd);
    close(fd);
    share_receive(socket, &step);
}

static void run_importer(int socket)
{
    struct step step;
    int fd = share_receive(socket, &step);
    program_start();
    CUmemGenericAllocationHandle handle;
    DO(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    close(fd);
    if (step.words[0])
        DO(cuMemRelease(handle));
    share_send(socket, &step, -1);
    share_receive(socket, &step);
    TRUE(step.words[0] || cuMemRelease(handle) == CUDA_SUCCESS);
}

int main(int count, char **arguments)
{
    struct peer exporter = share_start(run_exporter), importer = share_start(run_importer);
    bool keeps = count > 1 && strcmp(arguments[1], "keep") == 0;
    struct step step = {.words = {keeps}};
    int fd = share_next(&exporter, &step, -1), status;
    share_next(&importer, &step, fd);
    if (!keeps)
        close(fd);
    printf("%d %d\n", (int)exporter.pid, (int)importer.pid);
    fflush(stdout);
    TRUE(waitpid(exporter.pid, &status, 0) == exporter.pid);
    puts("dead");
    fflush(stdout);
    if (getchar() != '\n')
        return 1;
    /* It may be dead by now. */
    (void)!send(importer.socket, &step, sizeof(step), MSG_NOSIGNAL);
    TRUE(waitpid(importer.pid, &status, 0) == importer.pid);
    if (keeps)
        close(fd);
    puts(WIFEXITED(status) ? "ended" : "killed");
    fflush(stdout);
    return getchar() == '\n' ? 0 : 1;
}
