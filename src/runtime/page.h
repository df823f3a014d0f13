/* The exported symbols of one major version, for the page that says which of them work. */
#ifndef WEFT_RUNTIME_PAGE_H
#define WEFT_RUNTIME_PAGE_H

#include "runtime/runtime.h"

struct weft_cudart_page_entry {
    const char *symbol;
    void (*function)(void); /* of ours; NULL: the driver's call does it */
    const char *driver_call;
};

extern const struct weft_cudart_page_entry weft_cudart_page[]; /* by symbol */
extern const size_t weft_cudart_page_entries;

#endif
