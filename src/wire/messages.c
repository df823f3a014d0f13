#include "wire/wire.h"

#define REPORT_FAULT_MINOR 5 /* REPORT says since then that a context has ended */
#define READY_SOFT_MINOR 6   /* RUN_READY says since then what kind of devices the tenant has */

/* What every decoder ends with: nothing missing, and nothing left over that our own minor should
 * have known. */
static int finish(const struct weft_reader *reader, uint16_t minor, const char *name,
                  struct weft_err *err)
{
    if (reader->failed)
        return weft_fail(err, WEFT_EPROTO, "a %s message is cut short or holds a bad value", name);
    if (reader->left && minor <= WEFT_WIRE_MINOR)
        return weft_fail(err, WEFT_EPROTO, "a %s message has %zu bytes too many", name,
                         reader->left);
    return 0;
}

/* A byte that may only be 0 or 1. */
static bool read_bool(struct weft_reader *reader)
{
    uint8_t value = weft_read_u8(reader);
    reader->failed |= value > 1;
    return value == 1;
}

void weft_wire_error_encode(const struct weft_wire_error *message, struct weft_writer *writer)
{
    weft_write_u16(writer, message->code);
    weft_write_text(writer, message->text);
}

int weft_wire_error_decode(struct weft_reader reader, uint16_t minor,
                           struct weft_wire_error *message, struct weft_err *err)
{
    message->code = weft_read_u16(&reader);
    weft_read_text(&reader, message->text, sizeof(message->text));
    return finish(&reader, minor, "ERROR", err);
}

void weft_wire_hello_encode(const struct weft_wire_hello *message, struct weft_writer *writer)
{
    weft_write_u64(writer, message->start_ticks);
    weft_write_text(writer, message->version);
}

int weft_wire_hello_decode(struct weft_reader reader, uint16_t minor,
                           struct weft_wire_hello *message, struct weft_err *err)
{
    message->start_ticks = weft_read_u64(&reader);
    weft_read_text(&reader, message->version, sizeof(message->version));
    return finish(&reader, minor, "HELLO", err);
}

static void device_encode(const struct weft_wire_device *device, struct weft_writer *writer)
{
    weft_write_u8(writer, (uint8_t)device->kind);
    weft_write_u8(writer, device->has_arena);
    weft_write_u8(writer, device->has_page);
    weft_write_u32(writer, device->native_index);
    weft_write_u32(writer, device->page_slot);
    weft_write_bytes(writer, device->uuid, sizeof(device->uuid));
    weft_write_text(writer, device->profile);
}

static void device_decode(struct weft_reader *reader, struct weft_wire_device *device)
{
    uint8_t kind = weft_read_u8(reader);
    reader->failed |= kind < WEFT_DEVICE_NATIVE || kind > WEFT_DEVICE_REMOTE;
    device->kind = (enum weft_device_kind)kind;
    device->has_arena = read_bool(reader);
    device->has_page = read_bool(reader);
    device->native_index = weft_read_u32(reader);
    device->page_slot = weft_read_u32(reader);
    weft_read_bytes(reader, device->uuid, sizeof(device->uuid));
    weft_read_text(reader, device->profile, sizeof(device->profile));
}

void weft_wire_welcome_encode(const struct weft_wire_welcome *message, struct weft_writer *writer)
{
    weft_write_u32(writer, message->slot);
    weft_write_text(writer, message->tenant);
    weft_write_u32(writer, message->device_count);
    for (uint32_t i = 0; i < message->device_count && i < WEFT_DEVICES_MAX; i++)
        device_encode(&message->devices[i], writer);
}

int weft_wire_welcome_decode(struct weft_reader reader, uint16_t minor,
                             struct weft_wire_welcome *message, struct weft_err *err)
{
    message->slot = weft_read_u32(&reader);
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    message->device_count = weft_read_u32(&reader);
    if (message->device_count > WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_EPROTO,
                         "a WELCOME message with %u devices; at most %d are allowed",
                         message->device_count, WEFT_DEVICES_MAX);
    for (uint32_t i = 0; i < message->device_count; i++)
        device_decode(&reader, &message->devices[i]);
    return finish(&reader, minor, "WELCOME", err);
}

void weft_wire_report_encode(const struct weft_wire_report *message, struct weft_writer *writer)
{
    weft_write_u32(writer, message->pid);
    weft_write_text(writer, message->text);
    weft_write_u32(writer, message->error);
    weft_write_u32(writer, message->device);
    weft_write_u32(writer, message->xid);
}

