/* weftd's inside. One thread, one event loop: nothing here is shared between threads, and nothing
 * on the way of a program's hello waits for anything. Memory that programs share is changed as
 * policy/ledger.h and softgpu/device_page.h say. */
#ifndef WEFT_DAEMON_DAEMON_H
#define WEFT_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>
#include <uv.h>

#include "daemon/config.h"
#include "daemon/record.h"
#include "policy/gpus.h"
#include "policy/ledger.h"
#include "policy/page.h"
#include "policy/place.h"
#include "policy/pressure.h"
#include "policy/reconcile.h"
#include "policy/room.h"
#include "policy/slice.h"
#include "softgpu/device_page.h"
#include "softgpu/profiles.h"
#include "transport/places.h"
#include "transport/transport.h"
#include "wire/wire.h"

#define WEFT_DAEMON_TENANTS_MAX 1024
#define WEFT_DAEMON_CONNECTIONS_MAX 16384
#define WEFT_DAEMON_STRANGERS_MAX 1024 /* connections that have not said who they are */
#define WEFT_DAEMON_DEVICES_MAX 256
#define WEFT_DAEMON_QUEUE_MAX (32u << 20) /* bytes that wait for one slow reader */
#define WEFT_DAEMON_FRAME_TIMEOUT_MS \
    10000 /* from the first byte of a frame, or the connection, to its last byte */

#define WEFT_DAEMON_MEMORY_NAME_BYTES 128

struct weft_daemon_tenant;
struct weft_daemon_process;
struct weft_daemon_connection;
struct weft_daemon_share;
struct weft_daemon_orphan;
struct weft_nvml;

/* A device of this node, from its first use to the daemon's end. */
struct weft_daemon_device {
    enum weft_device_kind kind;
    uint32_t index; /* native: in NVML's order; soft: among the devices of its profile */
    uint8_t uuid[WEFT_UUID_BYTES];
    char name[96]; /* the model, or "weft soft PROFILE" */
    uint64_t memory_bytes;
    uint32_t sm_count, cc_major, cc_minor;   /* 0 where not known */
    uint32_t tenants;                        /* live ones that hold it */
    const struct weft_soft_profile *profile; /* soft */
    int page_fd;                             /* owned; -1: not made yet */
    struct weft_device_page *page;           /* mapped, owned; native: from its first tenant on */
    size_t page_bytes;
    struct weft_ledger *ledger;           /* in the page; native: only for the slots */
    struct weft_ledger_account account;   /* our own slot in it */
    struct weft_device_time *time;        /* in the page */
    struct weft_device_space *space;      /* soft: in the page */
    uint64_t configured_bytes;            /* promised in a configuration that is being checked */
    struct weft_place_device planned;     /* by its tenants that are not there yet */
    enum weft_pressure pressure;          /* of its memory */
    void *card;                           /* native: the management library's */
    uint64_t used_bytes;                  /* native: in all, at the last look; or UNKNOWN */
    struct weft_reconcile_figure outside; /* native: of that not our tenants' */
    struct weft_room *room;               /* in the page; NULL: not made yet */
    uint64_t capacity_bytes;              /* what the room was told; 0: nothing yet */
    bool overwritten;                     /* the room was so at the last look */
};

/* A socket that is listened at. */
struct weft_daemon_listener {
    uv_poll_t poll;
    struct weft_daemon *daemon;
    struct weft_daemon_tenant *tenant; /* NULL: the control socket */
    int fd;                            /* owned; -1 is none */
    char path[WEFT_WIRE_PATH_BYTES];
    bool borrowed; /* the file is somebody else's */
};

enum weft_tenant_origin {
    WEFT_TENANT_OF_RUN,           /* it ends with its last process */
    WEFT_TENANT_OF_COMMAND,       /* there until it is removed */
    WEFT_TENANT_OF_CONFIGURATION, /* there while the configuration has it */
};

