/* Tenants that are there without processes: those of the configuration, and those that somebody
 * added by command. Each has a folder that a container can mount. */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "util/log.h"

#define MOUNT_FOLDER "mount"
#define MOUNT_SOCKET "tenant.sock"

/* The path of DIR/mount/NAME, a folder for a container to have as /run/weft: the next life of weftd
 * puts its socket there, which a mount of the socket itself would not see. */
static int mount_folder(const struct weft_daemon_tenant *tenant, char path[WEFT_PLACES_PATH_BYTES],
                        struct weft_err *err)
{
    char all[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(tenant->daemon->dir, MOUNT_FOLDER, all, err);
    return rc ? rc : weft_places_join(all, tenant->name, path, err);
}

static int make_folder(const char *path, struct weft_err *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    return weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno));
}

int weft_daemon_mount_path(const struct weft_daemon_tenant *tenant,
                           char path[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    char folder[WEFT_PLACES_PATH_BYTES];
    int rc = mount_folder(tenant, folder, err);
    return rc ? rc : weft_places_join(folder, MOUNT_SOCKET, path, err);
}

int weft_daemon_mount_make(const struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    char all[WEFT_PLACES_PATH_BYTES], folder[WEFT_PLACES_PATH_BYTES], path[WEFT_PLACES_PATH_BYTES];
    int rc = weft_places_join(tenant->daemon->dir, MOUNT_FOLDER, all, err);
    if (rc == 0)
        rc = make_folder(all, err);
    if (rc == 0)
        rc = mount_folder(tenant, folder, err);
    if (rc == 0)
        rc = make_folder(folder, err);
    if (rc == 0)
        rc = weft_daemon_mount_path(tenant, path, err);
    if (rc)
        return rc;
    unlink(path);
    return link(tenant->listener->path, path)
               ? weft_fail(err, WEFT_EIO, "%s: %s", path, strerror(errno))
               : 0;
}

void weft_daemon_mount_remove(const struct weft_daemon_tenant *tenant)
{
    char path[WEFT_PLACES_PATH_BYTES];
    if (weft_daemon_mount_path(tenant, path, NULL) == 0)
        unlink(path);
    if (mount_folder(tenant, path, NULL) == 0)
        rmdir(path);
    if (weft_places_join(tenant->daemon->dir, MOUNT_FOLDER, path, NULL) == 0)
        rmdir(path); /* stays while another tenant has a folder in it */
}

void weft_daemon_tenant_open_socket(const struct weft_daemon_tenant *tenant)
{
    const char *path = tenant->listener->path;
    bool shared = tenant->run.uid_count || tenant->run.gid_count;
    if (chmod(path, shared ? 0666 : 0600) ||
        (tenant->uid != geteuid() && chown(path, tenant->uid, (gid_t)-1)))
        weft_log(WEFT_LOG_WARN, "weftd", "%s: %s", path, strerror(errno));
}

void weft_daemon_tenant_give_access(struct weft_daemon_tenant *tenant,
                                    const struct weft_access *run, const struct weft_access *change)
{
    if (run->given)
        tenant->run = *run;
    if (change->given)
        tenant->change = *change;
    if (!run->given && !change->given)
        return;
    weft_daemon_record_tenant(tenant);
    weft_daemon_tenant_open_socket(tenant);
}

/* -- by command */

int weft_daemon_tenant_add(struct weft_daemon *daemon, const struct weft_wire_tenant_add *add,
                           uid_t uid, const struct weft_rule *rule, struct weft_daemon_tenant **out,
                           struct weft_err *err)
{
    const struct weft_wire_run_begin *begin = &add->asked;
    struct weft_config_tenant asked = {.uid = add->owner == WEFT_WIRE_OWNER_ASKS ? (uint32_t)uid
                                                                                 : add->owner,
                                       .gpus = begin->gpus,
                                       .limits = begin->limits,
                                       .run = begin->run,
                                       .change = begin->change,
                                       .rule = rule};
    memcpy(asked.name, begin->tenant, sizeof(asked.name));
    int rc = weft_tenant_name_check(asked.name, err);
    if (rc)
        return rc;
    if (weft_daemon_tenant_find(daemon, asked.name))
        return weft_fail(err, WEFT_EEXIST,
                         "there is a tenant %s already; `weft set %s` changes it, `weft tenant "
                         "list` shows all",
                         asked.name, asked.name);
    return weft_daemon_tenant_create(daemon, &asked, WEFT_TENANT_OF_COMMAND, out, err);
}

/* A run's program has two leases, one of them from before it opened weft. */
static bool is_counted_later(const struct weft_daemon_process *process)
{
    for (const struct weft_daemon_process *later = process->next; later; later = later->next) {
        if (later->pid == process->pid)
            return true;
    }
    return false;
}

static size_t count_processes(const struct weft_daemon_tenant *tenant)
{
    size_t count = 0;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        count += p->role != WEFT_DAEMON_RUNNER && !is_counted_later(p);
    return count;
}

/* From here on it lives as long as its last process, as a tenant of `weft run` does. */
static void let_go(struct weft_daemon_tenant *tenant)
{
    tenant->origin = WEFT_TENANT_OF_RUN;
    weft_daemon_record_tenant(tenant);
    weft_daemon_tenant_check(tenant);
}

void weft_daemon_process_end(const struct weft_daemon_process *process)
{
    /* A run ends by itself with its program, and says so. */
    if (process->role != WEFT_DAEMON_RUNNER &&
        syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0) && errno != ESRCH)
        weft_log(WEFT_LOG_WARN, "weftd", "pid %d cannot be ended: %s", (int)process->pid,
                 strerror(errno));
}

