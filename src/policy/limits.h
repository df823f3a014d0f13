/* What a tenant is promised and held to, as people write it and as it travels: one list of limits
 * for the command, the configuration and the daemon, with the words for what is wrong with a value.
 * Pure: nothing is allocated, nothing is read. */
#ifndef WEFT_POLICY_LIMITS_H
#define WEFT_POLICY_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_WEIGHT_DEFAULT 100
#define WEFT_WEIGHT_MAX 10000
#define WEFT_COMPUTE_WHOLE 10000 /* in 1/100 %: no cap */
#define WEFT_SM_WHOLE 100        /* in % */
#define WEFT_MEMORY_WHOLE UINT64_MAX

/* Served in this order. */
enum weft_class {
    WEFT_CLASS_CRITICAL = 1,
    WEFT_CLASS_HIGH = 2,
    WEFT_CLASS_NORMAL = 3,
    WEFT_CLASS_LOW = 4,
    WEFT_CLASS_IDLE = 5,
};

/* Bits of weft_limits.given, on the wire too. */
enum weft_limit {
    WEFT_LIMIT_MEMORY = 0,
    WEFT_LIMIT_GUARANTEE = 1, /* the MIN of --memory MIN:MAX */
    WEFT_LIMIT_WEIGHT = 2,
    WEFT_LIMIT_COMPUTE = 3,
    WEFT_LIMIT_PRIORITY = 4,
    WEFT_LIMIT_SM = 5,
    WEFT_LIMIT_KERNEL_TIMEOUT = 6,
    WEFT_LIMIT_COUNT = 7,
};

struct weft_limits {
    uint32_t given;  /* a bit for each limit that somebody asked for */
    uint32_t weight; /* 1 … WEFT_WEIGHT_MAX */
    enum weft_class class;
    uint32_t compute_cap_e4;    /* in 1/100 % of the device's time; WEFT_COMPUTE_WHOLE: no cap */
    uint32_t sm_percent;        /* of the SMs; WEFT_SM_WHOLE: all */
    uint32_t kernel_timeout_us; /* of device time that one kernel may take; 0: no limit */
    uint64_t memory_bytes;      /* a device; WEFT_MEMORY_WHOLE: all of it */
    uint64_t guarantee_bytes;   /* a device; never over memory_bytes; 0: none */
};

/* Those of a tenant of whom nothing was said. */
struct weft_limits weft_limits_default(void);
static inline bool weft_limits_has(const struct weft_limits *limits, enum weft_limit limit)
{
    return limits->given >> limit & 1;
}
/* How the option and the configuration's key are called: "kernel-timeout". The guarantee has no
 * name of its own. */
const char *weft_limit_name(enum weft_limit limit);
/* Whether something holds tenants to it. One that nobody enforces is refused wherever it is asked
 * for: see the table in limits.c. */
bool weft_limit_is_enforced(enum weft_limit limit);
/* "critical"; "unknown" for what is none. */
const char *weft_class_name(enum weft_class class);
/* Reads the value of one limit into *limits and marks it as given. WEFT_EINVAL, WEFT_ERANGE, or
 * WEFT_ENOSYS for one that nobody enforces; the text quotes the value and says what to write. */
int weft_limit_parse(enum weft_limit limit, const char *text, struct weft_limits *limits,
                     struct weft_err *err);
/* The same checks for values that came in a message. Only what is given is looked at. */
int weft_limits_check(const struct weft_limits *limits, struct weft_err *err);
/* Puts what `changes` gives over `limits`. WEFT_EINVAL where the guarantee would be over the
 * ceiling; nothing has changed then. */
int weft_limits_change(struct weft_limits *limits, const struct weft_limits *changes,
                       struct weft_err *err);
/* The first limit that `asked` gives with another value than `limits` has; WEFT_LIMIT_COUNT where
 * there is none. */
enum weft_limit weft_limits_differ(const struct weft_limits *limits,
                                   const struct weft_limits *asked);

#endif
