/* One handler a message. A handler answers or closes; what is wrong with a request goes back as an
 * ERROR message. */
#include "daemon/daemon.h"

#include <string.h>

#include "util/log.h"

#define ANCESTORS_MAX 64
#define HELD_REPORTS_MAX 16 /* for one `weft run` */

/* Decodes the connection's frame as NAME; on failure the peer is told and `rc` is not 0. */
#define DECODE(connection, name, message, err)                         \
    weft_wire_##name##_decode(weft_inbox_reader(&(connection)->inbox), \
                              (connection)->inbox.header.minor, message, err)

static void send_done(struct weft_daemon_connection *connection, const char *note)
{
    struct weft_wire_done done;
    struct weft_packet packet;
    snprintf(done.note, sizeof(done.note), "%s", note);
    weft_packet_init(&packet);
    weft_wire_done_encode(&done, &packet.body);
    weft_daemon_connection_send(connection, &packet, WEFT_WIRE_DONE, NULL, 0);
}

/* Only the control socket takes what changes or makes tenants: who is inside a tenant cannot leave
 * it. */
static int need_control(const struct weft_daemon_connection *connection, struct weft_err *err)
{
    if (!connection->by_tenant_socket)
        return 0;
    return weft_fail(
        err, WEFT_EPERM,
        "this is the socket of a tenant: what runs inside a tenant can start and change none");
}

static void send_welcome(struct weft_daemon_connection *connection,
                         const struct weft_daemon_process *process)
{
    const struct weft_daemon_tenant *tenant = process->tenant;
    struct weft_wire_welcome welcome = {.slot = process->slot,
                                        .device_count = tenant->device_count};
    int fds[WEFT_WIRE_FDS_MAX];
    size_t fd_count = 0;
    fds[fd_count++] = tenant->ledger_fd;
    fds[fd_count++] = tenant->policy_fd;
    memcpy(welcome.tenant, tenant->name, sizeof(welcome.tenant));
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        const struct weft_daemon_device *device = tenant->devices[i];
        struct weft_wire_device *out = &welcome.devices[i];
        out->kind = device->kind;
        out->native_index = device->kind == WEFT_DEVICE_NATIVE ? device->index : 0;
        memcpy(out->uuid, device->uuid, sizeof(out->uuid));
        out->page_slot = process->device_slots[i];
        if (device->kind == WEFT_DEVICE_NATIVE && device->page_fd >= 0) {
            out->has_page = true;
            fds[fd_count++] = device->page_fd;
        }
        if (device->kind != WEFT_DEVICE_SOFT)
            continue;
        snprintf(out->profile, sizeof(out->profile), "%s", device->profile->name);
        out->has_arena = out->has_page = true;
        fds[fd_count++] = process->arena_fds[i];
        fds[fd_count++] = device->page_fd;
    }
    struct weft_packet packet;
    weft_packet_init(&packet);
    weft_wire_welcome_encode(&welcome, &packet.body);
    weft_daemon_connection_send(connection, &packet, WEFT_WIRE_WELCOME, fds, fd_count);
}

/* The process' parent, 0 where it cannot be told. */
static pid_t parent_of(pid_t pid)
{
    char path[32], line[256];
    pid_t parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "PPid: %d", &parent) == 1)
            break;
    }
    if (file)
        fclose(file);
    return parent;
}

static struct weft_daemon_process *find_runner(const struct weft_daemon_tenant *tenant, pid_t pid)
{
    for (struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->role == WEFT_DAEMON_RUNNER && process->pid == pid)
            return process;
    }
    return NULL;
}

/* The pid of the `weft run` that a new program belongs to: the only one, or the one among its
 * ancestors. Found out at once, since /proc forgets who the parent of a dead process was. 0: not
 * known. */
static pid_t runner_of(const struct weft_daemon_tenant *tenant, pid_t pid)
{
    pid_t only = 0;
    int count = 0;
    for (const struct weft_daemon_process *process = tenant->processes; process;
         process = process->next) {
        if (process->role == WEFT_DAEMON_RUNNER && count++ == 0)
            only = process->pid;
    }
    if (count <= 1)
        return only;
    for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
        pid = parent_of(pid);
        if (find_runner(tenant, pid))
            return pid;
    }
    return 0;
}

