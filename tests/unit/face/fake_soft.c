/* A backend module as the face finds it beside its own library: it does nothing but initialise.
 * FAKE_SOFT says how it misbehaves. */
#include <stdlib.h>
#include <string.h>

#include <weft/backend.h>

#include "cuda/entries.h"
#include "util/log.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED unsigned int fake_soft_opened, fake_soft_dropped;

static CUresult fake_init(unsigned int flags)
{
    return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static int fake_open(const struct weft_backend_config *config, struct weft_cuda *table,
                     struct weft_err *err)
{
    const char *mode = getenv("FAKE_SOFT");
    if (mode && strcmp(mode, "fails") == 0)
        return weft_fail(err, WEFT_ENOMEM, "no room for %zu devices", config->device_count);
    weft_log_init(WEFT_LOG_NONE); /* a module has its own log */
    weft_cuda_fill_unsupported(table);
    table->cuInit = fake_init;
    fake_soft_opened++;
    return 0;
}

static void fake_drop(void)
{
    fake_soft_dropped++;
}

EXPORTED const struct weft_backend *weft_backend_describe(void);
const struct weft_backend *weft_backend_describe(void)
{
    static struct weft_backend backend = {.version = WEFT_BACKEND_VERSION,
                                          .name = "fake",
                                          .open = fake_open,
                                          .drop_after_fork = fake_drop};
    const char *mode = getenv("FAKE_SOFT");
    if (mode && strcmp(mode, "old") == 0)
        backend.version = WEFT_BACKEND_VERSION + 1;
    return &backend;
}
