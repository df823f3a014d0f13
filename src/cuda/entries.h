/* The typed table of CUDA driver calls (struct weft_cuda, generated from api/), seen as a list:
 * every exported symbol is one entry, and entry N is field N of the table. */
#ifndef WEFT_CUDA_ENTRIES_H
#define WEFT_CUDA_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/cuda_table.h>

/* Which stream a handle of 0 means. */
enum weft_cuda_stream {
    WEFT_CUDA_STREAM_LEGACY,
    WEFT_CUDA_STREAM_PER_THREAD,
};

/* How far a call has to travel; UNKNOWN where api/ does not describe it yet. */
enum weft_cuda_class {
    WEFT_CUDA_CLASS_UNKNOWN,
    WEFT_CUDA_CLASS_LOCAL,
    WEFT_CUDA_CLASS_ONE_WAY,
    WEFT_CUDA_CLASS_ANSWER,
};

struct weft_cuda_entry {
    const char *symbol; /* "cuMemcpyHtoD_v2_ptds" */
    const char *name;   /* "cuMemcpyHtoD", what cuGetProcAddress is asked for */
    uint32_t since;     /* the CUDA version that brought this symbol, 7000 for 7.0 */
    enum weft_cuda_stream stream;
    enum weft_cuda_class call_class;
};

extern const struct weft_cuda_entry weft_cuda_entries[WEFT_CUDA_ENTRIES];
/* The entries' numbers in the order of strcmp on their symbols. */
extern const uint16_t weft_cuda_entries_by_symbol[WEFT_CUDA_ENTRIES];
/* A table whose every call logs its name once and returns CUDA_ERROR_NOT_SUPPORTED. */
extern const struct weft_cuda weft_cuda_unsupported;

/* Any of the table's calls, to be cast to its own type before it is called. */
typedef void (*weft_cuda_fn)(void);

/* The number of a call that is known by its name. */
#define WEFT_CUDA_INDEX(call) (offsetof(struct weft_cuda, call) / sizeof(weft_cuda_fn))

/* The entry's number, or -1. */
int weft_cuda_entry_find(const char *symbol);

/* The place of entry `index` in a table. */
weft_cuda_fn *weft_cuda_slot(struct weft_cuda *table, size_t index);

/* Makes every call of the table refuse as weft_cuda_unsupported does. */
void weft_cuda_fill_unsupported(struct weft_cuda *table);
/* Whether entry `index` of the table is the one that refuses. */
bool weft_cuda_is_unsupported(const struct weft_cuda *table, size_t index);
/* What a refused call does: logs the entry's name the first time. Any thread. */
CUresult weft_cuda_refuse(size_t index);

/* "CUDA_ERROR_OUT_OF_MEMORY" and "out of memory"; NULL for a number that CUDA does not define.
 * Never freed. */
const char *weft_cuda_result_name(CUresult result);
const char *weft_cuda_result_text(CUresult result);

#endif
