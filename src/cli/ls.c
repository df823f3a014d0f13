#include <stdio.h>

#include "cli/cli.h"

static void print_people(const json_t *devices)
{
    struct weft_table table = {.columns = 8};
    size_t index;
    json_t *device;
    weft_table_add(&table, (const char *const[]){"GPU", "NAME", "MEMORY", "USED", "OUTSIDE",
                                                 "PRESSURE", "TENANTS", "UUID"});
    json_array_foreach(devices, index, device)
    {
        char memory[WEFT_SIZE_TEXT_BYTES], used[WEFT_SIZE_TEXT_BYTES], pressure[24], tenants[24];
        char outside[WEFT_SIZE_TEXT_BYTES];
        weft_size_format((uint64_t)json_integer_value(json_object_get(device, "memory_bytes")),
                         memory);
        weft_size_format((uint64_t)json_integer_value(json_object_get(device, "memory_used_bytes")),
                         used);
        snprintf(pressure, sizeof(pressure), "%lld%%",
                 json_integer_value(json_object_get(device, "pressure_percent")));
        snprintf(tenants, sizeof(tenants), "%lld",
                 json_integer_value(json_object_get(device, "tenants")));
        weft_table_add(&table,
                       (const char *const[]){
                           json_string_value(json_object_get(device, "gpu")),
                           json_string_value(json_object_get(device, "name")), memory, used,
                           weft_cli_size_told(device, "memory_outside_bytes", outside), pressure,
                           tenants, json_string_value(json_object_get(device, "device"))});
    }
    weft_table_print(&table);
}

int weft_cli_ls(const struct weft_verb *verb, int argc, char **argv)
{
    static const struct weft_view view = {WEFT_WIRE_QUERY_LS, "devices", print_people};
    return weft_cli_show(verb, argc, argv, &view);
}
