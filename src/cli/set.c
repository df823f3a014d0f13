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
    weft_inbox_init(&inbox, 0);
    weft_packet_init(&packet);
    weft_wire_set_encode(set, &packet.body);
    rc = weft_packet_seal(&packet, WEFT_WIRE_SET, 0, err);
    if (rc == 0)
        rc = weft_link_send(&link, &packet, NULL, 0, WEFT_TRANSPORT_TIMEOUT_MS, err);
    if (rc == 0)
        rc = weft_link_expect(&link, &inbox, WEFT_WIRE_DONE, WEFT_TRANSPORT_TIMEOUT_MS, err);
    if (rc == 0)
        rc = weft_wire_done_decode(weft_inbox_reader(&inbox), inbox.header.minor, &done, err);
    if (rc == 0)
        memcpy(note, done.note, WEFT_WIRE_TEXT_BYTES);
    weft_inbox_finish(&inbox);
    weft_link_close(&link);
    return rc;
}

/* TENANT stands before or after the options. */
static int parse(int argc, char **argv, const struct weft_option *options, size_t count,
                 const char **tenant, struct weft_err *err)
{
    *tenant = NULL;
    while (argc > 0) {
        int words = weft_options_parse(argc, argv, options, count, err);
        if (words < 0)
            return words;
        argc -= words;
        argv += words;
        if (argc == 0)
            break;
        if (*tenant)
            return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", *argv);
        *tenant = *argv++;
        argc--;
    }
    return 0;
}

static int complete(const char *tenant, const struct weft_cli_limits *asked,
                    struct weft_wire_set *set, struct weft_err *err)
{
    if (!tenant)
        return weft_fail(err, WEFT_EINVAL, "which tenant? `weft ps` lists them");
    if (strlen(tenant) >= sizeof(set->tenant))
        return weft_fail(err, WEFT_EINVAL, "\"%.20s…\": a tenant's name has at most %d characters",
                         tenant, WEFT_WIRE_TENANT_BYTES - 1);
    snprintf(set->tenant, sizeof(set->tenant), "%s", tenant);
    int rc = weft_cli_limits_parse(asked, &set->limits, err);
    if (rc == 0 && set->limits.given == 0)
        rc = weft_fail(err, WEFT_EINVAL, "nothing to change; give --memory SIZE, or see --help");
    return rc;
}

int weft_cli_set(const struct weft_verb *verb, int argc, char **argv)
{
    const char *tenant;
    struct weft_cli_limits asked = {0};
    bool help = false;
    struct weft_option options[WEFT_CLI_LIMITS + 1];
    size_t count = weft_cli_limits_options(&asked, options);
    options[count++] = (struct weft_option){"help", NULL, "print this", .flag = &help};
    struct weft_err err = {0};
    struct weft_wire_set set = {0};
    char note[WEFT_WIRE_TEXT_BYTES];
    int rc = parse(argc, argv, options, count, &tenant, &err);
    if (rc == 0 && help) {
        weft_cli_help(verb, options, count);
        return 0;
    }
    if (rc == 0)
        rc = complete(tenant, &asked, &set, &err);
    if (rc) {
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
