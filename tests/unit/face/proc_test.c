/* cuGetProcAddress gives what CUDA's runtimes ask for: the exact version and stream flavour. Breaks
 * if a request of theirs finds nothing, another version, or the legacy-stream function where the
 * per-thread one was asked for. */
#include "face_test.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_LEGACY CU_GET_PROC_ADDRESS_LEGACY_STREAM
#define FLAG_PER_THREAD CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM

static const char *check_request(struct face_under_test *face, const char *name, int version,
                                 unsigned int flags, const char *symbol)
{
    void *found = NULL, *found_by_v1 = NULL;
    CUdriverProcAddressQueryResult status;
    EXPECT(face->calls.cuGetProcAddress_v2(name, &found, version, flags, &status) == CUDA_SUCCESS);
    CUresult result = face->calls.cuGetProcAddress(name, &found_by_v1, version, flags);
    EXPECT(found == found_by_v1);
    if (strcmp(symbol, "-") == 0) {
        EXPECT(!found && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND &&
               result == CUDA_ERROR_NOT_FOUND);
        return NULL;
    }
    EXPECT(status == CU_GET_PROC_ADDRESS_SUCCESS && result == CUDA_SUCCESS);
    EXPECT(found && found == dlsym(face->library, symbol));
    return NULL;
}

/* Without a session, so that no driver stands behind the list. */
static const char *answer_the_runtimes(struct face_under_test *face)
{
    static char text[200];
    char line[200], name[100], symbol[100];
    unsigned int version, flags, requests = 0;
    face->tenant->result = -WEFT_ECONN;
    FILE *file = fopen(getenv("PROC_REQUESTS"), "r");
    EXPECT(file);
    while (fgets(line, sizeof(line), file)) {
        if (*line == '#')
            continue;
        EXPECT(sscanf(line, "%99s %u %u %99s", name, &version, &flags, symbol) == 4);
        const char *wrong = check_request(face, name, (int)version, flags, symbol);
        if (wrong) {
            snprintf(text, sizeof(text), "%.80s: %.90s", line, wrong);
            return text;
        }
        requests++;
    }
    fclose(file);
    EXPECT(requests == 462);
    return NULL;
}

static const char *tell_why_not(struct face_under_test *face)
{
    struct weft_cuda *calls = &face->calls;
    void *found = face;
    CUdriverProcAddressQueryResult status;
    face->tenant->result = -WEFT_ECONN;
    EXPECT(calls->cuGetProcAddress_v2("", &found, 0, 0, &status) == CUDA_SUCCESS);
    EXPECT(!found && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    EXPECT(calls->cuGetProcAddress_v2("cuMemcpyBatchAsync", &found, 12070, 0, &status) ==
           CUDA_SUCCESS);
    EXPECT(!found && status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    EXPECT(calls->cuGetProcAddress_v2("cuNoSuchCall", &found, 13000, 0, NULL) == CUDA_SUCCESS &&
           !found);
    EXPECT(calls->cuGetProcAddress("cuNoSuchCall", &found, 13000, 0) == CUDA_ERROR_NOT_FOUND &&
           !found);
    EXPECT(calls->cuGetProcAddress_v2("cuMemcpyHtoDAsync", &found, 13000, 3, &status) ==
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(calls->cuGetProcAddress_v2("cuInit", &found, 13000, 4, &status) ==
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(calls->cuGetProcAddress_v2("cuInit", &found, 13010, 0, &status) ==
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(calls->cuGetProcAddress_v2(NULL, &found, 13000, 0, &status) == CUDA_ERROR_INVALID_VALUE);
    EXPECT(calls->cuGetProcAddress_v2("cuInit", NULL, 13000, 0, &status) ==
           CUDA_ERROR_INVALID_VALUE);
    return NULL;
}

static const char *keep_flavours_apart(struct face_under_test *face)
{
    face->tenant->result = -WEFT_ECONN;
    static const struct {
        const char *name;
        int version;
        unsigned int flags;
        const char *symbol;
    } requests[] = {
        {"cuMemcpyBatchAsync", 13000, FLAG_PER_THREAD, "cuMemcpyBatchAsync_v2_ptsz"},
        {"cuMemcpyBatchAsync", 12080, FLAG_PER_THREAD, "cuMemcpyBatchAsync_ptsz"},
        {"cuMemcpyBatchAsync", 12080, FLAG_LEGACY, "cuMemcpyBatchAsync"},
        {"cuMemcpyHtoD", 13000, FLAG_PER_THREAD, "cuMemcpyHtoD_v2_ptds"},
        {"cuMemcpyHtoD", 6050, FLAG_PER_THREAD, "cuMemcpyHtoD_v2"},
        {"cuMemcpyHtoD", 2000, FLAG_LEGACY, "cuMemcpyHtoD"},
        {"cuCtxCreate", 12040, 0, "cuCtxCreate_v3"},
        {"cuCtxCreate", 3010, 0, "cuCtxCreate"},
        {"cuMemAlloc_v2", 13000, 0, "cuMemAlloc_v2"},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        const char *wrong = check_request(face, requests[i].name, requests[i].version,
                                          requests[i].flags, requests[i].symbol);
        if (wrong)
            return requests[i].symbol;
    }
    return NULL;
}

/* What an old driver lacks is not offered, and a name that only it knows comes from it. */
static const char *respect_an_old_driver(struct face_under_test *face)
{
    struct weft_cuda *calls = &face->calls;
    void *found;
    CUdriverProcAddressQueryResult status;
    EXPECT(calls->cuGetProcAddress_v2("cuMemAlloc", &found, 11030, 0, &status) == CUDA_SUCCESS);
    EXPECT(found == dlsym(face->library, "cuMemAlloc"));
    EXPECT(calls->cuGetProcAddress_v2("cuStreamCreate", &found, 11030, 0, &status) == CUDA_SUCCESS);
    EXPECT(!found && status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    EXPECT(calls->cuGetProcAddress_v2("cuInit", &found, 11040, 0, &status) ==
           CUDA_ERROR_INVALID_VALUE);
    EXPECT(calls->cuGetProcAddress_v2("cuOnlyTheDriverKnows", &found, 11030, 0, &status) ==
           CUDA_SUCCESS);
    EXPECT(found && status == CU_GET_PROC_ADDRESS_SUCCESS);
    CUstream stream;
    EXPECT(calls->cuStreamCreate(&stream, 0) == CUDA_ERROR_NOT_SUPPORTED);
    return NULL;
}

static void test_runtimes(void **state)
{
    (void)state;
    run_scenario(NULL, answer_the_runtimes);
}

static void test_refusals(void **state)
{
    (void)state;
    run_scenario(NULL, tell_why_not);
}

static void test_flavours(void **state)
{
    (void)state;
    run_scenario(NULL, keep_flavours_apart);
}

static void test_old_driver(void **state)
{
    (void)state;
    run_scenario("SMALL_DRIVER", respect_an_old_driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runtimes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_flavours),
        cmocka_unit_test(test_old_driver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
