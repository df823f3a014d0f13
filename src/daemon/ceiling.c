/* How much host memory soft devices may hold together, so that they end in CUDA_ERROR_OUT_OF_MEMORY
 * and never in the kernel's out-of-memory killer: four fifths of what is free now, by the machine
 * and by every cgroup above us, plus what they have touched. */
#include "daemon/daemon.h"

#include <string.h>
#include <sys/stat.h>

#define SHARE_NUMERATOR 4
#define SHARE_DENOMINATOR 5
#define CGROUP_LEVELS_MAX 64

/* The number after `key` in a file of "key value" lines; an empty key takes the first. UINT64_MAX
 * where there is none. */
static uint64_t read_number(const char *path, const char *key)
{
    char line[512];
    uint64_t value = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    while (fgets(line, sizeof(line), file)) {
        unsigned long long number;
        if (strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), "%llu", &number) == 1) {
            value = number;
            break;
        }
    }
    fclose(file);
    return value;
}

/* What one cgroup still allows. `limit` and `usage` are the names of its files. */
static uint64_t cgroup_left(const char *folder, const char *limit, const char *usage)
{
    char path[WEFT_PLACES_PATH_BYTES];
    if (weft_places_join(folder, limit, path, NULL))
        return UINT64_MAX;
    uint64_t most = read_number(path, "");
    if (weft_places_join(folder, usage, path, NULL))
        return UINT64_MAX;
    uint64_t used = read_number(path, "");
    if (most == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    /* Pages of files count as used and can be dropped. */
    uint64_t cache = weft_places_join(folder, "memory.stat", path, NULL)
                         ? 0
                         : read_number(path, "inactive_file ");
    if (cache != UINT64_MAX && cache < used)
        used -= cache;
    return most > used ? most - used : 0;
}

/* The least that any cgroup from `group` up to the root allows. */
static uint64_t hierarchy_left(const char *root, const char *group, const char *limit,
                               const char *usage)
{
    char folder[WEFT_PLACES_PATH_BYTES];
    uint64_t least = UINT64_MAX;
    int length = snprintf(folder, sizeof(folder), "%s%s", root, group);
    if (length < 0 || length >= (int)sizeof(folder))
        return UINT64_MAX;
    for (int level = 0; level < CGROUP_LEVELS_MAX && strlen(folder) >= strlen(root); level++) {
        least = WEFT_MIN(least, cgroup_left(folder, limit, usage));
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return least;
}

static uint64_t cgroups_left(void)
{
    char line[WEFT_PLACES_PATH_BYTES];
    uint64_t least = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return UINT64_MAX;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        uint64_t left = UINT64_MAX;
        if (strcmp(controllers + 1, "") == 0)
            left = hierarchy_left("/sys/fs/cgroup", group, "memory.max", "memory.current");
        else if (strcmp(controllers + 1, "memory") == 0)
            left = hierarchy_left("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                                  "memory.usage_in_bytes");
        least = WEFT_MIN(least, left);
    }
    fclose(file);
    return least;
}

/* What the programs' arenas have touched: it is in use already, and counts as theirs. */
static uint64_t resident_bytes(const struct weft_daemon *daemon)
{
    uint64_t bytes = 0;
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        for (const struct weft_daemon_process *process = tenant->processes; process;
             process = process->next) {
            struct stat found;
            for (uint32_t i = 0; i < tenant->device_count; i++) {
                if (process->arena_fds[i] >= 0 && fstat(process->arena_fds[i], &found) == 0)
                    bytes += (uint64_t)found.st_blocks * 512;
            }
        }
    }
    return bytes;
}

static uint64_t ceiling_bytes(const struct weft_daemon *daemon)
{
    uint64_t available = read_number("/proc/meminfo", "MemAvailable:");
    available = available == UINT64_MAX ? UINT64_MAX : available * 1024;
    available = WEFT_MIN(available, cgroups_left());
    if (available == UINT64_MAX)
        return UINT64_MAX;
    return (available + resident_bytes(daemon)) / SHARE_DENOMINATOR * SHARE_NUMERATOR;
}

/* Shares `left` evenly among the devices; what one does not need goes to the others. */
static void fill_evenly(struct weft_daemon_device *const *devices, uint64_t *ceilings, size_t count,
                        uint64_t left)
{
    for (size_t round = 0; round < count && left > 0; round++) {
        size_t hungry = 0;
        for (size_t i = 0; i < count; i++)
            hungry += ceilings[i] < devices[i]->memory_bytes;
        if (hungry == 0)
            return;
        uint64_t share = left / hungry;
        for (size_t i = 0; i < count; i++) {
            uint64_t more = WEFT_MIN(share, devices[i]->memory_bytes - ceilings[i]);
            ceilings[i] += more;
            left -= more;
        }
    }
}

static void set_ceiling(struct weft_daemon_device *device, uint64_t bytes)
{
    __atomic_store_n(&device->page->memory_ceiling_bytes, bytes, __ATOMIC_RELEASE);
    weft_daemon_room_set_capacity(device, bytes);
}

void weft_daemon_ceiling_divide(struct weft_daemon *daemon)
{
    struct weft_daemon_device *devices[WEFT_DAEMON_DEVICES_MAX];
    uint64_t ceilings[WEFT_DAEMON_DEVICES_MAX];
    uint64_t left = ceiling_bytes(daemon);
    size_t count = 0;
    for (size_t i = daemon->native_count; i < daemon->device_count; i++) {
        struct weft_daemon_device *device = daemon->devices[i];
        if (device->tenants == 0)
            continue;
        uint64_t held = weft_ledger_total(device->ledger, 0);
        held = WEFT_MAX(held, weft_room_sum(device->room, 0).committed_bytes);
        held = WEFT_MIN(held, device->memory_bytes);
        devices[count] = device;
        ceilings[count++] = held;
        left -= WEFT_MIN(left, held);
    }
    fill_evenly(devices, ceilings, count, left);
    /* Lower first, then raise, so that the sum is not passed in between. */
    for (size_t i = 0; i < count; i++) {
        if (ceilings[i] < devices[i]->page->memory_ceiling_bytes)
            set_ceiling(devices[i], ceilings[i]);
    }
    for (size_t i = 0; i < count; i++)
        set_ceiling(devices[i], ceilings[i]);
}
