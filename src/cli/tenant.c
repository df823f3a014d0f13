/* Tenants that are there without processes, for who administers a node. */
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define ADD_TRIES 5 /* a daemon that is just leaving hangs up on us */
#define GONE_TRIES 1000
#define GONE_PAUSE_MS 10

struct tenant_options {
    const char *owner;
    struct weft_cli_gpus gpus;
    struct weft_cli_limits limits;
    struct weft_cli_access access;
    bool force, as_json, help;
};

static void print_actions(void)
{
    printf("\nlist    the tenants, and their sockets (the default)\n"
           "add     makes NAME, and prints its socket; `weft tenant add --help` has the options\n"
           "remove  ends NAME where it has no processes, or with --force ends them too\n");
}

/* -- list */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static void user_of(const json_t *tenant, char text[WEFT_TABLE_CELL_BYTES])
{
    json_int_t uid = json_integer_value(json_object_get(tenant, "owner"));
    const struct passwd *user = getpwuid((uid_t)uid);
    if (user)
        snprintf(text, WEFT_TABLE_CELL_BYTES, "%s", user->pw_name);
    else
        snprintf(text, WEFT_TABLE_CELL_BYTES, "%lld", uid);
}

static void limit_of(const json_t *tenant, char text[WEFT_TABLE_CELL_BYTES])
{
    const json_t *device = json_array_get(json_object_get(tenant, "devices"), 0);
    char size[WEFT_SIZE_TEXT_BYTES];
    weft_size_format((uint64_t)json_integer_value(json_object_get(device, "memory_limit_bytes")),
                     size);
    snprintf(text, WEFT_TABLE_CELL_BYTES, "%s", size);
}

static void print_people(const json_t *tenants)
{
    struct weft_table table = {.columns = 7};
    size_t index;
    json_t *tenant;
    weft_table_add(&table, (const char *const[]){"TENANT", "OWNER", "FROM", "DEVICES", "MEMORY",
                                                 "PROCESSES", "SOCKET"});
    json_array_foreach(tenants, index, tenant)
    {
        char owner[WEFT_TABLE_CELL_BYTES], limit[WEFT_TABLE_CELL_BYTES], devices[24], processes[24];
        const char *mount = json_string_value(json_object_get(tenant, "mount_socket"));
        user_of(tenant, owner);
        limit_of(tenant, limit);
        snprintf(devices, sizeof(devices), "%zu",
                 json_array_size(json_object_get(tenant, "devices")));
        snprintf(processes, sizeof(processes), "%zu",
                 json_array_size(json_object_get(tenant, "processes")));
        weft_table_add(&table,
                       (const char *const[]){text_of(tenant, "name"), owner,
                                             text_of(tenant, "origin"), devices, limit, processes,
                                             mount ? mount : text_of(tenant, "socket")});
    }
    weft_table_print(&table);
}

static int list(const struct weft_verb *verb, int argc, char **argv)
{
    static const struct weft_view view = {WEFT_WIRE_QUERY_TENANTS, "tenants", print_people};
    return weft_cli_show(verb, argc, argv, &view);
}

/* -- add */

static int make_request(const char *name, const struct tenant_options *asked,
                        struct weft_wire_tenant_add *add, struct weft_err *err)
{
    *add = (struct weft_wire_tenant_add){.owner = WEFT_WIRE_OWNER_ASKS};
    int rc = weft_cli_tenant_name(name, add->asked.tenant, err);
    if (rc == 0)
        rc = weft_cli_limits_parse(&asked->limits, &add->asked.limits, err);
    if (rc == 0)
        rc = weft_cli_access_parse(&asked->access, &add->asked.run, &add->asked.change, err);
    if (rc == 0)
        rc = weft_cli_gpus_parse(&asked->gpus, &add->asked.gpus, err);
    if (rc == 0 && asked->owner && (rc = weft_access_user(asked->owner, &add->owner, err)))
        weft_wrap(err, rc, "--owner");
    return rc;
}

static int exchange_add(const char *binary_dir, const struct weft_wire_tenant_add *add,
                        struct weft_wire_run_ready *ready, struct weft_err *err)
{
    struct weft_link link;
    struct weft_packet packet;
    struct weft_inbox inbox;
    int rc = weft_cli_connect_or_start(binary_dir, &link, err);
    if (rc)
        return rc;
    weft_packet_init(&packet);
    weft_wire_tenant_add_encode(add, &packet.body);
    rc = weft_cli_exchange(&link, &packet, WEFT_WIRE_TENANT_ADD, WEFT_WIRE_RUN_READY, &inbox, err);
    if (rc == 0)
        rc = weft_wire_run_ready_decode(weft_inbox_reader(&inbox), inbox.header.minor, ready, err);
    weft_inbox_finish(&inbox);
    weft_link_close(&link);
    return rc;
}

static int send_add(const struct weft_wire_tenant_add *add, struct weft_wire_run_ready *ready,
                    struct weft_err *err)
{
    char binary_dir[WEFT_PLACES_PATH_BYTES];
    int rc = weft_cli_binary_dir(binary_dir, err);
    if (rc)
        return rc;
    rc = -WEFT_ECONN;
    for (int i = 0; i < ADD_TRIES && rc == -WEFT_ECONN; i++)
        rc = exchange_add(binary_dir, add, ready, err);
    return rc;
}

