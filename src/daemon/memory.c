#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int weft_daemon_memory_create(const char *name, uint64_t bytes, void **memory, struct weft_err *err)
{
    _cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return weft_fail(err, WEFT_ENOMEM, "memfd %s: %s", name, strerror(errno));
    /* Nobody else's to open anew: a client has the descriptor that we gave it, and no more. */
    if (fchmod(fd, 0600) || ftruncate(fd, (off_t)bytes) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
        return weft_fail(err, WEFT_ENOMEM, "memfd %s of %llu bytes: %s", name,
                         (unsigned long long)bytes, strerror(errno));
    int rc = memory ? weft_daemon_memory_map(fd, bytes, memory, err) : 0;
    return rc ? rc : weft_steal_fd(&fd);
}

int weft_daemon_memory_map(int fd, uint64_t bytes, void **memory, struct weft_err *err)
{
    struct stat found;
    if (fstat(fd, &found) || (uint64_t)found.st_size != bytes)
        return weft_fail(err, WEFT_EPROTO, "a shared memory that has not %llu bytes",
                         (unsigned long long)bytes);
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "a shared memory: mmap: %s", strerror(errno));
    *memory = mapped;
    return 0;
}

int weft_daemon_memory_reopen_readonly(int fd, struct weft_err *err)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int reopened = open(path, O_RDONLY | O_CLOEXEC);
    int number = errno;
    close(fd);
    return reopened >= 0 ? reopened : weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(number));
}
