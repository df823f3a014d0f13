/* The module backend-soft.so: a GPU emulated on the CPU, behind the typed table. */
#include <weft/backend.h>

#include "cuda/entries.h"
#include "softgpu/driver.h"
#include "util/log.h"

static int open_soft(const struct weft_backend_config *config, struct weft_cuda *table,
                     struct weft_err *err)
{
    weft_log_init(WEFT_LOG_NONE); /* the module's own copy: nothing is shared with the face */
    int rc = weft_soft_open(config, err);
    if (rc)
        return rc;
    weft_cuda_fill_unsupported(table);
    weft_soft_install(table);
    return 0;
}

__attribute__((visibility("default"))) const struct weft_backend *weft_backend_describe(void);

const struct weft_backend *weft_backend_describe(void)
{
    static const struct weft_backend backend = {
        .version = WEFT_BACKEND_VERSION,
        .name = "soft",
        .open = open_soft,
        .drop_after_fork = weft_soft_drop_after_fork,
    };
    return &backend;
}