static int serve_hello(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_hello hello;
    struct weft_daemon_process *process;
    int rc = DECODE(connection, hello, &hello, err);
    if (rc)
        return rc;
    if (connection->process)
        return weft_fail(err, WEFT_EPROTO, "a second HELLO on one connection");
    if (!connection->tenant)
        return weft_fail(
            err, WEFT_ENOENT,
            "this socket belongs to no live tenant; start the program with `weft run`");
    if (connection->tenant->leaving)
        return weft_fail(err, WEFT_ENOENT, "tenant %s is being removed", connection->tenant->name);
    int pidfd = weft_daemon_process_pidfd(connection, hello.start_ticks, err);
    if (pidfd < 0)
        return pidfd;
    weft_daemon_process_forget(connection->tenant, connection->peer.pid);
    rc = weft_daemon_process_create(connection->tenant, WEFT_DAEMON_PROGRAM, connection->peer.pid,
                                    pidfd, &process, err);
    if (rc)
        return rc;
    rc = weft_daemon_process_grant(process, err);
    if (rc) {
        weft_daemon_process_destroy(process);
        return rc;
    }
    connection->process = process;
    process->connection = connection;
    process->runner_pid = runner_of(connection->tenant, process->pid);
    weft_daemon_record_process(process);
    send_welcome(connection, process);
    return 0;
}

/* Until it has found our socket, which is that of a new life. */
static void hold_report(struct weft_daemon_process *runner, const struct weft_wire_report *report)
{
    if (!runner->held)
        runner->held = calloc(HELD_REPORTS_MAX, sizeof(*runner->held));
    if (runner->held && runner->held_count < HELD_REPORTS_MAX)
        runner->held[runner->held_count++] = *report;
}

static void hand_report(struct weft_daemon_process *runner, const struct weft_wire_report *report)
{
    struct weft_packet packet;
    if (!runner->connection) {
        hold_report(runner, report);
        return;
    }
    weft_packet_init(&packet);
    weft_wire_report_encode(report, &packet.body);
    weft_daemon_connection_send(runner->connection, &packet, WEFT_WIRE_REPORT, NULL, 0);
}

static int serve_report(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_report report;
    int rc = DECODE(connection, report, &report, err);
    if (rc)
        return rc;
    if (!connection->process || connection->process->role != WEFT_DAEMON_PROGRAM)
        return weft_fail(err, WEFT_EPROTO, "a REPORT before HELLO");
    const struct weft_daemon_tenant *tenant = connection->process->tenant;
    report.pid = (uint32_t)connection->process->pid;
    weft_log(WEFT_LOG_INFO, "weftd", "tenant %s, pid %u: %s", tenant->name, report.pid,
             report.text);
    if (report.error)
        weft_daemon_audit_fault(connection->process, &report);
    struct weft_daemon_process *runner = find_runner(tenant, connection->process->runner_pid);
    if (runner) {
        hand_report(runner, &report);
        return 0;
    }
    struct weft_daemon_process *next;
    for (struct weft_daemon_process *p = tenant->processes; p; p = next) {
        next = p->next;
        if (p->role == WEFT_DAEMON_RUNNER)
            hand_report(p, &report);
    }
    return 0;
}

static struct weft_daemon_process *find_lease(const struct weft_daemon_tenant *tenant, pid_t pid,
                                              const struct weft_wire_resume *resume,
                                              enum weft_daemon_role role)
{
    for (struct weft_daemon_process *p = tenant->processes; p; p = p->next) {
        if (p->pid == pid && p->role == role && p->slot == resume->slot &&
            p->start_ticks == resume->start_ticks)
            return p;
    }
    return NULL;
}

