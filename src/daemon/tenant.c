#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/log.h"

#define NAMES_TRIED 1000

struct weft_daemon_tenant *weft_daemon_tenant_find(struct weft_daemon *daemon, const char *name)
{
    for (struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next) {
        if (strcmp(tenant->name, name) == 0)
            return tenant;
    }
    return NULL;
}

/* run-PID; where a tenant of that name lives on from an earlier process of that number, run-PID-2
 * and so on. */
static int choose_name(struct weft_daemon *daemon, pid_t pid, char name[WEFT_WIRE_TENANT_BYTES],
                       struct weft_err *err)
{
    snprintf(name, WEFT_WIRE_TENANT_BYTES, "run-%d", (int)pid);
    for (int i = 2; weft_daemon_tenant_find(daemon, name); i++) {
        if (i > NAMES_TRIED)
            return weft_fail(err, WEFT_EBUSY,
                             "no free name for the tenant; give one with --tenant");
        snprintf(name, WEFT_WIRE_TENANT_BYTES, "run-%d-%d", (int)pid, i);
    }
    return 0;
}

static int check_memory(uint64_t bytes, struct weft_daemon_device *const *devices, uint32_t count,
                        struct weft_err *err)
{
    if (bytes == WEFT_MEMORY_WHOLE)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        char has[WEFT_SIZE_TEXT_BYTES];
        if (bytes > devices[i]->memory_bytes)
            return weft_fail(err, WEFT_ERANGE,
                             "--memory: %llu bytes are more than %s has: %s (%llu bytes)",
                             (unsigned long long)bytes, devices[i]->name,
                             weft_size_format(devices[i]->memory_bytes, has),
                             (unsigned long long)devices[i]->memory_bytes);
    }
    return 0;
}

int weft_daemon_tenant_check_limits(const struct weft_limits *limits,
                                    struct weft_daemon_device *const *devices, uint32_t count,
                                    struct weft_err *err)
{
    int rc = check_memory(limits->memory_bytes, devices, count, err);
    return rc ? rc : weft_daemon_time_check(limits, devices, count, err);
}

static void write_policy(struct weft_daemon_tenant *tenant)
{
    struct weft_policy_page *page = tenant->policy;
    const struct weft_limits *limits = &tenant->limits;
    /* Odd from here on; a former life that died in the middle has left it so. */
    if (page->sequence % 2 == 0)
        __atomic_add_fetch(&page->sequence, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&page->weight, limits->weight, __ATOMIC_RELEASE);
    __atomic_store_n(&page->class, limits->class, __ATOMIC_RELEASE);
    __atomic_store_n(&page->compute_cap_e4, limits->compute_cap_e4, __ATOMIC_RELEASE);
    __atomic_store_n(&page->sm_percent, limits->sm_percent, __ATOMIC_RELEASE);
    __atomic_store_n(&page->kernel_timeout_us, limits->kernel_timeout_us, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        struct weft_policy_device *device = &page->devices[i];
        __atomic_store_n(&device->memory_limit_bytes, limits->memory_bytes, __ATOMIC_RELEASE);
        __atomic_store_n(&device->memory_guarantee_bytes, limits->guarantee_bytes,
                         __ATOMIC_RELEASE);
    }
    weft_daemon_space_apply(tenant);
    weft_daemon_time_apply(tenant, page->sequence + 1);
    __atomic_add_fetch(&page->sequence, 1, __ATOMIC_ACQ_REL);
}

static int make_ledger(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    char name[WEFT_DAEMON_MEMORY_NAME_BYTES];
    struct stat found;
    void *memory;
    snprintf(name, sizeof(name), "weft-ledger-%s", tenant->name);
    int fd = weft_daemon_memory_create(name, weft_ledger_bytes(), &memory, err);
    if (fd < 0)
        return fd;
    tenant->ledger_fd = fd;
    tenant->ledger = weft_ledger_format(memory);
    weft_ledger_account_init(&tenant->account, tenant->ledger, WEFT_LEDGER_DAEMON_SLOT);
    tenant->record->ledger_inode = fstat(fd, &found) == 0 ? found.st_ino : 0;
    return 0;
}

int weft_daemon_tenant_take_ledger(struct weft_daemon_tenant *tenant, int fd, struct weft_err *err)
{
    void *memory;
    int rc = weft_daemon_memory_map(fd, weft_ledger_bytes(), &memory, err);
    if (rc)
        return rc;
    rc = weft_ledger_open(&tenant->ledger, memory, weft_ledger_bytes(), err);
    if (rc == 0)
        tenant->ledger_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (rc == 0 && tenant->ledger_fd < 0)
        rc = weft_fail(err, WEFT_ELIMIT, "no descriptor is left");
    if (rc) {
        munmap(memory, weft_ledger_bytes());
        tenant->ledger = NULL;
        return rc;
    }
    weft_ledger_account_init(&tenant->account, tenant->ledger, WEFT_LEDGER_DAEMON_SLOT);
    return 0;
}

