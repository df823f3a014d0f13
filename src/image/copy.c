/* Reading what may not be there. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "image/fatbin.h"

bool weft_image_copy(void *to, const void *from, size_t bytes)
{
    if (bytes == 0)
        return true;
    if ((uintptr_t)from > UINTPTR_MAX - bytes)
        return false;
    struct iovec local = {.iov_base = to, .iov_len = bytes};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)from, .iov_len = bytes};
    ssize_t copied = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (copied < 0 && (errno == ENOSYS || errno == EPERM)) {
        /* The kernel keeps this call from the program: then the pointer has to be believed, as a
         * real driver believes it. */
        memcpy(to, from, bytes);
        return true;
    }
    return copied == (ssize_t)bytes;
}
