/* weft soft: the soft GPU's profiles and devices, and what a person lets happen to them. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "softgpu/faults.h"
#include "softgpu/mig.h"
#include "softgpu/profiles.h"

#define WORDS_MAX 8
#define XID_MAX 1000

struct soft_options {
    const char *tenant, *pid;
    bool json, help;
    const char *words[WORDS_MAX]; /* what is no option */
    int word_count;
};

static json_t *mig_entry(const struct weft_mig_profile *profile)
{
    json_t *starts = json_array();
    for (uint32_t i = 0; i < profile->start_count; i++)
        json_array_append_new(starts, json_integer(profile->starts[i]));
    return json_pack("{s:s, s:i, s:i, s:i, s:I, s:i, s:i, s:b, s:o}", "name", profile->name, "id",
                     (int)profile->id, "compute_slices", (int)profile->compute_slices,
                     "memory_slices", (int)profile->memory_slices, "memory_bytes",
                     (json_int_t)profile->memory_mib << 20, "sm_count", (int)profile->sm_count,
                     "copy_engines", (int)profile->copy_engines, "media", profile->media, "starts",
                     starts);
}

static json_t *mig_entries(const char *model)
{
    size_t count;
    const struct weft_mig_profile *profiles = weft_mig_profiles(model, &count);
    json_t *entries = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(entries, mig_entry(&profiles[i]));
    return entries;
}

static json_t *profile_entry(const struct weft_soft_profile *profile)
{
    return json_pack(
        "{s:s, s:I, s:i, s:s#, s:i, s:i, s:i, s:o}", "name", profile->name, "memory_bytes",
        (json_int_t)profile->memory_bytes, "sm_count", (int)profile->sm_count, "compute_capability",
        (char[3]){(char)('0' + profile->cc_major), '.', (char)('0' + profile->cc_minor)}, 3,
        "clock_khz", (int)profile->clock_khz, "memory_clock_khz", (int)profile->memory_clock_khz,
        "memory_bandwidth_mb_per_s", (int)profile->memory_bandwidth_mb_per_s, "mig",
        mig_entries(profile->name));
}

static json_t *profile_entries(void)
{
    size_t count;
    const struct weft_soft_profile *profiles = weft_soft_profiles(&count);
    json_t *entries = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(entries, profile_entry(&profiles[i]));
    return entries;
}

static void print_profiles(void)
{
    size_t count;
    const struct weft_soft_profile *profiles = weft_soft_profiles(&count);
    struct weft_table table = {.columns = 7};
    weft_table_add(&table, (const char *const[]){"PROFILE", "MEMORY", "SMS", "CC", "CLOCK",
                                                 "MEMORY-CLOCK", "MIG"});
    for (size_t i = 0; i < count; i++) {
        const struct weft_soft_profile *profile = &profiles[i];
        char memory[WEFT_SIZE_TEXT_BYTES], sms[16], capability[16], clock[24], memory_clock[24];
        weft_size_format(profile->memory_bytes, memory);
        snprintf(sms, sizeof(sms), "%u", profile->sm_count);
        snprintf(capability, sizeof(capability), "%u.%u", profile->cc_major, profile->cc_minor);
        snprintf(clock, sizeof(clock), "%u MHz", profile->clock_khz / 1000);
        snprintf(memory_clock, sizeof(memory_clock), "%u MHz", profile->memory_clock_khz / 1000);
        weft_table_add(&table, (const char *const[]){profile->name, memory, sms, capability, clock,
                                                     memory_clock, profile->mig ? "yes" : "no"});
    }
    weft_table_print(&table);
}

static void add_mig(struct weft_table *table, const char *model,
                    const struct weft_mig_profile *profile)
{
    char id[16], slices[32], memory[WEFT_SIZE_TEXT_BYTES], sms[16], starts[32] = "";
    snprintf(id, sizeof(id), "%u", profile->id);
    snprintf(slices, sizeof(slices), "%u+%u", profile->compute_slices, profile->memory_slices);
    snprintf(sms, sizeof(sms), "%u", profile->sm_count);
    weft_size_format((uint64_t)profile->memory_mib << 20, memory);
    for (uint32_t i = 0; i < profile->start_count; i++)
        snprintf(starts + strlen(starts), sizeof(starts) - strlen(starts), "%s%u", i ? "," : "",
                 profile->starts[i]);
    weft_table_add(table,
                   (const char *const[]){model, profile->name, id, slices, memory, sms, starts});
}

