#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

int weft_daemon_memory_create(const char *name, uint64_t bytes, void **memory, struct weft_err *err)
{
    _cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return weft_fail(err, WEFT_ENOMEM, "memfd %s: %s", name, strerror(errno));
    if (ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
        return weft_fail(err, WEFT_ENOMEM, "memfd %s of %llu bytes: %s", name,
                         (unsigned long long)bytes, strerror(errno));
    if (memory) {
        void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED)
            return weft_fail(err, WEFT_ENOMEM, "memfd %s: mmap: %s", name, strerror(errno));
        *memory = mapped;
    }
    return weft_steal_fd(&fd);
}

void weft_daemon_memory_seal_readonly(int fd)
{
    /* A kernel without this seal leaves the page writable to a program that insists: it then lies
     * to itself only. */
    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}
