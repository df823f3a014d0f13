/* weftd: the node's daemon. It stays in the foreground; who wants it in the background starts it
 * so. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "util/log.h"
#include "util/options.h"

#define IDLE_EXIT_MAX_S 86400
#define DESCRIPTOR_MAX (1 << 20)

struct arguments {
    const char *socket, *idle_exit, *ready_fd, *watchdog, *slices, *config;
    bool check, help, version;
};

static int parse_number(const char *option, const char *text, long maximum, long *number,
                        struct weft_err *err)
{
    char *end;
    errno = 0;
    *number = strtol(text, &end, 10);
    if (errno || end == text || *end || *number < 0 || *number > maximum)
        return weft_fail(err, WEFT_EINVAL, "--%s \"%s\": write a whole number from 0 to %ld",
                         option, text, maximum);
    return 0;
}

/* What soft devices are made with. */
static int parse_soft(const struct arguments *arguments, uint32_t *watchdog_us,
                      enum weft_slice_mode *slice_mode, struct weft_err *err)
{
    int rc = 0;
    if (arguments->watchdog) {
        rc = weft_seconds_parse(arguments->watchdog, watchdog_us, err);
        if (rc)
            return weft_wrap(err, rc, "--soft-watchdog");
    }
    if (arguments->slices) {
        rc = weft_slice_mode_parse(arguments->slices, slice_mode, err);
        if (rc)
            return weft_wrap(err, rc, "--soft-slices");
    }
    return rc;
}

/* Root serves the node; everybody else serves himself. */
static int choose_folder(const char *asked, char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    if (!asked && geteuid() != 0)
        return weft_places_private_dir(true, dir, err);
    if (!asked)
        asked = WEFT_PLACES_NODE_DIR;
    if (mkdir(asked, 0755) && errno != EEXIST)
        return weft_fail(err, WEFT_EIO, "--socket %s: cannot make the folder: %s", asked,
                         strerror(errno));
    char *real = realpath(asked, NULL);
    if (!real)
        return weft_fail(err, WEFT_EIO, "--socket %s: %s", asked, strerror(errno));
    int length = snprintf(dir, WEFT_PLACES_PATH_BYTES, "%s", real);
    free(real);
    return length < WEFT_PLACES_PATH_BYTES
               ? 0
               : weft_fail(err, WEFT_ERANGE, "--socket: the path is too long");
}

/* Who started us waits for one byte. */
static void say_ready(long fd)
{
    if (fd <= STDERR_FILENO)
        return;
    ssize_t written = write((int)fd, "r", 1);
    (void)written; /* who does not wait any more does not need it */
    close((int)fd);
}

/* The folder of a socket that a service manager listens at is ours, too. */
static int take_activation(const char **asked, char path[WEFT_WIRE_PATH_BYTES], int *fd,
                           struct weft_err *err)
{
    int rc = weft_daemon_activation_take(path, fd, err);
    char *slash = rc == 0 && *fd >= 0 ? strrchr(path, '/') : NULL;
    if (!slash)
        return rc;
    if (strcmp(slash + 1, WEFT_PLACES_CONTROL_NAME) != 0 || slash == path)
        return weft_fail(err, WEFT_EINVAL, "%s: the socket must be called %s", path,
                         WEFT_PLACES_CONTROL_NAME);
    *slash = '\0';
    *asked = path;
    return 0;
}

static int serve(const char *socket, struct weft_daemon_start *start, long ready_fd,
                 struct weft_err *err)
{
    static struct weft_daemon daemon = {.lock_fd = -1, .reserve_fd = -1};
    char dir[WEFT_PLACES_PATH_BYTES], activated[WEFT_WIRE_PATH_BYTES];
    int rc = take_activation(&socket, activated, &start->control_fd, err);
    if (rc == 0)
        rc = choose_folder(socket, dir, err);
    if (rc)
        return rc;
    start->dir = dir;
    rc = weft_daemon_init(&daemon, start, err);
    if (rc == 0) {
        weft_daemon_activation_ready();
        weft_log(WEFT_LOG_INFO, "weftd", "weft %s serves %s", WEFT_VERSION, dir);
        say_ready(ready_fd);
        weft_daemon_run(&daemon);
    }
    weft_daemon_finish(&daemon);
    return rc;
}

