#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "transport/transport.h"
#include "util/util.h"

#define NODE_FILE "/etc/weft/weft.yaml"
#define USER_FILE ".config/weft/weft.yaml"
#define ENTRIES_MAX 1024 /* of one mapping or list */

int weft_tenant_name_check(const char *name, struct weft_err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!isalnum((unsigned char)*name) || name[strspn(name, allowed)] ||
        strlen(name) >= WEFT_WIRE_TENANT_BYTES)
        return weft_fail(err, WEFT_EINVAL,
                         "--tenant \"%s\": a name has letters, digits, '.', '_' and '-', and "
                         "starts with a letter or digit",
                         name);
    return 0;
}

struct reading {
    struct weft_config *config;
    yaml_document_t *document;
    struct weft_err *err;
};

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

/* "weft.yaml:7: tenants.alice.memory: what is wrong" */
static int fail_at(const struct reading *reading, const yaml_node_t *node, const char *where,
                   int code, const char *text)
{
    return weft_fail(reading->err, code, "%s:%zu: %s%s%s", reading->config->path, line_of(node),
                     where, *where ? ": " : "", text);
}

static const char *text_of(const yaml_node_t *node)
{
    bool plain = node->type == YAML_SCALAR_NODE &&
                 strlen((const char *)node->data.scalar.value) == node->data.scalar.length;
    return plain ? (const char *)node->data.scalar.value : NULL;
}

/* One key of a mapping. */
typedef int (*entry_fn)(struct reading *reading, const char *where, const yaml_node_t *key,
                        yaml_node_t *value, void *context);

static int check_twice(struct reading *reading, const char *where, const yaml_node_t *mapping,
                       const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(reading->document, pair->key);
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *earlier = yaml_document_get_node(reading->document, p->key);
        char text[128];
        if (!text_of(earlier) || strcmp(text_of(earlier), text_of(key)) != 0)
            continue;
        snprintf(text, sizeof(text), "\"%.64s\" stands on line %zu already", text_of(key),
                 line_of(earlier));
        return fail_at(reading, key, where, WEFT_EEXIST, text);
    }
    return 0;
}

static int each_entry(struct reading *reading, const char *where, yaml_node_t *mapping,
                      entry_fn take, void *context)
{
    if (mapping->type != YAML_MAPPING_NODE)
        return fail_at(reading, mapping, where, WEFT_EINVAL, "must be keys with values");
    const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
    if (end - mapping->data.mapping.pairs.start > ENTRIES_MAX)
        return fail_at(reading, mapping, where, WEFT_ELIMIT, "has too many keys");
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < end; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reading->document, pair->key);
        yaml_node_t *value = yaml_document_get_node(reading->document, pair->value);
        if (!text_of(key))
            return fail_at(reading, key, where, WEFT_EINVAL, "a key must be a word");
        int rc = check_twice(reading, where, mapping, pair);
        if (rc == 0)
            rc = take(reading, where, key, value, context);
        if (rc)
            return rc;
    }
    return 0;
}

/* A key that each_entry has looked at. */
static const char *word_of(const yaml_node_t *key)
{
    const char *text = text_of(key);
    return text ? text : "";
}

static int read_who(struct reading *reading, const char *where, const yaml_node_t *node,
                    struct weft_access *access)
{
    const char *text = text_of(node);
    struct weft_err inner = {0};
    int rc = text ? weft_access_add(access, text, &inner) : -WEFT_EINVAL;
    return rc ? fail_at(reading, node, where, -rc, text ? inner.text : "must be a word") : 0;
}

static int read_access(struct reading *reading, const char *where, yaml_node_t *node,
                       struct weft_access *access)
{
    if (node->type == YAML_SCALAR_NODE)
        return read_who(reading, where, node, access);
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_at(reading, node, where, WEFT_EINVAL, "must be a list of users and @groups");
    int rc = 0;
    access->given = true;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         rc == 0 && item < node->data.sequence.items.top; item++)
        rc = read_who(reading, where, yaml_document_get_node(reading->document, *item), access);
    return rc;
}

