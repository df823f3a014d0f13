#include "policy/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/util.h"

#define VALUE_BYTES 64

struct weft_rule weft_rule_default(void)
{
    return (struct weft_rule){.most = weft_limits_default(), .tenants_max = WEFT_RULE_TENANTS_ANY};
}

int weft_rule_tenants_parse(const char *text, uint32_t *tenants_max, struct weft_err *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long number = digits && digits < 10 ? strtoul(text, NULL, 10) : UINT32_MAX;
    if (text[digits] || number > WEFT_RULE_TENANTS_MAX)
        return weft_fail(err, WEFT_EINVAL, "\"%.40s\": write a whole number from 0 to %d", text,
                         WEFT_RULE_TENANTS_MAX);
    *tenants_max = (uint32_t)number;
    return 0;
}

/* The greater, the more of the device, or of everybody's patience, the tenant has. */
static uint64_t amount(enum weft_limit limit, const struct weft_limits *limits)
{
    switch (limit) {
    case WEFT_LIMIT_MEMORY:
        return limits->memory_bytes;
    case WEFT_LIMIT_GUARANTEE:
        return limits->guarantee_bytes;
    case WEFT_LIMIT_WEIGHT:
        return limits->weight;
    case WEFT_LIMIT_COMPUTE:
        return limits->compute_cap_e4;
    case WEFT_LIMIT_PRIORITY:
        return (uint64_t)(WEFT_CLASS_IDLE + 1 - limits->class);
    case WEFT_LIMIT_SM:
        return limits->sm_percent;
    case WEFT_LIMIT_KERNEL_TIMEOUT:
        return limits->kernel_timeout_us ? limits->kernel_timeout_us : UINT64_MAX;
    default:
        return 0;
    }
}

static void format_bytes(uint64_t bytes, char text[VALUE_BYTES])
{
    char size[WEFT_SIZE_TEXT_BYTES];
    if (bytes == WEFT_MEMORY_WHOLE)
        snprintf(text, VALUE_BYTES, "all of it");
    else
        snprintf(text, VALUE_BYTES, "%s (%llu bytes)", weft_size_format(bytes, size),
                 (unsigned long long)bytes);
}

static void format(enum weft_limit limit, const struct weft_limits *limits, char text[VALUE_BYTES])
{
    if (limit == WEFT_LIMIT_MEMORY || limit == WEFT_LIMIT_GUARANTEE)
        format_bytes(amount(limit, limits), text);
    else if (limit == WEFT_LIMIT_COMPUTE)
        snprintf(text, VALUE_BYTES, "%g%%", limits->compute_cap_e4 / 100.0);
    else if (limit == WEFT_LIMIT_SM)
        snprintf(text, VALUE_BYTES, "%u%%", limits->sm_percent);
    else if (limit == WEFT_LIMIT_PRIORITY)
        snprintf(text, VALUE_BYTES, "%s", weft_class_name(limits->class));
    else if (limit == WEFT_LIMIT_WEIGHT)
        snprintf(text, VALUE_BYTES, "%u", limits->weight);
    else if (limits->kernel_timeout_us == 0)
        snprintf(text, VALUE_BYTES, "no limit");
    else
        snprintf(text, VALUE_BYTES, "%u us", limits->kernel_timeout_us);
}

static bool is_kept(enum weft_limit limit, const struct weft_limits *asked,
                    const struct weft_limits *const *kept, size_t kept_count)
{
    for (size_t i = 0; i < kept_count; i++) {
        if (kept[i] && amount(limit, asked) <= amount(limit, kept[i]))
            return true;
    }
    return false;
}

int weft_rule_check(const struct weft_rule *rule, const struct weft_limits *asked,
                    const struct weft_limits *const *kept, size_t kept_count, struct weft_err *err)
{
    for (int i = 0; i < WEFT_LIMIT_COUNT; i++) {
        enum weft_limit limit = (enum weft_limit)i;
        char most[VALUE_BYTES], wanted[VALUE_BYTES];
        if (!weft_limits_has(asked, limit) || !weft_limits_has(&rule->most, limit) ||
            amount(limit, asked) <= amount(limit, &rule->most) ||
            is_kept(limit, asked, kept, kept_count))
            continue;
        format(limit, &rule->most, most);
        format(limit, asked, wanted);
        return weft_fail(err, WEFT_EPERM,
                         "--%s: rule %s of weftd's configuration permits you %s%s at most, and %s "
                         "is asked for",
                         weft_limit_name(limit), rule->name,
                         limit == WEFT_LIMIT_GUARANTEE ? "a guarantee of " : "", most, wanted);
    }
    return 0;
}

int weft_rule_lower(const struct weft_rule *rule, uint32_t but, struct weft_limits *limits,
                    uint32_t *lowered, struct weft_err *err)
{
    struct weft_limits changes = rule->most;
    changes.given = 0;
    for (int i = 0; i < WEFT_LIMIT_COUNT; i++) {
        enum weft_limit limit = (enum weft_limit)i;
        bool asked = but >> i & 1;
        if (!asked && weft_limits_has(&rule->most, limit) &&
            amount(limit, limits) > amount(limit, &rule->most))
            changes.given |= 1u << i;
    }
    *lowered |= changes.given;
    return weft_limits_change(limits, &changes, err);
}