struct weft_daemon_tenant {
    struct weft_daemon_tenant *next;
    struct weft_daemon *daemon;
    char name[WEFT_WIRE_TENANT_BYTES];
    uid_t uid;
    enum weft_tenant_origin origin;
    bool distrusted;           /* its ledger could not be true: its processes are being ended */
    bool leaving;              /* removed: its processes are being ended, and it takes no more */
    struct weft_access run;    /* besides the owner and root: who may connect and join */
    struct weft_access change; /* who may change it */
    struct weft_limits limits;
    struct weft_limits configured; /* by the configuration, when `limits` was last taken from it */
    /* While a configuration is checked. */
    const struct weft_limits *planned; /* borrowed: what it would have; NULL: what it has */
    bool ends;                         /* it would be gone */
    uint32_t device_count;
    struct weft_daemon_device *devices[WEFT_DEVICES_MAX];
    uint64_t ended_time_ns[WEFT_DEVICES_MAX];      /* device time of processes that are gone */
    uint32_t time_lines[WEFT_DEVICES_MAX];         /* in each device's page; 0 is none */
    struct weft_room_seat seats[WEFT_DEVICES_MAX]; /* in each device's room */
    bool stopped[WEFT_DEVICES_MAX];                /* gets no time of the soft device now */
    int ledger_fd;                                 /* owned */
    int policy_fd;                                 /* owned; for reading alone */
    struct weft_ledger *ledger;                    /* mapped, owned */
    struct weft_ledger_account account;            /* our own slot in it */
    struct weft_policy_page *policy;               /* mapped writable, owned */
    struct weft_record *record;                    /* mapped, owned */
    struct weft_daemon_listener *listener;
    struct weft_daemon_process *processes; /* owned; when the last is gone, so is the tenant */
};

enum weft_daemon_role {
    WEFT_DAEMON_RUNNER,  /* a `weft run` */
    WEFT_DAEMON_CHILD,   /* belongs to a run, and holds nothing: it has not said hello, or executed
                            another program since */
    WEFT_DAEMON_PROGRAM, /* said hello and was granted the devices */
};

/* One lease: a process of a tenant, held by a pidfd. */
struct weft_daemon_process {
    struct weft_daemon_process *next;
    struct weft_daemon_tenant *tenant;
    struct weft_daemon_connection *connection; /* borrowed; NULL once closed */
    enum weft_daemon_role role;
    pid_t pid;
    pid_t runner_pid; /* PROGRAM: the `weft run` that prints its reports; 0: not known, so all of
                         the tenant do */
    bool silent;      /* PROGRAM: it closed its connection; it may have executed another program */
    int pidfd;        /* owned */
    uint64_t start_ticks;                    /* with the pid it names the process; 0: not known */
    struct weft_record_process *record;      /* borrowed; NULL: it would not outlive a restart */
    uint32_t slot;                           /* PROGRAM: in the tenant's ledger */
    uint32_t device_slots[WEFT_DEVICES_MAX]; /* PROGRAM: in each device's ledger; 0 is none */
    int arena_fds[WEFT_DEVICES_MAX];         /* PROGRAM: owned; -1 is none */
    struct weft_wire_report *held;           /* RUNNER: owned; what came while it had no socket */
    uint32_t held_count;
    struct weft_daemon_share *shares; /* PROGRAM: owned; files that others may have too */
    uint32_t share_count;
    /* PROGRAM, of native devices: what the driver takes beside what was asked for, what our slot of
     * the ledger holds for that, and what the process held when a sample was begun. */
    struct weft_reconcile_figure driver[WEFT_DEVICES_MAX];
    uint64_t driver_charged[WEFT_DEVICES_MAX];
    uint64_t held_before[WEFT_DEVICES_MAX];
    struct weft_room_look looks[WEFT_DEVICES_MAX]; /* PROGRAM: at its words in rooms */
};

/* Bytes on their way out. */
struct weft_daemon_chunk;

struct weft_daemon_connection {
    uv_poll_t poll;
    uv_timer_t deadline;
    int open_handles; /* of the two above; the memory goes with the last */
    struct weft_daemon_connection *next, **link_to_this;
    struct weft_daemon *daemon;
    struct weft_daemon_tenant
        *tenant; /* borrowed: whose socket it came by; NULL: control, or the tenant is gone */
    struct weft_daemon_process *process; /* borrowed: who it is, once it said so */
    struct weft_link link;
    struct weft_peer peer;
    struct weft_inbox inbox;
    struct weft_daemon_chunk *first_chunk, **last_chunk; /* owned */
    size_t queued_bytes;
    int watched;      /* the events that `poll` waits for */
    bool closing;     /* being torn down */
    bool close_after; /* once the queue is empty */
    bool by_tenant_socket;
    bool serving; /* a frame; what it leads to must not read the next one */
};

