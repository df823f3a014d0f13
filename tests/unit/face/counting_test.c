/* Every exported symbol, called by its name and by the address that cuGetProcAddress gives, reaches
 * the driver's function of the same name once and with the bytes of its own arguments. Breaks if an
 * entry is exported in another's place, if a register or a wide struct does not survive the way, or
 * if cuGetProcAddress confuses versions or stream flavours. */
#include "counting.h"
#include "face_test.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct {
    unsigned char bytes[COUNTING_ARGUMENT_BYTES];
    size_t size;
    unsigned int seed;
} expected;

void caller_fill(void *argument, size_t size)
{
    unsigned char *bytes = argument;
    for (size_t i = 0; i < size; i++) {
        expected.seed = expected.seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(expected.seed >> 24);
    }
    memcpy(expected.bytes + expected.size, bytes, size);
    expected.size += size;
}

/* cuGetProcAddress answers what it knows by itself: it takes a name that is not in the list to
 * reach the driver. */
static CUresult call_proc_address(weft_cuda_fn function)
{
    const char *symbol = "cuNotInTheList";
    void *place, **pfn = &place;
    int version = 12345;
    cuuint64_t flags = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    memcpy(expected.bytes, &symbol, 8);
    memcpy(expected.bytes + 8, &pfn, 8);
    memcpy(expected.bytes + 16, &version, 4);
    memcpy(expected.bytes + 20, &flags, 8);
    expected.size = 28;
    return ((CUresult(*)(const char *, void **, int, cuuint64_t))function)(symbol, pfn, version,
                                                                           flags);
}

static CUresult call_proc_address_v2(weft_cuda_fn function)
{
    const char *symbol = "cuNotInTheListEither";
    void *place, **pfn = &place;
    int version = 12346;
    cuuint64_t flags = CU_GET_PROC_ADDRESS_LEGACY_STREAM;
    CUdriverProcAddressQueryResult answer, *status = &answer;
    memcpy(expected.bytes, &symbol, 8);
    memcpy(expected.bytes + 8, &pfn, 8);
    memcpy(expected.bytes + 16, &version, 4);
    memcpy(expected.bytes + 20, &flags, 8);
    memcpy(expected.bytes + 28, &status, 8);
    expected.size = 36;
    return ((CUresult(*)(const char *, void **, int, cuuint64_t,
                         CUdriverProcAddressQueryResult *))function)(symbol, pfn, version, flags,
                                                                     status);
}

static CUresult call_entry(size_t index, weft_cuda_fn function)
{
    expected.size = 0;
    if (strcmp(weft_cuda_entries[index].symbol, "cuGetProcAddress") == 0)
        return call_proc_address(function);
    if (strcmp(weft_cuda_entries[index].symbol, "cuGetProcAddress_v2") == 0)
        return call_proc_address_v2(function);
    return counting_callers[index](function);
}

static const char *check_arrival(struct counting_record *records, size_t index,
                                 weft_cuda_fn function)
{
    static char text[200];
    struct counting_record *record = &records[index];
    unsigned int others = 0, before = record->calls;
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        others += i == index ? 0 : records[i].calls;
    CUresult result = call_entry(index, function);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        others -= i == index ? 0 : records[i].calls;
    const char *wrong = record->calls != before + 1     ? "did not arrive once"
                        : others != 0                   ? "called another"
                        : record->size != expected.size ? "has other arguments"
                        : memcmp(record->bytes, expected.bytes, expected.size) != 0
                            ? "lost an argument"
                        : result != (CUresult)(100000 + index) ? "lost its result"
                                                               : NULL;
    if (!wrong)
        return NULL;
    snprintf(text, sizeof(text), "%s %s", weft_cuda_entries[index].symbol, wrong);
    return text;
}

/* The face asks the driver for its version once, when it first has to judge a request. */
static struct counting_record *records_of(struct face_under_test *face)
{
    void *place;
    face->calls.cuGetProcAddress("cuInit", &place, 2000, 0);
    void *driver = dlopen(getenv("COUNTING_DRIVER"), RTLD_NOW | RTLD_NOLOAD);
    return driver ? dlsym(driver, "counting_records") : NULL;
}

static const char *call_all_by_symbol(struct face_under_test *face)
{
    struct counting_record *records = records_of(face);
    EXPECT(records);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        const char *wrong = check_arrival(records, i, *weft_cuda_slot(&face->calls, i));
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *call_all_by_proc_address(struct face_under_test *face)
{
    struct counting_record *records = records_of(face);
    EXPECT(records);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        const struct weft_cuda_entry *entry = &weft_cuda_entries[i];
        cuuint64_t flags = entry->stream == WEFT_CUDA_STREAM_PER_THREAD ? 2 : 1;
        CUdriverProcAddressQueryResult status = 99;
        void *found = NULL;
        if (face->calls.cuGetProcAddress_v2(entry->name, &found, (int)entry->since, flags,
                                            &status) ||
            status != CU_GET_PROC_ADDRESS_SUCCESS || found != dlsym(face->library, entry->symbol))
            return entry->symbol;
        const char *wrong = check_arrival(records, i, (weft_cuda_fn)found);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static void test_by_symbol(void **state)
{
    (void)state;
    run_scenario("COUNTING_DRIVER", call_all_by_symbol);
}

static void test_by_proc_address(void **state)
{
    (void)state;
    run_scenario("COUNTING_DRIVER", call_all_by_proc_address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_symbol),
        cmocka_unit_test(test_by_proc_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