static int make_policy(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    char name[WEFT_DAEMON_MEMORY_NAME_BYTES];
    void *memory;
    snprintf(name, sizeof(name), "weft-policy-%s", tenant->name);
    int fd = weft_daemon_memory_create(name, sizeof(*tenant->policy), &memory, err);
    if (fd < 0)
        return fd;
    tenant->policy = memory;
    *tenant->policy = (struct weft_policy_page){
        .magic = WEFT_POLICY_MAGIC,
        .major = WEFT_POLICY_MAJOR,
        .minor = WEFT_POLICY_MINOR,
        .bytes = sizeof(*tenant->policy),
        .device_count = tenant->device_count,
    };
    tenant->policy_fd = weft_daemon_memory_reopen_readonly(fd, err);
    return tenant->policy_fd < 0 ? tenant->policy_fd : 0;
}

int weft_daemon_tenant_take_policy(struct weft_daemon_tenant *tenant, int fd, struct weft_err *err)
{
    void *memory;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int rc = weft_daemon_memory_map(fd, sizeof(*tenant->policy), &memory, err);
    if (rc || copy < 0) {
        if (copy >= 0)
            close(copy);
        return rc ? rc : weft_fail(err, WEFT_ELIMIT, "no descriptor is left");
    }
    tenant->policy = memory;
    tenant->policy_fd = weft_daemon_memory_reopen_readonly(copy, err);
    const struct weft_policy_page *page = tenant->policy;
    if (page->magic != WEFT_POLICY_MAGIC || page->major != WEFT_POLICY_MAJOR)
        rc = weft_fail(err, WEFT_EVERSION, "the policy page is of another version");
    else if (tenant->policy_fd < 0)
        rc = tenant->policy_fd;
    if (rc) {
        munmap(memory, sizeof(*tenant->policy));
        tenant->policy = NULL;
    }
    return rc;
}

static int make_socket(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    char folder[WEFT_PLACES_PATH_BYTES], path[WEFT_PLACES_PATH_BYTES],
        name[WEFT_WIRE_TENANT_BYTES + 8];
    snprintf(name, sizeof(name), "%s.sock", tenant->name);
    int rc = weft_places_join(tenant->daemon->dir, "tenants", folder, err);
    if (rc == 0)
        rc = weft_places_join(folder, name, path, err);
    if (rc == 0)
        rc = weft_unix_path_check(path, err);
    if (rc)
        return rc;
    rc = weft_daemon_listener_create(tenant->daemon, tenant, path, 0600, tenant->uid,
                                     &tenant->listener, err);
    if (rc)
        return rc;
    weft_daemon_tenant_open_socket(tenant);
    return tenant->origin == WEFT_TENANT_OF_RUN ? 0 : weft_daemon_mount_make(tenant, err);
}

/* What construction has made so far, or all of a tenant that nobody uses any more. */
static void release(struct weft_daemon_tenant *tenant)
{
    weft_daemon_listener_destroy(tenant->listener);
    if (tenant->policy)
        munmap(tenant->policy, sizeof(*tenant->policy));
    if (tenant->ledger)
        munmap(tenant->ledger, weft_ledger_bytes());
    if (tenant->policy_fd >= 0)
        close(tenant->policy_fd);
    if (tenant->ledger_fd >= 0)
        close(tenant->ledger_fd);
    weft_daemon_record_close(tenant->record);
    free(tenant);
}

static struct weft_daemon_tenant *allocate(struct weft_daemon *daemon, const char *name, uid_t uid)
{
    struct weft_daemon_tenant *tenant = calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    tenant->daemon = daemon;
    tenant->uid = uid;
    tenant->ledger_fd = tenant->policy_fd = -1;
    tenant->limits = weft_limits_default();
    snprintf(tenant->name, sizeof(tenant->name), "%s", name);
    return tenant;
}

static void enlist(struct weft_daemon_tenant *tenant)
{
    struct weft_daemon *daemon = tenant->daemon;
    for (uint32_t i = 0; i < tenant->device_count; i++)
        tenant->devices[i]->tenants++;
    tenant->next = daemon->tenants;
    daemon->tenants = tenant;
    weft_daemon_pressure_watch(daemon);
    weft_daemon_reconcile_watch(daemon);
    daemon->tenant_count++;
}

