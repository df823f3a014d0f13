#include "policy/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/util.h"

#define NUMBER_BYTES 32

/* The one place that says what is enforced: `enforced` is switched on with the code that does it.
 */
static const struct {
    const char *name;
    const char *missing; /* what to say while it is not enforced */
    bool enforced;
} rules[WEFT_LIMIT_COUNT] = {
    [WEFT_LIMIT_MEMORY] = {"memory", "", true},
    [WEFT_LIMIT_GUARANTEE] = {"memory", "", true},
    [WEFT_LIMIT_WEIGHT] = {"weight", "", true},
    [WEFT_LIMIT_COMPUTE] = {"compute", "", true},
    [WEFT_LIMIT_PRIORITY] = {"priority", "", true},
    [WEFT_LIMIT_SM] = {"sm", "", true},
    [WEFT_LIMIT_KERNEL_TIMEOUT] = {"kernel-timeout", "", true},
};

static const char *const classes[] = {
    [WEFT_CLASS_CRITICAL] = "critical", [WEFT_CLASS_HIGH] = "high", [WEFT_CLASS_NORMAL] = "normal",
    [WEFT_CLASS_LOW] = "low",           [WEFT_CLASS_IDLE] = "idle",
};

struct weft_limits weft_limits_default(void)
{
    return (struct weft_limits){.weight = WEFT_WEIGHT_DEFAULT,
                                .class = WEFT_CLASS_NORMAL,
                                .compute_cap_e4 = WEFT_COMPUTE_WHOLE,
                                .sm_percent = WEFT_SM_WHOLE,
                                .memory_bytes = WEFT_MEMORY_WHOLE};
}

const char *weft_limit_name(enum weft_limit limit)
{
    return (unsigned)limit < WEFT_LIMIT_COUNT ? rules[limit].name : "unknown";
}

bool weft_limit_is_enforced(enum weft_limit limit)
{
    return (unsigned)limit < WEFT_LIMIT_COUNT && rules[limit].enforced;
}

const char *weft_class_name(enum weft_class class)
{
    bool known = class >= WEFT_CLASS_CRITICAL && class <= WEFT_CLASS_IDLE;
    return known ? classes[class] : "unknown";
}

static int parse_weight(const char *text, struct weft_limits *limits, struct weft_err *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long weight = digits && digits < 10 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] || digits == 0)
        return weft_fail(err, WEFT_EINVAL, "\"%s\": write a whole number from 1 to %d", text,
                         WEFT_WEIGHT_MAX);
    if (weight < 1 || weight > WEFT_WEIGHT_MAX)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": a weight is from 1 to %d", text,
                         WEFT_WEIGHT_MAX);
    limits->weight = (uint32_t)weight;
    return 0;
}

/* "50%", "12.5%" or without the sign, in 1/100 %. */
static int parse_percent(const char *text, uint32_t *e4, struct weft_err *err)
{
    size_t digits = strspn(text, "0123456789.");
    const char *rest = text + digits;
    char number[NUMBER_BYTES], *end;
    bool complete = digits && digits < sizeof(number) && (!*rest || strcmp(rest, "%") == 0);
    if (complete) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        double percent = strtod(number, &end);
        complete = *end == '\0' && end != number;
        if (complete && (percent < 1 || percent > 100))
            return weft_fail(err, WEFT_ERANGE, "\"%s\": a share is from 1%% to 100%%", text);
        if (complete)
            *e4 = (uint32_t)(percent * 100 + 0.5);
    }
    return complete ? 0
                    : weft_fail(err, WEFT_EINVAL,
                                "\"%s\": write a share like 50%%, from 1%% to 100%%", text);
}

static int parse_class(const char *text, struct weft_limits *limits, struct weft_err *err)
{
    for (enum weft_class class = WEFT_CLASS_CRITICAL; class <= WEFT_CLASS_IDLE; class ++) {
        if (strcmp(text, classes[class]) == 0) {
            limits->class = class;
            return 0;
        }
    }
    return weft_fail(err, WEFT_EINVAL, "\"%s\": a class is critical, high, normal, low or idle",
                     text);
}

