/* This machine's GPUs, as NVIDIA's management library knows them. Only documented calls, and never
 * cuInit. */
#include "daemon/daemon.h"

#include <dlfcn.h>
#include <string.h>

#include "util/log.h"

typedef struct nvml_device *nvml_device;
struct nvml_memory {
    unsigned long long total, free, used;
};

/* The few entry points that are used; each returns 0 on success. */
struct nvml {
    void *handle;
    int (*init)(void);
    int (*shutdown)(void);
    int (*get_count)(unsigned int *);
    int (*get_handle)(unsigned int, nvml_device *);
    int (*get_uuid)(nvml_device, char *, unsigned int);
    int (*get_name)(nvml_device, char *, unsigned int);
    int (*get_memory)(nvml_device, struct nvml_memory *);
    int (*get_capability)(nvml_device, int *, int *);
};

static bool find_calls(struct nvml *nvml)
{
    const struct {
        const char *name;
        void *slot;
    } calls[] = {
        {"nvmlInit_v2", &nvml->init},
        {"nvmlShutdown", &nvml->shutdown},
        {"nvmlDeviceGetCount_v2", &nvml->get_count},
        {"nvmlDeviceGetHandleByIndex_v2", &nvml->get_handle},
        {"nvmlDeviceGetUUID", &nvml->get_uuid},
        {"nvmlDeviceGetName", &nvml->get_name},
        {"nvmlDeviceGetMemoryInfo", &nvml->get_memory},
        {"nvmlDeviceGetCudaComputeCapability", &nvml->get_capability},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(calls); i++) {
        void *found = dlsym(nvml->handle, calls[i].name);
        if (!found) {
            weft_log(WEFT_LOG_WARN, "weftd", "libnvidia-ml has no %s: native GPUs are not used",
                     calls[i].name);
            return false;
        }
        memcpy(calls[i].slot, &found, sizeof(found));
    }
    return true;
}

/* One GPU; false where the library does not tell enough about it. */
static bool describe(const struct nvml *nvml, unsigned int index, struct weft_daemon_device *device)
{
    nvml_device handle;
    struct nvml_memory memory;
    char uuid[96];
    int major = 0, minor = 0;
    *device =
        (struct weft_daemon_device){.kind = WEFT_DEVICE_NATIVE, .index = index, .page_fd = -1};
    if (nvml->get_handle(index, &handle) || nvml->get_uuid(handle, uuid, sizeof(uuid)) ||
        nvml->get_memory(handle, &memory) ||
        nvml->get_name(handle, device->name, sizeof(device->name)))
        return false;
    if (strncmp(uuid, "GPU-", 4) != 0 || weft_uuid_parse(uuid + 4, device->uuid, NULL))
        return false;
    if (nvml->get_capability(handle, &major, &minor) == 0) {
        device->cc_major = (uint32_t)major;
        device->cc_minor = (uint32_t)minor;
    }
    device->memory_bytes = memory.total;
    return true;
}

static void add_devices(const struct nvml *nvml, struct weft_daemon *daemon)
{
    unsigned int count = 0;
    if (nvml->get_count(&count))
        return;
    for (unsigned int i = 0; i < count && daemon->device_count < WEFT_DEVICES_MAX; i++) {
        struct weft_daemon_device described;
        struct weft_daemon_device *device = NULL;
        if (describe(nvml, i, &described))
            device = malloc(sizeof(*device));
        if (!device) {
            weft_log(WEFT_LOG_WARN, "weftd", "GPU %u does not answer and is left out", i);
            continue;
        }
        *device = described;
        device->index = (uint32_t)daemon->native_count;
        daemon->devices[daemon->device_count++] = device;
        daemon->native_count++;
    }
}

void weft_daemon_native_discover(struct weft_daemon *daemon)
{
    const char *path = getenv("WEFT_NATIVE_LIBNVML");
    struct nvml nvml = {
        .handle = dlopen(path && *path ? path : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (!nvml.handle) {
        weft_log(path && *path ? WEFT_LOG_WARN : WEFT_LOG_INFO, "weftd", "no native GPUs: %s",
                 dlerror());
        return;
    }
    if (find_calls(&nvml) && nvml.init() == 0) {
        add_devices(&nvml, daemon);
        nvml.shutdown();
    }
    dlclose(nvml.handle);
}
