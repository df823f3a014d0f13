/* Every call that the soft GPU implements is described in api/: it has a class, and so words for
 * its pointers. Breaks if a call is implemented and left undescribed. */
#include <stdio.h>

#include "cuda/entries.h"
#include "softgpu/driver.h"

int main(void)
{
    static struct weft_cuda table;
    size_t implemented = 0, undescribed = 0;
    weft_cuda_fill_unsupported(&table);
    weft_soft_install(&table);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        if (weft_cuda_is_unsupported(&table, i))
            continue;
        implemented++;
        if (weft_cuda_entries[i].call_class == WEFT_CUDA_CLASS_UNKNOWN) {
            printf("%s is implemented, but not described in api/cuda\n",
                   weft_cuda_entries[i].symbol);
            undescribed++;
        }
    }
    printf("%zu calls implemented, %zu of them undescribed\n", implemented, undescribed);
    return implemented == 0 || undescribed > 0;
}
