/* The soft driver as its module opens it: which devices there are, and who answers which call. */
#include "softgpu/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "softgpu/engine/engine.h"
#include "softgpu/engine/log.h"
#include "softgpu/engine/space.h"
#include "softgpu/engine/turn.h"
#include "softgpu/engine/watchdog.h"
#include "softgpu/soft.h"
#include "util/util.h"

struct weft_soft_driver weft_soft = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int check_page(const struct weft_device_page *page, struct weft_err *err)
{
    if (page->magic != WEFT_DEVICE_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "the device page is not weftd's");
    if (page->major != WEFT_DEVICE_MAJOR)
        return weft_fail(err, WEFT_EVERSION, "the device page has version %u, this library %u",
                         page->major, WEFT_DEVICE_MAJOR);
    if (page->sm_count == 0 || page->sm_count > WEFT_DEVICE_SMS_MAX)
        return weft_fail(err, WEFT_EPROTO, "the device page names %u SMs", page->sm_count);
    return 0;
}

static int map_page(struct weft_soft_device *device, int fd, struct weft_err *err)
{
    struct stat status;
    size_t wanted = WEFT_DEVICE_LEDGER_OFFSET + weft_ledger_bytes();
    if (fstat(fd, &status) || status.st_size < 0 || (uint64_t)status.st_size < wanted)
        return weft_fail(err, WEFT_EPROTO, "the device page is too small");
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "map the device page: %s", strerror(errno));
    device->place.page = memory;
    device->place.page_bytes = (size_t)status.st_size;
    if (device->place.page->minor >= 2 &&
        device->place.page_bytes >= weft_device_time_offset() + sizeof(struct weft_device_time))
        device->place.time =
            (struct weft_device_time *)((char *)memory + weft_device_time_offset());
    if (device->place.page->minor >= 4 &&
        device->place.page_bytes >= weft_device_space_offset() + sizeof(struct weft_device_space))
        device->place.space =
            (struct weft_device_space *)((char *)memory + weft_device_space_offset());
    return check_page(device->place.page, err);
}

/* What of the device's SMs the tenant has now. */
static uint32_t count_sms(const struct weft_soft_device *device)
{
    const struct weft_space_set *set = weft_soft_space_of(&device->place);
    uint32_t sm_count = device->profile->sm_count;
    return set ? weft_space_count(set, sm_count) : sm_count;
}

static int open_device(struct weft_soft_device *device, const struct weft_device_grant *grant,
                       struct weft_err *err)
{
    device->place.slot = grant->slot;
    device->arena_fd = grant->arena_fd;
    memcpy(device->uuid, grant->uuid, sizeof(device->uuid));
    char name[WEFT_PROFILE_BYTES + 1] = {0};
    memcpy(name, grant->profile, WEFT_PROFILE_BYTES);
    device->profile = weft_soft_profile_find(name);
    if (!device->profile)
        return weft_fail(err, WEFT_EINVAL, "the soft device's profile \"%s\" is not known", name);
    device->slice = weft_soft_profile_slice(device->profile);
    device->place.turns = weft_soft_turns_create();
    if (!device->place.turns)
        return weft_fail(err, WEFT_ENOMEM, "no memory for a soft device");
    if (grant->slot >= WEFT_LEDGER_SLOTS)
        return weft_fail(err, WEFT_EPROTO, "slot %u is not in the device page", grant->slot);
    int rc = map_page(device, grant->page_fd, err);
    if (rc)
        return rc;
    device->sm_count = count_sms(device);
    struct weft_ledger *ledger;
    rc = weft_ledger_open(&ledger, (char *)device->place.page + WEFT_DEVICE_LEDGER_OFFSET,
                          device->place.page_bytes - WEFT_DEVICE_LEDGER_OFFSET, err);
    if (rc == 0)
        weft_ledger_account_init(&device->account, ledger, grant->slot);
    return rc;
}

static void close_devices(void)
{
    for (size_t i = 0; i < weft_soft.device_count; i++) {
        weft_soft_turns_destroy(weft_soft.devices[i].place.turns);
        if (weft_soft.devices[i].place.page)
            munmap(weft_soft.devices[i].place.page, weft_soft.devices[i].place.page_bytes);
    }
    memset(weft_soft.devices, 0, sizeof(weft_soft.devices));
    weft_soft.device_count = 0;
}

static int open_devices(const struct weft_backend_config *config, struct weft_err *err)
{
    if (config->device_count > WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_ERANGE, "%zu devices, more than %d", config->device_count,
                         WEFT_DEVICES_MAX);
    for (size_t i = 0; i < config->device_count; i++) {
        weft_soft.device_count = i + 1;
        weft_soft.devices[i].ordinal = (uint32_t)i;
        int rc = open_device(&weft_soft.devices[i], &config->devices[i], err);
        if (rc)
            return weft_wrap(err, rc, "soft device %zu", i);
    }
    return weft_soft_memory_open(&weft_soft, err);
}

/* What CUDA reads of the environment, read once: the program may change its own later. */
static void read_environment(void)
{
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    const char *loading = getenv("CUDA_MODULE_LOADING");
    weft_soft.launch_blocking = blocking && strtol(blocking, NULL, 10) != 0;
    weft_soft.load_eagerly = loading && strcmp(loading, "EAGER") == 0;
}

int weft_soft_open(const struct weft_backend_config *config, struct weft_err *err)
{
    weft_soft_log_open(config);
    weft_soft.report = weft_soft_log_report;
    weft_soft.fault = weft_soft_log_fault;
    weft_soft.charge = config->charge;
    weft_soft.discharge = config->discharge;
    weft_soft.share = config->share;
    weft_soft.tenant_id = config->tenant_id;
    read_environment();
    int rc = weft_soft_watchdog_configure(&weft_soft, err);
    if (rc == 0)
        rc = open_devices(config, err);
    if (rc)
        close_devices();
    return rc;
}

void weft_soft_drop_after_fork(void)
{
    weft_soft_memory_drop_after_fork(&weft_soft);
    close_devices();
    weft_soft.report = NULL;
}

void weft_soft_install(struct weft_cuda *table)
{
    weft_soft_engine_install(table);
    weft_soft_memory_install(table);
}

void weft_soft_engine_install(struct weft_cuda *table)
{
    weft_soft_context_install(table);
    weft_soft_primary_install(table);
    weft_soft_stream_install(table);
    weft_soft_memory_ops_install(table);
    weft_soft_event_install(table);
    weft_soft_module_install(table);
    weft_soft_function_install(table);
    weft_soft_link_install(table);
    weft_soft_library_install(table);
    weft_soft_launch_install(table);
    weft_soft_legacy_install(table);
    weft_soft_graph_install(table);
    weft_soft_log_install(table);
}
