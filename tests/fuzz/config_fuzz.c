/* Any text as weftd's configuration. What is taken is within its bounds; what is refused says which
 * file, and where something stands wrong in it, which line. */
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH "weft.yaml"
#define REQUIRE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

static size_t count_lines(const char *text)
{
    size_t lines = 1;
    for (; *text; text++)
        lines += *text == '\n' || *text == '\r';
    return lines;
}

static void check_access(const struct weft_access *access)
{
    REQUIRE(access->uid_count <= WEFT_ACCESS_MAX && access->gid_count <= WEFT_ACCESS_MAX);
    REQUIRE(access->given || (access->uid_count == 0 && access->gid_count == 0));
}

static void check_rules(const struct weft_config *config, size_t lines)
{
    REQUIRE(config->rule_count <= WEFT_CONFIG_RULES_MAX);
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct weft_rule *rule = &config->rules[i];
        REQUIRE(*rule->name && memchr(rule->name, '\0', sizeof(rule->name)));
        REQUIRE(memchr(rule->gpu_text, '\0', sizeof(rule->gpu_text)));
        REQUIRE(weft_limits_check(&rule->most, NULL) == 0);
        REQUIRE(rule->gpus.count <= WEFT_DEVICES_MAX && rule->gpus.wanted <= WEFT_DEVICES_MAX);
        REQUIRE(rule->tenants_max <= WEFT_RULE_TENANTS_MAX ||
                rule->tenants_max == WEFT_RULE_TENANTS_ANY);
        REQUIRE(rule->line >= 1 && rule->line <= lines);
        REQUIRE(rule->who.given || i == config->rule_count - 1);
        check_access(&rule->who);
    }
}

static void check_taken(const struct weft_config *config, const char *text)
{
    REQUIRE(config->tenant_count <= WEFT_CONFIG_TENANTS_MAX);
    check_access(&config->operators);
    check_rules(config, count_lines(text));
    for (size_t i = 0; i < config->tenant_count; i++) {
        const struct weft_config_tenant *tenant = &config->tenants[i];
        REQUIRE(weft_tenant_name_check(tenant->name, NULL) == 0);
        REQUIRE(weft_limits_check(&tenant->limits, NULL) == 0);
        REQUIRE(tenant->gpus.count <= WEFT_DEVICES_MAX);
        REQUIRE(tenant->line >= 1 && tenant->line <= count_lines(text));
        check_access(&tenant->run);
        check_access(&tenant->change);
        for (size_t j = 0; j < i; j++)
            REQUIRE(strcmp(config->tenants[j].name, tenant->name) != 0);
    }
}

static void check_refused(const struct weft_err *err)
{
    REQUIRE(err->code < 0 && strncmp(err->text, PATH ":", strlen(PATH ":")) == 0);
    char *end;
    REQUIRE(strtoul(err->text + strlen(PATH ":"), &end, 10) >= 1 && *end == ':');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_config config;
    struct weft_err err = {0};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (weft_config_parse(PATH, text, &config, &err) == 0) {
        check_taken(&config, text);
        weft_config_finish(&config);
    } else {
        check_refused(&err);
    }
    free(text);
    return 0;
}
