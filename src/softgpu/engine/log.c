/* The driver's log: the last sentences, up to the bytes that CUDA states, and who wants to be
 * called for new ones. Callbacks are called by a thread of the log's own, since sentences come from
 * anywhere in the driver, with locks held. */
#include "softgpu/engine/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/util.h"

#define LOG_BYTES_MAX 25600
#define LINES_MAX 128
#define LINE_BYTES_MAX 1024
#define CALLBACKS_MAX 32

static const char lost[] = "[weft][W] earlier messages are lost\n";

struct callback {
    CUlogsCallback function; /* NULL: a free place */
    void *user_data;
    uint64_t number; /* what its handle is */
    uint32_t next;   /* the line that it is called for next */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a new line, or a callback has returned */
    void (*person)(const char *text);
    void (*fault)(uint32_t ordinal, const struct weft_device_fault *fault);
    char *lines[LINES_MAX];                   /* lock; owned; the one numbered n at n % LINES_MAX */
    uint32_t first, end;                      /* lock; numbers of the oldest line and of the next */
    size_t bytes;                             /* lock; of all lines */
    struct callback callbacks[CALLBACKS_MAX]; /* lock */
    uint64_t numbered;                        /* lock; the last callback's number */
    uint64_t running; /* lock; the number of the callback that runs; 0: none */
    bool has_thread;  /* lock */
    pthread_t thread; /* once there is one */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void drop_first(void)
{
    char **line = &state.lines[state.first++ % LINES_MAX];
    state.bytes -= strlen(*line);
    free(*line);
    *line = NULL;
}

/* [time][thread][weft][E] text, as long lines of CUDA's begin. */
static char *make_line(const char *text)
{
    struct timespec now;
    struct tm local;
    char *line = malloc(LINE_BYTES_MAX);
    if (!line)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    snprintf(line, LINE_BYTES_MAX, "[%02d:%02d:%02d.%03ld][%d][weft][E] %.900s\n", local.tm_hour,
             local.tm_min, local.tm_sec, now.tv_nsec / 1000000, (int)gettid(), text);
    return line;
}

void weft_soft_log_open(const struct weft_backend_config *config)
{
    state.person = config->report;
    state.fault = config->fault;
}

static void add(const char *text)
{
    char *line = make_line(text);
    if (!line)
        return;
    pthread_mutex_lock(&state.lock);
    while (state.first != state.end &&
           (state.end - state.first == LINES_MAX || state.bytes + strlen(line) > LOG_BYTES_MAX))
        drop_first();
    state.bytes += strlen(line);
    state.lines[state.end++ % LINES_MAX] = line;
    pthread_cond_broadcast(&state.changed);
    pthread_mutex_unlock(&state.lock);
}

void weft_soft_log_report(const char *text)
{
    if (state.person)
        state.person(text);
    add(text);
}

void weft_soft_log_fault(uint32_t ordinal, const struct weft_device_fault *fault)
{
    if (state.fault)
        state.fault(ordinal, fault);
    else if (state.person && *fault->text)
        state.person(fault->text);
    if (*fault->text)
        add(fault->text);
}

/* A callback that has not been called for all lines; NULL. */
static struct callback *find_late(void)
{
    for (size_t i = 0; i < CALLBACKS_MAX; i++) {
        if (state.callbacks[i].function && state.callbacks[i].next != state.end)
            return &state.callbacks[i];
    }
    return NULL;
}

/* Lock held, and given up meanwhile. */
static void call(struct callback *callback)
{
    char line[LINE_BYTES_MAX];
    if (state.end - callback->next > state.end - state.first)
        callback->next = state.first; /* it was too slow for the others */
    snprintf(line, sizeof(line), "%s", state.lines[callback->next++ % LINES_MAX]);
    struct callback copy = *callback;
    state.running = copy.number;
    pthread_mutex_unlock(&state.lock);
    copy.function(copy.user_data, CU_LOG_LEVEL_ERROR, line, strlen(line));
    pthread_mutex_lock(&state.lock);
    state.running = 0;
    pthread_cond_broadcast(&state.changed);
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&state.lock);
    for (;;) {
        struct callback *late = find_late();
        if (late)
            call(late);
        else
            pthread_cond_wait(&state.changed, &state.lock);
    }
    return NULL;
}

/* Lock held. The program's signals are not this thread's. */
static CUresult need_thread(void)
{
    sigset_t all, before;
    if (state.has_thread)
        return CUDA_SUCCESS;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    state.has_thread = pthread_create(&state.thread, NULL, serve, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!state.has_thread)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_detach(state.thread);
    return CUDA_SUCCESS;
}