/* How the profiles can be carved in hardware. */
static void print_mig(void)
{
    size_t model_count, count;
    const struct weft_soft_profile *models = weft_soft_profiles(&model_count);
    struct weft_table table = {.columns = 7};
    putchar('\n');
    weft_table_add(
        &table, (const char *const[]){"PROFILE", "MIG", "ID", "SLICES", "MEMORY", "SMS", "STARTS"});
    for (size_t m = 0; m < model_count; m++) {
        const struct weft_mig_profile *profiles = weft_mig_profiles(models[m].name, &count);
        for (size_t i = 0; i < count; i++)
            add_mig(&table, i ? "" : models[m].name, &profiles[i]);
    }
    weft_table_print(&table);
}

static void add_device(struct weft_table *table, const json_t *device)
{
    char last[16] = "-", ecc[48], tenants[24];
    const json_t *xid = json_object_get(device, "last_xid");
    if (json_is_integer(xid))
        snprintf(last, sizeof(last), "%lld", json_integer_value(xid));
    snprintf(ecc, sizeof(ecc), "%lld/%lld",
             json_integer_value(json_object_get(device, "ecc_volatile")),
             json_integer_value(json_object_get(device, "ecc_aggregate")));
    snprintf(tenants, sizeof(tenants), "%lld",
             json_integer_value(json_object_get(device, "tenants")));
    weft_table_add(table, (const char *const[]){
                              json_string_value(json_object_get(device, "name")),
                              json_string_value(json_object_get(device, "state")), last, ecc,
                              tenants, json_string_value(json_object_get(device, "device"))});
}

static void print_devices(const json_t *devices)
{
    struct weft_table table = {.columns = 6};
    size_t index;
    json_t *device;
    if (json_array_size(devices) == 0)
        return;
    putchar('\n');
    weft_table_add(&table,
                   (const char *const[]){"DEVICE", "STATE", "LAST-XID", "ECC", "TENANTS", "UUID"});
    json_array_foreach(devices, index, device) add_device(&table, device);
    weft_table_print(&table);
}

static int list(const struct soft_options *asked, struct weft_err *err)
{
    json_t *answer;
    int rc = weft_cli_query(WEFT_WIRE_QUERY_SOFT, &answer, err);
    if (rc)
        return rc;
    if (!answer)
        answer = json_pack("{s:i, s:[]}", "version", 1, "devices");
    if (asked->json) {
        json_object_set_new(answer, "profiles", profile_entries());
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print_profiles();
        print_mig();
        print_devices(json_object_get(answer, "devices"));
    }
    json_decref(answer);
    return fflush(stdout) ? weft_fail(err, WEFT_EIO, "stdout cannot be written") : 0;
}

static int send_fault(const struct weft_wire_fault *fault, struct weft_err *err)
{
    struct weft_link link;
    struct weft_packet packet;
    struct weft_inbox inbox;
    int rc = weft_cli_connect(&link, err);
    if (rc)
        return rc;
    weft_inbox_init(&inbox, 0);
    weft_packet_init(&packet);
    weft_wire_fault_encode(fault, &packet.body);
    rc = weft_packet_seal(&packet, WEFT_WIRE_FAULT, 0, err);
    if (rc == 0)
        rc = weft_link_send(&link, &packet, NULL, 0, WEFT_TRANSPORT_TIMEOUT_MS, err);
    if (rc == 0)
        rc = weft_link_expect(&link, &inbox, WEFT_WIRE_DONE, WEFT_TRANSPORT_TIMEOUT_MS, err);
    weft_inbox_finish(&inbox);
    weft_link_close(&link);
    return rc;
}

static int parse_number(const char *what, const char *text, uint32_t maximum, uint32_t *number,
                        struct weft_err *err)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = digits && digits < 10 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] || value == 0 || value > maximum)
        return weft_fail(err, WEFT_EINVAL, "%s \"%s\": write a number from 1 to %u", what, text,
                         maximum);
    *number = (uint32_t)value;
    return 0;
}

/* Xid N where we know what it does. */
static int parse_xid(const char *text, uint32_t *xid, struct weft_err *err)
{
    size_t count, used = 0;
    char known[256] = "";
    int rc = parse_number("xid", text, XID_MAX, xid, err);
    if (rc || weft_soft_xid_find(*xid))
        return rc;
    const struct weft_soft_xid *xids = weft_soft_xids(&count);
    for (size_t i = 0; i < count && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%u", i ? ", " : "",
                                 xids[i].number);
    return weft_fail(err, WEFT_EINVAL, "xid %u: not known here; there are %s", *xid, known);
}

/* `words` are KIND and what belongs to it. */
static int parse_kind(const char *const *words, int count, uint32_t *xid, struct weft_err *err)
{
    if (count == 2 && strcmp(words[0], "xid") == 0)
        return parse_xid(words[1], xid, err);
    if (count > 1 && strcmp(words[0], "xid") != 0)
        return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", words[1]);
    if (count == 1 && strcmp(words[0], "ecc") == 0)
        *xid = WEFT_SOFT_XID_ECC;
    else if (count == 1 && strcmp(words[0], "fallen-off-the-bus") == 0)
        *xid = WEFT_SOFT_XID_FALLEN_OFF;
    else if (count == 0)
        return weft_fail(err, WEFT_EINVAL,
                         "which kind? write ecc, xid N or fallen-off-the-bus after the device");
    else
        return weft_fail(err, WEFT_EINVAL,
                         "unknown kind \"%s\"; write ecc, xid N or fallen-off-the-bus", words[0]);
    return 0;
}

