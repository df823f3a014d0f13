/* Opening on the first call: without a session, from many threads, before and after a fork, traced.
 * Breaks if a program could run without limits, if two threads open twice, or if a forked child
 * uses its parent's session. */
#include "face_test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 32
#define TRACE_BYTES 4096

static const char *refuse_without_session(struct face_under_test *face)
{
    int count = -1;
    const char *text = NULL;
    face->tenant->result = -WEFT_ECONN;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_SYSTEM_NOT_READY);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_ERROR_SYSTEM_NOT_READY && count == -1);
    EXPECT(face->calls.cuGetErrorName(CUDA_ERROR_SYSTEM_NOT_READY, &text) == CUDA_SUCCESS);
    EXPECT(strcmp(text, "CUDA_ERROR_SYSTEM_NOT_READY") == 0);
    EXPECT(face->calls.cuGetErrorString((CUresult)12345, &text) == CUDA_ERROR_INVALID_VALUE &&
           !text);
    face->tenant->result = -WEFT_EVERSION;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    /* Only cuInit tries again; then everything is there. */
    face->tenant->result = 0;
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 1);
    EXPECT(face->tenant->opened == 1 && face->tenant->quota_installed == 1);
    return NULL;
}

static const char *refuse_what_cannot_be_opened(struct face_under_test *face)
{
    face->tenant->granted.device_count = 2;
    face->tenant->granted.devices[1].kind = WEFT_DEVICE_SOFT;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_NOT_SUPPORTED);
    face->tenant->granted.device_count = 0;
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_NO_DEVICE);
    EXPECT(face->tenant->opened == 2 && face->tenant->closed == 2);
    return NULL;
}

/* A container may show our own library under the driver's name. */
static const char *never_open_ourselves(struct face_under_test *face)
{
    setenv("WEFT_NATIVE_LIBCUDA", getenv("FACE_LIBRARY"), 1);
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_NO_DEVICE);
    setenv("WEFT_NATIVE_LIBCUDA", "/nonexistent/libcuda.so", 1);
    EXPECT(face->calls.cuInit(0) == CUDA_ERROR_NO_DEVICE);
    return NULL;
}

static struct {
    struct face_under_test *face;
    pthread_barrier_t barrier;
    unsigned int failures; /* atomic */
} race;

static void *first_call(void *argument)
{
    size_t number = (size_t)argument;
    int version = 0;
    void *found = NULL;
    pthread_barrier_wait(&race.barrier);
    CUresult result = number % 3 == 0 ? race.face->calls.cuDriverGetVersion(&version)
                      : number % 3 == 1
                          ? race.face->calls.cuInit(0)
                          : race.face->calls.cuGetProcAddress("cuInit", &found, 2000, 0);
    if (result != CUDA_SUCCESS)
        __atomic_add_fetch(&race.failures, 1, __ATOMIC_RELAXED);
    return NULL;
}

static const char *open_once_from_many_threads(struct face_under_test *face)
{
    pthread_t threads[THREADS];
    race.face = face;
    EXPECT(pthread_barrier_init(&race.barrier, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, first_call, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    EXPECT(race.failures == 0 && face->tenant->opened == 1);
    return NULL;
}

/* Naming errors and looking functions up need no device. */
static bool works_without_device(size_t index)
{
    static const char *const names[] = {"cuGetErrorName", "cuGetErrorString", "cuGetProcAddress",
                                        "cuGetProcAddress_v2"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(weft_cuda_entries[index].symbol, names[i]) == 0)
            return true;
    return false;
}

static const char *find_nothing_initialised(struct face_under_test *face)
{
    const char *name = NULL;
    EXPECT(face->calls.cuGetErrorName(CUDA_ERROR_NOT_INITIALIZED, &name) == CUDA_SUCCESS);
    EXPECT(name && strcmp(name, "CUDA_ERROR_NOT_INITIALIZED") == 0);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        if (works_without_device(i))
            continue;
        weft_cuda_fn call = *weft_cuda_slot(&face->calls, i);
        if (((CUresult(*)(uint64_t, uint64_t, uint64_t, uint64_t))call)(0, 0, 0, 0) !=
            CUDA_ERROR_NOT_INITIALIZED)
            return weft_cuda_entries[i].symbol;
    }
    EXPECT(face->tenant->opened == 1);
    return NULL;
}

static const char *fork_twice_after_init(struct face_under_test *face)
{
    const char *wrong = find_nothing_initialised(face);
    return wrong ? wrong : in_fork(face, find_nothing_initialised);
}

static const char *fork_after_init(struct face_under_test *face)
{
    int count;
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    const char *wrong = in_fork(face, fork_twice_after_init);
    if (wrong)
        return wrong;
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 1);
    return NULL;
}

static const char *start_anew(struct face_under_test *face)
{
    int count;
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 1);
    EXPECT(face->tenant->opened == 2 && face->tenant->opener == getpid());
    EXPECT(face->tenant->closed == 1 && face->tenant->quota_dropped == 1);
    return NULL;
}

/* The session was opened, by a call that needs no cuInit. */
static const char *fork_before_init(struct face_under_test *face)
{
    int version;
    EXPECT(face->calls.cuDriverGetVersion(&version) == CUDA_SUCCESS);
    const char *wrong = in_fork(face, start_anew);
    if (wrong)
        return wrong;
    EXPECT(face->tenant->opened == 1 && face->tenant->closed == 0);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    return NULL;
}