int weft_daemon_tenant_remove(struct weft_daemon_tenant *tenant, bool force,
                              char note[WEFT_WIRE_TEXT_BYTES], struct weft_err *err)
{
    size_t count = count_processes(tenant);
    if (tenant->origin == WEFT_TENANT_OF_CONFIGURATION)
        return weft_fail(err, WEFT_EPERM,
                         "tenant %s is of weftd's configuration; take it out there and reload",
                         tenant->name);
    if (tenant->processes && !force)
        return weft_fail(err, WEFT_EBUSY,
                         "tenant %s has %zu processes; end them first, or let --force do it",
                         tenant->name, count);
    note[0] = '\0';
    if (count)
        snprintf(note, WEFT_WIRE_TEXT_BYTES, "%zu processes of %s are ended", count, tenant->name);
    weft_log(WEFT_LOG_INFO, "weftd", "tenant %s is removed, with %zu processes", tenant->name,
             count);
    tenant->leaving = true;
    for (const struct weft_daemon_process *p = tenant->processes; p; p = p->next)
        weft_daemon_process_end(p);
    let_go(tenant);
    return 0;
}

/* -- by configuration */

static int resolve(struct weft_daemon *daemon, const struct weft_config_tenant *configured,
                   struct weft_daemon_device *devices[WEFT_DEVICES_MAX], uint32_t *count,
                   struct weft_err *err)
{
    const struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(daemon, configured->name);
    const struct weft_daemon_demand demand = {.list = &configured->gpus,
                                              .limits = &configured->limits};
    bool keeps = false;
    int rc = tenant ? weft_daemon_device_match(tenant, &configured->gpus, &keeps, err) : 0;
    if (rc == 0 && keeps) {
        memcpy(devices, tenant->devices, tenant->device_count * sizeof(devices[0]));
        *count = tenant->device_count;
    } else if (rc == 0) {
        rc = weft_daemon_device_resolve(daemon, &demand, devices, count, err);
    }
    if (rc == 0)
        rc = weft_daemon_space_check(&configured->limits, devices, *count, err);
    return rc ? rc : weft_daemon_tenant_check_limits(&configured->limits, devices, *count, err);
}

static bool has_devices(const struct weft_daemon_tenant *tenant,
                        struct weft_daemon_device *const *devices, uint32_t count)
{
    return count == tenant->device_count &&
           memcmp(devices, tenant->devices, count * sizeof(devices[0])) == 0;
}

/* What the configuration promises of each device, tenant by tenant. */
static int add_promised(struct weft_daemon_device *const *devices, uint32_t count, uint64_t bytes,
                        struct weft_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        rc = weft_daemon_room_check(devices[i], devices[i]->configured_bytes, bytes, err);
        devices[i]->configured_bytes += bytes;
    }
    return rc;
}

/* The configuration's limits hold from when they change there; `weft set` holds over them until
 * then. */
static bool keeps_limits(const struct weft_daemon_tenant *tenant,
                         const struct weft_limits *configured)
{
    return tenant->origin == WEFT_TENANT_OF_CONFIGURATION &&
           memcmp(&tenant->configured, configured, sizeof(*configured)) == 0;
}

