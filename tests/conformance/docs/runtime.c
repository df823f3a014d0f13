/* Writes one part of docs/runtime.md: which names of a libcudart of ours work on the soft GPU. A
 * name works if somebody wrote its function, or if the driver's call that does it is implemented;
 * both are looked at in what is built. */
#include <stdio.h>
#include <string.h>

#include "cuda/entries.h"
#include "runtime/page.h"
#include "softgpu/driver.h"

/* Where the generated functions that refuse lie. */
extern const char __start_weft_refusing[], __stop_weft_refusing[];

static bool is_refused(const struct weft_cudart_page_entry *entry, const struct weft_cuda *table)
{
    if (entry->function) {
        uintptr_t address = (uintptr_t)entry->function;
        return address >= (uintptr_t)__start_weft_refusing &&
               address < (uintptr_t)__stop_weft_refusing;
    }
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        if (strcmp(weft_cuda_entries[i].symbol, entry->driver_call) == 0)
            return weft_cuda_is_unsupported(table, i);
    return true;
}

int main(void)
{
    static struct weft_cuda table;
    size_t refused = 0;
    weft_cuda_fill_unsupported(&table);
    weft_soft_install(&table);
    for (size_t i = 0; i < weft_cudart_page_entries; i++)
        refused += is_refused(&weft_cudart_page[i], &table);
    printf("\n## CUDA %d\n\nOf %zu calls %zu work. The others:\n\n", WEFT_CUDART_MAJOR,
           weft_cudart_page_entries, weft_cudart_page_entries - refused);
    for (size_t i = 0; i < weft_cudart_page_entries; i++)
        if (is_refused(&weft_cudart_page[i], &table))
            printf("- `%s`\n", weft_cudart_page[i].symbol);
    return weft_cudart_page_entries == refused;
}
