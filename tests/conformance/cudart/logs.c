/* logs: cudaLogs… tell of each call that failed, once, in order, to memory, to a file and to a
 * function of the program. What would break it: an entry that is lost or told twice, an iterator
 * that does not move, a buffer that is written past its end, a function that is called after it was
 * taken back, or from inside itself. */
#include <unistd.h>

#include "program.h"

#define FAILURES 250 /* more than are kept */

static int calls_back;

static void on_failure(void *argument, cudaLogLevel level, char *text, size_t length)
{
    CHECK(argument == &calls_back && level == cudaLogLevelError && strlen(text) + 1 == length);
    CHECK(strstr(text, "[cudaSetDevice]") && strstr(text, "cudaErrorInvalidDevice"));
    calls_back++;
    FAILS(cudaSetDevice(-1), cudaErrorInvalidDevice);
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void iterators(void)
{
    cudaLogIterator start, at;
    char text[4096], small[120];
    size_t size = sizeof(text);
    OK(cudaLogsCurrent(&start, 0));
    at = start;
    OK(cudaLogsDumpToMemory(&at, text, &size, 0));
    CHECK(size == 0 && text[0] == '\0' && at == start);
    FAILS(cudaSetDevice(77), cudaErrorInvalidDevice);
    FAILS(cudaFree(text), cudaErrorInvalidValue);
    size = sizeof(text);
    OK(cudaLogsDumpToMemory(&at, text, &size, 0));
    CHECK(lines_of(text) == 2 && size == strlen(text) && at == start + 2);
    CHECK(strstr(text, "[cudaSetDevice]") < strstr(text, "[cudaFree]"));
    size = sizeof(text);
    OK(cudaLogsDumpToMemory(&at, text, &size, 0));
    CHECK(size == 0);
    /* Room for one line: the iterator stops there. */
    at = start;
    memset(small, 7, sizeof(small));
    size = sizeof(small) - 1;
    OK(cudaLogsDumpToMemory(&at, small, &size, 0));
    CHECK(at == start + 1 && lines_of(small) == 1 && small[sizeof(small) - 1] == 7);
    FAILS(cudaLogsDumpToMemory(&at, NULL, &size, 0), cudaErrorInvalidValue);
    FAILS(cudaLogsCurrent(&at, 1), cudaErrorInvalidValue);
}

static void files(void)
{
    char path[] = "/tmp/weft-logs-XXXXXX", text[8192];
    int file = mkstemp(path);
    cudaLogIterator at;
    CHECK(file >= 0);
    OK(cudaLogsCurrent(&at, 0));
    for (int i = 0; i < 3; i++)
        FAILS(cudaSetDevice(77), cudaErrorInvalidDevice);
    OK(cudaLogsDumpToFile(&at, path, 0));
    OK(cudaLogsDumpToFile(&at, path, 0)); /* nothing more */
    ssize_t got = read(file, text, sizeof(text) - 1);
    CHECK(got > 0);
    text[got] = '\0';
    CHECK(lines_of(text) == 3);
    close(file);
    unlink(path);
    FAILS(cudaLogsDumpToFile(&at, "/nowhere/at/all", 0), cudaErrorInvalidValue);
}

static void callbacks(void)
{
    cudaLogsCallbackHandle handle;
    OK(cudaLogsRegisterCallback(on_failure, &calls_back, &handle));
    FAILS(cudaSetDevice(77), cudaErrorInvalidDevice);
    CHECK(calls_back == 1);
    OK(cudaSetDevice(0));
    CHECK(calls_back == 1);
    OK(cudaLogsUnregisterCallback(handle));
    FAILS(cudaLogsUnregisterCallback(handle), cudaErrorInvalidValue);
    FAILS(cudaSetDevice(77), cudaErrorInvalidDevice);
    CHECK(calls_back == 1);
}

/* The newest are kept, and an iterator of what is gone begins with the oldest of them. */
static void many(void)
{
    static char text[1 << 16];
    size_t size = sizeof(text);
    cudaLogIterator at;
    OK(cudaLogsCurrent(&at, 0));
    for (int i = 0; i < FAILURES; i++)
        FAILS(cudaSetDevice(77), cudaErrorInvalidDevice);
    cudaLogIterator end = at + FAILURES;
    OK(cudaLogsDumpToMemory(&at, text, &size, 0));
    CHECK(lines_of(text) == 100 && at == end);
}

int main(void)
{
    iterators();
    files();
    callbacks();
    many();
    return 0;
}
