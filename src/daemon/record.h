/* A tenant's record: the file that outlives weftd, see record.c. Only weftd of this machine and
 * this build reads it, so its layout may change with every version. */
#ifndef WEFT_DAEMON_RECORD_H
#define WEFT_DAEMON_RECORD_H

#include <stdint.h>

#include "policy/ledger.h"
#include "policy/limits.h"
#include "wire/wire.h"

#define WEFT_RECORD_FOLDER "state"
#define WEFT_RECORD_SUFFIX ".tenant"
#define WEFT_RECORD_PROCESSES (WEFT_LEDGER_SLOTS + 256) /* programs, and runs around them */
#define WEFT_RECORD_BOOT_BYTES 40

struct weft_daemon;
struct weft_daemon_tenant;
struct weft_daemon_process;

struct weft_record_process {
    uint32_t pid;  /* 0: the entry is free; written last */
    uint32_t role; /* enum weft_daemon_role */
    uint64_t start_ticks;
    uint32_t runner_pid;
    uint32_t slot;
    uint32_t device_slots[WEFT_DEVICES_MAX];
    uint64_t time_ns[WEFT_DEVICES_MAX]; /* device time that it had at the last look */
};

struct weft_record_device {
    uint32_t kind, index;
    uint32_t time_line; /* in the device's page */
    uint8_t uuid[WEFT_UUID_BYTES];
    char profile[WEFT_PROFILE_BYTES];
    uint64_t used_ns, idle_ns; /* a soft device's clock, when a process last ended */
};

/* What may change while the tenant lives. */
struct weft_record_terms {
    uint32_t uid;
    uint32_t origin; /* enum weft_tenant_origin */
    struct weft_limits limits, configured;
    struct weft_access run, change;
};

struct weft_record {
    uint32_t magic, version;
    uint64_t bytes;
    char boot[WEFT_RECORD_BOOT_BYTES];
    char name[WEFT_WIRE_TENANT_BYTES];
    uint32_t current; /* which of the two holds */
    struct weft_record_terms terms[2];
    uint32_t device_count;
    struct weft_record_device devices[WEFT_DEVICES_MAX];
    uint64_t ended_time_ns[WEFT_DEVICES_MAX];
    /* The device time of a dead process, on its way into ended_time_ns: device << 16 | slot. */
    uint32_t time_slot;
    uint64_t time_next_ns;
    uint64_t ledger_inode;
    struct weft_record_process processes[WEFT_RECORD_PROCESSES];
};

/* Makes the tenant's record and writes all of the tenant there. */
int weft_daemon_record_create(struct weft_daemon_tenant *tenant, struct weft_err *err);
/* Maps the record of a former life. WEFT_EVERSION where it is of another boot or version. */
int weft_daemon_record_open(const struct weft_daemon *daemon, const char *name,
                            struct weft_record **out, struct weft_err *err);
void weft_daemon_record_close(struct weft_record *record);
void weft_daemon_record_remove(const struct weft_daemon *daemon, const char *name);
/* To be called after every change of a tenant or a process, and before a peer is told of it. */
void weft_daemon_record_tenant(struct weft_daemon_tenant *tenant);
void weft_daemon_record_process(struct weft_daemon_process *process);
void weft_daemon_record_forget(struct weft_daemon_process *process);
/* Notes what all processes have used so far: a device's page is gone with the last who has it open.
 */
void weft_daemon_record_times(struct weft_daemon *daemon);
/* Adds the device time of a dead process to the tenant's, once, wherever weftd dies meanwhile.
 * `slot_recorded` is the process' slot in its record, which becomes 0; NULL where it has none. */
void weft_daemon_record_time(struct weft_daemon_tenant *tenant, uint32_t index,
                             uint32_t *slot_recorded, uint64_t more_ns);

#endif