static int apply_limits(struct weft_daemon_tenant *tenant, const struct weft_limits *configured,
                        struct weft_err *err)
{
    struct weft_limits limits = weft_limits_default();
    char note[WEFT_WIRE_TEXT_BYTES];
    bool same = keeps_limits(tenant, configured);
    int rc = same ? 0 : weft_limits_change(&limits, configured, err);
    limits.given = (1u << WEFT_LIMIT_COUNT) - 1;
    if (rc == 0 && !same)
        rc = weft_daemon_tenant_set(tenant, &limits, note, err);
    if (rc == 0 && !same && *note)
        weft_log(WEFT_LOG_WARN, "weftd", "%s", note);
    return rc;
}

static int change_configured(struct weft_daemon_tenant *tenant,
                             const struct weft_config_tenant *configured, struct weft_err *err)
{
    int rc = apply_limits(tenant, &configured->limits, err);
    if (rc)
        return rc;
    tenant->origin = WEFT_TENANT_OF_CONFIGURATION;
    tenant->configured = configured->limits;
    tenant->uid = (uid_t)configured->uid;
    tenant->run = configured->run;
    tenant->change = configured->change;
    weft_daemon_record_tenant(tenant);
    weft_daemon_tenant_open_socket(tenant);
    return weft_daemon_mount_make(tenant, err);
}

static int configure(struct weft_daemon *daemon, const struct weft_config_tenant *configured,
                     struct weft_err *err)
{
    struct weft_daemon_device *devices[WEFT_DEVICES_MAX];
    struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(daemon, configured->name);
    uint32_t count;
    int rc = resolve(daemon, configured, devices, &count, err);
    if (rc)
        return rc;
    bool elsewhere = tenant && !has_devices(tenant, devices, count);
    if (elsewhere && tenant->processes) {
        weft_log(WEFT_LOG_WARN, "weftd", "tenant %s has processes on other devices; it keeps them",
                 tenant->name);
    } else if (elsewhere) {
        weft_daemon_tenant_destroy(tenant);
        tenant = NULL;
    }
    return tenant ? change_configured(tenant, configured, err)
                  : weft_daemon_tenant_create(daemon, configured, WEFT_TENANT_OF_CONFIGURATION,
                                              &tenant, err);
}

static const struct weft_config_tenant *find_configured(const struct weft_config *config,
                                                        const char *name)
{
    for (size_t i = 0; i < config->tenant_count; i++) {
        if (strcmp(config->tenants[i].name, name) == 0)
            return &config->tenants[i];
    }
    return NULL;
}

/* Errors name the line that the tenant stands on. */
static int fail_at(const struct weft_config *config, const struct weft_config_tenant *tenant,
                   int rc, struct weft_err *err)
{
    return weft_wrap(err, rc, "%s:%zu: tenants.%s", config->path, tenant->line, tenant->name);
}

static int check_rules(struct weft_daemon *daemon, const struct weft_config *config,
                       struct weft_err *err)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct weft_rule *rule = &config->rules[i];
        int rc = weft_daemon_rule_check(daemon, rule, err);
        if (rc)
            return weft_wrap(err, rc, "%s:%zu: rules.%s", config->path, rule->line, rule->name);
    }
    return 0;
}

static void let_go_of_others(struct weft_daemon *daemon, const struct weft_config *config)
{
    struct weft_daemon_tenant *next;
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = next) {
        next = tenant->next;
        if (tenant->origin == WEFT_TENANT_OF_CONFIGURATION &&
            !find_configured(config, tenant->name))
            let_go(tenant);
    }
}

static int configure_all(struct weft_daemon *daemon, const struct weft_config *config,
                         struct weft_err *err)
{
    int failed = 0;
    for (size_t i = 0; i < config->tenant_count; i++) {
        int rc = configure(daemon, &config->tenants[i], failed ? NULL : err);
        if (rc && !failed)
            failed = fail_at(config, &config->tenants[i], rc, err);
    }
    return failed;
}

int weft_daemon_configure(struct weft_daemon *daemon, const struct weft_config *config,
                          struct weft_err *err)
{
    int rc = weft_daemon_rules_take(daemon, config, err);
    if (rc)
        return rc;
    daemon->operators = config->operators;
    let_go_of_others(daemon, config);
    /* A guarantee may need the room that another one gives up further down. */
    return configure_all(daemon, config, NULL) ? configure_all(daemon, config, err) : 0;
}

