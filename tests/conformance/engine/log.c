/* The driver's log. What would break it: a sentence that the program cannot get, one that it gets
 * twice, a dump that says nothing of what it left out or writes past its buffer, a callback that is
 * called after it was unregistered. */
#include <pthread.h>
#include <unistd.h>

#include "check.h"

#define BAD ".visible .entry %s()\n{\ntcgen05.wait::ld.sync.aligned;\nret;\n}\n"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t called = PTHREAD_COND_INITIALIZER;
static int calls;
static char last[1024];

static void note(void *data, CUlogLevel level, char *message, size_t length)
{
    CHECK(data == &calls && level == CU_LOG_LEVEL_ERROR && strlen(message) == length);
    pthread_mutex_lock(&lock);
    calls++;
    snprintf(last, sizeof(last), "%s", message);
    pthread_cond_broadcast(&called);
    pthread_mutex_unlock(&lock);
}

/* One sentence more in the log, with the kernel's name. */
static void fail(const char *kernel)
{
    char text[512];
    CUmodule module;
    CUfunction function;
    snprintf(text, sizeof(text), PTX_HEAD BAD, kernel);
    OK(cuModuleLoadData(&module, text));
    EXPECT(cuModuleGetFunction(&function, module, kernel), CUDA_ERROR_NOT_SUPPORTED);
    OK(cuModuleUnload(module));
}

static void expect_called(int times, const char *word)
{
    pthread_mutex_lock(&lock);
    while (calls < times)
        pthread_cond_wait(&called, &lock);
    CHECK(calls == times && strstr(last, word));
    pthread_mutex_unlock(&lock);
}

static void check_memory(void)
{
    char buffer[4096];
    CUlogIterator here;
    size_t size = sizeof(buffer);
    OK(cuLogsCurrent(&here, 0));
    EXPECT(cuLogsCurrent(&here, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsCurrent(NULL, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuLogsDumpToMemory(&here, buffer, &size, 0));
    CHECK(size == 0 && buffer[0] == '\0');
    fail("one");
    fail("two");
    size = sizeof(buffer);
    OK(cuLogsDumpToMemory(&here, buffer, &size, 0));
    CHECK(strlen(buffer) == size && buffer[size - 1] == '\n');
    CHECK(strstr(buffer, "kernel one") < strstr(buffer, "kernel two") && buffer[0] == '[');
    CHECK(strstr(buffer, "ptx:6: tcgen05.wait::ld.sync.aligned"));
    size_t both = size;
    size = sizeof(buffer);
    OK(cuLogsDumpToMemory(&here, buffer, &size, 0));
    CHECK(size == 0);
    size = both;
    memset(buffer, 'x', sizeof(buffer));
    OK(cuLogsDumpToMemory(NULL, buffer, &size, 0));
    CHECK(strlen(buffer) == size && size < both && buffer[both] == 'x');
    CHECK(strstr(buffer, "lost") && strstr(buffer, "kernel two") && !strstr(buffer, "kernel one"));
    size = 16;
    EXPECT(cuLogsDumpToMemory(NULL, buffer, &size, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK(size == 0);
    EXPECT(cuLogsDumpToMemory(NULL, NULL, &size, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsDumpToMemory(NULL, buffer, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsDumpToMemory(NULL, buffer, &size, 1), CUDA_ERROR_INVALID_VALUE);
}

static void check_callbacks(void)
{
    CUlogsCallbackHandle first, second;
    OK(cuLogsRegisterCallback(note, &calls, &first));
    fail("three");
    expect_called(1, "kernel three");
    OK(cuLogsRegisterCallback(note, &calls, &second));
    fail("four");
    expect_called(3, "kernel four");
    OK(cuLogsUnregisterCallback(first));
    EXPECT(cuLogsUnregisterCallback(first), CUDA_ERROR_INVALID_VALUE);
    fail("five");
    expect_called(4, "kernel five");
    OK(cuLogsUnregisterCallback(second));
    fail("six");
    OK(cuLogsRegisterCallback(note, &calls, NULL));
    fail("seven");
    expect_called(5, "kernel seven");
    EXPECT(cuLogsRegisterCallback(NULL, NULL, &first), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsUnregisterCallback(NULL), CUDA_ERROR_INVALID_VALUE);
}

/* More than the log holds: the oldest go, and a dump says so. */
static void check_overflow(void)
{
    static char buffer[25600 + 64];
    size_t size = sizeof(buffer);
    CUlogIterator here;
    OK(cuLogsCurrent(&here, 0));
    for (int i = 0; i < 400; i++)
        fail(i % 2 ? "odd" : "even");
    OK(cuLogsDumpToMemory(&here, buffer, &size, 0));
    CHECK(size <= sizeof(buffer) && strstr(buffer, "lost") < strstr(buffer, "kernel"));
    CHECK(!strstr(buffer, "kernel seven"));
}

static void check_file(void)
{
    char path[] = "/tmp/weft-log-XXXXXX", buffer[4096];
    CUlogIterator here;
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    OK(cuLogsCurrent(&here, 0));
    fail("eight");
    OK(cuLogsDumpToFile(&here, path, 0));
    fail("nine");
    OK(cuLogsDumpToFile(&here, path, 0));
    ssize_t bytes = read(fd, buffer, sizeof(buffer) - 1);
    CHECK(bytes > 0);
    buffer[bytes] = '\0';
    CHECK(strstr(buffer, "kernel eight") < strstr(buffer, "kernel nine"));
    CHECK(!strstr(buffer, "lost"));
    EXPECT(cuLogsDumpToFile(NULL, "/nowhere/at/all", 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsDumpToFile(NULL, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLogsDumpToFile(NULL, path, 1), CUDA_ERROR_INVALID_VALUE);
    close(fd);
    CHECK(unlink(path) == 0);
}

int main(void)
{
    start(PTX_HEAD);
    check_memory();
    check_callbacks();
    check_file();
    check_overflow();
    return 0;
}
