#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#define BEGIN_TRIES \
    5 /* a daemon that is just leaving hangs up on us; the next try starts another */

#define RESTARTS_DEFAULT 3
#define RESTARTS_MAX 1000

struct run_options {
    const char *tenant, *restart;
    struct weft_cli_gpus gpus;
    struct weft_cli_limits limits;
    struct weft_cli_access access;
    bool help;
};

static int make_request(const struct run_options *asked, struct weft_wire_run_begin *begin,
                        struct weft_err *err)
{
    *begin = (struct weft_wire_run_begin){0};
    if (asked->tenant && (!*asked->tenant || strlen(asked->tenant) >= sizeof(begin->tenant)))
        return weft_fail(err, WEFT_EINVAL, "--tenant \"%.20s\": a name has 1 to %d characters",
                         asked->tenant, WEFT_WIRE_TENANT_BYTES - 1);
    snprintf(begin->tenant, sizeof(begin->tenant), "%s", asked->tenant ? asked->tenant : "");
    int rc = weft_cli_limits_parse(&asked->limits, &begin->limits, err);
    if (rc == 0)
        rc = weft_cli_access_parse(&asked->access, &begin->run, &begin->change, err);
    return rc ? rc : weft_cli_gpus_parse(&asked->gpus, &begin->gpus, err);
}

static int exchange_begin(struct weft_link *link, const struct weft_wire_run_begin *begin,
                          struct weft_wire_run_ready *ready, struct weft_err *err)
{
    struct weft_packet packet;
    struct weft_inbox inbox;
    weft_packet_init(&packet);
    weft_wire_run_begin_encode(begin, &packet.body);
    int rc =
        weft_cli_exchange(link, &packet, WEFT_WIRE_RUN_BEGIN, WEFT_WIRE_RUN_READY, &inbox, err);
    if (rc == 0)
        rc = weft_wire_run_ready_decode(weft_inbox_reader(&inbox), inbox.header.minor, ready, err);
    weft_inbox_finish(&inbox);
    return rc;
}

static int begin_run(const char *binary_dir, const struct weft_wire_run_begin *begin,
                     struct weft_link *link, struct weft_wire_run_ready *ready,
                     struct weft_err *err)
{
    int rc = -WEFT_ECONN;
    for (int i = 0; i < BEGIN_TRIES && rc == -WEFT_ECONN; i++) {
        rc = weft_cli_connect_or_start(binary_dir, link, err);
        if (rc)
            continue;
        rc = exchange_begin(link, begin, ready, err);
        if (rc)
            weft_link_close(link);
    }
    return rc;
}

/* lib/ beside the command in a build tree, ../lib/weft in an installation. */
static int find_libraries(const char *binary_dir, char dir[WEFT_PLACES_PATH_BYTES],
                          struct weft_err *err)
{
    static const char *const places[] = {"lib", "../lib/weft"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(places); i++) {
        char path[WEFT_PLACES_PATH_BYTES], face[WEFT_PLACES_PATH_BYTES];
        int rc = weft_places_join(binary_dir, places[i], path, err);
        if (rc == 0)
            rc = weft_places_join(path, "libcuda.so.1", face, err);
        if (rc)
            return rc;
        if (access(face, R_OK) != 0)
            continue;
        char *real = realpath(path, NULL);
        if (!real)
            continue;
        snprintf(dir, WEFT_PLACES_PATH_BYTES, "%s", real);
        free(real);
        if (strpbrk(dir, ": \t"))
            return weft_fail(
                err, WEFT_EINVAL,
                "%s: the loader takes no path with blanks or colons; move weft elsewhere", dir);
        return 0;
    }
    return weft_fail(
        err, WEFT_ENOENT,
        "libcuda.so.1 is neither in %s/lib nor in %s/../lib/weft; the installation is not complete",
        binary_dir, binary_dir);
}

