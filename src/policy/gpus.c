#include "policy/gpus.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/util.h"

#define ITEM_BYTES 320
#define FORMS                                                                                     \
    "use a number, GPU-uuid, MIG-uuid, soft[=PROFILE[xN]], any, unix:PATH, shm:PATH, tls://HOST " \
    "or tcp://HOST"

static const struct {
    const char *prefix;
    enum weft_gpu_item_kind kind;
} schemes[] = {
    {"unix:", WEFT_GPU_UNIX},
    {"shm:", WEFT_GPU_SHM},
    {"tls://", WEFT_GPU_TLS},
    {"tcp://", WEFT_GPU_TCP},
};

/* A decimal number of at most `maximum` that fills all of `text`. */
static bool parse_count(const char *text, uint32_t maximum, uint32_t *value)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits])
        return false;
    uint32_t number = 0;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint32_t)(text[i] - '0');
    *value = number;
    return number <= maximum;
}

static int parse_soft(const char *text, struct weft_gpu_item *item, struct weft_err *err)
{
    const char *profile = text + strlen("soft");
    item->kind = WEFT_GPU_SOFT;
    if (*profile == '\0')
        return 0;
    if (*profile != '=' || profile[1] == '\0')
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": write soft, soft=PROFILE or soft=PROFILExN",
                         text);
    profile++;
    size_t length = strlen(profile);
    const char *times = strrchr(profile, 'x');
    if (times && times > profile && times[1] &&
        strspn(times + 1, "0123456789") == strlen(times + 1)) {
        if (!parse_count(times + 1, WEFT_DEVICES_MAX, &item->count) || item->count == 0)
            return weft_fail(err, WEFT_ESYNTAX, "\"%s\": the number of devices goes from 1 to %d",
                             text, WEFT_DEVICES_MAX);
        length = (size_t)(times - profile);
    }
    if (length >= WEFT_PROFILE_BYTES)
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": no profile has a name this long", text);
    memcpy(item->place, profile, length);
    item->place[length] = '\0';
    return 0;
}

static int parse_place(const char *text, const char *place, struct weft_gpu_item *item,
                       struct weft_err *err)
{
    bool needs_host = item->kind == WEFT_GPU_TLS || item->kind == WEFT_GPU_TCP;
    if (*place == '\0' || (needs_host && strchr("/:", *place)))
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": names no %s", text,
                         needs_host ? "host" : "path");
    if (strlen(place) >= sizeof(item->place))
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": longer than %d characters", text,
                         WEFT_GPU_PLACE_BYTES - 1);
    snprintf(item->place, sizeof(item->place), "%s", place);
    return 0;
}

static int parse_item(const char *text, struct weft_gpu_item *item, struct weft_err *err)
{
    *item = (struct weft_gpu_item){.count = 1};
    if (isdigit((unsigned char)*text) && parse_count(text, 4096, &item->index)) {
        item->kind = WEFT_GPU_INDEX;
        return 0;
    }
    if (strcmp(text, "any") == 0) {
        item->kind = WEFT_GPU_ANY;
        return 0;
    }
    if (strncmp(text, "soft", 4) == 0 && (text[4] == '\0' || text[4] == '='))
        return parse_soft(text, item, err);
    if (strncmp(text, "GPU-", 4) == 0 || strncmp(text, "MIG-", 4) == 0) {
        item->kind = *text == 'G' ? WEFT_GPU_UUID : WEFT_GPU_MIG;
        return weft_uuid_parse(text + 4, item->uuid, err);
    }
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(schemes); i++) {
        if (strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
            item->kind = schemes[i].kind;
            return parse_place(text, text + strlen(schemes[i].prefix), item, err);
        }
    }
    const char *colon = strchr(text, ':');
    if (colon && colon > text && isdigit((unsigned char)colon[1])) {
        item->kind = WEFT_GPU_TLS;
        return parse_place(text, text, item, err);
    }
    return weft_fail(err, WEFT_ESYNTAX, "\"%s\": not a device; " FORMS, text);
}