/* Pages, socket and record, where they are not there yet. */
static int complete(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    int rc = tenant->record ? 0 : weft_daemon_record_create(tenant, err);
    if (rc == 0 && !tenant->ledger)
        rc = make_ledger(tenant, err);
    if (rc == 0 && !tenant->policy)
        rc = make_policy(tenant, err);
    if (rc == 0)
        rc = weft_daemon_room_enter(tenant, err);
    if (rc)
        return rc;
    write_policy(tenant);
    return make_socket(tenant, err);
}

static int check_terms(const struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    int rc = weft_daemon_tenant_check_limits(&tenant->limits, tenant->devices, tenant->device_count,
                                             err);
    return rc ? rc
              : weft_daemon_space_check(&tenant->limits, tenant->devices, tenant->device_count,
                                        err);
}

/* Devices and limits: as asked for, and where nothing is, as far as a rule permits. */
static int agree(struct weft_daemon_tenant *tenant, const struct weft_config_tenant *asked,
                 struct weft_err *err)
{
    const struct weft_daemon_demand demand = {
        .list = &asked->gpus, .limits = &tenant->limits, .rule = asked->rule};
    uint32_t lowered = 0;
    int rc = weft_daemon_rule_admit(tenant->daemon, asked, err);
    if (rc == 0)
        rc = weft_limits_change(&tenant->limits, &asked->limits, err);
    if (rc == 0)
        rc = weft_daemon_device_resolve(tenant->daemon, &demand, tenant->devices,
                                        &tenant->device_count, err);
    if (rc == 0)
        rc = weft_daemon_rule_lower(asked, tenant->devices, tenant->device_count, &tenant->limits,
                                    &lowered, err);
    if (rc == 0)
        rc = check_terms(tenant, err);
    if (rc && lowered)
        return weft_wrap(err, rc, "by rule %s of weftd's configuration", asked->rule->name);
    return rc;
}

int weft_daemon_tenant_create(struct weft_daemon *daemon, const struct weft_config_tenant *asked,
                              enum weft_tenant_origin origin, struct weft_daemon_tenant **out,
                              struct weft_err *err)
{
    const char *name = asked->name;
    if (daemon->tenant_count == WEFT_DAEMON_TENANTS_MAX)
        return weft_fail(err, WEFT_ELIMIT, "%d tenants are alive; weftd holds no more",
                         WEFT_DAEMON_TENANTS_MAX);
    struct weft_daemon_tenant *tenant = allocate(daemon, name, (uid_t)asked->uid);
    if (!tenant)
        return weft_fail(err, WEFT_ENOMEM, "tenant %s", name);
    tenant->origin = origin;
    tenant->run = asked->run;
    tenant->change = asked->change;
    int rc = agree(tenant, asked, err);
    tenant->configured = origin == WEFT_TENANT_OF_CONFIGURATION ? asked->limits : tenant->limits;
    if (rc == 0)
        rc = weft_daemon_time_enter(tenant, err);
    if (rc == 0)
        rc = complete(tenant, err);
    if (rc) {
        weft_daemon_record_remove(daemon, name);
        weft_daemon_time_leave(tenant);
        weft_daemon_mount_remove(tenant);
        weft_daemon_room_leave(tenant);
        release(tenant);
        return rc;
    }
    enlist(tenant);
    weft_daemon_ceiling_divide(daemon);
    rc = weft_daemon_room_promise(tenant, tenant->limits.guarantee_bytes, err);
    if (rc) {
        weft_daemon_tenant_destroy(tenant);
        return rc;
    }
    weft_daemon_idle_check(daemon);
    weft_log(WEFT_LOG_INFO, "weftd", "tenant %s begins", tenant->name);
    *out = tenant;
    return 0;
}

/* A device as a record has it: a soft one is made anew where nobody has its page open any more. */
static int recall_device(struct weft_daemon *daemon, const struct weft_record_device *recorded,
                         struct weft_daemon_device **out, struct weft_err *err)
{
    char profile[WEFT_PROFILE_BYTES + 1] = {0};
    *out = weft_daemon_device_by_uuid(daemon, recorded->uuid);
    if (*out) {
        weft_daemon_time_go_on(*out, recorded->used_ns, recorded->idle_ns);
        return 0;
    }
    if (recorded->kind != WEFT_DEVICE_SOFT)
        return weft_fail(err, WEFT_ENOENT, "its GPU %u is not there any more", recorded->index);
    memcpy(profile, recorded->profile, WEFT_PROFILE_BYTES);
    int rc = weft_daemon_device_soft(daemon, profile, recorded->index, out, err);
    if (rc == 0)
        weft_daemon_time_go_on(*out, recorded->used_ns, recorded->idle_ns);
    return rc;
}