void weft_daemon_reload(struct weft_daemon *daemon)
{
    struct weft_config config = {0};
    struct weft_err err = {0};
    weft_daemon_process_catch_up(daemon);
    int rc = weft_config_load(daemon->config_path, &config, &err);
    if (rc == 0)
        rc = weft_daemon_config_check(daemon, &config, &err);
    if (rc)
        weft_log(WEFT_LOG_ERROR, "weftd", "the configuration stays as it was: %s", err.text);
    else if (weft_daemon_configure(daemon, &config, &err))
        weft_log(WEFT_LOG_ERROR, "weftd", "not all of the configuration holds: %s", err.text);
    else
        weft_log(WEFT_LOG_INFO, "weftd", "the configuration is read again: %zu tenants",
                 config.tenant_count);
    weft_config_finish(&config);
    weft_daemon_idle_check(daemon);
}

static size_t count_new(struct weft_daemon *daemon, const struct weft_config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->tenant_count; i++)
        count += !weft_daemon_tenant_find(daemon, config->tenants[i].name);
    return count;
}

/* A tenant that lives, as it would be with the configuration. */
static void plan_living(struct weft_daemon_tenant *tenant, const struct weft_config *config)
{
    const struct weft_config_tenant *configured = find_configured(config, tenant->name);
    bool keeps = false;
    if (configured && weft_daemon_device_match(tenant, &configured->gpus, &keeps, NULL) == 0 &&
        keeps)
        tenant->planned =
            keeps_limits(tenant, &configured->limits) ? &tenant->limits : &configured->limits;
    else if (!tenant->processes)
        tenant->ends = configured || tenant->origin == WEFT_TENANT_OF_CONFIGURATION;
    /* What it has by command or by a run stays promised. */
    for (uint32_t i = 0; i < tenant->device_count && !configured && !tenant->ends; i++)
        tenant->devices[i]->configured_bytes += tenant->limits.guarantee_bytes;
}

static void begin_plan(struct weft_daemon *daemon, const struct weft_config *config)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        plan_living(tenant, config);
}

/* As if nothing had been asked. */
static void end_plan(struct weft_daemon *daemon)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        tenant->planned = NULL;
        tenant->ends = false;
    }
    for (size_t i = 0; i < daemon->device_count; i++) {
        daemon->devices[i]->configured_bytes = 0;
        daemon->devices[i]->planned = (struct weft_place_device){0};
    }
}

/* One tenant, beside those before it and those that live. */
static int check_configured(struct weft_daemon *daemon, const struct weft_config_tenant *configured,
                            struct weft_err *err)
{
    struct weft_daemon_device *devices[WEFT_DEVICES_MAX];
    uint32_t count;
    const struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(daemon, configured->name);
    const struct weft_limits *limits =
        tenant && tenant->planned ? tenant->planned : &configured->limits;
    int rc = resolve(daemon, configured, devices, &count, err);
    if (rc == 0)
        rc = add_promised(devices, count, limits->guarantee_bytes, err);
    bool keeps = tenant && has_devices(tenant, devices, count);
    if (rc == 0 && !keeps)
        weft_daemon_place_plan(devices, count, &configured->limits);
    if (rc || !tenant || !tenant->processes || keeps)
        return rc;
    return weft_fail(err, WEFT_EBUSY,
                     "it has processes on other devices, and they cannot move; end them first");
}

int weft_daemon_config_check(struct weft_daemon *daemon, const struct weft_config *config,
                             struct weft_err *err)
{
    if (daemon->tenant_count + count_new(daemon, config) > WEFT_DAEMON_TENANTS_MAX)
        return weft_fail(err, WEFT_ELIMIT, "%s: with those that are alive more than %d tenants",
                         config->path, WEFT_DAEMON_TENANTS_MAX);
    int failed = check_rules(daemon, config, err);
    if (failed)
        return failed;
    begin_plan(daemon, config);
    for (size_t i = 0; failed == 0 && i < config->tenant_count; i++) {
        failed = check_configured(daemon, &config->tenants[i], err);
        if (failed)
            failed = fail_at(config, &config->tenants[i], failed, err);
    }
    end_plan(daemon);
    return failed;
}