static int serve_resume(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_resume resume;
    int rc = DECODE(connection, resume, &resume, err);
    if (rc)
        return rc;
    if (connection->process)
        return weft_fail(err, WEFT_EPROTO, "a RESUME of who has said who it is");
    bool program = connection->by_tenant_socket;
    const struct weft_daemon_tenant *tenant =
        program ? connection->tenant : weft_daemon_tenant_find(connection->daemon, resume.tenant);
    struct weft_daemon_process *process =
        tenant ? find_lease(tenant, connection->peer.pid, &resume,
                            program ? WEFT_DAEMON_PROGRAM : WEFT_DAEMON_RUNNER)
               : NULL;
    if (!process)
        return weft_fail(err, WEFT_ENOENT, "no lease of process %d in tenant %s is known",
                         (int)connection->peer.pid, resume.tenant);
    weft_daemon_process_resume(process, connection);
    uint32_t held_count = process->held_count;
    process->held_count = 0;
    for (uint32_t i = 0; i < held_count; i++)
        hand_report(process, &process->held[i]);
    return 0;
}

static int serve_share(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_share share;
    struct weft_daemon_process *process = connection->process;
    int rc = DECODE(connection, share, &share, err), none = -1;
    if (rc)
        return rc;
    if (!process || process->role != WEFT_DAEMON_PROGRAM)
        return weft_fail(err, WEFT_EPROTO, "a SHARE before HELLO");
    bool has_file = connection->inbox.fd_count > 0;
    return weft_daemon_share_note(process, &share, has_file ? &connection->inbox.fds[0] : &none,
                                  err);
}

static int serve_run_begin(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_run_begin begin;
    struct weft_wire_run_ready ready = {0};
    struct weft_daemon_tenant *tenant;
    struct weft_daemon_process *process;
    int rc = DECODE(connection, run_begin, &begin, err);
    if (rc == 0)
        rc = need_control(connection, err);
    if (rc == 0)
        rc = weft_limits_check(&begin.limits, err);
    if (rc)
        return rc;
    if (connection->process)
        return weft_fail(err, WEFT_EPROTO, "a second RUN_BEGIN on one connection");
    weft_daemon_process_catch_up(connection->daemon);
    int pidfd = weft_daemon_process_pidfd(connection, 0, err);
    if (pidfd < 0)
        return pidfd;
    rc = weft_daemon_tenant_enter(connection->daemon, &begin, &connection->link, &connection->peer,
                                  &tenant, &ready.joined, err);
    if (rc) {
        close(pidfd);
        return rc;
    }
    rc = weft_daemon_process_create(tenant, WEFT_DAEMON_RUNNER, connection->peer.pid, pidfd,
                                    &process, err);
    if (rc) {
        weft_daemon_tenant_check(tenant);
        return rc;
    }
    connection->process = process;
    process->connection = connection;
    ready.device_count = tenant->device_count;
    ready.soft = tenant->device_count && tenant->devices[0]->kind == WEFT_DEVICE_SOFT;
    ready.mps_percent = weft_daemon_space_mps_percent(tenant);
    memcpy(ready.tenant, tenant->name, sizeof(ready.tenant));
    memcpy(ready.socket, tenant->listener->path, sizeof(ready.socket));
    struct weft_packet packet;
    weft_packet_init(&packet);
    weft_wire_run_ready_encode(&ready, &packet.body);
    weft_daemon_connection_send(connection, &packet, WEFT_WIRE_RUN_READY, NULL, 0);
    return 0;
}

static int serve_run_child(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_run_child child;
    struct weft_daemon_process *runner = connection->process, *process;
    int rc = DECODE(connection, run_child, &child, err);
    if (rc)
        return rc;
    if (!runner || runner->role != WEFT_DAEMON_RUNNER)
        return weft_fail(err, WEFT_EPROTO, "a RUN_CHILD before RUN_BEGIN");
    int pidfd = weft_daemon_process_open((pid_t)child.pid);
    if (pidfd < 0)
        return 0; /* it is gone already */
    if (parent_of((pid_t)child.pid) != runner->pid) {
        weft_log(WEFT_LOG_WARN, "weftd", "pid %u is no child of %d", child.pid, (int)runner->pid);
        close(pidfd);
        return 0;
    }
    return weft_daemon_process_create(runner->tenant, WEFT_DAEMON_CHILD, (pid_t)child.pid, pidfd,
                                      &process, err);
}