int weft_gpu_list_parse(const char *text, struct weft_gpu_list *list, struct weft_err *err)
{
    struct weft_gpu_list parsed = {0};
    uint32_t devices = 0;
    const char *next = text;
    for (bool more = true; more;) {
        size_t length = strcspn(next, ",");
        char item[ITEM_BYTES];
        if (length == 0)
            return weft_fail(err, WEFT_ESYNTAX, "\"%s\": an item of the list is empty; " FORMS,
                             text);
        if (length >= sizeof(item))
            return weft_fail(err, WEFT_ESYNTAX, "\"%.40s…\": an item of the list is too long",
                             next);
        memcpy(item, next, length);
        item[length] = '\0';
        if (parsed.count == WEFT_DEVICES_MAX)
            return weft_fail(err, WEFT_ESYNTAX, "\"%s\": more than %d devices", text,
                             WEFT_DEVICES_MAX);
        int rc = parse_item(item, &parsed.items[parsed.count], err);
        if (rc)
            return rc;
        devices += parsed.items[parsed.count++].count;
        more = next[length] == ',';
        next += length + 1;
    }
    if (devices > WEFT_DEVICES_MAX)
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": more than %d devices", text, WEFT_DEVICES_MAX);
    list->count = parsed.count;
    memcpy(list->items, parsed.items, sizeof(list->items));
    return 0;
}

int weft_gpu_count_parse(const char *text, uint32_t *wanted, struct weft_err *err)
{
    uint32_t count = 0;
    if (!parse_count(text, WEFT_DEVICES_MAX, &count) || count == 0)
        return weft_fail(err, WEFT_EINVAL, "\"%.40s\": the number of devices goes from 1 to %d",
                         text, WEFT_DEVICES_MAX);
    *wanted = count;
    return 0;
}

bool weft_gpu_list_is_choice(const struct weft_gpu_list *list)
{
    bool is_choice = list->wanted != 0;
    for (size_t i = 0; i < list->count; i++)
        is_choice |= list->items[i].kind == WEFT_GPU_ANY;
    return is_choice;
}

int weft_gpu_list_check(const struct weft_gpu_list *list, struct weft_err *err)
{
    if (list->placement == WEFT_PLACEMENT_DEFAULT || weft_gpu_list_is_choice(list))
        return 0;
    return weft_fail(err, WEFT_EINVAL,
                     "a placement says nothing where all devices are named; add --gpus N, or --gpu "
                     "any");
}

char *weft_uuid_format(const uint8_t uuid[WEFT_UUID_BYTES], char *text)
{
    char *out = text;
    for (int i = 0; i < WEFT_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        out += snprintf(out, 3, "%02x", uuid[i]);
    }
    return text;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, tolower((unsigned char)digit)) : NULL;
    return at ? (int)(at - digits) : -1;
}

int weft_uuid_parse(const char *text, uint8_t uuid[WEFT_UUID_BYTES], struct weft_err *err)
{
    uint8_t parsed[WEFT_UUID_BYTES];
    const char *at = text;
    for (int i = 0; i < WEFT_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (*at++ != '-')
                return weft_fail(err, WEFT_ESYNTAX, "\"%s\": not a uuid; copy it from `weft ls`",
                                 text);
        }
        int high = hex_digit(at[0]);
        int low = high < 0 ? -1 : hex_digit(at[1]);
        if (low < 0)
            return weft_fail(err, WEFT_ESYNTAX, "\"%s\": not a uuid; copy it from `weft ls`", text);
        parsed[i] = (uint8_t)(high * 16 + low);
        at += 2;
    }
    if (*at)
        return weft_fail(err, WEFT_ESYNTAX, "\"%s\": longer than a uuid", text);
    memcpy(uuid, parsed, sizeof(parsed));
    return 0;
}
