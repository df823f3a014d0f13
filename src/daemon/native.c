/* This machine's GPUs, as NVIDIA's management library knows them. */
#include "daemon/daemon.h"

#include <string.h>

#include "daemon/nvml.h"
#include "util/log.h"

static struct weft_daemon_device *make_device(const struct weft_nvml_card *card, uint32_t index)
{
    struct weft_daemon_device *device = malloc(sizeof(*device));
    if (!device)
        return NULL;
    *device = (struct weft_daemon_device){.kind = WEFT_DEVICE_NATIVE,
                                          .index = index,
                                          .memory_bytes = card->memory_bytes,
                                          .cc_major = card->cc_major,
                                          .cc_minor = card->cc_minor,
                                          .card = card->handle,
                                          .used_bytes = card->used_bytes,
                                          .outside = WEFT_RECONCILE_FIGURE_INIT,
                                          .page_fd = -1};
    memcpy(device->uuid, card->uuid, sizeof(device->uuid));
    memcpy(device->name, card->name, sizeof(device->name));
    return device;
}

void weft_daemon_native_discover(struct weft_daemon *daemon)
{
    daemon->nvml = weft_nvml_open();
    uint32_t count = daemon->nvml ? weft_nvml_count(daemon->nvml) : 0;
    for (uint32_t i = 0; i < count && daemon->device_count < WEFT_DEVICES_MAX; i++) {
        struct weft_nvml_card card;
        struct weft_daemon_device *device = NULL;
        if (weft_nvml_describe(daemon->nvml, i, &card))
            device = make_device(&card, (uint32_t)daemon->native_count);
        if (!device) {
            weft_log(WEFT_LOG_WARN, "weftd", "GPU %u does not answer and is left out", i);
            continue;
        }
        daemon->devices[daemon->device_count++] = device;
        daemon->native_count++;
    }
}

void weft_daemon_native_finish(struct weft_daemon *daemon)
{
    weft_nvml_close(daemon->nvml);
    daemon->nvml = NULL;
    free(daemon->samples);
    daemon->samples = NULL;
}