struct weft_daemon {
    uv_loop_t loop;
    uv_timer_t idle;
    uv_timer_t look; /* at those who closed their connection */
    uv_timer_t look_at_orphans;
    uv_timer_t look_at_ledgers;
    uv_timer_t look_at_pressure;
    uv_timer_t look_at_cards;
    uv_signal_t on_term, on_int, on_hup;
    char dir[WEFT_PLACES_PATH_BYTES];
    uint64_t idle_exit_ms;           /* 0: stays */
    uint32_t watchdog_us;            /* of soft devices; 0: none */
    enum weft_slice_mode slice_mode; /* of soft devices that are made from now on */
    const char *config_path;         /* borrowed; NULL: where it is looked for */
    struct weft_access operators;    /* besides root and our own user: who may add tenants */
    struct weft_rule *rules;         /* owned; of the configuration, in its order */
    size_t rule_count;
    bool stopping;
    int lock_fd;    /* owned; held for the daemon's whole life */
    int reserve_fd; /* owned; given up to turn a connection away when there are no others */
    struct weft_daemon_listener *control;
    struct weft_daemon_connection *connections;
    size_t connection_count;
    size_t strangers_max; /* WEFT_DAEMON_STRANGERS_MAX, or what the descriptors allow */
    struct weft_daemon_tenant *tenants;
    size_t tenant_count;
    struct weft_daemon_orphan *orphans; /* owned; what the dead paid for others */
    int drains;          /* in progress: no process may be destroyed under who reads ahead */
    size_t silent_count; /* processes with `silent` set */
    struct weft_daemon_device *devices[WEFT_DAEMON_DEVICES_MAX]; /* native first, in their order */
    size_t device_count, native_count;
    struct weft_nvml *nvml;                /* owned; NULL: no native devices */
    uv_work_t sample;                      /* of all native devices */
    bool sampling;                         /* the work is under way, and `samples` is its own */
    struct weft_reconcile_sample *samples; /* owned; one a native device; NULL: not made yet */
    uv_poll_t leases;
    int leases_fd; /* owned: an epoll over the pidfds of all leases, so that one call tells of every
                      death */
};

/* -- node.c: the life of the daemon
 * ---------------------------------------------------------------------------------- */

/* What weftd is started with. */
struct weft_daemon_start {
    const char *dir;
    uint64_t idle_exit_ms;
    uint32_t watchdog_us;
    enum weft_slice_mode slice_mode;
    int control_fd;                   /* taken over: listens already; -1: none */
    const char *config_path;          /* borrowed for the daemon's life; NULL: not named */
    const struct weft_config *config; /* borrowed for the call */
};
/* Takes the lock on `dir`, cleans what a dead daemon left, listens. WEFT_EBUSY where another weftd
 * serves it. */
int weft_daemon_init(struct weft_daemon *daemon, const struct weft_daemon_start *start,
                     struct weft_err *err);
/* Looks whether this machine has what the configuration gives out, with no daemon. */
int weft_daemon_config_try(const struct weft_config *config, struct weft_err *err);

/* -- activation.c
 * ----------------------------------------------------------------------------------------------------
 */

/* The control socket that a service manager listens at for us, and its path; *fd is -1 where there
 * is none. WEFT_EINVAL where it is something else. */
int weft_daemon_activation_take(char path[WEFT_WIRE_PATH_BYTES], int *fd, struct weft_err *err);
/* Tells a service manager that waits for it that we serve. */
void weft_daemon_activation_ready(void);
/* Serves until a signal, or until nobody has needed it for idle_exit_ms. */
void weft_daemon_run(struct weft_daemon *daemon);
void weft_daemon_finish(struct weft_daemon *daemon);
/* Starts or stops the count to the daemon's leaving. To be called whenever connections or tenants
 * come or go. */
void weft_daemon_idle_check(struct weft_daemon *daemon);

/* -- listener.c
 * -------------------------------------------------------------------------------------------------------
 */

int weft_daemon_listener_create(struct weft_daemon *daemon, struct weft_daemon_tenant *tenant,
                                const char *path, mode_t mode, uid_t owner,
                                struct weft_daemon_listener **out, struct weft_err *err);
/* The same for a socket that somebody else made, and keeps. Takes `fd` over. */
int weft_daemon_listener_adopt(struct weft_daemon *daemon, int fd, const char *path,
                               struct weft_daemon_listener **out, struct weft_err *err);
/* Takes the connections that wait there now. */
void weft_daemon_listener_take(struct weft_daemon_listener *listener);
/* Removes the socket's file too, unless it is somebody else's. */
void weft_daemon_listener_destroy(struct weft_daemon_listener *listener);

/* -- connection.c
 * -----------------------------------------------------------------------------------------------------
 */

/* Takes the link over. */
void weft_daemon_connection_create(struct weft_daemon *daemon, struct weft_daemon_tenant *tenant,
                                   struct weft_link *link, const struct weft_peer *peer);
void weft_daemon_connection_close(struct weft_daemon_connection *connection);
/* Reads ahead: serves what has already arrived, where something must come after it. Does nothing
 * while a frame of this connection is served. */
void weft_daemon_connection_drain(struct weft_daemon_connection *connection);
/* The same of all of the tenant's that have not said whose they are; `pid` unless 0: of it alone.
 */
void weft_daemon_connection_drain_strangers(struct weft_daemon_tenant *tenant, pid_t pid);
/* Queue a message. `fds` are duplicated. An answer that cannot be queued closes the connection. */
void weft_daemon_connection_send(struct weft_daemon_connection *connection,
                                 struct weft_packet *packet, enum weft_wire_type type,
                                 const int *fds, size_t fd_count);
