/* The audit of faults: a line of JSON for each, in the log and in a file that outlives weftd. */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "softgpu/faults.h"
#include "util/log.h"
#include <weft/cuda_abi.h>

#define FILE_NAME "faults.jsonl"
#define FILE_BYTES_MAX (4u << 20) /* then it becomes faults.jsonl.1, and that one goes */
#define TIME_TEXT_BYTES 32

/* What the error of a context that ended is called. */
static const char *kind_of(uint32_t error)
{
    static const struct {
        CUresult error;
        const char *kind;
    } kinds[] = {
        {CUDA_ERROR_ILLEGAL_ADDRESS, "illegal-address"},
        {CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned-address"},
        {CUDA_ERROR_ILLEGAL_INSTRUCTION, "illegal-instruction"},
        {CUDA_ERROR_INVALID_PC, "invalid-pc"},
        {CUDA_ERROR_HARDWARE_STACK_ERROR, "stack"},
        {CUDA_ERROR_ASSERT, "assert"},
        {CUDA_ERROR_LAUNCH_TIMEOUT, "timeout"},
        {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "out-of-resources"},
        {CUDA_ERROR_ECC_UNCORRECTABLE, "ecc"},
        {CUDA_ERROR_DEVICE_UNAVAILABLE, "lost"},
        {CUDA_ERROR_NVLINK_UNCORRECTABLE, "nvlink"},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(kinds); i++) {
        if (kinds[i].error == error)
            return kinds[i].kind;
    }
    return "failure";
}

static void format_now(char text[TIME_TEXT_BYTES])
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t used = strftime(text, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + used, TIME_TEXT_BYTES - used, ".%03ldZ", now.tv_nsec / 1000000);
}

/* What a program says is shown as it is only where it is plain. */
static json_t *plain_text(const char *text)
{
    char plain[WEFT_WIRE_TEXT_BYTES];
    snprintf(plain, sizeof(plain), "%s", text);
    for (char *c = plain; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    return json_string(plain);
}

static void set_device(json_t *line, const struct weft_daemon_device *device)
{
    char label[64], uuid[WEFT_UUID_TEXT_BYTES];
    weft_daemon_device_label(device, label, sizeof(label));
    json_object_set_new(line, "device", json_string(label));
    json_object_set_new(line, "uuid", json_sprintf("GPU-%s", weft_uuid_format(device->uuid, uuid)));
}

static void set_xid(json_t *line, uint32_t number)
{
    json_object_set_new(line, "xid", number ? json_integer(number) : json_null());
}

static json_t *begin_line(const char *event)
{
    char now[TIME_TEXT_BYTES];
    format_now(now);
    return json_pack("{s:s, s:s}", "time", now, "event", event);
}

static int open_file(const struct weft_daemon *daemon)
{
    char folder[WEFT_PLACES_PATH_BYTES], path[WEFT_PLACES_PATH_BYTES],
        older[WEFT_PLACES_PATH_BYTES];
    struct stat found;
    if (weft_places_join(daemon->dir, WEFT_RECORD_FOLDER, folder, NULL) ||
        weft_places_join(folder, FILE_NAME, path, NULL) ||
        weft_places_join(folder, FILE_NAME ".1", older, NULL))
        return -1;
    if (stat(path, &found) == 0 && found.st_size >= (off_t)FILE_BYTES_MAX)
        rename(path, older);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Takes the line over. A file that cannot be written is no reason to leave the fault unsaid. */
static void end_line(const struct weft_daemon *daemon, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text)
        return;
    weft_log(WEFT_LOG_WARN, "weftd", "%s", text);
    _cleanup_fd_ int fd = open_file(daemon);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
        weft_log(WEFT_LOG_WARN, "weftd", "%s/%s/%s: %s", daemon->dir, WEFT_RECORD_FOLDER, FILE_NAME,
                 strerror(errno));
    free(text);
}

void weft_daemon_audit_fault(const struct weft_daemon_process *process,
                             const struct weft_wire_report *report)
{
    const struct weft_daemon_tenant *tenant = process->tenant;
    json_t *line = begin_line("context-ended");
    if (!line)
        return;
    json_object_set_new(line, "kind", json_string(kind_of(report->error)));
    json_object_set_new(line, "error", json_integer(report->error));
    set_xid(line, report->xid);
    json_object_set_new(line, "tenant", json_string(tenant->name));
    json_object_set_new(line, "uid", json_integer(tenant->uid));
    json_object_set_new(line, "pid", json_integer(process->pid));
    if (report->device < tenant->device_count)
        set_device(line, tenant->devices[report->device]);
    json_object_set_new(line, "text", plain_text(report->text));
    end_line(tenant->daemon, line);
}

void weft_daemon_audit_injection(const struct weft_daemon *daemon,
                                 const struct weft_daemon_device *device,
                                 const struct weft_wire_fault *fault, uid_t uid)
{
    const struct weft_soft_xid *xid = weft_soft_xid_find(fault->xid);
    json_t *line = begin_line(xid ? "injected" : "cleared");
    if (!line)
        return;
    set_xid(line, fault->xid);
    json_object_set_new(line, "by_uid", json_integer(uid));
    if (*fault->tenant)
        json_object_set_new(line, "tenant", plain_text(fault->tenant));
    if (fault->pid)
        json_object_set_new(line, "pid", json_integer(fault->pid));
    set_device(line, device);
    if (xid)
        json_object_set_new(line, "text", json_string(xid->text));
    end_line(daemon, line);
}