static struct callback *find_callback(uint64_t number)
{
    for (size_t i = 0; i < CALLBACKS_MAX; i++) {
        struct callback *callback = &state.callbacks[i];
        if (number ? callback->function && callback->number == number : !callback->function)
            return callback;
    }
    return NULL;
}

static CUresult register_callback(CUlogsCallback function, void *user_data,
                                  CUlogsCallbackHandle *out)
{
    if (!function)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&state.lock);
    struct callback *callback = find_callback(0);
    CUresult result = callback ? need_thread() : CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS) {
        *callback = (struct callback){function, user_data, ++state.numbered, state.end};
        if (out)
            *out = (CUlogsCallbackHandle)(uintptr_t)callback->number;
    }
    pthread_mutex_unlock(&state.lock);
    return result;
}

/* It does not run any more when this returns, unless it is itself that asks. */
static CUresult unregister_callback(CUlogsCallbackHandle handle)
{
    uint64_t number = (uint64_t)(uintptr_t)handle;
    pthread_mutex_lock(&state.lock);
    struct callback *callback = number ? find_callback(number) : NULL;
    if (callback)
        callback->function = NULL;
    bool inside = state.has_thread && pthread_equal(pthread_self(), state.thread);
    while (callback && state.running == number && !inside)
        pthread_cond_wait(&state.changed, &state.lock);
    pthread_mutex_unlock(&state.lock);
    return callback ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult current(CUlogIterator *out, unsigned int flags)
{
    if (!out || flags)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&state.lock);
    *out = state.end;
    pthread_mutex_unlock(&state.lock);
    return CUDA_SUCCESS;
}

/* The lines from the iterator on, as many of the last ones as there is room for, with a word where
 * that are not all; *bytes of it are written, and a zero. 0 where not even one fits. Lock held. */
static bool gather(const CUlogIterator *iterator, char *buffer, size_t room, size_t *bytes)
{
    uint32_t from = iterator ? *iterator : 0, start = state.end;
    bool all = state.end - from <= state.end - state.first;
    size_t wanted = 1, note = sizeof(lost) - 1;
    uint32_t oldest = all ? from : state.first;
    while (start != oldest && wanted + strlen(state.lines[(start - 1) % LINES_MAX]) <= room)
        wanted += strlen(state.lines[--start % LINES_MAX]);
    all = all && start == oldest;
    while (!all && start != state.end && wanted + note > room)
        wanted -= strlen(state.lines[start++ % LINES_MAX]);
    *bytes = 0;
    if (start == state.end)
        return oldest == state.end;
    if (!all)
        *bytes += (size_t)snprintf(buffer, room, "%s", lost);
    for (; start != state.end; start++)
        *bytes +=
            (size_t)snprintf(buffer + *bytes, room - *bytes, "%s", state.lines[start % LINES_MAX]);
    return true;
}

static CUresult dump_to_memory(CUlogIterator *iterator, char *buffer, size_t *size,
                               unsigned int flags)
{
    if (!buffer || !size || flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (*size)
        buffer[0] = '\0';
    pthread_mutex_lock(&state.lock);
    bool fits = gather(iterator, buffer, *size, size);
    if (fits && iterator)
        *iterator = state.end;
    pthread_mutex_unlock(&state.lock);
    return fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Behind what is there, so that dumps of one run follow each other. */
static CUresult append_to_file(const char *path, const char *text, size_t bytes)
{
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    while (fd >= 0 && bytes > 0) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return CUDA_ERROR_INVALID_VALUE;
        text += written;
        bytes -= (size_t)written;
    }
    return fd >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult dump_to_file(CUlogIterator *iterator, const char *path, unsigned int flags)
{
    size_t bytes = LOG_BYTES_MAX + sizeof(lost);
    CUlogIterator next = iterator ? *iterator : 0;
    if (!path || flags)
        return CUDA_ERROR_INVALID_VALUE;
    _cleanup_free_ char *text = malloc(bytes);
    if (!text)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = dump_to_memory(iterator ? &next : NULL, text, &bytes, 0);
    if (result == CUDA_SUCCESS)
        result = append_to_file(path, text, bytes);
    if (result == CUDA_SUCCESS && iterator)
        *iterator = next;
    return result;
}

void weft_soft_log_install(struct weft_cuda *table)
{
    table->cuLogsRegisterCallback = register_callback;
    table->cuLogsUnregisterCallback = unregister_callback;
    table->cuLogsCurrent = current;
    table->cuLogsDumpToFile = dump_to_file;
    table->cuLogsDumpToMemory = dump_to_memory;
}
