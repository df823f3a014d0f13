/* The SMs of a soft device, divided among the tenants that were promised a part of them; and what
 * MPS does of that on a native one. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/log.h"

#define MPS_FOLDER "/tmp/nvidia-mps" /* where the driver's documentation says, but for */
#define MPS_FOLDER_VARIABLE "CUDA_MPS_PIPE_DIRECTORY"

/* -- native devices */

static const char *mps_folder(void)
{
    const char *folder = getenv(MPS_FOLDER_VARIABLE);
    return folder && *folder ? folder : MPS_FOLDER;
}

/* Whether MPS' control daemon listens: its folder has the pipe, and somebody reads there. */
static bool mps_runs(void)
{
    char path[WEFT_PLACES_PATH_BYTES];
    struct stat found;
    if (weft_places_join(mps_folder(), "control", path, NULL) || stat(path, &found))
        return false;
    if (!S_ISFIFO(found.st_mode))
        return S_ISSOCK(found.st_mode);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 || errno != ENXIO;
}

int weft_daemon_space_check(const struct weft_limits *limits,
                            struct weft_daemon_device *const *devices, uint32_t count,
                            struct weft_err *err)
{
    for (uint32_t i = 0; limits->sm_percent != WEFT_SM_WHOLE && i < count; i++) {
        if (devices[i]->kind != WEFT_DEVICE_SOFT && !mps_runs())
            return weft_fail(err, WEFT_ENOSYS,
                             "--sm: %s shares its SMs by NVIDIA's MPS only, and none listens at "
                             "%s; start `nvidia-cuda-mps-control -d`, or leave --sm out",
                             devices[i]->name, mps_folder());
    }
    return 0;
}

uint32_t weft_daemon_space_mps_percent(const struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        if (tenant->devices[i]->kind == WEFT_DEVICE_NATIVE &&
            tenant->limits.sm_percent != WEFT_SM_WHOLE)
            return tenant->limits.sm_percent;
    }
    return 0;
}

/* -- soft devices */

/* How many of the tenants that have not all SMs have each of them. */
struct loads {
    uint32_t sms[WEFT_SPACE_SMS_MAX];
};

static void add_load(const struct weft_daemon_device *device, uint32_t line, struct loads *loads,
                     uint32_t change)
{
    const struct weft_space_set *set = &device->space->sets[line];
    if (weft_space_is_whole(set))
        return;
    for (uint32_t sm = 0; sm < device->sm_count; sm++)
        loads->sms[sm] += weft_space_has(set, sm) ? change : 0;
}

static struct loads count_loads(const struct weft_daemon_device *device)
{
    struct loads loads = {0};
    for (uint32_t i = 1; i < WEFT_DEVICE_TENANTS; i++)
        add_load(device, i, &loads, 1);
    return loads;
}

static void give(struct weft_daemon_device *device, uint32_t line, uint32_t sms,
                 struct loads *loads)
{
    struct weft_space_set *set = &device->space->sets[line];
    add_load(device, line, loads, (uint32_t)-1);
    struct weft_space_set chosen = weft_space_choose(loads->sms, device->sm_count, sms, set);
    weft_space_write(set, &chosen);
    add_load(device, line, loads, 1);
}

/* After a change: those who had to take what others have too may find better now, and who waits
 * for an SM that is now his must look. */
static void divide_anew(struct weft_daemon_device *device)
{
    struct loads loads = count_loads(device);
    uint32_t limited = 0;
    for (uint32_t i = 1; i < WEFT_DEVICE_TENANTS; i++) {
        const struct weft_space_set *set = &device->space->sets[i];
        if (weft_space_is_whole(set))
            continue;
        limited++;
        give(device, i, weft_space_count(set, device->sm_count), &loads);
    }
    __atomic_store_n(&device->space->limited, limited, __ATOMIC_SEQ_CST);
    for (uint32_t sm = 0; sm < WEFT_MIN(device->sm_count, 32u); sm++)
        weft_device_page_wake(device->page, sm, INT32_MAX);
}

void weft_daemon_space_apply(struct weft_daemon_tenant *tenant)
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        struct weft_daemon_device *device = tenant->devices[i];
        uint32_t line = tenant->time_lines[i];
        if (line == 0 || !device->space)
            continue;
        uint32_t sms = weft_space_sms(device->sm_count, tenant->limits.sm_percent);
        if (weft_space_count(&device->space->sets[line], device->sm_count) == sms)
            continue;
        struct loads loads = count_loads(device);
        give(device, line, sms, &loads);
        divide_anew(device);
    }
}

void weft_daemon_space_leave(struct weft_daemon_device *device, uint32_t line)
{
    const struct weft_space_set none = {0};
    if (!device->space || weft_space_is_whole(&device->space->sets[line]))
        return;
    weft_space_write(&device->space->sets[line], &none);
    divide_anew(device);
}

uint32_t weft_daemon_space_count(const struct weft_daemon_tenant *tenant, uint32_t index)
{
    const struct weft_daemon_device *device = tenant->devices[index];
    if (tenant->time_lines[index] && device->space)
        return weft_space_count(&device->space->sets[tenant->time_lines[index]], device->sm_count);
    return device->sm_count ? weft_space_sms(device->sm_count, tenant->limits.sm_percent) : 0;
}

bool weft_daemon_space_meets(const struct weft_daemon_tenant *tenant, uint32_t index,
                             const struct weft_daemon_tenant *other, uint32_t other_index)
{
    const struct weft_daemon_device *device = tenant->devices[index];
    return device == other->devices[other_index] &&
           (!device->space ||
            weft_space_meets(&device->space->sets[tenant->time_lines[index]],
                             &device->space->sets[other->time_lines[other_index]]));
}

void weft_daemon_space_tell(const struct weft_daemon_tenant *tenant,
                            char note[WEFT_WIRE_TEXT_BYTES])
{
    bool runs = false;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        runs |= p->role == WEFT_DAEMON_PROGRAM;
    if (!runs)
        return;
    size_t used = strlen(note);
    snprintf(
        note + used, WEFT_WIRE_TEXT_BYTES - used, "%s%s", used ? "; " : "",
        weft_daemon_space_mps_percent(tenant)
            ? "MPS fixes the share of the SMs when a process starts: those that run keep theirs"
            : "kernels run on the new share of the SMs from now on; programs that run already "
              "go on to see the number that they started with");
}
