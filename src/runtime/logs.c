/* The runtime's log, which programs read with cudaLogs…: each call that fails, with its error. The
 * newest entries are kept; an iterator is the number of the entry that it comes to next. The
 * functions that a program registers are called by the thread whose call failed, without a lock. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/logs.h"
#include "util/util.h"

#define ENTRIES_MAX 100
#define ENTRY_BYTES 256
#define CALLBACKS_MAX 16

struct entry {
    char text[ENTRY_BYTES];
};

struct callback {
    cudaLogsCallback_t function; /* NULL: the place is free */
    void *argument;
};

static struct {
    pthread_mutex_t lock;
    struct entry entries[ENTRIES_MAX];        /* lock; number i is at i % ENTRIES_MAX */
    unsigned int count;                       /* lock; of all that there ever were */
    struct callback callbacks[CALLBACKS_MAX]; /* lock */
    _Atomic(unsigned int) callback_count;
} logs = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* A call that fails in a function of the program's is logged, but not told to it again. */
static _Thread_local bool is_calling_back;

static void write_entry(struct entry *entry, const char *call, cudaError_t error)
{
    struct timespec now;
    struct tm day;
    char hour[16] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &day))
        strftime(hour, sizeof(hour), "%H:%M:%S", &day);
    snprintf(entry->text, sizeof(entry->text), "[%s.%03ld][%ld][CUDART][E][%s] %s: %s", hour,
             now.tv_nsec / 1000000, (long)syscall(SYS_gettid), call,
             weft_cudart_cudaGetErrorName(error), weft_cudart_cudaGetErrorString(error));
}

static void call_back(const struct entry *entry)
{
    struct callback callbacks[CALLBACKS_MAX];
    struct entry copy = *entry; /* the function may write to what it gets */
    if (is_calling_back || atomic_load(&logs.callback_count) == 0)
        return;
    pthread_mutex_lock(&logs.lock);
    memcpy(callbacks, logs.callbacks, sizeof(callbacks));
    pthread_mutex_unlock(&logs.lock);
    is_calling_back = true;
    for (size_t i = 0; i < CALLBACKS_MAX; i++)
        if (callbacks[i].function)
            callbacks[i].function(callbacks[i].argument, cudaLogLevelError, copy.text,
                                  strlen(copy.text) + 1);
    is_calling_back = false;
}

void weft_cudart_log(const char *call, cudaError_t error)
{
    struct entry entry;
    write_entry(&entry, call, error);
    pthread_mutex_lock(&logs.lock);
    logs.entries[logs.count++ % ENTRIES_MAX] = entry;
    pthread_mutex_unlock(&logs.lock);
    call_back(&entry);
}

cudaError_t weft_cudart_cudaLogsRegisterCallback(cudaLogsCallback_t function, void *argument,
                                                 cudaLogsCallbackHandle *out)
{
    cudaError_t result = cudaErrorMemoryAllocation;
    if (!function || !out)
        return cudaErrorInvalidValue;
    pthread_mutex_lock(&logs.lock);
    for (size_t i = 0; i < CALLBACKS_MAX && result; i++) {
        if (logs.callbacks[i].function)
            continue;
        logs.callbacks[i] = (struct callback){function, argument};
        atomic_fetch_add(&logs.callback_count, 1);
        *out = (cudaLogsCallbackHandle)(uintptr_t)(i + 1);
        result = cudaSuccess;
    }
    pthread_mutex_unlock(&logs.lock);
    return result;
}

cudaError_t weft_cudart_cudaLogsUnregisterCallback(cudaLogsCallbackHandle callback)
{
    uintptr_t place = (uintptr_t)callback;
    cudaError_t result = cudaErrorInvalidValue;
    if (place == 0 || place > CALLBACKS_MAX)
        return result;
    pthread_mutex_lock(&logs.lock);
    if (logs.callbacks[place - 1].function) {
        logs.callbacks[place - 1] = (struct callback){0};
        atomic_fetch_sub(&logs.callback_count, 1);
        result = cudaSuccess;
    }
    pthread_mutex_unlock(&logs.lock);
    return result;
}

cudaError_t weft_cudart_cudaLogsCurrent(cudaLogIterator *out, unsigned int flags)
{
    if (!out || flags)
        return cudaErrorInvalidValue;
    pthread_mutex_lock(&logs.lock);
    *out = logs.count;
    pthread_mutex_unlock(&logs.lock);
    return cudaSuccess;
}

/* Lock held: the first entry that is still there at or behind the iterator; the oldest without. */
static unsigned int first_of(const cudaLogIterator *iterator)
{
    unsigned int oldest = logs.count > ENTRIES_MAX ? logs.count - ENTRIES_MAX : 0;
    if (!iterator || logs.count - *iterator > logs.count - oldest)
        return oldest;
    return *iterator;
}

/* As many whole lines as fit; the iterator is behind the last one then. */
cudaError_t weft_cudart_cudaLogsDumpToMemory(cudaLogIterator *iterator, char *buffer, size_t *size,
                                             unsigned int flags)
{
    size_t used = 0;
    if (!buffer || !size || *size == 0 || flags)
        return cudaErrorInvalidValue;
    pthread_mutex_lock(&logs.lock);
    unsigned int number = first_of(iterator);
    for (; number != logs.count; number++) {
        const char *text = logs.entries[number % ENTRIES_MAX].text;
        size_t length = strlen(text);
        if (*size - used < length + 2)
            break;
        memcpy(buffer + used, text, length);
        buffer[used + length] = '\n';
        used += length + 1;
    }
    pthread_mutex_unlock(&logs.lock);
    buffer[used] = '\0';
    *size = used;
    if (iterator)
        *iterator = number;
    return cudaSuccess;
}

/* Behind what the file holds. */
cudaError_t weft_cudart_cudaLogsDumpToFile(cudaLogIterator *iterator, const char *path,
                                           unsigned int flags)
{
    char text[ENTRIES_MAX * ENTRY_BYTES];
    size_t size = sizeof(text);
    cudaLogIterator next = iterator ? *iterator : 0;
    if (!path || flags)
        return cudaErrorInvalidValue;
    _cleanup_fd_ int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return cudaErrorInvalidValue;
    cudaError_t result = weft_cudart_cudaLogsDumpToMemory(iterator ? &next : NULL, text, &size, 0);
    if (result)
        return result;
    if (write(file, text, size) != (ssize_t)size)
        return cudaErrorOperatingSystem;
    if (iterator)
        *iterator = next;
    return cudaSuccess;
}