static const char *fork_before_everything(struct face_under_test *face)
{
    const char *wrong = in_fork(face, refuse_without_session);
    if (wrong)
        return wrong;
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS && face->tenant->opened == 1);
    return NULL;
}

/* The small driver's devices 12 and 11, in this order. */
static void grant_two(struct face_under_test *face)
{
    struct weft_session *granted = &face->tenant->granted;
    granted->device_count = 2;
    memset(granted->devices[0].uuid, 12, WEFT_UUID_BYTES);
    granted->devices[1] = (struct weft_device_grant){.kind = WEFT_DEVICE_NATIVE, .native_index = 1};
}

static const char *show_granted_devices_in_order(struct face_under_test *face)
{
    CUdevice device = -1;
    size_t bytes;
    int count;
    grant_two(face);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED);
    EXPECT(face->calls.cuDeviceGet(&device, 0) == CUDA_ERROR_NOT_INITIALIZED);
    EXPECT(face->calls.cuInit(1) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 2);
    EXPECT(face->calls.cuDeviceGet(&device, 1) == CUDA_SUCCESS && device == 1);
    EXPECT(face->calls.cuDeviceGet(&device, 2) == CUDA_ERROR_INVALID_DEVICE);
    EXPECT(face->calls.cuDeviceGet(NULL, 0) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(face->calls.cuDeviceGetByPCIBusId(&device, "2") == CUDA_SUCCESS && device == 0);
    EXPECT(face->calls.cuDeviceGetByPCIBusId(&device, "0") == CUDA_ERROR_INVALID_DEVICE);
    EXPECT(face->calls.cuDeviceTotalMem_v2(&bytes, 0) == CUDA_SUCCESS && bytes == 12);
    EXPECT(face->calls.cuDeviceTotalMem_v2(&bytes, 1) == CUDA_SUCCESS && bytes == 11);
    EXPECT(face->calls.cuDeviceTotalMem_v2(&bytes, 12) == CUDA_ERROR_INVALID_DEVICE);
    return NULL;
}

/* Where a struct or an answer names a device, it is the program's number too. */
static const char *translate_devices_everywhere(struct face_under_test *face)
{
    CUmemAllocationProp property = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemAccessDesc access[20] = {{.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
                                  {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 1}}};
    CUmemGenericAllocationHandle handle;
    CUdevice device;
    int data;
    grant_two(face);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuCtxGetDevice(&device) == CUDA_SUCCESS && device == 1);
    EXPECT(face->calls.cuPointerGetAttribute(&data, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 1) ==
           CUDA_SUCCESS);
    EXPECT(data == 0);
    EXPECT(face->calls.cuPointerGetAttribute(&data, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 1) ==
           CUDA_SUCCESS);
    EXPECT(data == 11);
    EXPECT(face->calls.cuMemCreate(&handle, 1, &property, 0) == CUDA_SUCCESS && handle == 12);
    EXPECT(property.location.id == 0);
    EXPECT(face->calls.cuMemGetAllocationPropertiesFromHandle(&property, 11) == CUDA_SUCCESS);
    EXPECT(property.location.id == 1);
    EXPECT(face->calls.cuMemSetAccess(0, 1, access, 2) == CUDA_SUCCESS);
    EXPECT(face->calls.cuMemSetAccess(0, 1, access, 20) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(access[0].location.id == 0 && access[1].location.id == 1);
    return NULL;
}

static const char *trace_every_call(struct face_under_test *face)
{
    char path[] = "/tmp/weft-trace-XXXXXX", text[TRACE_BYTES];
    int fd = mkstemp(path), count;
    EXPECT(fd >= 0);
    setenv("WEFT_TRACE", path, 1);
    EXPECT(face->calls.cuInit(0) == CUDA_SUCCESS);
    EXPECT(face->calls.cuDeviceGetCount(&count) == CUDA_SUCCESS && count == 1);
    EXPECT(face->calls.cuCtxSynchronize() == CUDA_ERROR_NOT_SUPPORTED);
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    unlink(path);
    EXPECT(size > 0);
    text[size] = '\0';
    const char *first = strstr(text, "cuInit CUDA_SUCCESS\n");
    const char *second = strstr(text, "cuDeviceGetCount CUDA_SUCCESS\n");
    const char *third = strstr(text, "cuCtxSynchronize CUDA_ERROR_NOT_SUPPORTED\n");
    EXPECT(first && second && third && first < second && second < third);
    return NULL;
}

#define SCENARIO(name)                      \
    static void test_##name(void **state)   \
    {                                       \
        (void)state;                        \
        run_scenario("SMALL_DRIVER", name); \
    }
SCENARIO(refuse_without_session)
SCENARIO(refuse_what_cannot_be_opened)
SCENARIO(never_open_ourselves)
SCENARIO(open_once_from_many_threads)
SCENARIO(fork_after_init)
SCENARIO(fork_before_init)
SCENARIO(fork_before_everything)
SCENARIO(show_granted_devices_in_order)
SCENARIO(translate_devices_everywhere)
SCENARIO(trace_every_call)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuse_without_session),
        cmocka_unit_test(test_refuse_what_cannot_be_opened),
        cmocka_unit_test(test_never_open_ourselves),
        cmocka_unit_test(test_open_once_from_many_threads),
        cmocka_unit_test(test_fork_after_init),
        cmocka_unit_test(test_fork_before_init),
        cmocka_unit_test(test_fork_before_everything),
        cmocka_unit_test(test_show_granted_devices_in_order),
        cmocka_unit_test(test_translate_devices_everywhere),
        cmocka_unit_test(test_trace_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