int weft_wire_report_decode(struct weft_reader reader, uint16_t minor,
                            struct weft_wire_report *message, struct weft_err *err)
{
    message->pid = weft_read_u32(&reader);
    weft_read_text(&reader, message->text, sizeof(message->text));
    message->error = minor >= REPORT_FAULT_MINOR ? weft_read_u32(&reader) : 0;
    message->device = minor >= REPORT_FAULT_MINOR ? weft_read_u32(&reader) : 0;
    message->xid = minor >= REPORT_FAULT_MINOR ? weft_read_u32(&reader) : 0;
    return finish(&reader, minor, "REPORT", err);
}

static void gpu_item_encode(const struct weft_gpu_item *item, struct weft_writer *writer)
{
    weft_write_u8(writer, (uint8_t)item->kind);
    weft_write_u32(writer, item->index);
    weft_write_u32(writer, item->count);
    weft_write_bytes(writer, item->uuid, sizeof(item->uuid));
    weft_write_text(writer, item->place);
}

static void gpu_item_decode(struct weft_reader *reader, struct weft_gpu_item *item)
{
    uint8_t kind = weft_read_u8(reader);
    reader->failed |= kind < WEFT_GPU_INDEX || kind > WEFT_GPU_TCP;
    item->kind = (enum weft_gpu_item_kind)kind;
    item->index = weft_read_u32(reader);
    item->count = weft_read_u32(reader);
    reader->failed |= item->count == 0 || item->count > WEFT_DEVICES_MAX;
    weft_read_bytes(reader, item->uuid, sizeof(item->uuid));
    weft_read_text(reader, item->place, sizeof(item->place));
}

/* The memory's ceiling stands where it stood in minor 0, 0 where it is not given; the rest follows
 * at the message's end. */
static void ceiling_encode(const struct weft_limits *limits, struct weft_writer *writer)
{
    weft_write_u64(writer, weft_limits_has(limits, WEFT_LIMIT_MEMORY) ? limits->memory_bytes : 0);
}

static void ceiling_decode(struct weft_reader *reader, struct weft_limits *limits)
{
    *limits = weft_limits_default();
    uint64_t bytes = weft_read_u64(reader);
    if (bytes == 0)
        return;
    limits->memory_bytes = bytes;
    limits->given = 1u << WEFT_LIMIT_MEMORY;
}

static void limits_encode(const struct weft_limits *limits, struct weft_writer *writer)
{
    weft_write_u32(writer, limits->given);
    weft_write_u64(writer, limits->guarantee_bytes);
    weft_write_u32(writer, limits->weight);
    weft_write_u32(writer, (uint32_t)limits->class);
    weft_write_u32(writer, limits->compute_cap_e4);
    weft_write_u32(writer, limits->sm_percent);
    weft_write_u32(writer, limits->kernel_timeout_us);
}

/* Since minor 2. Ranges are weft_limits_check's to look at. */
static void limits_decode(struct weft_reader *reader, uint16_t minor, struct weft_limits *limits)
{
    if (minor < 2)
        return;
    uint32_t given = weft_read_u32(reader);
    reader->failed |= (given ^ limits->given) & 1u << WEFT_LIMIT_MEMORY;
    limits->given = given;
    limits->guarantee_bytes = weft_read_u64(reader);
    limits->weight = weft_read_u32(reader);
    limits->class = (enum weft_class)weft_read_u32(reader);
    limits->compute_cap_e4 = weft_read_u32(reader);
    limits->sm_percent = weft_read_u32(reader);
    limits->kernel_timeout_us = weft_read_u32(reader);
}

static void access_encode(const struct weft_access *access, struct weft_writer *writer)
{
    weft_write_u8(writer, access->given);
    if (!access->given)
        return;
    weft_write_u32(writer, access->uid_count);
    for (uint32_t i = 0; i < access->uid_count && i < WEFT_ACCESS_MAX; i++)
        weft_write_u32(writer, access->uids[i]);
    weft_write_u32(writer, access->gid_count);
    for (uint32_t i = 0; i < access->gid_count && i < WEFT_ACCESS_MAX; i++)
        weft_write_u32(writer, access->gids[i]);
}