void weft_daemon_connection_send_answer(struct weft_daemon_connection *connection, const char *text,
                                        size_t size);
void weft_daemon_connection_send_error(struct weft_daemon_connection *connection, int code,
                                       const char *text);

/* -- serve.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* Serves the frame in the connection's inbox. */
void weft_daemon_serve(struct weft_daemon_connection *connection);

/* -- tenant.c
 * ---------------------------------------------------------------------------------------------------------
 */

struct weft_daemon_tenant *weft_daemon_tenant_find(struct weft_daemon *daemon, const char *name);
/* Makes the tenant of a RUN_BEGIN, or finds the live one that it may join. */
int weft_daemon_tenant_enter(struct weft_daemon *daemon, const struct weft_wire_run_begin *begin,
                             const struct weft_link *link, const struct weft_peer *peer,
                             struct weft_daemon_tenant **out, bool *joined, struct weft_err *err);
/* Makes a tenant of that name, limits and access; its socket listens and its record is written. */
int weft_daemon_tenant_create(struct weft_daemon *daemon, const struct weft_config_tenant *asked,
                              enum weft_tenant_origin origin, struct weft_daemon_tenant **out,
                              struct weft_err *err);
/* Whether the devices have what the limits say, and what holds tenants to them. */
int weft_daemon_tenant_check_limits(const struct weft_limits *limits,
                                    struct weft_daemon_device *const *devices, uint32_t count,
                                    struct weft_err *err);
/* Live at once. *note is a sentence where the person should know more, else empty. */
int weft_daemon_tenant_set(struct weft_daemon_tenant *tenant, const struct weft_limits *changes,
                           char note[WEFT_WIRE_TEXT_BYTES], struct weft_err *err);
/* For recover.c. A tenant of a record, which it owns from here on, also on failure: its name, uid,
 * limits and devices, in the daemon's list. What it shared comes by `take` from who has it open,
 * and `complete` makes what nobody had, and the socket; where that fails the tenant is gone. */
int weft_daemon_tenant_recall(struct weft_daemon *daemon, struct weft_record *record,
                              struct weft_daemon_tenant **out, struct weft_err *err);
int weft_daemon_tenant_take_ledger(struct weft_daemon_tenant *tenant, int fd, struct weft_err *err);
int weft_daemon_tenant_take_policy(struct weft_daemon_tenant *tenant, int fd, struct weft_err *err);
int weft_daemon_tenant_complete(struct weft_daemon_tenant *tenant, struct weft_err *err);
/* Ends the tenant if its last process is gone, those included that never said hello. */
void weft_daemon_tenant_check(struct weft_daemon_tenant *tenant);
void weft_daemon_tenant_destroy(struct weft_daemon_tenant *tenant);

/* -- access.c
 * ---------------------------------------------------------------------------------------------------------
 */

/* WEFT_EPERM unless `uid` made the tenant or is root. */
int weft_daemon_tenant_allow(const struct weft_daemon_tenant *tenant, uid_t uid,
                             struct weft_err *err);
bool weft_daemon_is_listed(const struct weft_access *list, const struct weft_link *link, uid_t uid);
/* The same, or `list` (the tenant's `run` or `change`) names the user or one of his groups. */
int weft_daemon_tenant_admit(const struct weft_daemon_tenant *tenant,
                             const struct weft_access *list, const struct weft_link *link,
                             uid_t uid, struct weft_err *err);
/* Root, who runs weftd, and whom the configuration calls operators. */
bool weft_daemon_is_operator(const struct weft_daemon *daemon, const struct weft_link *link,
                             uid_t uid);
/* WEFT_EPERM where it is none. */
int weft_daemon_need_operator(const struct weft_daemon *daemon, const struct weft_link *link,
                              uid_t uid, struct weft_err *err);
/* WEFT_EPERM unless it is an operator or owns the tenant. */
int weft_daemon_tenant_need_owner(const struct weft_daemon_tenant *tenant,
                                  const struct weft_link *link, uid_t uid, struct weft_err *err);

/* -- rule.c: what users may give tenants that they make themselves
 * ---------------------------------------------------------------------------------------------------------
 */

/* The rule that binds who asks; NULL where none does. Good until the configuration is read again.
 */
const struct weft_rule *weft_daemon_rule_of(const struct weft_daemon *daemon,
                                            const struct weft_link *link, uid_t uid);
/* From here on the configuration's rules hold, for what is asked for from now on. */
int weft_daemon_rules_take(struct weft_daemon *daemon, const struct weft_config *config,
                           struct weft_err *err);