static int read_owner(struct reading *reading, const char *where, const yaml_node_t *node,
                      uint32_t *uid)
{
    const char *text = text_of(node);
    struct weft_err inner = {0};
    int rc = text ? weft_access_user(text, uid, &inner) : -WEFT_EINVAL;
    return rc ? fail_at(reading, node, where, -rc, text ? inner.text : "must be a word") : 0;
}

/* What is written as on the command line: the text behind --gpu, or behind a limit. -WEFT_ENOENT
 * for another key. */
static int parse_option(const char *name, const char *text, struct weft_gpu_list *gpus,
                        struct weft_limits *limits, struct weft_err *err)
{
    if (strcmp(name, "gpu") == 0)
        return weft_gpu_list_parse(text, gpus, err);
    if (strcmp(name, "gpus") == 0)
        return weft_gpu_count_parse(text, &gpus->wanted, err);
    for (int i = 0; i < WEFT_LIMIT_COUNT; i++) {
        if (i != WEFT_LIMIT_GUARANTEE && strcmp(name, weft_limit_name((enum weft_limit)i)) == 0)
            return weft_limit_parse((enum weft_limit)i, text, limits, err);
    }
    return -WEFT_ENOENT;
}

/* The end of reading a value: `keys` is what to say where the key is not known. */
static int end_option(const struct reading *reading, const char *where, const yaml_node_t *key,
                      const yaml_node_t *value, int rc, const struct weft_err *inner,
                      const char *keys)
{
    if (rc == -WEFT_ENOENT)
        return fail_at(reading, key, where, WEFT_EINVAL, keys);
    return rc ? fail_at(reading, value, where, -rc, inner->text) : 0;
}

static int read_option(struct reading *reading, const char *where, const yaml_node_t *key,
                       const yaml_node_t *value, struct weft_config_tenant *tenant)
{
    const char *name = word_of(key), *text = text_of(value);
    struct weft_err inner = {0};
    if (!text)
        return fail_at(reading, value, where, WEFT_EINVAL, "must be one value");
    int rc = strcmp(name, "placement") == 0
                 ? weft_placement_parse(text, &tenant->gpus.placement, &inner)
                 : parse_option(name, text, &tenant->gpus, &tenant->limits, &inner);
    return end_option(
        reading, where, key, value, rc, &inner,
        "unknown key; there are gpu, gpus, placement, memory, weight, compute, priority, sm, "
        "kernel-timeout, owner, run and change");
}

static int read_setting(struct reading *reading, const char *where, const yaml_node_t *key,
                        yaml_node_t *value, void *context)
{
    struct weft_config_tenant *tenant = context;
    char path[256];
    const char *name = word_of(key);
    snprintf(path, sizeof(path), "%s.%.64s", where, name);
    if (strcmp(name, "owner") == 0)
        return read_owner(reading, path, value, &tenant->uid);
    if (strcmp(name, "run") == 0)
        return read_access(reading, path, value, &tenant->run);
    if (strcmp(name, "change") == 0)
        return read_access(reading, path, value, &tenant->change);
    return read_option(reading, path, key, value, tenant);
}

static int read_tenant(struct reading *reading, const char *where, const yaml_node_t *key,
                       yaml_node_t *value, void *context)
{
    struct weft_config *config = reading->config;
    struct weft_err inner = {0};
    char path[256];
    (void)context;
    snprintf(path, sizeof(path), "%s.%.64s", where, word_of(key));
    if (weft_tenant_name_check(word_of(key), &inner))
        return fail_at(reading, key, path, WEFT_EINVAL, inner.text);
    if (config->tenant_count == WEFT_CONFIG_TENANTS_MAX)
        return fail_at(reading, key, where, WEFT_ELIMIT, "more than 256 tenants");
    struct weft_config_tenant *tenant = &config->tenants[config->tenant_count];
    *tenant = (struct weft_config_tenant){
        .line = line_of(key), .uid = (uint32_t)geteuid(), .limits = weft_limits_default()};
    snprintf(tenant->name, sizeof(tenant->name), "%s", word_of(key));
    bool empty = text_of(value) && !*text_of(value);
    int rc = empty ? 0 : each_entry(reading, path, value, read_setting, tenant);
    if (rc == 0)
        config->tenant_count++;
    return rc;
}