static int parse_sm(const char *text, struct weft_limits *limits, struct weft_err *err)
{
    uint32_t e4 = 0;
    int rc = parse_percent(text, &e4, err);
    if (rc == 0 && e4 % 100)
        rc = weft_fail(err, WEFT_EINVAL, "\"%s\": a share of the SMs is in whole per cents", text);
    if (rc == 0)
        limits->sm_percent = e4 / 100;
    return rc;
}

static bool is_zero(const char *text)
{
    return *text && strspn(text, "0.") == strlen(text) && strchr(text, '0');
}

/* MAX, or MIN:MAX; a MIN of 0 takes the guarantee back. */
static int parse_memory(const char *text, struct weft_limits *limits, struct weft_err *err)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return weft_size_parse(text, &limits->memory_bytes, err);
    char minimum[NUMBER_BYTES];
    size_t length = (size_t)(colon - text);
    if (length == 0 || length >= sizeof(minimum) || !colon[1])
        return weft_fail(err, WEFT_EINVAL,
                         "\"%s\": a guarantee and a ceiling are written MIN:MAX, like 1G:4G", text);
    memcpy(minimum, text, length);
    minimum[length] = '\0';
    uint64_t guarantee = 0;
    int rc = is_zero(minimum) ? 0 : weft_size_parse(minimum, &guarantee, err);
    if (rc == 0)
        rc = weft_size_parse(colon + 1, &limits->memory_bytes, err);
    if (rc == 0 && guarantee > limits->memory_bytes)
        rc = weft_fail(err, WEFT_EINVAL, "\"%s\": the guarantee is more than the ceiling", text);
    if (rc)
        return rc;
    limits->guarantee_bytes = guarantee;
    limits->given |= 1u << WEFT_LIMIT_GUARANTEE;
    return 0;
}

static int parse_value(enum weft_limit limit, const char *text, struct weft_limits *limits,
                       struct weft_err *err)
{
    switch (limit) {
    case WEFT_LIMIT_MEMORY:
    case WEFT_LIMIT_GUARANTEE:
        return parse_memory(text, limits, err);
    case WEFT_LIMIT_WEIGHT:
        return parse_weight(text, limits, err);
    case WEFT_LIMIT_COMPUTE:
        return parse_percent(text, &limits->compute_cap_e4, err);
    case WEFT_LIMIT_PRIORITY:
        return parse_class(text, limits, err);
    case WEFT_LIMIT_SM:
        return parse_sm(text, limits, err);
    case WEFT_LIMIT_KERNEL_TIMEOUT:
        return weft_seconds_parse(text, &limits->kernel_timeout_us, err);
    default:
        return weft_fail(err, WEFT_EBUG, "limit %d is not known", (int)limit);
    }
}

int weft_limit_parse(enum weft_limit limit, const char *text, struct weft_limits *limits,
                     struct weft_err *err)
{
    struct weft_limits read = *limits;
    int rc = parse_value(limit, text, &read, err);
    if (rc)
        return rc;
    read.given |= 1u << limit;
    bool has_guarantee = limit == WEFT_LIMIT_MEMORY && weft_limits_has(&read, WEFT_LIMIT_GUARANTEE);
    enum weft_limit last = has_guarantee ? WEFT_LIMIT_GUARANTEE : limit;
    if (!rules[last].enforced)
        return weft_fail(err, WEFT_ENOSYS, "\"%s\": %s", text, rules[last].missing);
    *limits = read;
    return 0;
}

