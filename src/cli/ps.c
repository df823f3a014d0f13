#include <stdio.h>

#include "cli/cli.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static char *size_of(const json_t *object, const char *key, char *text)
{
    return weft_size_format((uint64_t)json_integer_value(json_object_get(object, key)), text);
}

/* "normal 100", and what it is capped at, where it is. */
static const char *share_of(const json_t *tenant, const json_t *device,
                            char text[WEFT_TABLE_CELL_BYTES])
{
    double cap = json_number_value(json_object_get(tenant, "compute_cap_percent"));
    json_int_t sm = json_integer_value(json_object_get(tenant, "sm_percent"));
    int used = snprintf(text, WEFT_TABLE_CELL_BYTES, "%s %lld", text_of(tenant, "class"),
                        json_integer_value(json_object_get(tenant, "weight")));
    if (json_is_true(json_object_get(device, "stopped")))
        used += snprintf(text + used, WEFT_TABLE_CELL_BYTES - (size_t)used, " stopped");
    if (cap > 0 && cap < 100)
        used += snprintf(text + used, WEFT_TABLE_CELL_BYTES - (size_t)used, " <=%g%%", cap);
    if (sm > 0 && sm < WEFT_SM_WHOLE)
        snprintf(text + used, WEFT_TABLE_CELL_BYTES - (size_t)used, " sm %lld%%", sm);
    return text;
}

/* "64.0 MiB", with what is guaranteed before it, where something is. */
static const char *limit_of(const json_t *device, char text[WEFT_TABLE_CELL_BYTES])
{
    char most[WEFT_SIZE_TEXT_BYTES], least[WEFT_SIZE_TEXT_BYTES];
    size_of(device, "memory_limit_bytes", most);
    if (json_integer_value(json_object_get(device, "memory_guarantee_bytes")) == 0)
        snprintf(text, WEFT_TABLE_CELL_BYTES, "%s", most);
    else
        snprintf(text, WEFT_TABLE_CELL_BYTES, "%s:%s",
                 size_of(device, "memory_guarantee_bytes", least), most);
    return text;
}

/* One line for a tenant's device, then one for each process that holds something there or may. */
static void add_device(struct weft_table *table, const json_t *tenant, const json_t *device,
                       size_t ordinal)
{
    char used[WEFT_SIZE_TEXT_BYTES], driver[WEFT_SIZE_TEXT_BYTES], pid[24];
    char limit[WEFT_TABLE_CELL_BYTES], share[WEFT_TABLE_CELL_BYTES];
    size_t index;
    json_t *process;
    weft_table_add(table,
                   (const char *const[]){text_of(tenant, "name"), text_of(device, "name"),
                                         share_of(tenant, device, share), "-",
                                         size_of(device, "memory_used_bytes", used),
                                         weft_cli_size_told(device, "memory_driver_bytes", driver),
                                         limit_of(device, limit), ""});
    json_array_foreach(json_object_get(tenant, "processes"), index, process)
    {
        const json_t *held = json_array_get(json_object_get(process, "devices"), ordinal);
        snprintf(pid, sizeof(pid), "%lld", json_integer_value(json_object_get(process, "pid")));
        weft_table_add(
            table, (const char *const[]){"", "", "", pid, size_of(held, "memory_used_bytes", used),
                                         weft_cli_size_told(held, "memory_driver_bytes", driver),
                                         "", text_of(process, "command")});
    }
}

static void print_people(const json_t *tenants)
{
    struct weft_table table = {.columns = 8};
    size_t index, ordinal;
    json_t *tenant, *device;
    weft_table_add(&table, (const char *const[]){"TENANT", "DEVICE", "SHARE", "PID", "MEMORY",
                                                 "DRIVER", "LIMIT", "COMMAND"});
    json_array_foreach(tenants, index, tenant)
    {
        json_array_foreach(json_object_get(tenant, "devices"), ordinal, device)
            add_device(&table, tenant, device, ordinal);
    }
    weft_table_print(&table);
}

int weft_cli_ps(const struct weft_verb *verb, int argc, char **argv)
{
    static const struct weft_view view = {WEFT_WIRE_QUERY_PS, "tenants", print_people};
    return weft_cli_show(verb, argc, argv, &view);
}