/* -- rules */

static int read_permission(struct reading *reading, const char *where, const yaml_node_t *key,
                           const yaml_node_t *value, struct weft_rule *rule)
{
    const char *name = word_of(key), *text = text_of(value);
    struct weft_err inner = {0};
    if (!text)
        return fail_at(reading, value, where, WEFT_EINVAL, "must be one value");
    int rc = strcmp(name, "tenants") == 0
                 ? weft_rule_tenants_parse(text, &rule->tenants_max, &inner)
                 : parse_option(name, text, &rule->gpus, &rule->most, &inner);
    if (rc == 0 && strcmp(name, "gpu") == 0)
        snprintf(rule->gpu_text, sizeof(rule->gpu_text), "%s", text);
    /* A ceiling alone permits no guarantee, as it promises none behind --memory. */
    if (weft_limits_has(&rule->most, WEFT_LIMIT_MEMORY))
        rule->most.given |= 1u << WEFT_LIMIT_GUARANTEE;
    return end_option(reading, where, key, value, rc, &inner,
                      "unknown key; there are for, gpu, gpus, tenants, memory, weight, compute, "
                      "priority, sm and kernel-timeout");
}

static int read_rule_entry(struct reading *reading, const char *where, const yaml_node_t *key,
                           yaml_node_t *value, void *context)
{
    struct weft_rule *rule = context;
    char path[256];
    snprintf(path, sizeof(path), "%s.%.64s", where, word_of(key));
    return strcmp(word_of(key), "for") == 0 ? read_access(reading, path, value, &rule->who)
                                            : read_permission(reading, path, key, value, rule);
}

/* Nobody would ever come to it. */
static int check_is_reached(const struct reading *reading, const yaml_node_t *key,
                            const char *where)
{
    const struct weft_config *config = reading->config;
    char text[192];
    if (config->rule_count == 0 || config->rules[config->rule_count - 1].who.given)
        return 0;
    snprintf(text, sizeof(text), "stands behind %s, which is for everybody; say for whom that is",
             config->rules[config->rule_count - 1].name);
    return fail_at(reading, key, where, WEFT_EINVAL, text);
}

static int read_rule(struct reading *reading, const char *where, const yaml_node_t *key,
                     yaml_node_t *value, void *context)
{
    struct weft_config *config = reading->config;
    char path[256];
    (void)context;
    snprintf(path, sizeof(path), "%s.%.64s", where, word_of(key));
    if (weft_tenant_name_check(word_of(key), NULL))
        return fail_at(reading, key, path, WEFT_EINVAL,
                       "a rule's name has letters, digits, '.', '_' and '-', and starts with a "
                       "letter or digit");
    int rc = check_is_reached(reading, key, path);
    if (rc == 0 && config->rule_count == WEFT_CONFIG_RULES_MAX)
        rc = fail_at(reading, key, where, WEFT_ELIMIT, "more than 64 rules");
    if (rc)
        return rc;
    struct weft_rule *rule = &config->rules[config->rule_count];
    *rule = weft_rule_default();
    rule->line = line_of(key);
    snprintf(rule->name, sizeof(rule->name), "%s", word_of(key));
    bool empty = text_of(value) && !*text_of(value);
    rc = empty ? 0 : each_entry(reading, path, value, read_rule_entry, rule);
    if (rc == 0)
        config->rule_count++;
    return rc;
}

static int read_top(struct reading *reading, const char *where, const yaml_node_t *key,
                    yaml_node_t *value, void *context)
{
    const char *name = word_of(key);
    (void)where;
    (void)context;
    if (strcmp(name, "operators") == 0)
        return read_access(reading, name, value, &reading->config->operators);
    entry_fn read = strcmp(name, "tenants") == 0 ? read_tenant
                    : strcmp(name, "rules") == 0 ? read_rule
                                                 : NULL;
    if (!read)
        return fail_at(reading, key, name, WEFT_EINVAL,
                       "unknown key; there are tenants, rules and operators");
    bool empty = text_of(value) && !*text_of(value);
    return empty ? 0 : each_entry(reading, name, value, read, NULL);
}