bool weft_daemon_rule_permits(const struct weft_rule *rule,
                              const struct weft_daemon_device *device);
/* Whether the devices that the rule names are here. */
int weft_daemon_rule_check(struct weft_daemon *daemon, const struct weft_rule *rule,
                           struct weft_err *err);
/* WEFT_EPERM where the rule of who asks permits no such tenant, or no further one. */
int weft_daemon_rule_admit(const struct weft_daemon *daemon, const struct weft_config_tenant *asked,
                           struct weft_err *err);
/* Limits that nobody asked for are what the rule permits at most; a bit of *lowered for each that
 * became less by it. */
int weft_daemon_rule_lower(const struct weft_config_tenant *asked,
                           struct weft_daemon_device *const *devices, uint32_t count,
                           struct weft_limits *limits, uint32_t *lowered, struct weft_err *err);
/* WEFT_EPERM for a limit over what the rule permits, what the tenant has, and what it was made
 * with by the configuration or a command. */
int weft_daemon_rule_check_set(const struct weft_rule *rule,
                               const struct weft_daemon_tenant *tenant,
                               const struct weft_limits *changes, struct weft_err *err);

/* -- manage.c: tenants that are there without processes
 * ---------------------------------------------------------------------------------------------------------
 */

/* Makes what the configuration says true: new tenants, changed limits and access, and those that it
 * no longer has end with their last process. An error leaves what is done so far; `check` first
 * where that matters. Errors name file and line. */
int weft_daemon_configure(struct weft_daemon *daemon, const struct weft_config *config,
                          struct weft_err *err);
/* Reads the configuration again. What is wrong with it is logged, and changes nothing. */
void weft_daemon_reload(struct weft_daemon *daemon);
/* Whether this machine has what the configuration gives out to all of its tenants together, beside
 * those that live and are not of it, and no living tenant is in its way; makes nothing but soft
 * devices. Errors name file and line. */
int weft_daemon_config_check(struct weft_daemon *daemon, const struct weft_config *config,
                             struct weft_err *err);
/* WEFT_EEXIST where there is one of that name. `uid` is who asks, and may; `rule` what binds him.
 */
int weft_daemon_tenant_add(struct weft_daemon *daemon, const struct weft_wire_tenant_add *add,
                           uid_t uid, const struct weft_rule *rule, struct weft_daemon_tenant **out,
                           struct weft_err *err);
/* WEFT_EBUSY where it has processes, unless with force: they are killed, and the tenant is gone
 * when they are. WEFT_EPERM for one of the configuration. The tenant may be freed. */
int weft_daemon_tenant_remove(struct weft_daemon_tenant *tenant, bool force,
                              char note[WEFT_WIRE_TEXT_BYTES], struct weft_err *err);
/* Lists that are given take the place of the tenant's. */
void weft_daemon_tenant_give_access(struct weft_daemon_tenant *tenant,
                                    const struct weft_access *run,
                                    const struct weft_access *change);
/* Who is on a list must be able to connect; weftd looks at who does. */
void weft_daemon_tenant_open_socket(const struct weft_daemon_tenant *tenant);
/* Kills it, unless it is a `weft run`. */
void weft_daemon_process_end(const struct weft_daemon_process *process);
/* The socket in the folder that a container mounts: its path; makes it; takes it away. */
int weft_daemon_mount_path(const struct weft_daemon_tenant *tenant,
                           char path[WEFT_PLACES_PATH_BYTES], struct weft_err *err);
int weft_daemon_mount_make(const struct weft_daemon_tenant *tenant, struct weft_err *err);
void weft_daemon_mount_remove(const struct weft_daemon_tenant *tenant);

/* -- process.c
 * --------------------------------------------------------------------------------------------------------
 */

/* Takes the lease of a process. `pidfd` is taken over, also on failure. */
int weft_daemon_process_create(struct weft_daemon_tenant *tenant, enum weft_daemon_role role,
                               pid_t pid, int pidfd, struct weft_daemon_process **out,
                               struct weft_err *err);
/* Gives a program its slots and its memory. */
int weft_daemon_process_grant(struct weft_daemon_process *process, struct weft_err *err);
/* Its connection is closed: what it held comes back soon if it has executed another program, else
 * when it is gone. */
void weft_daemon_process_hung_up(struct weft_daemon_process *process);
/* It goes on over another connection than the one that it had, if any. */
void weft_daemon_process_resume(struct weft_daemon_process *process,
                                struct weft_daemon_connection *connection);
/* Settles all that it held; the tenant is not touched. */
void weft_daemon_process_destroy(struct weft_daemon_process *process);
/* A process of that number says hello. Where it held something as another program, before an exec,
 * that comes back. */