static int check_one(const struct weft_limits *limits, enum weft_limit limit, struct weft_err *err)
{
    bool good = true;
    if (!rules[limit].enforced)
        return weft_fail(err, WEFT_ENOSYS, "--%s: %s", rules[limit].name, rules[limit].missing);
    if (limit == WEFT_LIMIT_MEMORY)
        good = limits->memory_bytes > 0;
    else if (limit == WEFT_LIMIT_GUARANTEE)
        good = !weft_limits_has(limits, WEFT_LIMIT_MEMORY) ||
               limits->guarantee_bytes <= limits->memory_bytes;
    else if (limit == WEFT_LIMIT_WEIGHT)
        good = limits->weight >= 1 && limits->weight <= WEFT_WEIGHT_MAX;
    else if (limit == WEFT_LIMIT_COMPUTE)
        good = limits->compute_cap_e4 >= 100 && limits->compute_cap_e4 <= WEFT_COMPUTE_WHOLE;
    else if (limit == WEFT_LIMIT_PRIORITY)
        good = limits->class >= WEFT_CLASS_CRITICAL && limits->class <= WEFT_CLASS_IDLE;
    else if (limit == WEFT_LIMIT_SM)
        good = limits->sm_percent >= 1 && limits->sm_percent <= WEFT_SM_WHOLE;
    return good ? 0
                : weft_fail(err, WEFT_ERANGE, "--%s: the value is out of range", rules[limit].name);
}

int weft_limits_check(const struct weft_limits *limits, struct weft_err *err)
{
    int rc = limits->given >> WEFT_LIMIT_COUNT
                 ? weft_fail(err, WEFT_ENOSYS, "a limit that this weftd does not know")
                 : 0;
    for (int i = 0; rc == 0 && i < WEFT_LIMIT_COUNT; i++) {
        if (weft_limits_has(limits, (enum weft_limit)i))
            rc = check_one(limits, (enum weft_limit)i, err);
    }
    return rc;
}

int weft_limits_change(struct weft_limits *limits, const struct weft_limits *changes,
                       struct weft_err *err)
{
    struct weft_limits changed = *limits;
    changed.given |= changes->given;
    if (weft_limits_has(changes, WEFT_LIMIT_MEMORY))
        changed.memory_bytes = changes->memory_bytes;
    if (weft_limits_has(changes, WEFT_LIMIT_GUARANTEE))
        changed.guarantee_bytes = changes->guarantee_bytes;
    if (weft_limits_has(changes, WEFT_LIMIT_WEIGHT))
        changed.weight = changes->weight;
    if (weft_limits_has(changes, WEFT_LIMIT_COMPUTE))
        changed.compute_cap_e4 = changes->compute_cap_e4;
    if (weft_limits_has(changes, WEFT_LIMIT_PRIORITY))
        changed.class = changes->class;
    if (weft_limits_has(changes, WEFT_LIMIT_SM))
        changed.sm_percent = changes->sm_percent;
    if (weft_limits_has(changes, WEFT_LIMIT_KERNEL_TIMEOUT))
        changed.kernel_timeout_us = changes->kernel_timeout_us;
    if (changed.guarantee_bytes > changed.memory_bytes)
        return weft_fail(err, WEFT_EINVAL,
                         "--memory: %llu bytes are less than the %llu that are guaranteed; write "
                         "MIN:MAX to change both",
                         (unsigned long long)changed.memory_bytes,
                         (unsigned long long)changed.guarantee_bytes);
    *limits = changed;
    return 0;
}

enum weft_limit weft_limits_differ(const struct weft_limits *limits,
                                   const struct weft_limits *asked)
{
    const bool same[WEFT_LIMIT_COUNT] = {
        [WEFT_LIMIT_MEMORY] = asked->memory_bytes == limits->memory_bytes,
        [WEFT_LIMIT_GUARANTEE] = asked->guarantee_bytes == limits->guarantee_bytes,
        [WEFT_LIMIT_WEIGHT] = asked->weight == limits->weight,
        [WEFT_LIMIT_COMPUTE] = asked->compute_cap_e4 == limits->compute_cap_e4,
        [WEFT_LIMIT_PRIORITY] = asked->class == limits->class,
        [WEFT_LIMIT_SM] = asked->sm_percent == limits->sm_percent,
        [WEFT_LIMIT_KERNEL_TIMEOUT] = asked->kernel_timeout_us == limits->kernel_timeout_us,
    };
    for (int i = 0; i < WEFT_LIMIT_COUNT; i++) {
        if (weft_limits_has(asked, (enum weft_limit)i) && !same[i])
            return (enum weft_limit)i;
    }
    return WEFT_LIMIT_COUNT;
}