static int print_help(const struct weft_option *options, size_t count)
{
    printf("usage: weftd [OPTIONS]\n\nServes the GPUs of this node until it is told to "
           "end.\n\n");
    weft_options_print(stdout, options, count);
    return 0;
}

static void print_count(const struct weft_config *config)
{
    printf("%s: %zu tenants", *config->path ? config->path : "no configuration",
           config->tenant_count);
    if (config->rule_count)
        printf(", %zu rules", config->rule_count);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    const struct weft_option options[] = {
        {"socket", "DIR",
         "the folder of the sockets; default: /run/weft for root, else the user's own",
         .value = &arguments.socket},
        {"idle-exit", "SECONDS", "leave when nobody has needed it for so long; default: stay",
         .value = &arguments.idle_exit},
        {"ready-fd", "N", "write a byte to this descriptor once it listens",
         .value = &arguments.ready_fd},
        {"soft-watchdog", "SECONDS",
         "of device time that a kernel on a soft GPU may take; default: no limit",
         .value = &arguments.watchdog},
        {"soft-slices", "MODE",
         "how kernels on soft GPUs make way: preemptive, cooperative or hybrid; default: "
         "preemptive",
         .value = &arguments.slices},
        {"config", "FILE", "default: /etc/weft/weft.yaml, else ~/.config/weft/weft.yaml",
         .value = &arguments.config},
        {"check-config", NULL, "say what is wrong with the configuration, and end",
         .flag = &arguments.check},
        {"help", NULL, "print this", .flag = &arguments.help},
        {"version", NULL, "print the version", .flag = &arguments.version},
    };
    struct weft_err err = {0};
    int words = weft_options_parse(argc - 1, argv + 1, options, WEFT_ARRAY_COUNT(options), &err);
    if (words >= 0 && words < argc - 1)
        words = weft_fail(&err, WEFT_EINVAL, "unexpected word \"%s\"", argv[1 + words]);
    long idle_exit_s = 0, ready_fd = -1;
    if (words >= 0 && arguments.idle_exit)
        words = parse_number("idle-exit", arguments.idle_exit, IDLE_EXIT_MAX_S, &idle_exit_s, &err);
    if (words >= 0 && arguments.ready_fd)
        words = parse_number("ready-fd", arguments.ready_fd, DESCRIPTOR_MAX, &ready_fd, &err);
    uint32_t watchdog_us = 0;
    enum weft_slice_mode slice_mode = WEFT_SLICE_PREEMPTIVE;
    if (words >= 0)
        words = parse_soft(&arguments, &watchdog_us, &slice_mode, &err);
    if (words < 0) {
        fprintf(stderr, "weft: weftd: %s\n", err.text);
        return 2;
    }
    if (arguments.help)
        return print_help(options, WEFT_ARRAY_COUNT(options));
    if (arguments.version) {
        printf("weftd %s\n", WEFT_VERSION);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until the configuration can be read again */
    umask(022); /* a node's users must reach their tenants' sockets, whose own modes are set one by
                   one */
    weft_log_init(WEFT_LOG_WARN);
    struct weft_config config = {0};
    struct weft_daemon_start start = {.idle_exit_ms = (uint64_t)idle_exit_s * 1000,
                                      .watchdog_us = watchdog_us,
                                      .slice_mode = slice_mode,
                                      .config_path = arguments.config,
                                      .config = &config};
    int rc = weft_config_load(arguments.config, &config, &err);
    if (rc == 0)
        rc = arguments.check ? weft_daemon_config_try(&config, &err)
                             : serve(arguments.socket, &start, ready_fd, &err);
    if (rc)
        fprintf(stderr, "weft: weftd: %s\n", err.text);
    else if (arguments.check)
        print_count(&config);
    weft_config_finish(&config);
    return rc ? 1 : 0;
}