void weft_daemon_process_forget(struct weft_daemon_tenant *tenant, pid_t pid);
/* Takes back what a dead process held of a device. */
void weft_daemon_device_settle(struct weft_daemon_device *device, uint32_t slot);
/* What all leases of the tenant's process of that number hold of a device. */
uint64_t weft_daemon_process_held(const struct weft_daemon_tenant *tenant, pid_t pid,
                                  uint32_t index);
/* A process that opened weft twice has two leases and counts once: as the last of them in the list.
 */
bool weft_daemon_process_is_shown_later(const struct weft_daemon_process *process);
/* Begins to watch leases. Once, before the first. */
int weft_daemon_process_watch(struct weft_daemon *daemon, struct weft_err *err);
/* Looks at every lease now, so that what comes after knows of every death so far, and of every
 * program that executed another. May end tenants. */
void weft_daemon_process_catch_up(struct weft_daemon *daemon);
/* A pidfd of a process by number; -1 where it is gone. */
int weft_daemon_process_open(pid_t pid);
/* A pidfd of the connection's peer, checked to be the process that connected. Returns it. */
int weft_daemon_process_pidfd(const struct weft_daemon_connection *connection, uint64_t start_ticks,
                              struct weft_err *err);

/* -- share.c: device memory that several processes have
 * ---------------------------------------------------------------- */

/* A process has a file, whose descriptor is taken over, or (-1) has it no more. WEFT_EINVAL,
 * WEFT_ELIMIT. */
int weft_daemon_share_note(struct weft_daemon_process *process, const struct weft_wire_share *told,
                           int *fd, struct weft_err *err);
/* Before what a process held is taken back: keeps the charge of what others have. */
void weft_daemon_share_settle(struct weft_daemon_process *process);
void weft_daemon_share_forget_tenant(struct weft_daemon_tenant *tenant);
void weft_daemon_share_stop(struct weft_daemon *daemon);
/* For recover.c, with all living processes taken over and the slots of the dead not settled yet. A
 * shared file that a living process has open: where nobody pays for it our slots do from here on.
 * `fd` is borrowed; an open file of its own, without locks. */
void weft_daemon_share_recall(struct weft_daemon *daemon, int fd);
/* All files are recalled: what else our slots hold comes back. */
void weft_daemon_share_recall_end(struct weft_daemon *daemon);

/* -- distrust.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* Looks at all ledgers from time to time, and ends tenants whose one contradicts itself. */
void weft_daemon_distrust_begin(struct weft_daemon *daemon);

/* -- stray.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* Takes leases of this user's processes that were started with the tenant's socket in their
 * environment: a run's orphans, which may still open weft. */
void weft_daemon_stray_adopt(struct weft_daemon_tenant *tenant);
/* True where a process that closed its connection has also none of our memory mapped: it executed
 * another program, or is about to be gone. False where it has, or that cannot be told. */
bool weft_daemon_stray_has_left(pid_t pid);

/* -- device.c, native.c, ceiling.c
 * ------------------------------------------------------------------------------------- */

/* Devices as they are asked for. All borrowed. */
struct weft_daemon_demand {
    const struct weft_gpu_list *list;
    const struct weft_limits *limits;
    const struct weft_rule *rule; /* NULL: none binds who asks */
};
/* Finds (soft: makes) the devices that the list names, and chooses among them where it says so, by
 * what the limits promise. WEFT_EPERM where the rule does not permit them. */
int weft_daemon_device_resolve(struct weft_daemon *daemon, const struct weft_daemon_demand *demand,
                               struct weft_daemon_device *devices[WEFT_DEVICES_MAX],
                               uint32_t *count, struct weft_err *err);
/* Whether the tenant's devices are ones that the list could give. WEFT_ENOENT where it names what
 * is not there. */
int weft_daemon_device_match(const struct weft_daemon_tenant *tenant,
                             const struct weft_gpu_list *list, bool *matches, struct weft_err *err);
/* place.c: leaves `wanted` of *count devices, in their order: the ones to be chosen now.
 * WEFT_ENOENT with a word about each device. */
int weft_daemon_place(struct weft_daemon *daemon, const struct weft_gpu_list *list, uint32_t wanted,
                      const struct weft_limits *limits, struct weft_daemon_device **devices,
                      uint32_t *count, struct weft_err *err);
/* For a configuration that is being checked: the devices have this tenant, too. */
void weft_daemon_place_plan(struct weft_daemon_device *const *devices, uint32_t count,
                            const struct weft_limits *limits);
/* The soft device of that profile and number, made where it is not there. */
int weft_daemon_device_soft(struct weft_daemon *daemon, const char *profile, uint32_t index,
                            struct weft_daemon_device **out, struct weft_err *err);
