/* cuGetProcAddress: the face's own function for every name in the list, in the version and stream
 * flavour asked for. */
#include "face/face.h"

#include <string.h>

#include "util/log.h"

#define FLAVOURS (CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)

struct request {
    const char *name;
    uint32_t version;
    enum weft_cuda_stream stream;
};

/* The first place in the order of symbols that is not before `name`; all symbols of a name lie
 * together behind it. */
static size_t first_place(const char *name)
{
    size_t low = 0, high = WEFT_CUDA_ENTRIES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(weft_cuda_entries[weft_cuda_entries_by_symbol[middle]].symbol, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The newest entry of the name and flavour that is not newer than the request, or -1. `known` says
 * whether there is any of that flavour, of whatever version. */
static int newest(const struct request *request, enum weft_cuda_stream stream, bool *known)
{
    size_t length = strlen(request->name);
    int best = -1;
    *known = false;
    for (size_t place = first_place(request->name); place < WEFT_CUDA_ENTRIES; place++) {
        int index = weft_cuda_entries_by_symbol[place];
        const struct weft_cuda_entry *entry = &weft_cuda_entries[index];
        if (strncmp(entry->symbol, request->name, length) != 0)
            break;
        if (strcmp(entry->name, request->name) != 0 || entry->stream != stream ||
            weft_face.missing[index])
            continue;
        *known = true;
        if (entry->since <= request->version &&
            (best < 0 || entry->since > weft_cuda_entries[best].since))
            best = index;
    }
    return best;
}

/* Where a version of CUDA had no per-thread flavour of a name, the other
 * one is what the driver gives. */
static int find(const struct request *request, CUdriverProcAddressQueryResult *status)
{
    bool known = false;
    int index = -1;
    if (request->stream == WEFT_CUDA_STREAM_PER_THREAD)
        index = newest(request, WEFT_CUDA_STREAM_PER_THREAD, &known);
    if (index < 0)
        index = newest(request, WEFT_CUDA_STREAM_LEGACY, &known);
    if (!known) { /* some programs ask for a symbol as it is exported */
        index = weft_cuda_entry_find(request->name);
        known = index >= 0 && !weft_face.missing[index];
        index = known ? index : -1;
    }
    *status = index >= 0 ? CU_GET_PROC_ADDRESS_SUCCESS
              : known    ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                         : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return index;
}

/* Writes the face's function, or NULL. False where only the real driver can know the name. */
static bool look_up(const char *symbol, void **pfn, int version, cuuint64_t flags,
                    CUdriverProcAddressQueryResult *status)
{
    struct request request = {
        .name = symbol,
        .version = version < 0 ? 0 : (uint32_t)version,
        .stream = flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                      ? WEFT_CUDA_STREAM_PER_THREAD
                      : WEFT_CUDA_STREAM_LEGACY,
    };
    int index = find(&request, status);
    *pfn = index < 0 ? NULL : (void *)weft_face_symbols[index];
    if (*status != CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND)
        return true;
    weft_log(WEFT_LOG_INFO, "face", "cuGetProcAddress: \"%s\" %d is not in the list", symbol,
             version);
    return weft_face_kind() != WEFT_DEVICE_NATIVE;
}

static bool is_valid(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
    return symbol && pfn && version <= weft_face_driver_version() &&
           !(flags & ~(cuuint64_t)FLAVOURS) && flags != FLAVOURS;
}

/* The first form has no other way to say that there is no such function. */
CUresult weft_face_get_proc_address(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
    CUdriverProcAddressQueryResult status;
    if (!is_valid(symbol, pfn, version, flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (!look_up(symbol, pfn, version, flags, &status))
        return weft_face.below.cuGetProcAddress(symbol, pfn, version, flags);
    return *pfn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* As the driver's documentation has it: a missing function is a success that finds nothing. */
CUresult weft_face_get_proc_address_v2(const char *symbol, void **pfn, int version,
                                       cuuint64_t flags, CUdriverProcAddressQueryResult *status)
{
    CUdriverProcAddressQueryResult found;
    if (!is_valid(symbol, pfn, version, flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (!look_up(symbol, pfn, version, flags, &found))
        return weft_face.below.cuGetProcAddress_v2(symbol, pfn, version, flags, status);
    if (status)
        *status = found;
    return CUDA_SUCCESS;
}
