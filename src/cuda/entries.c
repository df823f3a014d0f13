#include "cuda/entries.h"

#include <string.h>

#include "cuda_results.h"
#include "util/log.h"
#include "util/util.h"

int weft_cuda_entry_find(const char *symbol)
{
    size_t low = 0, high = WEFT_CUDA_ENTRIES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint16_t index = weft_cuda_entries_by_symbol[middle];
        int order = strcmp(symbol, weft_cuda_entries[index].symbol);
        if (order == 0)
            return index;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

weft_cuda_fn *weft_cuda_slot(struct weft_cuda *table, size_t index)
{
    return (weft_cuda_fn *)table + index;
}

void weft_cuda_fill_unsupported(struct weft_cuda *table)
{
    *table = weft_cuda_unsupported;
}

bool weft_cuda_is_unsupported(const struct weft_cuda *table, size_t index)
{
    return ((const weft_cuda_fn *)table)[index] ==
           ((const weft_cuda_fn *)&weft_cuda_unsupported)[index];
}

CUresult weft_cuda_refuse(size_t index)
{
    static bool logged[WEFT_CUDA_ENTRIES]; /* atomic: set once, so that a name is logged once */
    if (!__atomic_exchange_n(&logged[index], true, __ATOMIC_RELAXED))
        weft_log(WEFT_LOG_WARN, "cuda", "%s is not supported here",
                 weft_cuda_entries[index].symbol);
    return CUDA_ERROR_NOT_SUPPORTED;
}

static const struct {
    CUresult value;
    const char *name, *text;
} results[] = {
#define X(name, number, text) {name, #name, text},
    WEFT_CUDA_RESULTS(X)
#undef X
};

const char *weft_cuda_result_name(CUresult result)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(results); i++)
        if (results[i].value == result)
            return results[i].name;
    return NULL;
}

const char *weft_cuda_result_text(CUresult result)
{
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(results); i++)
        if (results[i].value == result)
            return results[i].text;
    return NULL;
}