/* The device of that UUID; NULL where there is none. */
struct weft_daemon_device *weft_daemon_device_by_uuid(struct weft_daemon *daemon,
                                                      const uint8_t uuid[WEFT_UUID_BYTES]);
/* Goes on with the page that a former life made of a device. `fd` is borrowed. Does nothing where
 * the device has one already. */
int weft_daemon_device_adopt(struct weft_daemon *daemon, const struct weft_record_device *recorded,
                             int fd, struct weft_err *err);
/* Makes a native device's page, unless it is there. */
int weft_daemon_device_need_page(struct weft_daemon *daemon, struct weft_daemon_device *device,
                                 struct weft_err *err);
/* What the memfd of a device's page is called. */
void weft_daemon_device_memory_name(const uint8_t uuid[WEFT_UUID_BYTES],
                                    char name[WEFT_DAEMON_MEMORY_NAME_BYTES]);
void weft_daemon_device_destroy(struct weft_daemon_device *device);
/* How a person names the device: "soft=small" (the first of its profile), "0". */
void weft_daemon_device_label(const struct weft_daemon_device *device, char *label, size_t size);
/* Adds this machine's GPUs, by the vendor's management library and without initialising CUDA. None
 * is no error. */
void weft_daemon_native_discover(struct weft_daemon *daemon);
/* Closes the library. Once nobody uses a device any more. */
void weft_daemon_native_finish(struct weft_daemon *daemon);
/* Divides the memory that this machine can spare among the soft devices in use. */
void weft_daemon_ceiling_divide(struct weft_daemon *daemon);

/* -- time.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* WEFT_ENOSYS where limits of device time are asked for and nobody holds a tenant to them. */
int weft_daemon_time_check(const struct weft_limits *limits,
                           struct weft_daemon_device *const *devices, uint32_t count,
                           struct weft_err *err);
/* Gives the tenant a line in the page of each device; and takes them back. */
int weft_daemon_time_enter(struct weft_daemon_tenant *tenant, struct weft_err *err);
void weft_daemon_time_leave(struct weft_daemon_tenant *tenant);
/* For recover.c: the lines that the tenant's record names, where the devices' pages have them;
 * then, once all tenants are there, an end to those that nobody has. */
void weft_daemon_time_recall(struct weft_daemon_tenant *tenant);
void weft_daemon_time_drop_unclaimed(struct weft_daemon *daemon, struct weft_daemon_device *device);
/* A new page's clock goes on where a record has it; one that is further stays. */
void weft_daemon_time_go_on(struct weft_daemon_device *device, uint64_t used_ns, uint64_t idle_ns);
/* Writes its limits there, as those of the policy page's `sequence`. */
void weft_daemon_time_apply(struct weft_daemon_tenant *tenant, uint32_t sequence);
/* The process of that slot is gone: it wants the device no more. */
void weft_daemon_time_settle(struct weft_device_time *time, uint32_t slot);
/* Of the device's time, while all of its tenants have work waiting; 0 to 1. */
double weft_daemon_time_share(const struct weft_daemon_tenant *tenant, uint32_t index);

/* -- room.c: what tenants are guaranteed of a device's memory
 * ----------------------------------------------------------------------------------------------------------
 */

/* Gives the tenant, whose ledger is there, a seat in the room of each device; and takes it back. */
int weft_daemon_room_enter(struct weft_daemon_tenant *tenant, struct weft_err *err);
void weft_daemon_room_leave(struct weft_daemon_tenant *tenant);
/* Guarantees so much of each device. WEFT_ERANGE, with nothing changed, where it is not there. */
int weft_daemon_room_promise(struct weft_daemon_tenant *tenant, uint64_t bytes,
                             struct weft_err *err);
/* The same without a look: it was promised before. */
void weft_daemon_room_keep(struct weft_daemon_tenant *tenant);
/* A process has its slot of the tenant's ledger, or has it no more. */
void weft_daemon_room_begin(const struct weft_daemon_tenant *tenant, uint32_t slot);
void weft_daemon_room_end(const struct weft_daemon_tenant *tenant, uint32_t slot);
void weft_daemon_room_set_capacity(struct weft_daemon_device *device, uint64_t bytes);
/* Puts right what programs wrote over in the rooms, which all of a device can. */
void weft_daemon_room_mend(struct weft_daemon *daemon);
/* For recover.c: once all tenants are there, an end to the seats that nobody has. */
void weft_daemon_room_drop_unclaimed(struct weft_daemon *daemon, struct weft_daemon_device *device);
/* WEFT_ERANGE where the device is promised more than it has. `others` is what of it is promised
 * already. */
int weft_daemon_room_check(const struct weft_daemon_device *device, uint64_t others, uint64_t bytes,
                           struct weft_err *err);

/* -- space.c: shares of the SMs
 * ----------------------------------------------------------------------------------------------------
 */