static uint32_t read_ids(struct weft_reader *reader, uint32_t ids[WEFT_ACCESS_MAX])
{
    uint32_t count = weft_read_u32(reader);
    reader->failed |= count > WEFT_ACCESS_MAX;
    for (uint32_t i = 0; i < count && !reader->failed; i++)
        ids[i] = weft_read_u32(reader);
    return reader->failed ? 0 : count;
}

/* Since minor 4. */
static void access_decode(struct weft_reader *reader, uint16_t minor, struct weft_access *access)
{
    *access = (struct weft_access){0};
    if (minor < 4)
        return;
    access->given = read_bool(reader);
    if (!access->given)
        return;
    access->uid_count = read_ids(reader, access->uids);
    access->gid_count = read_ids(reader, access->gids);
}

static void run_begin_write(const struct weft_wire_run_begin *message, struct weft_writer *writer)
{
    weft_write_text(writer, message->tenant);
    ceiling_encode(&message->limits, writer);
    weft_write_u32(writer, (uint32_t)message->gpus.count);
    for (size_t i = 0; i < message->gpus.count && i < WEFT_DEVICES_MAX; i++)
        gpu_item_encode(&message->gpus.items[i], writer);
    limits_encode(&message->limits, writer);
    access_encode(&message->run, writer);
    access_encode(&message->change, writer);
    weft_write_u32(writer, message->gpus.wanted);
    weft_write_u8(writer, (uint8_t)message->gpus.placement);
}

/* Since minor 4. */
static void choice_decode(struct weft_reader *reader, uint16_t minor, struct weft_gpu_list *list)
{
    list->wanted = minor >= 4 ? weft_read_u32(reader) : 0;
    uint8_t placement = minor >= 4 ? weft_read_u8(reader) : 0;
    reader->failed |= list->wanted > WEFT_DEVICES_MAX || placement > WEFT_PLACEMENT_PACK;
    list->placement = (enum weft_placement)placement;
}

static void run_begin_read(struct weft_reader *reader, uint16_t minor,
                           struct weft_wire_run_begin *message)
{
    weft_read_text(reader, message->tenant, sizeof(message->tenant));
    ceiling_decode(reader, &message->limits);
    message->gpus.count = weft_read_u32(reader);
    reader->failed |= message->gpus.count > WEFT_DEVICES_MAX;
    for (size_t i = 0; i < message->gpus.count && !reader->failed; i++)
        gpu_item_decode(reader, &message->gpus.items[i]);
    limits_decode(reader, minor, &message->limits);
    access_decode(reader, minor, &message->run);
    access_decode(reader, minor, &message->change);
    choice_decode(reader, minor, &message->gpus);
}

void weft_wire_run_begin_encode(const struct weft_wire_run_begin *message,
                                struct weft_writer *writer)
{
    run_begin_write(message, writer);
}

int weft_wire_run_begin_decode(struct weft_reader reader, uint16_t minor,
                               struct weft_wire_run_begin *message, struct weft_err *err)
{
    run_begin_read(&reader, minor, message);
    return finish(&reader, minor, "RUN_BEGIN", err);
}

void weft_wire_run_ready_encode(const struct weft_wire_run_ready *message,
                                struct weft_writer *writer)
{
    weft_write_u8(writer, message->joined);
    weft_write_u32(writer, message->device_count);
    weft_write_text(writer, message->tenant);
    weft_write_text(writer, message->socket);
    weft_write_u32(writer, message->mps_percent);
    weft_write_u8(writer, message->soft);
}

int weft_wire_run_ready_decode(struct weft_reader reader, uint16_t minor,
                               struct weft_wire_run_ready *message, struct weft_err *err)
{
    message->joined = read_bool(&reader);
    message->device_count = weft_read_u32(&reader);
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    weft_read_text(&reader, message->socket, sizeof(message->socket));
    message->mps_percent = minor >= 4 ? weft_read_u32(&reader) : 0;
    message->soft = minor >= READY_SOFT_MINOR && read_bool(&reader);
    return finish(&reader, minor, "RUN_READY", err);
}

void weft_wire_run_child_encode(const struct weft_wire_run_child *message,
                                struct weft_writer *writer)
{
    weft_write_u32(writer, message->pid);
}

int weft_wire_run_child_decode(struct weft_reader reader, uint16_t minor,
                               struct weft_wire_run_child *message, struct weft_err *err)
{
    message->pid = weft_read_u32(&reader);
    return finish(&reader, minor, "RUN_CHILD", err);
}