int weft_daemon_tenant_recall(struct weft_daemon *daemon, struct weft_record *record,
                              struct weft_daemon_tenant **out, struct weft_err *err)
{
    const struct weft_record_terms *terms = &record->terms[record->current];
    struct weft_daemon_tenant *tenant = allocate(daemon, record->name, (uid_t)terms->uid);
    int rc = tenant ? 0 : weft_fail(err, WEFT_ENOMEM, "tenant %s", record->name);
    for (uint32_t i = 0; rc == 0 && i < record->device_count; i++) {
        rc = recall_device(daemon, &record->devices[i], &tenant->devices[i], err);
        tenant->device_count = i + 1;
    }
    if (rc) {
        weft_daemon_record_remove(daemon, record->name);
        weft_daemon_record_close(record);
        free(tenant);
        return rc;
    }
    tenant->record = record;
    tenant->origin = (enum weft_tenant_origin)terms->origin;
    tenant->limits = terms->limits;
    tenant->configured = terms->configured;
    tenant->run = terms->run;
    tenant->change = terms->change;
    memcpy(tenant->ended_time_ns, record->ended_time_ns, sizeof(tenant->ended_time_ns));
    enlist(tenant);
    *out = tenant;
    return 0;
}

int weft_daemon_tenant_complete(struct weft_daemon_tenant *tenant, struct weft_err *err)
{
    weft_daemon_time_recall(tenant);
    int rc = weft_daemon_time_enter(tenant, err);
    weft_daemon_record_tenant(tenant);
    if (rc == 0)
        rc = complete(tenant, err);
    if (rc)
        weft_daemon_tenant_destroy(tenant);
    else
        weft_daemon_room_keep(tenant);
    return rc;
}

/* A second run may leave limits and devices out, or name the same ones. */
static int check_join(struct weft_daemon_tenant *tenant, const struct weft_wire_run_begin *begin,
                      struct weft_err *err)
{
    enum weft_limit other = weft_limits_differ(&tenant->limits, &begin->limits);
    if (other != WEFT_LIMIT_COUNT) {
        const char *name = weft_limit_name(other);
        return weft_fail(err, WEFT_EEXIST,
                         "tenant %s is alive with another --%s; leave it out to join the tenant, "
                         "or change it: weft set %s --%s …",
                         tenant->name, name, tenant->name, name);
    }
    if (begin->run.given || begin->change.given)
        return weft_fail(err, WEFT_EEXIST,
                         "tenant %s is alive; who may use it is changed by weft set %s",
                         tenant->name, tenant->name);
    if (begin->gpus.count == 0 && begin->gpus.wanted == 0)
        return 0;
    bool matches;
    int rc = weft_daemon_device_match(tenant, &begin->gpus, &matches, err);
    if (rc)
        return rc;
    if (!matches)
        return weft_fail(err, WEFT_EEXIST,
                         "tenant %s is alive with other devices; leave --gpu out to join it, or "
                         "take another --tenant",
                         tenant->name);
    return 0;
}

int weft_daemon_tenant_enter(struct weft_daemon *daemon, const struct weft_wire_run_begin *begin,
                             const struct weft_link *link, const struct weft_peer *peer,
                             struct weft_daemon_tenant **out, bool *joined, struct weft_err *err)
{
    struct weft_config_tenant asked = {.uid = peer->uid,
                                       .gpus = begin->gpus,
                                       .limits = begin->limits,
                                       .run = begin->run,
                                       .change = begin->change,
                                       .rule = weft_daemon_rule_of(daemon, link, peer->uid)};
    memcpy(asked.name, begin->tenant, sizeof(asked.name));
    int rc = *asked.name ? weft_tenant_name_check(asked.name, err)
                         : choose_name(daemon, peer->pid, asked.name, err);
    if (rc)
        return rc;
    struct weft_daemon_tenant *tenant = weft_daemon_tenant_find(daemon, asked.name);
    if (!tenant) {
        rc = weft_daemon_tenant_create(daemon, &asked, WEFT_TENANT_OF_RUN, out, err);
        *joined = false;
        return rc;
    }
    rc = weft_daemon_tenant_admit(tenant, &tenant->run, link, peer->uid, err);
    if (rc == 0 && tenant->leaving)
        rc = weft_fail(err, WEFT_EBUSY, "tenant %s is being removed", tenant->name);
    if (rc == 0)
        rc = check_join(tenant, begin, err);
    if (rc)
        return rc;
    *out = tenant;
    *joined = true;
    return 0;
}

