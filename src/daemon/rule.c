/* The configuration's rules: what users may give tenants that they make themselves, and what they
 * may change them to. Root and who runs weftd are bound by none. */
#include "daemon/daemon.h"

#include <string.h>

#include "util/util.h"

const struct weft_rule *weft_daemon_rule_of(const struct weft_daemon *daemon,
                                            const struct weft_link *link, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return NULL;
    for (size_t i = 0; i < daemon->rule_count; i++) {
        const struct weft_rule *rule = &daemon->rules[i];
        if (!rule->who.given || weft_daemon_is_listed(&rule->who, link, uid))
            return rule;
    }
    return NULL;
}

int weft_daemon_rules_take(struct weft_daemon *daemon, const struct weft_config *config,
                           struct weft_err *err)
{
    struct weft_rule *rules = calloc(config->rule_count + 1, sizeof(*rules));
    if (!rules)
        return weft_fail(err, WEFT_ENOMEM, "the configuration's rules");
    if (config->rule_count)
        memcpy(rules, config->rules, config->rule_count * sizeof(*rules));
    free(daemon->rules);
    daemon->rules = rules;
    daemon->rule_count = config->rule_count;
    return 0;
}

static const struct weft_soft_profile *profile_of(const struct weft_gpu_item *item)
{
    return weft_soft_profile_find(*item->place ? item->place : WEFT_SOFT_PROFILE_DEFAULT);
}

/* Items of a list mean devices as they do behind --gpu: the second `soft=t4` is another one. */
bool weft_daemon_rule_permits(const struct weft_rule *rule, const struct weft_daemon_device *device)
{
    bool is_native = device->kind == WEFT_DEVICE_NATIVE;
    uint32_t first = 0;
    for (size_t i = 0; i < rule->gpus.count; i++) {
        const struct weft_gpu_item *item = &rule->gpus.items[i];
        bool of_profile = item->kind == WEFT_GPU_SOFT && profile_of(item) == device->profile;
        if (is_native && (item->kind == WEFT_GPU_ANY ||
                          (item->kind == WEFT_GPU_INDEX && item->index == device->index)))
            return true;
        if (item->kind == WEFT_GPU_UUID &&
            memcmp(item->uuid, device->uuid, sizeof(item->uuid)) == 0)
            return true;
        if (is_native || !of_profile)
            continue;
        first += item->count;
        if (device->index < first)
            return true;
    }
    return rule->gpus.count == 0;
}

static int check_item(struct weft_daemon *daemon, const struct weft_gpu_item *item,
                      struct weft_err *err)
{
    switch (item->kind) {
    case WEFT_GPU_ANY:
        return 0;
    case WEFT_GPU_SOFT:
        if (profile_of(item))
            return 0;
        return weft_fail(err, WEFT_ENOENT, "gpu: no profile \"%s\"; `weft soft` lists them",
                         item->place);
    case WEFT_GPU_INDEX:
        if (item->index < daemon->native_count)
            return 0;
        return weft_fail(err, WEFT_ENOENT, "gpu: this machine has no GPU %u", item->index);
    case WEFT_GPU_UUID:
        if (weft_daemon_device_by_uuid(daemon, item->uuid))
            return 0;
        return weft_fail(err, WEFT_ENOENT,
                         "gpu: no device of that UUID is here; `weft ls` lists "
                         "them");
    default:
        return weft_fail(err, WEFT_ENOSYS, "gpu: MIG and remote devices are not supported yet");
    }
}

int weft_daemon_rule_check(struct weft_daemon *daemon, const struct weft_rule *rule,
                           struct weft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rule->gpus.count; i++)
        rc = check_item(daemon, &rule->gpus.items[i], err);
    return rc;
}

static int check_count(const struct weft_daemon *daemon, const struct weft_rule *rule, uid_t owner,
                       struct weft_err *err)
{
    uint32_t count = 0;
    for (const struct weft_daemon_tenant *tenant = daemon->tenants; tenant; tenant = tenant->next)
        count += tenant->uid == owner && tenant->origin != WEFT_TENANT_OF_CONFIGURATION;
    if (count < rule->tenants_max)
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "--tenant: rule %s of weftd's configuration permits a user %u tenants at "
                     "once, and uid %u has %u",
                     rule->name, rule->tenants_max, (unsigned)owner, count);
}

int weft_daemon_rule_admit(const struct weft_daemon *daemon, const struct weft_config_tenant *asked,
                           struct weft_err *err)
{
    const struct weft_rule *rule = asked->rule;
    if (!rule)
        return 0;
    int rc = weft_rule_check(rule, &asked->limits, NULL, 0, err);
    return rc ? rc : check_count(daemon, rule, (uid_t)asked->uid, err);
}

/* A ceiling over what a device has is none; over some of several, it is what the least of them has,
 * since the limit is one for all. */
static uint64_t fit(uint64_t bytes, struct weft_daemon_device *const *devices, uint32_t count)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        least = WEFT_MIN(least, devices[i]->memory_bytes);
        most = WEFT_MAX(most, devices[i]->memory_bytes);
    }
    return bytes >= most ? WEFT_MEMORY_WHOLE : WEFT_MIN(bytes, least);
}

int weft_daemon_rule_lower(const struct weft_config_tenant *asked,
                           struct weft_daemon_device *const *devices, uint32_t count,
                           struct weft_limits *limits, uint32_t *lowered, struct weft_err *err)
{
    if (!asked->rule)
        return 0;
    int rc = weft_rule_lower(asked->rule, asked->limits.given, limits, lowered, err);
    if (rc == 0 && *lowered >> WEFT_LIMIT_MEMORY & 1)
        limits->memory_bytes = fit(limits->memory_bytes, devices, count);
    return rc;
}

int weft_daemon_rule_check_set(const struct weft_rule *rule,
                               const struct weft_daemon_tenant *tenant,
                               const struct weft_limits *changes, struct weft_err *err)
{
    struct weft_limits made = weft_limits_default();
    const struct weft_limits *kept[] = {&tenant->limits, NULL};
    if (!rule)
        return 0;
    /* What an administrator gave it is its own. */
    if (tenant->origin != WEFT_TENANT_OF_RUN &&
        weft_limits_change(&made, &tenant->configured, NULL) == 0)
        kept[1] = &made;
    return weft_rule_check(rule, changes, kept, WEFT_ARRAY_COUNT(kept), err);
}