void weft_wire_done_encode(const struct weft_wire_done *message, struct weft_writer *writer)
{
    weft_write_text(writer, message->note);
}

int weft_wire_done_decode(struct weft_reader reader, uint16_t minor, struct weft_wire_done *message,
                          struct weft_err *err)
{
    weft_read_text(&reader, message->note, sizeof(message->note));
    return finish(&reader, minor, "DONE", err);
}

void weft_wire_query_encode(const struct weft_wire_query *message, struct weft_writer *writer)
{
    weft_write_u8(writer, message->kind);
}

int weft_wire_query_decode(struct weft_reader reader, uint16_t minor,
                           struct weft_wire_query *message, struct weft_err *err)
{
    message->kind = weft_read_u8(&reader);
    return finish(&reader, minor, "QUERY", err);
}

void weft_wire_set_encode(const struct weft_wire_set *message, struct weft_writer *writer)
{
    weft_write_text(writer, message->tenant);
    ceiling_encode(&message->limits, writer);
    limits_encode(&message->limits, writer);
    access_encode(&message->run, writer);
    access_encode(&message->change, writer);
}

int weft_wire_set_decode(struct weft_reader reader, uint16_t minor, struct weft_wire_set *message,
                         struct weft_err *err)
{
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    ceiling_decode(&reader, &message->limits);
    limits_decode(&reader, minor, &message->limits);
    access_decode(&reader, minor, &message->run);
    access_decode(&reader, minor, &message->change);
    return finish(&reader, minor, "SET", err);
}

void weft_wire_fault_encode(const struct weft_wire_fault *message, struct weft_writer *writer)
{
    weft_write_u32(writer, message->xid);
    weft_write_u32(writer, message->pid);
    weft_write_text(writer, message->tenant);
    weft_write_text(writer, message->device);
}

int weft_wire_fault_decode(struct weft_reader reader, uint16_t minor,
                           struct weft_wire_fault *message, struct weft_err *err)
{
    message->xid = weft_read_u32(&reader);
    message->pid = weft_read_u32(&reader);
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    weft_read_text(&reader, message->device, sizeof(message->device));
    return finish(&reader, minor, "FAULT", err);
}

void weft_wire_share_encode(const struct weft_wire_share *message, struct weft_writer *writer)
{
    weft_write_u32(writer, message->device);
    weft_write_u64(writer, message->file);
}

int weft_wire_share_decode(struct weft_reader reader, uint16_t minor,
                           struct weft_wire_share *message, struct weft_err *err)
{
    message->device = weft_read_u32(&reader);
    message->file = weft_read_u64(&reader);
    return finish(&reader, minor, "SHARE", err);
}

void weft_wire_tenant_add_encode(const struct weft_wire_tenant_add *message,
                                 struct weft_writer *writer)
{
    weft_write_u32(writer, message->owner);
    run_begin_write(&message->asked, writer);
}

int weft_wire_tenant_add_decode(struct weft_reader reader, uint16_t minor,
                                struct weft_wire_tenant_add *message, struct weft_err *err)
{
    message->owner = weft_read_u32(&reader);
    run_begin_read(&reader, minor, &message->asked);
    return finish(&reader, minor, "TENANT_ADD", err);
}

void weft_wire_tenant_remove_encode(const struct weft_wire_tenant_remove *message,
                                    struct weft_writer *writer)
{
    weft_write_u8(writer, message->force);
    weft_write_text(writer, message->tenant);
}

int weft_wire_tenant_remove_decode(struct weft_reader reader, uint16_t minor,
                                   struct weft_wire_tenant_remove *message, struct weft_err *err)
{
    message->force = read_bool(&reader);
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    return finish(&reader, minor, "TENANT_REMOVE", err);
}

void weft_wire_resume_encode(const struct weft_wire_resume *message, struct weft_writer *writer)
{
    weft_write_text(writer, message->tenant);
    weft_write_u32(writer, message->slot);
    weft_write_u64(writer, message->start_ticks);
}

int weft_wire_resume_decode(struct weft_reader reader, uint16_t minor,
                            struct weft_wire_resume *message, struct weft_err *err)
{
    weft_read_text(&reader, message->tenant, sizeof(message->tenant));
    message->slot = weft_read_u32(&reader);
    message->start_ticks = weft_read_u64(&reader);
    return finish(&reader, minor, "RESUME", err);
}
