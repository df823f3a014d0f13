#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int send_set(const struct weft_wire_set *set, char note[WEFT_WIRE_TEXT_BYTES],
                    struct weft_err *err)
{
    struct weft_link link;
    struct weft_packet packet;
    struct weft_inbox inbox;
    struct weft_wire_done done;
    int rc = weft_cli_connect(&link, err);
    if (rc)
        return rc;
    weft_packet_init(&packet);
    weft_wire_set_encode(set, &packet.body);
    rc = weft_cli_exchange(&link, &packet, WEFT_WIRE_SET, WEFT_WIRE_DONE, &inbox, err);
    if (rc == 0)
        rc = weft_wire_done_decode(weft_inbox_reader(&inbox), inbox.header.minor, &done, err);
    if (rc == 0)
        memcpy(note, done.note, WEFT_WIRE_TEXT_BYTES);
    weft_inbox_finish(&inbox);
    weft_link_close(&link);
    return rc;
}

struct set_options {
    struct weft_cli_limits limits;
    struct weft_cli_access access;
    bool help;
};

static int complete(const char *tenant, const struct set_options *asked, struct weft_wire_set *set,
                    struct weft_err *err)
{
    if (!tenant)
        return weft_fail(err, WEFT_EINVAL, "which tenant? `weft ps` lists them");
    int rc = weft_cli_tenant_name(tenant, set->tenant, err);
    if (rc == 0)
        rc = weft_cli_limits_parse(&asked->limits, &set->limits, err);
    if (rc == 0)
        rc = weft_cli_access_parse(&asked->access, &set->run, &set->change, err);
    if (rc == 0 && set->limits.given == 0 && !set->run.given && !set->change.given)
        rc = weft_fail(err, WEFT_EINVAL, "nothing to change; give --memory SIZE, or see --help");
    return rc;
}

int weft_cli_set(const struct weft_verb *verb, int argc, char **argv)
{
    const char *tenant = NULL;
    struct set_options asked = {0};
    struct weft_option options[WEFT_CLI_LIMITS + WEFT_CLI_ACCESS + 1];
    size_t count = weft_cli_limits_options(&asked.limits, options);
    count += weft_cli_access_options(&asked.access, options + count);
    options[count++] = (struct weft_option){"help", NULL, "print this", .flag = &asked.help};
    struct weft_err err = {0};
    struct weft_wire_set set = {0};
    char note[WEFT_WIRE_TEXT_BYTES];
    int rc = weft_cli_words_parse(argc, argv, options, count, &tenant, 1, &err);
    if (rc >= 0 && asked.help) {
        weft_cli_help(verb, options, count);
        weft_cli_limits_help();
        return 0;
    }
    if (rc >= 0)
        rc = complete(tenant, &asked, &set, &err);
    if (rc < 0) {
        weft_cli_say("set: %s", err.text);
        return WEFT_CLI_USAGE;
    }
    if (send_set(&set, note, &err)) {
        weft_cli_say("set: %s", err.text);
        return WEFT_CLI_FAILED;
    }
    if (*note)
        weft_cli_say("%s", note);
    return 0;
}