/* "never", "on-fault", "on-fault:N". */
static int parse_restart(const char *text, uint32_t *restarts_max, struct weft_err *err)
{
    static const char name[] = "on-fault";
    const char *rest = text + sizeof(name) - 1;
    *restarts_max = 0;
    if (strcmp(text, "never") == 0)
        return 0;
    if (strncmp(text, name, sizeof(name) - 1) != 0 || (*rest && *rest != ':'))
        return weft_fail(err, WEFT_EINVAL, "--restart \"%s\": write never, on-fault or on-fault:N",
                         text);
    *restarts_max = RESTARTS_DEFAULT;
    if (*rest == '\0')
        return 0;
    size_t digits = strspn(++rest, "0123456789");
    unsigned long count = digits && digits < 5 && !rest[digits] ? strtoul(rest, NULL, 10) : 0;
    if (count < 1 || count > RESTARTS_MAX)
        return weft_fail(err, WEFT_ERANGE, "--restart \"%s\": N is from 1 to %d", text,
                         RESTARTS_MAX);
    *restarts_max = (uint32_t)count;
    return 0;
}

static int run(const struct run_options *asked, char **program)
{
    uint32_t restarts_max = 0;
    char binary_dir[WEFT_PLACES_PATH_BYTES], library_dir[WEFT_PLACES_PATH_BYTES];
    struct weft_wire_run_begin begin;
    struct weft_wire_run_ready ready;
    struct weft_link link;
    struct weft_err err = {0};
    int rc = make_request(asked, &begin, &err);
    if (rc == 0 && asked->restart)
        rc = parse_restart(asked->restart, &restarts_max, &err);
    if (rc == 0)
        rc = weft_cli_binary_dir(binary_dir, &err);
    if (rc == 0)
        rc = find_libraries(binary_dir, library_dir, &err);
    if (rc == 0)
        rc = begin_run(binary_dir, &begin, &link, &ready, &err);
    if (rc) {
        weft_cli_say("%s", err.text);
        return WEFT_CLI_RUN_FAILED;
    }
    int status = weft_cli_launch(&(struct weft_cli_program){.argv = program,
                                                            .library_dir = library_dir,
                                                            .socket = ready.socket,
                                                            .tenant = ready.tenant,
                                                            .own_runtime = ready.soft,
                                                            .mps_percent = ready.mps_percent,
                                                            .restarts_max = restarts_max},
                                 &link);
    weft_link_close(&link);
    return status;
}

int weft_cli_run(const struct weft_verb *verb, int argc, char **argv)
{
    struct run_options asked = {0};
    struct weft_option options[WEFT_CLI_GPUS + WEFT_CLI_LIMITS + WEFT_CLI_ACCESS + 3];
    size_t count = weft_cli_gpus_options(&asked.gpus, options);
    options[count++] = (struct weft_option){
        "tenant", "NAME", "who it belongs to; a live tenant is joined; default: run-PID",
        .value = &asked.tenant};
    count += weft_cli_limits_options(&asked.limits, options + count);
    count += weft_cli_access_options(&asked.access, options + count);
    options[count++] =
        (struct weft_option){"restart", "WHEN",
                             "never, or on-fault[:N]: at most N (3) times, where it fails after a "
                             "fault of the device",
                             .value = &asked.restart};
    options[count++] = (struct weft_option){"help", NULL, "print this", .flag = &asked.help};
    struct weft_err err = {0};
    int words = weft_options_parse(argc, argv, options, count, &err);
    if (words >= 0 && asked.help) {
        weft_cli_help(verb, options, count);
        weft_cli_limits_help();
        return 0;
    }
    if (words == argc)
        words = weft_fail(&err, WEFT_EINVAL, "which program? weft run %s", verb->usage);
    if (words < 0) {
        weft_cli_say("run: %s", err.text);
        return WEFT_CLI_RUN_FAILED;
    }
    return run(&asked, argv + words);
}