static int serve_run_sync(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_daemon_process *runner = connection->process;
    if (!runner || runner->role != WEFT_DAEMON_RUNNER)
        return weft_fail(err, WEFT_EPROTO, "a RUN_SYNC before RUN_BEGIN");
    struct weft_daemon_connection *next;
    weft_daemon_connection_drain_strangers(runner->tenant, 0);
    for (struct weft_daemon_connection *c = connection->daemon->connections; c; c = next) {
        next = c->next;
        if (c->process && c->process->tenant == runner->tenant &&
            c->process->role == WEFT_DAEMON_PROGRAM)
            weft_daemon_connection_drain(c);
    }
    weft_daemon_process_catch_up(connection->daemon);
    send_done(connection, "");
    return 0;
}

static int serve_query(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_query query;
    json_t *answer = NULL;
    int rc = DECODE(connection, query, &query, err);
    if (rc)
        return rc;
    weft_daemon_process_catch_up(connection->daemon);
    if (connection->by_tenant_socket && !connection->tenant)
        return weft_fail(err, WEFT_ENOENT, "this socket's tenant is gone");
    weft_daemon_record_times(connection->daemon); /* what is told once stays so */
    if (query.kind == WEFT_WIRE_QUERY_PS)
        answer = weft_daemon_view_ps(connection->daemon, connection->tenant);
    else if (query.kind == WEFT_WIRE_QUERY_LS)
        answer = weft_daemon_view_ls(connection->daemon);
    else if (query.kind == WEFT_WIRE_QUERY_SOFT)
        answer = weft_daemon_view_soft(connection->daemon);
    else if (query.kind == WEFT_WIRE_QUERY_TENANTS)
        answer = weft_daemon_view_tenants(connection->daemon, connection->tenant);
    else
        return weft_fail(err, WEFT_ENOSYS, "a query of kind %u is not known", query.kind);
    char *text = answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(answer);
    if (!text)
        return weft_fail(err, WEFT_ENOMEM, "the answer cannot be put together");
    weft_daemon_connection_send_answer(connection, text, strlen(text));
    free(text);
    return 0;
}

/* Limits: who is on the list too. Who else may use it is its owner's to say. */
static int may_change(const struct weft_daemon_connection *connection,
                      const struct weft_daemon_tenant *tenant, bool access, struct weft_err *err)
{
    const struct weft_link *link = &connection->link;
    uid_t uid = connection->peer.uid;
    if (access || weft_daemon_is_operator(tenant->daemon, link, uid))
        return weft_daemon_tenant_need_owner(tenant, link, uid, err);
    return weft_daemon_tenant_admit(tenant, &tenant->change, link, uid, err);
}

static int serve_set(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_set set;
    char note[WEFT_WIRE_TEXT_BYTES];
    int rc = DECODE(connection, set, &set, err);
    if (rc == 0)
        rc = need_control(connection, err);
    if (rc == 0)
        rc = weft_limits_check(&set.limits, err);
    if (rc)
        return rc;
    weft_daemon_process_catch_up(connection->daemon);
    struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(connection->daemon, set.tenant);
    if (!tenant)
        return weft_fail(err, WEFT_ENOENT, "no tenant %s is alive; `weft ps` lists them",
                         set.tenant);
    bool access = set.run.given || set.change.given;
    rc = may_change(connection, tenant, access, err);
    note[0] = '\0';
    if (rc == 0 && set.limits.given == 0 && !access)
        rc = weft_fail(err, WEFT_EINVAL, "nothing to change");
    if (rc == 0)
        rc = weft_daemon_rule_check_set(
            weft_daemon_rule_of(connection->daemon, &connection->link, connection->peer.uid),
            tenant, &set.limits, err);
    if (rc == 0 && set.limits.given)
        rc = weft_daemon_tenant_set(tenant, &set.limits, note, err);
    if (rc == 0)
        weft_daemon_tenant_give_access(tenant, &set.run, &set.change);
    if (rc == 0)
        send_done(connection, note);
    return rc;
}

static void send_added(struct weft_daemon_connection *connection,
                       const struct weft_daemon_tenant *tenant, const char *socket)
{
    struct weft_wire_run_ready ready = {.device_count = tenant->device_count};
    struct weft_packet packet;
    memcpy(ready.tenant, tenant->name, sizeof(ready.tenant));
    memcpy(ready.socket, socket, strnlen(socket, sizeof(ready.socket) - 1)); /* is looked at */
    weft_packet_init(&packet);
    weft_wire_run_ready_encode(&ready, &packet.body);
    weft_daemon_connection_send(connection, &packet, WEFT_WIRE_RUN_READY, NULL, 0);
}

