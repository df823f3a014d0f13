#include "daemon/daemon.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "util/util.h"

/* How far a tenant of a native device may be before another, and its shortest slice: as on the
 * slowest soft devices. */
#define NATIVE_SLACK_NS 2000000u
#define NATIVE_SLICE_NS 100000u

void weft_daemon_device_label(const struct weft_daemon_device *device, char *label, size_t size)
{
    if (device->kind == WEFT_DEVICE_SOFT)
        snprintf(label, size, "soft=%s", device->profile->name);
    else
        snprintf(label, size, "%u", device->index);
}

void weft_daemon_device_destroy(struct weft_daemon_device *device)
{
    if (!device)
        return;
    if (device->page)
        munmap(device->page, device->page_bytes);
    if (device->page_fd >= 0)
        close(device->page_fd);
    free(device);
}

/* FNV-1a of two texts and a number: a name that stays the same over every life of the daemon on
 * this machine. */
static uint64_t hash_name(uint64_t hash, const char *machine, const char *profile, uint32_t index)
{
    char text[256];
    int length = snprintf(text, sizeof(text), "%s/%s/%u", machine, profile, index);
    for (int i = 0; i < length && i < (int)sizeof(text) - 1; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
    return hash;
}

static void make_uuid(uint8_t uuid[WEFT_UUID_BYTES], const char *profile, uint32_t index)
{
    char machine[65] = "";
    FILE *file = fopen("/etc/machine-id", "re");
    if (file) {
        if (!fgets(machine, sizeof(machine), file))
            machine[0] = '\0';
        fclose(file);
    }
    uint64_t halves[2] = {hash_name(0xcbf29ce484222325u, machine, profile, index),
                          hash_name(0x84222325cbf29ce4u, machine, profile, index)};
    memcpy(uuid, halves, WEFT_UUID_BYTES);
    uuid[6] =
        (uint8_t)((uuid[6] & 0x0f) | 0x80); /* RFC 9562, version 8: made by a rule of our own */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* How tenants share the device's time. A native one cannot stop a kernel. */
static void format_time(struct weft_daemon_device *device, const struct weft_daemon *daemon)
{
    struct weft_share *share = &device->time->share;
    bool is_soft = device->kind == WEFT_DEVICE_SOFT;
    share->slack_ns = is_soft ? weft_soft_profile_slack_ns(device->profile) : NATIVE_SLACK_NS;
    share->slice_ns = is_soft ? weft_soft_profile_slice_ns(device->profile) : NATIVE_SLICE_NS;
    share->slice_mode = is_soft ? daemon->slice_mode : WEFT_SLICE_COOPERATIVE;
}

/* Native ones divide their SMs by MPS, not by words. */
static struct weft_device_space *space_in(const struct weft_daemon_device *device)
{
    char *page = (char *)device->page;
    return device->kind == WEFT_DEVICE_SOFT
               ? (struct weft_device_space *)(page + weft_device_space_offset())
               : NULL;
}

static void format_page(struct weft_daemon_device *device, const struct weft_daemon *daemon)
{
    struct weft_device_page *page = device->page;
    page->magic = WEFT_DEVICE_MAGIC;
    page->major = WEFT_DEVICE_MAJOR;
    page->minor = WEFT_DEVICE_MINOR;
    page->bytes = sizeof(*page);
    /* As many as are woken at once. */
    page->sm_count = device->sm_count ? device->sm_count : WEFT_DEVICE_SMS_MAX;
    page->watchdog_us = daemon->watchdog_us;
    memcpy(page->uuid, device->uuid, sizeof(page->uuid));
    if (device->profile)
        snprintf(page->profile, sizeof(page->profile), "%s", device->profile->name);
    page->memory_bytes = device->memory_bytes;
    device->time = (struct weft_device_time *)((char *)page + weft_device_time_offset());
    format_time(device, daemon);
    device->space = space_in(device);
    page->memory_ceiling_bytes = 0; /* until weft_daemon_ceiling_divide */
    device->ledger = weft_ledger_format((char *)page + WEFT_DEVICE_LEDGER_OFFSET);
    weft_ledger_account_init(&device->account, device->ledger, WEFT_LEDGER_DAEMON_SLOT);
    device->room = weft_room_format((char *)page + weft_device_room_offset());
    if (device->kind == WEFT_DEVICE_NATIVE)
        weft_daemon_room_set_capacity(device, weft_daemon_reconcile_capacity(device));
}

static struct weft_daemon_device describe_soft(const struct weft_soft_profile *profile,
                                               uint32_t index)
{
    struct weft_daemon_device device = {
        .kind = WEFT_DEVICE_SOFT,
        .index = index,
        .memory_bytes = profile->memory_bytes,
        .sm_count = profile->sm_count,
        .cc_major = profile->cc_major,
        .cc_minor = profile->cc_minor,
        .profile = profile,
        .page_fd = -1,
    };
    snprintf(device.name, sizeof(device.name), "weft soft %s", profile->name);
    make_uuid(device.uuid, profile->name, index);
    return device;
}

static struct weft_daemon_device *allocate_soft(const struct weft_soft_profile *profile,
                                                uint32_t index)
{
    struct weft_daemon_device *device = calloc(1, sizeof(*device));
    if (device)
        *device = describe_soft(profile, index);
    return device;
}

void weft_daemon_device_memory_name(const uint8_t uuid[WEFT_UUID_BYTES],
                                    char name[WEFT_DAEMON_MEMORY_NAME_BYTES])
{
    char text[WEFT_UUID_TEXT_BYTES];
    snprintf(name, WEFT_DAEMON_MEMORY_NAME_BYTES, "weft-device-%s", weft_uuid_format(uuid, text));
}

static int make_page(struct weft_daemon *daemon, struct weft_daemon_device *device,
                     struct weft_err *err)
{
    char name[WEFT_DAEMON_MEMORY_NAME_BYTES];
    void *memory;
    weft_daemon_device_memory_name(device->uuid, name);
    device->page_bytes = weft_device_room_offset() + weft_room_bytes();
    device->page_fd = weft_daemon_memory_create(name, device->page_bytes, &memory, err);
    if (device->page_fd < 0)
        return device->page_fd;
    device->page = memory;
    format_page(device, daemon);
    return 0;
}

int weft_daemon_device_need_page(struct weft_daemon *daemon, struct weft_daemon_device *device,
                                 struct weft_err *err)
{
    return device->page ? 0 : make_page(daemon, device, err);
}

static int create_soft(struct weft_daemon *daemon, const struct weft_soft_profile *profile,
                       uint32_t index, struct weft_daemon_device **out, struct weft_err *err)
{
    if (daemon->device_count == WEFT_DAEMON_DEVICES_MAX)
        return weft_fail(err, WEFT_ELIMIT, "weftd holds no more than %d devices",
                         WEFT_DAEMON_DEVICES_MAX);
    struct weft_daemon_device *device = allocate_soft(profile, index);
    int rc = device ? make_page(daemon, device, err)
                    : weft_fail(err, WEFT_ENOMEM, "soft device %s", profile->name);
    if (rc) {
        weft_daemon_device_destroy(device);
        return rc;
    }
    daemon->devices[daemon->device_count++] = device;
    *out = device;
    return 0;
}

struct weft_daemon_device *weft_daemon_device_by_uuid(struct weft_daemon *daemon,
                                                      const uint8_t uuid[WEFT_UUID_BYTES])
{
    for (size_t i = 0; i < daemon->device_count; i++) {
        if (memcmp(daemon->devices[i]->uuid, uuid, WEFT_UUID_BYTES) == 0)
            return daemon->devices[i];
    }
    return NULL;
}

/* Maps the page of another life and looks whether it is this device's. */
static int take_page(struct weft_daemon_device *device, int fd, struct weft_err *err)
{
    void *memory;
    device->page_bytes = weft_device_room_offset() + weft_room_bytes();
    int rc = weft_daemon_memory_map(fd, device->page_bytes, &memory, err);
    if (rc)
        return rc;
    device->page = memory;
    device->overwritten = true; /* what the last life said last need not hold, which is no lie */
    device->page_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (device->page->magic != WEFT_DEVICE_MAGIC || device->page->major != WEFT_DEVICE_MAJOR ||
        memcmp(device->page->uuid, device->uuid, sizeof(device->uuid)) != 0 || device->page_fd < 0)
        return weft_fail(err, WEFT_EVERSION, "the page of %s is of another version", device->name);
    device->time = (struct weft_device_time *)((char *)memory + weft_device_time_offset());
    device->space = space_in(device);
    rc = weft_ledger_open(&device->ledger, (char *)memory + WEFT_DEVICE_LEDGER_OFFSET,
                          weft_ledger_bytes(), err);
    if (rc == 0)
        weft_ledger_account_init(&device->account, device->ledger, WEFT_LEDGER_DAEMON_SLOT);
    if (rc == 0)
        rc = weft_room_open(&device->room, (char *)memory + weft_device_room_offset(),
                            weft_room_bytes(), err);
    return rc;
}

/* Where it is of no use there is a new one, from the next tenant on. */
static int adopt_native(struct weft_daemon_device *device, int fd, struct weft_err *err)
{
    int rc = take_page(device, fd, err);
    if (rc == 0)
        return 0;
    if (device->page)
        munmap(device->page, device->page_bytes);
    if (device->page_fd >= 0)
        close(device->page_fd);
    device->page = NULL;
    device->time = NULL;
    device->ledger = NULL;
    device->room = NULL;
    device->page_fd = -1;
    return rc;
}

int weft_daemon_device_adopt(struct weft_daemon *daemon, const struct weft_record_device *recorded,
                             int fd, struct weft_err *err)
{
    struct weft_daemon_device *known = weft_daemon_device_by_uuid(daemon, recorded->uuid);
    if (known)
        return known->kind == WEFT_DEVICE_NATIVE && !known->page ? adopt_native(known, fd, err) : 0;
    if (recorded->kind != WEFT_DEVICE_SOFT)
        return weft_fail(err, WEFT_ENOENT, "the GPU is not there any more");
    char name[WEFT_PROFILE_BYTES + 1] = {0};
    memcpy(name, recorded->profile, WEFT_PROFILE_BYTES);
    const struct weft_soft_profile *profile = weft_soft_profile_find(name);
    if (!profile || daemon->device_count == WEFT_DAEMON_DEVICES_MAX)
        return weft_fail(err, WEFT_ENOENT, "no profile \"%s\", or too many devices", name);
    struct weft_daemon_device *device = allocate_soft(profile, recorded->index);
    int rc =
        device ? take_page(device, fd, err) : weft_fail(err, WEFT_ENOMEM, "soft device %s", name);
    if (rc) {
        weft_daemon_device_destroy(device);
        return rc;
    }
    daemon->devices[daemon->device_count++] = device;
    return 0;
}

static int find_soft(struct weft_daemon *daemon, const struct weft_soft_profile *profile,
                     uint32_t index, struct weft_daemon_device **out, struct weft_err *err)
{
    for (size_t i = 0; i < daemon->device_count; i++) {
        struct weft_daemon_device *device = daemon->devices[i];
        if (device->profile == profile && device->index == index) {
            *out = device;
            return 0;
        }
    }
    return create_soft(daemon, profile, index, out, err);
}

int weft_daemon_device_soft(struct weft_daemon *daemon, const char *profile, uint32_t index,
                            struct weft_daemon_device **out, struct weft_err *err)
{
    const struct weft_soft_profile *found = weft_soft_profile_find(profile);
    return found ? find_soft(daemon, found, index, out, err)
                 : weft_fail(err, WEFT_ENOENT, "no profile \"%s\"", profile);
}

/* The devices chosen so far. */
struct choice {
    struct weft_daemon *daemon;
    struct weft_daemon_device **devices;
    uint32_t count;
    const struct weft_gpu_list *list;
    const struct weft_limits *limits; /* unless it keeps all */
    const struct weft_rule *rule;     /* NULL: all devices are permitted */
    bool keeps_all;                   /* `any` stands for all that it could be */
};

static bool is_chosen(const struct choice *choice, const struct weft_daemon_device *device)
{
    for (uint32_t i = 0; i < choice->count; i++) {
        if (choice->devices[i] == device)
            return true;
    }
    return false;
}

static bool is_permitted(const struct choice *choice, const struct weft_daemon_device *device)
{
    return !choice->rule || weft_daemon_rule_permits(choice->rule, device);
}

static int not_permitted(const struct choice *choice, const struct weft_daemon_device *device,
                         struct weft_err *err)
{
    return weft_fail(err, WEFT_EPERM,
                     "--gpu: rule %s of weftd's configuration does not permit you %s:%u; it "
                     "permits %s",
                     choice->rule->name, device->name, device->index, choice->rule->gpu_text);
}

/* So many devices are too many for the rule. */
static int check_wanted(const struct choice *choice, uint32_t wanted, struct weft_err *err)
{
    uint32_t most = choice->rule ? choice->rule->gpus.wanted : 0;
    if (most == 0 || wanted <= most)
        return 0;
    return weft_fail(err, WEFT_EPERM,
                     "--gpus: rule %s of weftd's configuration permits you %u devices at most, and "
                     "more are asked for; --gpus %u would choose",
                     choice->rule->name, most, most);
}

static int choose(struct choice *choice, struct weft_daemon_device *device, struct weft_err *err)
{
    if (!is_permitted(choice, device))
        return not_permitted(choice, device, err);
    int rc = choice->keeps_all ? 0 : check_wanted(choice, choice->count + 1, err);
    if (rc)
        return rc;
    if (is_chosen(choice, device))
        return weft_fail(err, WEFT_EINVAL, "--gpu: device %s is named twice", device->name);
    if (choice->count == WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_ERANGE, "--gpu: more than %d devices", WEFT_DEVICES_MAX);
    choice->devices[choice->count++] = device;
    return 0;
}

static int unknown_profile(const char *name, struct weft_err *err)
{
    char names[256] = "";
    size_t count, used = 0;
    const struct weft_soft_profile *profiles = weft_soft_profiles(&count);
    for (size_t i = 0; i < count && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 profiles[i].name);
    return weft_fail(err, WEFT_ENOENT, "--gpu soft=%s: no such profile; there are %s", name, names);
}

/* Every further `soft` of one profile in a list is the next device of that profile. */
static int choose_soft(struct choice *choice, const struct weft_gpu_item *item,
                       struct weft_err *err)
{
    const char *name = *item->place ? item->place : WEFT_SOFT_PROFILE_DEFAULT;
    const struct weft_soft_profile *profile = weft_soft_profile_find(name);
    if (!profile)
        return unknown_profile(name, err);
    uint32_t first = 0;
    for (uint32_t i = 0; i < choice->count; i++)
        first += choice->devices[i]->profile == profile;
    for (uint32_t i = 0; i < item->count; i++) {
        struct weft_daemon_device *device = NULL, described = describe_soft(profile, first + i);
        /* Before it is made. */
        int rc = is_permitted(choice, &described) ? 0 : not_permitted(choice, &described, err);
        if (rc == 0)
            rc = find_soft(choice->daemon, profile, first + i, &device, err);
        if (rc == 0)
            rc = choose(choice, device, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int no_native(struct weft_err *err)
{
    return weft_fail(err, WEFT_ENOENT,
                     "this machine has no GPU; for one emulated on the CPU use --gpu soft");
}

/* All native devices that are permitted and not chosen yet. */
static int choose_rest(struct choice *choice, struct weft_err *err)
{
    uint32_t permitted = 0;
    int rc = choice->daemon->native_count ? 0 : no_native(err);
    for (size_t i = 0; rc == 0 && i < choice->daemon->native_count; i++) {
        struct weft_daemon_device *device = choice->daemon->devices[i];
        permitted += is_permitted(choice, device);
        if (is_permitted(choice, device) && !is_chosen(choice, device))
            rc = choose(choice, device, err);
    }
    return rc || permitted ? rc : not_permitted(choice, choice->daemon->devices[0], err);
}

/* One of them; all where `list` chooses later, or who asks only looks. */
static int choose_any(struct choice *choice, struct weft_err *err)
{
    uint32_t before = choice->count, left;
    int rc = choose_rest(choice, err);
    if (rc || choice->keeps_all)
        return rc;
    left = choice->count - before;
    if (left == 0)
        return weft_fail(err, WEFT_ENOENT, "--gpu any: no further GPU is there");
    rc = weft_daemon_place(choice->daemon, choice->list, 1, choice->limits,
                           choice->devices + before, &left, err);
    choice->count = before + left;
    return rc;
}

static int choose_uuid(struct choice *choice, const struct weft_gpu_item *item,
                       struct weft_err *err)
{
    for (size_t i = 0; i < choice->daemon->device_count; i++) {
        struct weft_daemon_device *device = choice->daemon->devices[i];
        if (memcmp(device->uuid, item->uuid, WEFT_UUID_BYTES) == 0)
            return choose(choice, device, err);
    }
    char text[WEFT_UUID_TEXT_BYTES];
    return weft_fail(err, WEFT_ENOENT, "--gpu GPU-%s: no such device here; `weft ls` lists them",
                     weft_uuid_format(item->uuid, text));
}

static int choose_item(struct choice *choice, const struct weft_gpu_item *item,
                       struct weft_err *err)
{
    struct weft_daemon *daemon = choice->daemon;
    switch (item->kind) {
    case WEFT_GPU_INDEX:
        if (item->index < daemon->native_count)
            return choose(choice, daemon->devices[item->index], err);
        if (daemon->native_count == 0)
            return no_native(err);
        return weft_fail(err, WEFT_ENOENT, "--gpu %u: this machine has devices 0 to %zu",
                         item->index, daemon->native_count - 1);
    case WEFT_GPU_UUID:
        return choose_uuid(choice, item, err);
    case WEFT_GPU_SOFT:
        return choose_soft(choice, item, err);
    case WEFT_GPU_ANY:
        return choose_any(choice, err);
    case WEFT_GPU_MIG:
        return weft_fail(err, WEFT_ENOSYS, "--gpu: MIG devices are not supported yet");
    default:
        return weft_fail(err, WEFT_ENOSYS, "--gpu: remote devices (%s) are not supported yet",
                         item->place);
    }
}

/* How many devices a program of the list sees. */
static uint32_t count_of(const struct weft_gpu_list *list)
{
    uint32_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].count;
    return list->wanted ? list->wanted : count;
}

static int choose_list(struct choice *choice, struct weft_err *err)
{
    const struct weft_gpu_list *list = choice->list;
    int rc = list->count == 0 ? choose_rest(choice, err) : 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        rc = choose_item(choice, &list->items[i], err);
    return rc;
}

int weft_daemon_device_resolve(struct weft_daemon *daemon, const struct weft_daemon_demand *demand,
                               struct weft_daemon_device *devices[WEFT_DEVICES_MAX],
                               uint32_t *count, struct weft_err *err)
{
    const struct weft_gpu_list *list = demand->list;
    struct choice choice = {.daemon = daemon,
                            .devices = devices,
                            .list = list,
                            .limits = demand->limits,
                            .rule = demand->rule,
                            .keeps_all = list->wanted != 0};
    int rc = weft_gpu_list_check(list, err);
    if (rc == 0)
        rc = check_wanted(&choice, count_of(list), err);
    if (rc == 0)
        rc = choose_list(&choice, err);
    if (rc == 0 && list->wanted)
        rc = weft_daemon_place(daemon, list, list->wanted, demand->limits, devices, &choice.count,
                               err);
    if (rc == 0)
        *count = choice.count;
    return rc;
}

/* Where weftd chose, any choice of the right size is as good; the list's order holds else. */
int weft_daemon_device_match(const struct weft_daemon_tenant *tenant,
                             const struct weft_gpu_list *list, bool *matches, struct weft_err *err)
{
    struct weft_daemon_device *devices[WEFT_DEVICES_MAX];
    struct choice choice = {
        .daemon = tenant->daemon, .devices = devices, .list = list, .keeps_all = true};
    bool is_choice = weft_gpu_list_is_choice(list), same = true;
    int rc = choose_list(&choice, err);
    if (rc)
        return rc;
    uint32_t wanted = is_choice ? count_of(list) : choice.count;
    for (uint32_t i = 0; i < tenant->device_count; i++)
        same &= is_choice ? is_chosen(&choice, tenant->devices[i])
                          : i < choice.count && choice.devices[i] == tenant->devices[i];
    *matches = same && tenant->device_count == wanted;
    return 0;
}
