/* The options that say what a tenant is promised and held to. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum weft_limit limit;
    const char *value_name, *help;
} options[WEFT_CLI_LIMITS] = {
    {WEFT_LIMIT_MEMORY, "[MIN:]MAX",
     "bytes on each device, at most; MIN of them are kept free for it; K, M, G, T: powers of 1024"},
    {WEFT_LIMIT_WEIGHT, "N", "share of device time among those that want it, 1 to 10000"},
    {WEFT_LIMIT_COMPUTE, "P%", "device time is capped at so much, 1% to 100%"},
    {WEFT_LIMIT_PRIORITY, "CLASS", "critical, high, normal, low or idle; served in this order"},
    {WEFT_LIMIT_SM, "P%",
     "of the SMs, rounded down, at least one; 1% to 100%; native: where MPS runs"},
    {WEFT_LIMIT_KERNEL_TIMEOUT, "TIME",
     "of the device that one kernel may take: 2s, 20ms, 500us; 0: no limit"},
};

size_t weft_cli_access_options(struct weft_cli_access *asked, struct weft_option *list)
{
    list[0] = (struct weft_option){.name = "allow-run",
                                   .value_name = "LIST",
                                   .help = "users and @groups who may run in it, too: alice,@lab",
                                   .value = &asked->run};
    list[1] = (struct weft_option){.name = "allow-change",
                                   .value_name = "LIST",
                                   .help = "users and @groups who may change its limits, too",
                                   .value = &asked->change};
    return WEFT_CLI_ACCESS;
}

int weft_cli_access_parse(const struct weft_cli_access *asked, struct weft_access *run,
                          struct weft_access *change, struct weft_err *err)
{
    *run = *change = (struct weft_access){0};
    int rc = asked->run ? weft_access_parse(asked->run, run, err) : 0;
    if (rc)
        return weft_wrap(err, rc, "--allow-run");
    rc = asked->change ? weft_access_parse(asked->change, change, err) : 0;
    return rc ? weft_wrap(err, rc, "--allow-change") : 0;
}

size_t weft_cli_limits_options(struct weft_cli_limits *asked, struct weft_option *list)
{
    for (size_t i = 0; i < WEFT_CLI_LIMITS; i++) {
        bool enforced = weft_limit_is_enforced(options[i].limit);
        list[i] = (struct weft_option){.name = weft_limit_name(options[i].limit),
                                       .value_name = options[i].value_name,
                                       .help = enforced ? options[i].help : "not supported yet",
                                       .value = &asked->texts[i]};
    }
    return WEFT_CLI_LIMITS;
}

int weft_cli_limits_parse(const struct weft_cli_limits *asked, struct weft_limits *limits,
                          struct weft_err *err)
{
    *limits = weft_limits_default();
    for (size_t i = 0; i < WEFT_CLI_LIMITS; i++) {
        enum weft_limit limit = options[i].limit;
        int rc = asked->texts[i] ? weft_limit_parse(limit, asked->texts[i], limits, err) : 0;
        if (rc)
            return weft_wrap(err, rc, "--%s", weft_limit_name(limit));
    }
    return 0;
}

void weft_cli_limits_help(void)
{
    printf("\nThe node's configuration may have rules of how much you may ask for, which is then "
           "what you\n"
           "get where you ask for nothing. A refusal names the rule and what it permits.\n");
}
