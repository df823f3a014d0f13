/* The table's entries are the real driver's own functions, except the few that say which devices
 * there are. */
#include "backend/native.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "cuda/entries.h"
#include "util/log.h"
#include "util/util.h"

#define DRIVER_DEVICES_MAX 256

/* The one state of the backend: the CUDA ABI passes none. Written by open and by the first cuInit
 * that succeeds. */
static struct {
    pthread_mutex_t lock; /* serialises find_devices */
    struct weft_device_grant grants[WEFT_DEVICES_MAX];
    size_t grant_count;
    struct weft_cuda driver;
    size_t device_count; /* release/acquire: the devices before it are written first */
    CUdevice devices[WEFT_DEVICES_MAX];
} native = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool has_uuid(const struct weft_device_grant *grant)
{
    static const uint8_t none[WEFT_UUID_BYTES];
    return memcmp(grant->uuid, none, sizeof(none)) != 0;
}

/* A slice of a card answers to the newer call with its own UUID; drivers before 11.4 have the older
 * one alone. */
static bool is_granted_device(const struct weft_device_grant *grant, int index, CUdevice device)
{
    CUuuid uuid;
    if (!has_uuid(grant))
        return grant->native_index == (uint32_t)index;
    if (native.driver.cuDeviceGetUuid_v2(&uuid, device) != CUDA_SUCCESS &&
        native.driver.cuDeviceGetUuid(&uuid, device) != CUDA_SUCCESS)
        return false;
    return memcmp(uuid.bytes, grant->uuid, sizeof(uuid.bytes)) == 0;
}

/* A granted device that the driver does not show (CUDA_VISIBLE_DEVICES) is not there for the
 * program either. */
static void find_devices(void)
{
    CUdevice devices[WEFT_DEVICES_MAX];
    size_t found = 0;
    int count = 0;
    native.driver.cuDeviceGetCount(&count);
    for (size_t grant = 0; grant < native.grant_count; grant++) {
        for (int index = 0; index < count && index < DRIVER_DEVICES_MAX; index++) {
            CUdevice device;
            if (native.driver.cuDeviceGet(&device, index) != CUDA_SUCCESS ||
                !is_granted_device(&native.grants[grant], index, device))
                continue;
            devices[found++] = device;
            break;
        }
    }
    memcpy(native.devices, devices, found * sizeof(devices[0]));
    __atomic_store_n(&native.device_count, found, __ATOMIC_RELEASE);
}

static size_t device_count(void)
{
    return __atomic_load_n(&native.device_count, __ATOMIC_ACQUIRE);
}

static CUresult native_init(unsigned int flags)
{
    CUresult result = native.driver.cuInit(flags);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&native.lock);
    if (device_count() == 0)
        find_devices();
    pthread_mutex_unlock(&native.lock);
    return device_count() > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

static CUresult native_device_get_count(int *count)
{
    CUresult result = native.driver.cuDeviceGetCount(count);
    if (result == CUDA_SUCCESS)
        *count = (int)device_count();
    return result;
}

/* Before cuInit the driver says itself what is wrong. */
static CUresult native_device_get(CUdevice *device, int ordinal)
{
    size_t count = device_count();
    if (count == 0)
        return native.driver.cuDeviceGet(device, ordinal);
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (ordinal < 0 || (size_t)ordinal >= count)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = native.devices[ordinal];
    return CUDA_SUCCESS;
}

static CUresult native_device_get_by_pci_bus_id(CUdevice *device, const char *id)
{
    CUdevice found;
    size_t count = device_count();
    if (count == 0 || !device)
        return native.driver.cuDeviceGetByPCIBusId(device, id);
    CUresult result = native.driver.cuDeviceGetByPCIBusId(&found, id);
    if (result != CUDA_SUCCESS)
        return result;
    for (size_t i = 0; i < count; i++) {
        if (native.devices[i] == found) {
            *device = found;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

/* Calls that this driver does not have refuse by name. */
static size_t resolve(void *library, struct weft_cuda *table)
{
    size_t missing = 0;
    weft_cuda_fill_unsupported(table);
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        weft_cuda_fn found = (weft_cuda_fn)dlsym(library, weft_cuda_entries[i].symbol);
        if (found)
            *weft_cuda_slot(table, i) = found;
        else
            missing++;
    }
    return missing;
}

static int native_open(const struct weft_backend_config *config, struct weft_cuda *table,
                       struct weft_err *err)
{
    void *library;
    if (config->device_count > WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_ERANGE, "%zu devices, more than %d", config->device_count,
                         WEFT_DEVICES_MAX);
    int rc = weft_native_library_open(&library, err);
    if (rc)
        return rc;
    size_t missing = resolve(library, &native.driver);
    if (missing == WEFT_CUDA_ENTRIES)
        return weft_fail(err, WEFT_ENOENT, "the driver has none of CUDA's functions");
    weft_log(WEFT_LOG_INFO, "native", "the driver lacks %zu of %d functions", missing,
             WEFT_CUDA_ENTRIES);
    memcpy(native.grants, config->devices, config->device_count * sizeof(native.grants[0]));
    native.grant_count = config->device_count;
    *table = native.driver;
    table->cuInit = native_init;
    table->cuDeviceGetCount = native_device_get_count;
    table->cuDeviceGet = native_device_get;
    table->cuDeviceGetByPCIBusId = native_device_get_by_pci_bus_id;
    return 0;
}

/* The driver notices a fork by itself; before cuInit it has made nothing. */
static void native_drop_after_fork(void)
{
    native.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    native.device_count = 0;
}

const struct weft_backend *weft_native_describe(void)
{
    static const struct weft_backend backend = {
        .version = WEFT_BACKEND_VERSION,
        .name = "native",
        .open = native_open,
        .drop_after_fork = native_drop_after_fork,
    };
    return &backend;
}
