#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t weft_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t weft_read_all(int fd, void *data, size_t size, struct weft_err *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = read(fd, (char *)data + done, size - done);
        if (count == 0)
            break;
        if (count > 0)
            done += (size_t)count;
        else if (errno != EINTR)
            return weft_fail(err, WEFT_EIO, "read: %s", strerror(errno));
    }
    return (int64_t)done;
}

int weft_process_start_time(int pid, uint64_t *ticks, struct weft_err *err)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return weft_fail(err, WEFT_ENOENT, "%s: %s", path, strerror(errno));
    int64_t size = weft_read_all(fd, text, sizeof(text) - 1, err);
    if (size < 0)
        return (int)size;
    text[size] = '\0';
    /* The command in field 2 may hold blanks and brackets: count from its last bracket. */
    const char *field = strrchr(text, ')');
    for (int number = 2; field && number < 22; number++)
        field = strchr(field + 1, ' ');
    if (!field)
        return weft_fail(err, WEFT_EIO, "%s: not understood", path);
    *ticks = strtoull(field + 1, NULL, 10);
    return 0;
}