static int add(const char *name, const struct tenant_options *asked, struct weft_err *err)
{
    struct weft_wire_tenant_add request;
    struct weft_wire_run_ready ready;
    if (make_request(name, asked, &request, err))
        return WEFT_CLI_USAGE;
    if (send_add(&request, &ready, err))
        return WEFT_CLI_FAILED;
    printf("%s\n", ready.socket);
    return fflush(stdout) ? WEFT_CLI_FAILED : 0;
}

/* -- remove */

static int send_remove(const struct weft_wire_tenant_remove *asked, struct weft_wire_done *done,
                       struct weft_err *err)
{
    struct weft_link link;
    struct weft_packet packet;
    struct weft_inbox inbox;
    int rc = weft_cli_connect(&link, err);
    if (rc)
        return rc;
    weft_packet_init(&packet);
    weft_wire_tenant_remove_encode(asked, &packet.body);
    rc = weft_cli_exchange(&link, &packet, WEFT_WIRE_TENANT_REMOVE, WEFT_WIRE_DONE, &inbox, err);
    if (rc == 0)
        rc = weft_wire_done_decode(weft_inbox_reader(&inbox), inbox.header.minor, done, err);
    weft_inbox_finish(&inbox);
    weft_link_close(&link);
    return rc;
}

static bool is_listed(const json_t *answer, const char *name)
{
    size_t index;
    json_t *tenant;
    json_array_foreach(json_object_get(answer, "tenants"), index, tenant)
    {
        if (strcmp(text_of(tenant, "name"), name) == 0)
            return true;
    }
    return false;
}

/* Its processes die a moment after they are killed. */
static int wait_gone(const char *name, struct weft_err *err)
{
    for (int i = 0; i < GONE_TRIES; i++) {
        json_t *answer;
        int rc = weft_cli_query(WEFT_WIRE_QUERY_TENANTS, &answer, err);
        if (rc)
            return rc;
        bool listed = is_listed(answer, name);
        json_decref(answer);
        if (!listed)
            return 0;
        poll(NULL, 0, GONE_PAUSE_MS);
    }
    return weft_fail(err, WEFT_ETIMEDOUT, "%s still has processes that do not die", name);
}

static int remove_tenant(const char *name, bool force, struct weft_err *err)
{
    struct weft_wire_tenant_remove asked = {.force = force};
    struct weft_wire_done done;
    if (weft_cli_tenant_name(name, asked.tenant, err))
        return WEFT_CLI_USAGE;
    if (send_remove(&asked, &done, err) || wait_gone(name, err))
        return WEFT_CLI_FAILED;
    if (*done.note)
        weft_cli_say("%s", done.note);
    return 0;
}

static size_t fill_options(const char *what, struct tenant_options *asked,
                           struct weft_option *options)
{
    size_t count = 0;
    if (strcmp(what, "add") == 0) {
        count += weft_cli_gpus_options(&asked->gpus, options + count);
        options[count++] = (struct weft_option){
            "owner", "USER", "whose it is; default: who adds it", .value = &asked->owner};
        count += weft_cli_limits_options(&asked->limits, options + count);
        count += weft_cli_access_options(&asked->access, options + count);
    } else if (strcmp(what, "remove") == 0) {
        options[count++] =
            (struct weft_option){"force", NULL, "end its processes", .flag = &asked->force};
    }
    options[count++] = (struct weft_option){"help", NULL, "print this", .flag = &asked->help};
    return count;
}

static int change(const struct weft_verb *verb, const char *what, int argc, char **argv)
{
    struct tenant_options asked = {0};
    struct weft_option options[WEFT_CLI_GPUS + WEFT_CLI_LIMITS + WEFT_CLI_ACCESS + 3];
    struct weft_err err = {0};
    const char *name = NULL;
    size_t count = fill_options(what, &asked, options);
    int status = WEFT_CLI_USAGE;
    int words = weft_cli_words_parse(argc, argv, options, count, &name, 1, &err);
    if (words >= 0 && asked.help) {
        weft_cli_help(verb, options, count);
        print_actions();
        if (strcmp(what, "add") == 0)
            weft_cli_limits_help();
        return 0;
    }
    if (words == 0)
        weft_fail(&err, WEFT_EINVAL, "which tenant? weft tenant %s NAME", what);
    else if (words > 0)
        status = strcmp(what, "add") == 0 ? add(name, &asked, &err)
                                          : remove_tenant(name, asked.force, &err);
    if (status)
        weft_cli_say("tenant %s: %s", what, err.text);
    return status;
}

/* Without a word it lists, as with `list`. */
int weft_cli_tenant(const struct weft_verb *verb, int argc, char **argv)
{
    const char *what = argc ? argv[0] : "list";
    if (strcmp(what, "list") == 0)
        return list(verb, argc ? argc - 1 : 0, argc ? argv + 1 : argv);
    if (*what == '-') {
        int status = list(verb, argc, argv);
        if (strcmp(what, "--help") == 0)
            print_actions();
        return status;
    }
    if (strcmp(what, "add") == 0 || strcmp(what, "remove") == 0)
        return change(verb, what, argc - 1, argv + 1);
    weft_cli_say("tenant: unknown word \"%s\"; there are list, add and remove", what);
    return WEFT_CLI_USAGE;
}
