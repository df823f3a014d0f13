#include "daemon/nvml.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "policy/gpus.h"
#include "util/log.h"
#include "util/util.h"

/* NVML_VALUE_NOT_AVAILABLE: where the driver does not account for processes, or may not tell. */
#define NOT_AVAILABLE UINT64_MAX

typedef struct nvml_device *nvml_device;
struct nvml_memory {
    unsigned long long total, free, used;
};
/* nvmlProcessInfo_t since version 2 of the calls; before, it ended with the bytes. */
struct nvml_process {
    unsigned int pid;
    unsigned long long bytes;
    unsigned int gpu_instance, compute_instance;
};
struct nvml_process_old {
    unsigned int pid;
    unsigned long long bytes;
};
_Static_assert(sizeof(struct nvml_process) == 24, "the library's ABI");
_Static_assert(sizeof(struct nvml_process_old) == 16, "the library's ABI");

typedef int (*list_fn)(nvml_device, unsigned int *, void *);

/* The few entry points that are used; each returns 0 on success. */
struct weft_nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    int (*get_count)(unsigned int *);
    int (*get_handle)(unsigned int, nvml_device *);
    int (*get_uuid)(nvml_device, char *, unsigned int);
    int (*get_name)(nvml_device, char *, unsigned int);
    int (*get_memory)(nvml_device, struct nvml_memory *);
    int (*get_capability)(nvml_device, int *, int *);
    list_fn list, list_old; /* NULL: the library is older, or has none */
    list_fn list_mps;       /* of clients of MPS; may be NULL */
};

static bool find_calls(struct weft_nvml *nvml)
{
    const struct {
        const char *name;
        void *slot;
        bool optional;
    } calls[] = {
        {"nvmlInit_v2", &nvml->init, false},
        {"nvmlShutdown", &nvml->shutdown, false},
        {"nvmlDeviceGetCount_v2", &nvml->get_count, false},
        {"nvmlDeviceGetHandleByIndex_v2", &nvml->get_handle, false},
        {"nvmlDeviceGetUUID", &nvml->get_uuid, false},
        {"nvmlDeviceGetName", &nvml->get_name, false},
        {"nvmlDeviceGetMemoryInfo", &nvml->get_memory, false},
        {"nvmlDeviceGetCudaComputeCapability", &nvml->get_capability, false},
        /* The later of two wins. */
        {"nvmlDeviceGetComputeRunningProcesses_v2", &nvml->list, true},
        {"nvmlDeviceGetComputeRunningProcesses_v3", &nvml->list, true},
        {"nvmlDeviceGetComputeRunningProcesses", &nvml->list_old, true},
        {"nvmlDeviceGetMPSComputeRunningProcesses_v2", &nvml->list_mps, true},
        {"nvmlDeviceGetMPSComputeRunningProcesses_v3", &nvml->list_mps, true},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(calls); i++) {
        void *found = dlsym(nvml->library, calls[i].name);
        if (!found && calls[i].optional)
            continue;
        if (!found) {
            weft_log(WEFT_LOG_WARN, "weftd", "libnvidia-ml has no %s: native GPUs are not used",
                     calls[i].name);
            return false;
        }
        memcpy(calls[i].slot, &found, sizeof(found));
    }
    return true;
}

struct weft_nvml *weft_nvml_open(void)
{
    const char *path = getenv("WEFT_NATIVE_LIBNVML");
    bool named = path && *path;
    struct weft_nvml *nvml = calloc(1, sizeof(*nvml));
    if (!nvml)
        return NULL;
    nvml->library = dlopen(named ? path : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library) {
        weft_log(named ? WEFT_LOG_WARN : WEFT_LOG_INFO, "weftd", "no native GPUs: %s", dlerror());
        free(nvml);
        return NULL;
    }
    if (find_calls(nvml) && nvml->init() == 0)
        return nvml;
    dlclose(nvml->library);
    free(nvml);
    return NULL;
}

void weft_nvml_close(struct weft_nvml *nvml)
{
    if (!nvml)
        return;
    nvml->shutdown();
    dlclose(nvml->library);
    free(nvml);
}

uint32_t weft_nvml_count(const struct weft_nvml *nvml)
{
    unsigned int count = 0;
    return nvml->get_count(&count) == 0 ? count : 0;
}

bool weft_nvml_describe(const struct weft_nvml *nvml, uint32_t index, struct weft_nvml_card *card)
{
    nvml_device handle;
    struct nvml_memory memory;
    char uuid[96];
    int major = 0, minor = 0;
    *card = (struct weft_nvml_card){0};
    if (nvml->get_handle(index, &handle) || nvml->get_uuid(handle, uuid, sizeof(uuid)) ||
        nvml->get_memory(handle, &memory) || nvml->get_name(handle, card->name, sizeof(card->name)))
        return false;
    if (strncmp(uuid, "GPU-", 4) != 0 || weft_uuid_parse(uuid + 4, card->uuid, NULL))
        return false;
    if (nvml->get_capability(handle, &major, &minor) == 0) {
        card->cc_major = (uint32_t)major;
        card->cc_minor = (uint32_t)minor;
    }
    card->handle = handle;
    card->memory_bytes = memory.total;
    card->used_bytes = memory.used;
    return true;
}

static void add_process(struct weft_reconcile_sample *sample, uint32_t pid, uint64_t bytes)
{
    _Static_assert(NOT_AVAILABLE == WEFT_RECONCILE_UNKNOWN, "one number for both");
    if (sample->count < WEFT_RECONCILE_PROCESSES_MAX &&
        weft_reconcile_of_process(sample, pid) == WEFT_RECONCILE_UNKNOWN)
        sample->processes[sample->count++] = (struct weft_reconcile_process){pid, bytes};
}

static void add_list(list_fn list, nvml_device handle, struct weft_reconcile_sample *sample)
{
    struct nvml_process infos[WEFT_RECONCILE_PROCESSES_MAX];
    unsigned int count = WEFT_RECONCILE_PROCESSES_MAX;
    if (!list || list(handle, &count, infos))
        return;
    for (unsigned int i = 0; i < count && i < WEFT_RECONCILE_PROCESSES_MAX; i++)
        add_process(sample, infos[i].pid, infos[i].bytes);
}

static void add_list_old(list_fn list, nvml_device handle, struct weft_reconcile_sample *sample)
{
    struct nvml_process_old infos[WEFT_RECONCILE_PROCESSES_MAX];
    unsigned int count = WEFT_RECONCILE_PROCESSES_MAX;
    if (!list || list(handle, &count, infos))
        return;
    for (unsigned int i = 0; i < count && i < WEFT_RECONCILE_PROCESSES_MAX; i++)
        add_process(sample, infos[i].pid, infos[i].bytes);
}

void weft_nvml_sample(const struct weft_nvml *nvml, void *handle,
                      struct weft_reconcile_sample *sample)
{
    struct nvml_memory memory;
    sample->count = 0;
    if (nvml->list)
        add_list(nvml->list, handle, sample);
    else
        add_list_old(nvml->list_old, handle, sample);
    add_list(nvml->list_mps, handle, sample);
    bool answered = nvml->get_memory(handle, &memory) == 0;
    sample->used_bytes = answered ? memory.used : WEFT_RECONCILE_UNKNOWN;
}