/* A ceiling under what is held takes nothing away, and who set it should know. */
static void tell_of_excess(const struct weft_daemon_tenant *tenant, char note[WEFT_WIRE_TEXT_BYTES])
{
    for (uint32_t i = 0; i < tenant->device_count; i++) {
        uint64_t held = weft_ledger_total(tenant->ledger, i);
        char text[WEFT_SIZE_TEXT_BYTES];
        if (held > tenant->limits.memory_bytes)
            snprintf(
                note, WEFT_WIRE_TEXT_BYTES,
                "%s holds %s on device %u, more than the new limit; it keeps that and gets no more",
                tenant->name, weft_size_format(held, text), i);
    }
}

int weft_daemon_tenant_set(struct weft_daemon_tenant *tenant, const struct weft_limits *changes,
                           char note[WEFT_WIRE_TEXT_BYTES], struct weft_err *err)
{
    struct weft_limits changed = tenant->limits;
    int rc = weft_limits_change(&changed, changes, err);
    if (rc == 0)
        rc = weft_daemon_tenant_check_limits(&changed, tenant->devices, tenant->device_count, err);
    bool other_share = changed.sm_percent != tenant->limits.sm_percent;
    if (rc == 0 && other_share)
        rc = weft_daemon_space_check(&changed, tenant->devices, tenant->device_count, err);
    if (rc == 0)
        rc = weft_daemon_room_promise(tenant, changed.guarantee_bytes, err);
    if (rc)
        return rc;
    tenant->limits = changed;
    weft_daemon_record_tenant(tenant);
    write_policy(tenant);
    note[0] = '\0';
    if (weft_limits_has(changes, WEFT_LIMIT_MEMORY))
        tell_of_excess(tenant, note);
    if (other_share)
        weft_daemon_space_tell(tenant, note);
    return 0;
}

/* Nobody has the ledger any more that one of them wrote over. */
static void renew_ledger(struct weft_daemon_tenant *tenant)
{
    struct weft_ledger *old = tenant->ledger;
    int old_fd = tenant->ledger_fd;
    struct weft_err err = {0};
    if (make_ledger(tenant, &err)) {
        weft_log(WEFT_LOG_ERROR, "weftd", "tenant %s: %s", tenant->name, err.text);
        return;
    }
    munmap(old, weft_ledger_bytes());
    close(old_fd);
    /* The room knows a tenant by its ledger. */
    weft_daemon_room_leave(tenant);
    if (weft_daemon_room_enter(tenant, &err))
        weft_log(WEFT_LOG_ERROR, "weftd", "tenant %s: %s", tenant->name, err.text);
    else
        weft_daemon_room_keep(tenant);
    tenant->distrusted = false;
}

void weft_daemon_tenant_check(struct weft_daemon_tenant *tenant)
{
    bool stays = tenant->processes || tenant->origin != WEFT_TENANT_OF_RUN;
    if (!stays)
        weft_daemon_stray_adopt(tenant);
    if (!tenant->processes && stays && tenant->distrusted)
        renew_ledger(tenant);
    if (!stays && !tenant->processes)
        weft_daemon_tenant_destroy(tenant);
    else
        weft_daemon_idle_check(tenant->daemon);
}

void weft_daemon_tenant_destroy(struct weft_daemon_tenant *tenant)
{
    struct weft_daemon *daemon = tenant->daemon;
    /* Its programs, and it itself if it needs none, outlive a daemon that is told to end, and the
     * next one takes them over. */
    bool goes_on = daemon->stopping && (tenant->processes || tenant->origin != WEFT_TENANT_OF_RUN);
    struct weft_daemon_tenant **link = &daemon->tenants;
    while (*link != tenant)
        link = &(*link)->next;
    *link = tenant->next;
    daemon->tenant_count--;
    while (tenant->processes)
        weft_daemon_process_destroy(tenant->processes);
    weft_daemon_share_forget_tenant(tenant);
    for (struct weft_daemon_connection *c = daemon->connections; c; c = c->next) {
        if (c->tenant == tenant)
            c->tenant = NULL;
    }
    for (uint32_t i = 0; i < tenant->device_count; i++)
        tenant->devices[i]->tenants--;
    if (!goes_on) {
        weft_log(WEFT_LOG_INFO, "weftd", "tenant %s ends", tenant->name);
        weft_daemon_record_remove(daemon, tenant->name);
        weft_daemon_time_leave(tenant);
        weft_daemon_mount_remove(tenant);
        weft_daemon_room_leave(tenant);
    }
    release(tenant);
    weft_daemon_ceiling_divide(daemon);
    weft_daemon_idle_check(daemon);
}
