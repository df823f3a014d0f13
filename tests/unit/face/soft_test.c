/* A backend that is a module: found beside the face, checked, dropped by a child that forked before
 * cuInit; what it does not have is refused by name and logged once. Breaks if a module of another
 * version is used, or if a missing call is silent. */
#include "face_test.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES 8192

static void grant_soft(struct face_under_test *face)
{
    face->tenant->granted.devices[0] =
        (struct weft_device_grant){.kind = WEFT_DEVICE_SOFT, .arena_fd = -1, .page_fd = -1};
}

/* What was logged since WEFT_LOG was pointed at `path`; takes the file away. */
static const char *take_log(const char *path)
{
    static char text[LOG_BYTES];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    unlink(path);
    text[size < 0 ? 0 : size] = '\0';
    return text;
}

static const char *log_to(char path[static 64])
{
    char setting[96];
    strcpy(path, "/tmp/weft-log-XXXXXX");
    int fd = mkstemp(path);
    EXPECT(fd >= 0);
    close(fd);
    snprintf(setting, sizeof(setting), "warn:%s", path);
    setenv("WEFT_LOG", setting, 1);
    return NULL;
}

static const char *refuse_by_name_and_log_once(struct face_under_test *face)
{
    char path[64];
    const void *table = face;
    CUuuid id = {{0x6b, (char)0xd5, (char)0xfb, 0x6c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
    grant_soft(face);
    const char *wrong = log_to(path);
    if (wrong)
        return wrong;
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuGetExportTable(&table, &id) == CUDA_ERROR_NOT_SUPPORTED && !table);
    EXPECT(face->calls.cuGetExportTable(&table, &id) == CUDA_ERROR_NOT_SUPPORTED && !table);
    EXPECT(face->tenant->reports == 1 &&
           strstr(face->tenant->report, "NVIDIA's CUDA runtime inside"));
    for (int i = 0; i < 3; i++)
        EXPECT(face->calls.cuGraphLaunch(NULL, NULL) == CUDA_ERROR_NOT_SUPPORTED);
    const char *log = take_log(path);
    EXPECT(strstr(log, "6bd5fb6c0102030405060708090a0b0c"));
    const char *first = strstr(log, "cuGraphLaunch is not supported");
    EXPECT(first && !strstr(first + 1, "cuGraphLaunch is not supported"));
    return NULL;
}

/* The runtime asks for hundreds of functions before it calls one: what is not there yet must still
 * be found. */
static const char *offer_what_is_refused(struct face_under_test *face)
{
    void *found;
    grant_soft(face);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        const struct weft_cuda_entry *entry = &weft_cuda_entries[i];
        cuuint64_t flags = entry->stream == WEFT_CUDA_STREAM_PER_THREAD ? 2 : 0;
        if (face->calls.cuGetProcAddress(entry->name, &found, (int)entry->since, flags) || !found)
            return entry->symbol;
    }
    EXPECT(face->calls.cuGetProcAddress("cuNoSuchCall", &found, 13000, 0) == CUDA_ERROR_NOT_FOUND);
    return NULL;
}

static const char *refuse_another_version(struct face_under_test *face)
{
    grant_soft(face);
    setenv("FAKE_SOFT", "old", 1);
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    EXPECT(face->tenant->closed == 1);
    return NULL;
}

static const char *hand_on_its_failure(struct face_under_test *face)
{
    grant_soft(face);
    setenv("FAKE_SOFT", "fails", 1);
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_OUT_OF_MEMORY);
    unsetenv("FAKE_SOFT");
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->tenant->opened == 2 && face->tenant->closed == 1);
    return NULL;
}

static const char *refuse_a_kind_without_module(struct face_under_test *face)
{
    face->tenant->granted.devices[0].kind = WEFT_DEVICE_REMOTE;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_NOT_SUPPORTED);
    face->tenant->granted.devices[0].kind = (enum weft_device_kind)99;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    return NULL;
}

static unsigned int *counter(const char *name)
{
    char path[4096];
    Dl_info info;
    void *face = dlopen(getenv("FACE_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
    void *symbol = face ? dlsym(face, "cuInit") : NULL;
    if (!symbol || !dladdr(symbol, &info))
        return NULL;
    snprintf(path, sizeof(path), "%.*s/backend-soft.so",
             (int)(strrchr(info.dli_fname, '/') - info.dli_fname), info.dli_fname);
    void *module = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    return module ? dlsym(module, name) : NULL;
}

static const char *start_anew(struct face_under_test *face)
{
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(*counter("fake_soft_dropped") == 1 && *counter("fake_soft_opened") == 2);
    EXPECT(face->tenant->opener == getpid());
    return NULL;
}

static const char *drop_after_a_fork(struct face_under_test *face)
{
    CUdevice device;
    grant_soft(face);
    EXPECT(face->calls.cuDeviceGet(&device, 0) == CUDA_ERROR_NOT_SUPPORTED);
    const char *wrong = in_fork(face, start_anew);
    if (wrong)
        return wrong;
    EXPECT(*counter("fake_soft_dropped") == 0 && *counter("fake_soft_opened") == 1);
    return NULL;
}

static int own_descriptors[2];

static const char *find_descriptors_closed(struct face_under_test *face)
{
    int count;
    EXPECT(fcntl(own_descriptors[0], F_GETFD) < 0 && fcntl(own_descriptors[1], F_GETFD) < 0);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED);
    return NULL;
}

/* A child that holds the parent's memory would keep it from going back. */
static const char *close_descriptors_in_a_child(struct face_under_test *face)
{
    grant_soft(face);
    for (int i = 0; i < 2; i++)
        EXPECT((own_descriptors[i] = dup(STDERR_FILENO)) >= 0);
    face->tenant->granted.devices[0].arena_fd = own_descriptors[0];
    face->tenant->granted.devices[0].page_fd = own_descriptors[1];
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    const char *wrong = in_fork(face, find_descriptors_closed);
    EXPECT(fcntl(own_descriptors[0], F_GETFD) >= 0 && fcntl(own_descriptors[1], F_GETFD) >= 0);
    return wrong;
}

#define SCENARIO(name)                    \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        run_scenario(NULL, name);         \
    }
SCENARIO(refuse_by_name_and_log_once)
SCENARIO(offer_what_is_refused)
SCENARIO(refuse_another_version)
SCENARIO(hand_on_its_failure)
SCENARIO(refuse_a_kind_without_module)
SCENARIO(drop_after_a_fork)
SCENARIO(close_descriptors_in_a_child)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuse_by_name_and_log_once),
        cmocka_unit_test(test_offer_what_is_refused),
        cmocka_unit_test(test_refuse_another_version),
        cmocka_unit_test(test_hand_on_its_failure),
        cmocka_unit_test(test_refuse_a_kind_without_module),
        cmocka_unit_test(test_drop_after_a_fork),
        cmocka_unit_test(test_close_descriptors_in_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
