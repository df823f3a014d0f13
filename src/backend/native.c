/* The table's entries are the real driver's own functions, except those that
 * name a device (native_view.h). */
#include "backend/native.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/native_view.h"
#include "util/log.h"
#include "util/util.h"

#define DRIVER_DEVICES_MAX 256
#define VISIBLE_DEVICES "CUDA_VISIBLE_DEVICES"
#define NAME_BYTES 42 /* a comma, GPU- and a UUID */

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
    if (weft_native.driver.cuDeviceGetUuid_v2(&uuid, device) != CUDA_SUCCESS &&
        weft_native.driver.cuDeviceGetUuid(&uuid, device) != CUDA_SUCCESS)
        return false;
    return memcmp(uuid.bytes, grant->uuid, sizeof(uuid.bytes)) == 0;
}

/* A granted device that the driver does not show is not there for the program either. */
static void find_devices(void)
{
    size_t found = 0;
    int count = 0;
    weft_native.driver.cuDeviceGetCount(&count);
    for (size_t grant = 0; grant < weft_native.grant_count; grant++) {
        for (int index = 0; index < count && index < DRIVER_DEVICES_MAX; index++) {
            CUdevice device;
            if (weft_native.driver.cuDeviceGet(&device, index) != CUDA_SUCCESS ||
                !is_granted_device(&weft_native.grants[grant], index, device))
                continue;
            weft_native.devices[found++] = device;
            break;
        }
    }
    __atomic_store_n(&weft_native.device_count, found, __ATOMIC_RELEASE);
}

static CUresult native_init(unsigned int flags)
{
    CUresult result = weft_native.driver.cuInit(flags);
    if (result != CUDA_SUCCESS)
        return result;
    pthread_mutex_lock(&weft_native.lock);
    if (weft_native_device_count() == 0)
        find_devices();
    pthread_mutex_unlock(&weft_native.lock);
    return weft_native_device_count() > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

/* Calls that this driver does not have refuse by name. Returns how many. */
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

/* The driver reads CUDA_VISIBLE_DEVICES as meant for the whole machine. The program meant its
 * slice, which is what it was granted here: the driver is told the same devices by their UUIDs. */
static int name_devices(const struct weft_backend_config *config, struct weft_err *err)
{
    char setting[WEFT_DEVICES_MAX * NAME_BYTES] = "";
    size_t used = 0;
    if (!getenv(VISIBLE_DEVICES))
        return 0;
    for (size_t i = 0; i < config->device_count; i++) {
        const struct weft_device_grant *grant = &config->devices[i];
        if (!has_uuid(grant))
            return 0;
        used += (size_t)snprintf(setting + used, sizeof(setting) - used, "%sGPU-", i ? "," : "");
        for (size_t byte = 0; byte < WEFT_UUID_BYTES; byte++)
            used += (size_t)snprintf(setting + used, sizeof(setting) - used, "%s%02x",
                                     byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-" : "",
                                     grant->uuid[byte]);
    }
    if (setenv(VISIBLE_DEVICES, setting, 1) != 0)
        return weft_fail(err, WEFT_ENOMEM, "no memory for %s", VISIBLE_DEVICES);
    return 0;
}

static int native_open(const struct weft_backend_config *config, struct weft_cuda *table,
                       struct weft_err *err)
{
    void *library;
    if (config->device_count > WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_ERANGE, "%zu devices, more than %d", config->device_count,
                         WEFT_DEVICES_MAX);
    int rc = name_devices(config, err);
    if (!rc)
        rc = weft_native_library_open(&library, err);
    if (rc)
        return rc;
    size_t missing = resolve(library, &weft_native.driver);
    if (missing == WEFT_CUDA_ENTRIES)
        return weft_fail(err, WEFT_ENOENT, "the driver has none of CUDA's functions");
    weft_log(WEFT_LOG_INFO, "native", "the driver lacks %zu of %d functions", missing,
             WEFT_CUDA_ENTRIES);
    memcpy(weft_native.grants, config->devices,
           config->device_count * sizeof(weft_native.grants[0]));
    weft_native.grant_count = config->device_count;
    *table = weft_native.driver;
    weft_native_view_install(table);
    table->cuInit = native_init;
    return 0;
}

/* The driver notices a fork by itself; before cuInit it has made nothing. */
static void native_drop_after_fork(void)
{
    weft_native.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    weft_native.device_count = 0;
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