/* The scanner's own words about a tab help nobody. */
static size_t find_tab(const char *text)
{
    size_t line = 1;
    bool indent = true;
    for (; *text; text++) {
        if (*text == '\t' && indent)
            return line;
        indent = *text == '\n' || (indent && *text == ' ');
        line += *text == '\n';
    }
    return 0;
}

static int parse(struct weft_config *config, const char *text, struct weft_err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    size_t tab = find_tab(text);
    if (tab)
        return weft_fail(err, WEFT_EINVAL, "%s:%zu: a tab; indent with blanks", config->path, tab);
    if (!yaml_parser_initialize(&parser))
        return weft_fail(err, WEFT_ENOMEM, "%s: no memory", config->path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (!yaml_parser_load(&parser, &document)) {
        int rc =
            weft_fail(err, WEFT_EINVAL, "%s:%zu: %s", config->path, parser.problem_mark.line + 1,
                      parser.problem ? parser.problem : "not YAML");
        yaml_parser_delete(&parser);
        return rc;
    }
    struct reading reading = {config, &document, err};
    yaml_node_t *root = yaml_document_get_root_node(&document);
    bool empty = !root || (text_of(root) && !*text_of(root));
    int rc = empty ? 0 : each_entry(&reading, "", root, read_top, NULL);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return rc;
}

/* All of a file, with a zero behind it. NULL with errno where it cannot be read. */
static char *read_file(const char *path)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : calloc(1, WEFT_CONFIG_FILE_MAX + 1);
    int64_t size = text ? weft_read_all(fd, text, WEFT_CONFIG_FILE_MAX, NULL) : -1;
    if (size < 0 || size == WEFT_CONFIG_FILE_MAX) {
        errno = text && size > 0 ? EFBIG : errno;
        free(text);
        return NULL;
    }
    return text;
}

/* Where nobody named a file. False where there is none, which is no error. */
static bool choose_file(char path[WEFT_PLACES_PATH_BYTES])
{
    const char *home = getenv("HOME");
    snprintf(path, WEFT_PLACES_PATH_BYTES, "%s", NODE_FILE);
    if (access(path, F_OK) == 0)
        return true;
    return home && weft_places_join(home, USER_FILE, path, NULL) == 0 && access(path, F_OK) == 0;
}

int weft_config_parse(const char *path, const char *text, struct weft_config *config,
                      struct weft_err *err)
{
    struct weft_config read = {0};
    snprintf(read.path, sizeof(read.path), "%s", path);
    read.tenants = calloc(WEFT_CONFIG_TENANTS_MAX, sizeof(*read.tenants));
    read.rules = calloc(WEFT_CONFIG_RULES_MAX, sizeof(*read.rules));
    int rc = read.tenants && read.rules ? parse(&read, text, err)
                                        : weft_fail(err, WEFT_ENOMEM, "the configuration");
    if (rc) {
        weft_config_finish(&read);
        return rc;
    }
    *config = read;
    return 0;
}

int weft_config_load(const char *path, struct weft_config *config, struct weft_err *err)
{
    struct weft_config read = {0};
    if (path)
        snprintf(read.path, sizeof(read.path), "%s", path);
    bool there = path || choose_file(read.path);
    _cleanup_free_ char *text = there ? read_file(read.path) : NULL;
    if (there && !text)
        return weft_fail(err, errno == ENOENT ? WEFT_ENOENT : WEFT_EIO, "%s: %s", read.path,
                         strerror(errno));
    return weft_config_parse(there ? read.path : "", text ? text : "", config, err);
}

void weft_config_finish(struct weft_config *config)
{
    free(config->tenants);
    free(config->rules);
    *config = (struct weft_config){0};
}
