/* What users may give tenants that they make themselves: a rule of weftd's configuration, and the
 * arithmetic of its limits. Pure: who asks, and which devices there are, is weftd's to say. */
#ifndef WEFT_POLICY_RULE_H
#define WEFT_POLICY_RULE_H

#include <stddef.h>
#include <stdint.h>

#include "policy/access.h"
#include "policy/gpus.h"
#include "policy/limits.h"

#define WEFT_RULE_NAME_BYTES 65
#define WEFT_RULE_GPU_BYTES 128
#define WEFT_RULE_TENANTS_MAX 1024
#define WEFT_RULE_TENANTS_ANY UINT32_MAX

struct weft_rule {
    char name[WEFT_RULE_NAME_BYTES];
    size_t line;                        /* where it stands, for errors */
    struct weft_access who;             /* not given: for everybody */
    struct weft_gpu_list gpus;          /* these devices alone, at most `wanted`; none and 0: all */
    char gpu_text[WEFT_RULE_GPU_BYTES]; /* the same as it was written, for who is refused */
    struct weft_limits most;            /* of what is given there */
    uint32_t tenants_max; /* at once, of one user; WEFT_RULE_TENANTS_ANY: any number */
};

/* One that permits everything. */
struct weft_rule weft_rule_default(void);
/* The number behind `tenants`. WEFT_EINVAL. */
int weft_rule_tenants_parse(const char *text, uint32_t *tenants_max, struct weft_err *err);
/* WEFT_EPERM with a text that names the rule where `asked` gives more of something than the rule
 * permits, and more than each of `kept` has: what a tenant has already may be asked for again. An
 * entry of `kept` may be NULL. */
int weft_rule_check(const struct weft_rule *rule, const struct weft_limits *asked,
                    const struct weft_limits *const *kept, size_t kept_count, struct weft_err *err);
/* Lowers *limits to what the rule permits, but for the limits whose bits `but` has: those that
 * somebody asked for. Adds the bits of what it lowered to *lowered. */
int weft_rule_lower(const struct weft_rule *rule, uint32_t but, struct weft_limits *limits,
                    uint32_t *lowered, struct weft_err *err);

#endif