static int complete(const struct soft_options *asked, struct weft_wire_fault *fault,
                    struct weft_err *err)
{
    bool clears = strcmp(asked->words[0], "clear") == 0;
    if (asked->word_count < 2)
        return weft_fail(err, WEFT_EINVAL, "which device? `weft soft` lists them");
    const char *device = asked->words[1];
    if (strlen(device) >= sizeof(fault->device))
        return weft_fail(err, WEFT_EINVAL, "\"%.20s…\": no device has a name this long", device);
    snprintf(fault->device, sizeof(fault->device), "%s", device);
    if (clears && (asked->tenant || asked->pid))
        return weft_fail(err, WEFT_EINVAL, "clear takes a device alone");
    if (clears && asked->word_count > 2)
        return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", asked->words[2]);
    if (asked->tenant && (!*asked->tenant || strlen(asked->tenant) >= sizeof(fault->tenant)))
        return weft_fail(err, WEFT_EINVAL, "--tenant \"%.20s\": a name has 1 to %d characters",
                         asked->tenant, WEFT_WIRE_TENANT_BYTES - 1);
    snprintf(fault->tenant, sizeof(fault->tenant), "%s", asked->tenant ? asked->tenant : "");
    int rc = asked->pid ? parse_number("--pid", asked->pid, INT32_MAX, &fault->pid, err) : 0;
    if (rc || clears)
        return rc;
    return parse_kind(asked->words + 2, asked->word_count - 2, &fault->xid, err);
}

/* Words and options in any order. */
static int parse(int argc, char **argv, const struct weft_option *options, size_t count,
                 struct soft_options *asked, struct weft_err *err)
{
    while (argc > 0) {
        int words = weft_options_parse(argc, argv, options, count, err);
        if (words < 0)
            return words;
        argc -= words;
        argv += words;
        if (argc == 0)
            break;
        if (asked->word_count == WORDS_MAX)
            return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", *argv);
        asked->words[asked->word_count++] = *argv++;
        argc--;
    }
    return 0;
}

static int check_list(const struct soft_options *asked, struct weft_err *err)
{
    if (asked->word_count > 1)
        return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", asked->words[1]);
    if (asked->tenant || asked->pid)
        return weft_fail(err, WEFT_EINVAL, "--tenant and --pid belong to inject");
    return 0;
}

static int act(const struct soft_options *asked, bool *is_usage, struct weft_err *err)
{
    struct weft_wire_fault fault = {0};
    const char *action = asked->word_count ? asked->words[0] : "list";
    *is_usage = true;
    if (strcmp(action, "list") == 0) {
        int rc = check_list(asked, err);
        if (rc)
            return rc;
        *is_usage = false;
        return list(asked, err);
    }
    if (strcmp(action, "inject") != 0 && strcmp(action, "clear") != 0)
        return weft_fail(err, WEFT_EINVAL, "unknown word \"%s\"; write list, inject or clear",
                         action);
    int rc = complete(asked, &fault, err);
    if (rc)
        return rc;
    *is_usage = false;
    return send_fault(&fault, err);
}

int weft_cli_soft(const struct weft_verb *verb, int argc, char **argv)
{
    struct soft_options asked = {0};
    const struct weft_option options[] = {
        {"json", NULL, "list: print JSON", .flag = &asked.json},
        {"tenant", "NAME", "inject: only into this tenant's processes", .value = &asked.tenant},
        {"pid", "PID", "inject: only into this process", .value = &asked.pid},
        {"help", NULL, "print this", .flag = &asked.help},
    };
    struct weft_err err = {0};
    bool is_usage = true;
    int rc = parse(argc, argv, options, WEFT_ARRAY_COUNT(options), &asked, &err);
    if (rc == 0 && asked.help) {
        weft_cli_help(verb, options, WEFT_ARRAY_COUNT(options));
        printf("\nlist    the profiles, and the devices in use with their state (the default)\n"
               "inject  ecc, xid N or fallen-off-the-bus happens to DEVICE: a name that list "
               "shows, or GPU-uuid\n"
               "clear   resets DEVICE: it takes new contexts again\n");
        return 0;
    }
    if (rc == 0)
        rc = act(&asked, &is_usage, &err);
    if (rc == 0)
        return 0;
    weft_cli_say("soft: %s", err.text);
    return is_usage ? WEFT_CLI_USAGE : WEFT_CLI_FAILED;
}