/* WEFT_ENOSYS where a share is asked for of a device that cannot be divided now. */
int weft_daemon_space_check(const struct weft_limits *limits,
                            struct weft_daemon_device *const *devices, uint32_t count,
                            struct weft_err *err);
/* Gives the tenant its SMs of each soft device; a part that has the right size is kept. */
void weft_daemon_space_apply(struct weft_daemon_tenant *tenant);
/* Takes them back from the tenant of a line; others may get other ones. */
void weft_daemon_space_leave(struct weft_daemon_device *device, uint32_t line);
/* How many it has; 0 where that is not known. */
uint32_t weft_daemon_space_count(const struct weft_daemon_tenant *tenant, uint32_t index);
/* Whether the two compete for SMs of a soft device that both have. */
bool weft_daemon_space_meets(const struct weft_daemon_tenant *tenant, uint32_t index,
                             const struct weft_daemon_tenant *other, uint32_t other_index);
/* What MPS is to be told of programs of a tenant with native devices; 0: nothing. */
uint32_t weft_daemon_space_mps_percent(const struct weft_daemon_tenant *tenant);
/* Adds to `note` what a change of the share means for programs that run. */
void weft_daemon_space_tell(const struct weft_daemon_tenant *tenant,
                            char note[WEFT_WIRE_TEXT_BYTES]);

/* -- pressure.c: how full the devices' memory is
 * ----------------------------------------------------------------------------------------------------------
 */

/* Looks now, and does what the levels ask for. */
void weft_daemon_pressure_look(struct weft_daemon *daemon);
/* Looks from time to time while there are tenants. */
void weft_daemon_pressure_watch(struct weft_daemon *daemon);
/* Whether the tenant is to get no time of its device now. */
bool weft_daemon_pressure_stops(const struct weft_daemon_tenant *tenant, uint32_t index);

/* -- reconcile.c: native devices' memory beside what tenants ask for
 * ----------------------------------------------------------------------------------------------------------
 */

/* Looks from time to time while there are tenants, and acts on it. */
void weft_daemon_reconcile_watch(struct weft_daemon *daemon);
/* Looks now where nobody does it from time to time. */
void weft_daemon_reconcile_look(struct weft_daemon *daemon);
/* What of the device is used outside of weft, as far as is known; what is left for tenants. */
uint64_t weft_daemon_reconcile_outside(const struct weft_daemon_device *device);
uint64_t weft_daemon_reconcile_capacity(const struct weft_daemon_device *device);
/* The process is gone, and so is what the driver took for it. */
void weft_daemon_reconcile_forget(struct weft_daemon_process *process);

/* -- fault.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* Lets something happen to a soft device, or ends it. WEFT_ENOENT, WEFT_EPERM, WEFT_EINVAL. */
int weft_daemon_fault(struct weft_daemon *daemon, const struct weft_wire_fault *fault, uid_t uid,
                      struct weft_err *err);

/* -- audit.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* A fault has ended a context of the process. */
void weft_daemon_audit_fault(const struct weft_daemon_process *process,
                             const struct weft_wire_report *report);
/* Somebody has let it happen, or has cleared the device. */
void weft_daemon_audit_injection(const struct weft_daemon *daemon,
                                 const struct weft_daemon_device *device,
                                 const struct weft_wire_fault *fault, uid_t uid);

/* -- view.c: what ps, ls and soft answer
 * ------------------------------------------------------------------------------------- */

/* NULL where memory is out. `only` limits it to one tenant. */
json_t *weft_daemon_view_ps(struct weft_daemon *daemon, const struct weft_daemon_tenant *only);
json_t *weft_daemon_view_ls(struct weft_daemon *daemon);
json_t *weft_daemon_view_soft(struct weft_daemon *daemon);
json_t *weft_daemon_view_tenants(struct weft_daemon *daemon, const struct weft_daemon_tenant *only);

/* -- memory.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* A memfd of `bytes`, sealed against shrinking and growing. Mapped writable at *memory unless that
 * is NULL. Returns it. */
int weft_daemon_memory_create(const char *name, uint64_t bytes, void **memory,
                              struct weft_err *err);
/* Maps all of a memory that another life made, writable. WEFT_EPROTO where it has not `bytes`. */
int weft_daemon_memory_map(int fd, uint64_t bytes, void **memory, struct weft_err *err);
/* The same memory by a descriptor that only reads, and maps, it; closes `fd`. Returns it. */
int weft_daemon_memory_reopen_readonly(int fd, struct weft_err *err);

/* -- recover.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* Takes over tenants, processes and soft devices of the daemon's former life. Once, before anybody
 * is listened to. */
void weft_daemon_recover(struct weft_daemon *daemon);

#endif