static int serve_tenant_add(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_tenant_add add;
    struct weft_daemon_tenant *tenant;
    struct weft_daemon *daemon = connection->daemon;
    char path[WEFT_PLACES_PATH_BYTES];
    int rc = DECODE(connection, tenant_add, &add, err);
    if (rc == 0)
        rc = need_control(connection, err);
    if (rc == 0)
        rc = weft_daemon_need_operator(daemon, &connection->link, connection->peer.uid, err);
    if (rc == 0)
        rc = weft_limits_check(&add.asked.limits, err);
    if (rc)
        return rc;
    weft_daemon_process_catch_up(daemon);
    const struct weft_rule *rule =
        weft_daemon_rule_of(daemon, &connection->link, connection->peer.uid);
    rc = weft_daemon_tenant_add(daemon, &add, connection->peer.uid, rule, &tenant, err);
    if (rc)
        return rc;
    rc = weft_daemon_mount_path(tenant, path, err);
    if (rc == 0)
        rc = weft_unix_path_check(path, err);
    if (rc)
        weft_daemon_tenant_destroy(tenant);
    else
        send_added(connection, tenant, path);
    return rc;
}

static int serve_tenant_remove(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_tenant_remove asked;
    char note[WEFT_WIRE_TEXT_BYTES];
    int rc = DECODE(connection, tenant_remove, &asked, err);
    if (rc == 0)
        rc = need_control(connection, err);
    if (rc)
        return rc;
    weft_daemon_process_catch_up(connection->daemon);
    struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(connection->daemon, asked.tenant);
    if (!tenant)
        return weft_fail(err, WEFT_ENOENT, "there is no tenant %s; `weft tenant list` shows all",
                         asked.tenant);
    rc = weft_daemon_tenant_need_owner(tenant, &connection->link, connection->peer.uid, err);
    if (rc == 0)
        rc = weft_daemon_tenant_remove(tenant, asked.force, note, err);
    if (rc == 0)
        send_done(connection, note);
    return rc;
}

static int serve_fault(struct weft_daemon_connection *connection, struct weft_err *err)
{
    struct weft_wire_fault fault;
    int rc = DECODE(connection, fault, &fault, err);
    if (rc == 0)
        rc = need_control(connection, err);
    if (rc)
        return rc;
    weft_daemon_process_catch_up(connection->daemon);
    rc = weft_daemon_fault(connection->daemon, &fault, connection->peer.uid, err);
    if (rc == 0)
        send_done(connection, "");
    return rc;
}

void weft_daemon_serve(struct weft_daemon_connection *connection)
{
    static int (*const handlers[])(struct weft_daemon_connection *, struct weft_err *) = {
        [WEFT_WIRE_HELLO] = serve_hello,
        [WEFT_WIRE_REPORT] = serve_report,
        [WEFT_WIRE_RUN_BEGIN] = serve_run_begin,
        [WEFT_WIRE_RUN_CHILD] = serve_run_child,
        [WEFT_WIRE_RUN_SYNC] = serve_run_sync,
        [WEFT_WIRE_QUERY] = serve_query,
        [WEFT_WIRE_SET] = serve_set,
        [WEFT_WIRE_FAULT] = serve_fault,
        [WEFT_WIRE_SHARE] = serve_share,
        [WEFT_WIRE_TENANT_ADD] = serve_tenant_add,
        [WEFT_WIRE_TENANT_REMOVE] = serve_tenant_remove,
        [WEFT_WIRE_RESUME] = serve_resume,
    };
    struct weft_err err = {0};
    uint16_t type = connection->inbox.header.type;
    int rc;
    if (type < WEFT_ARRAY_COUNT(handlers) && handlers[type])
        rc = handlers[type](connection, &err);
    else
        rc = weft_fail(&err, WEFT_EPROTO, "a %s message is not for weftd",
                       weft_wire_type_name(type));
    if (rc == 0)
        return;
    weft_log(WEFT_LOG_INFO, "weftd", "pid %d: %s", (int)connection->peer.pid, err.text);
    weft_daemon_connection_send_error(connection, rc, err.text);
}
