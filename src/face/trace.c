#include "face/trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cuda/entries.h"
#include "util/log.h"

#define LINE_BYTES 160

static int open_target(const char *target)
{
    if (strcmp(target, "1") == 0)
        return STDERR_FILENO;
    return open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void weft_face_trace_install(struct weft_face *face, struct weft_cuda *table)
{
    const char *target = getenv("WEFT_TRACE");
    if (!target || !*target || strcmp(target, "0") == 0)
        return;
    if (face->trace_fd == 0) /* a forked child goes on in its parent's file */
        face->trace_fd = open_target(target);
    if (face->trace_fd < 0) {
        weft_log(WEFT_LOG_ERROR, "face", "WEFT_TRACE=%s: cannot be opened for writing", target);
        face->trace_fd = 0;
        return;
    }
    face->traced = *table;
    *table = weft_face_tracing;
}

CUresult weft_face_trace(uint32_t index, CUresult result)
{
    char line[LINE_BYTES];
    const char *name = weft_cuda_result_name(result);
    char number[16];
    if (!name) {
        snprintf(number, sizeof(number), "%d", (int)result);
        name = number;
    }
    int size = snprintf(line, sizeof(line), "%d %ld %s %s\n", (int)getpid(), syscall(SYS_gettid),
                        weft_cuda_entries[index].symbol, name);
    ssize_t written = write(weft_face.trace_fd, line, (size_t)size);
    (void)written; /* there is nowhere to say that the trace is broken */
    return result;
}
