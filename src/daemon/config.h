/* weftd's configuration: a YAML file with a checked schema. docs/service.md has it in prose. */
#ifndef WEFT_DAEMON_CONFIG_H
#define WEFT_DAEMON_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "policy/gpus.h"
#include "policy/limits.h"
#include "policy/rule.h"
#include "transport/places.h"
#include "wire/wire.h"

#define WEFT_CONFIG_FILE_MAX (1u << 20)
#define WEFT_CONFIG_TENANTS_MAX 256
#define WEFT_CONFIG_RULES_MAX 64

struct weft_config_tenant {
    char name[WEFT_WIRE_TENANT_BYTES];
    size_t line; /* where it stands, for errors */
    uint32_t uid;
    struct weft_gpu_list gpus;
    struct weft_limits limits;
    struct weft_access run;       /* who may connect to its socket, and join it */
    struct weft_access change;    /* who may change it */
    const struct weft_rule *rule; /* borrowed: what binds who asks for it; NULL: nothing does */
};

struct weft_config {
    char path[WEFT_PLACES_PATH_BYTES];
    struct weft_access operators; /* who may add and remove tenants, besides root and ourselves */
    size_t rule_count, tenant_count;
    struct weft_rule *rules;            /* owned; the first that is for somebody holds for him */
    struct weft_config_tenant *tenants; /* owned */
};

/* Reads `path`; NULL: /etc/weft/weft.yaml, else ~/.config/weft/weft.yaml, and an empty
 * configuration where there is neither. Errors name file, line and key. WEFT_ENOENT, WEFT_EINVAL,
 * WEFT_ERANGE, WEFT_ENOSYS, WEFT_EEXIST. */
int weft_config_load(const char *path, struct weft_config *config, struct weft_err *err);
/* The same of a text, which errors call `path`. */
int weft_config_parse(const char *path, const char *text, struct weft_config *config,
                      struct weft_err *err);
void weft_config_finish(struct weft_config *config);
/* Letters, digits, '.', '_' and '-', a letter or digit first. WEFT_EINVAL. */
int weft_tenant_name_check(const char *name, struct weft_err *err);

#endif
