#include "face/visible.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NONE (-1)
#define INDEX_DIGITS_MAX 4
#define UUID_TEXT_BYTES 37

static void uuid_text(const uint8_t uuid[WEFT_UUID_BYTES], char text[UUID_TEXT_BYTES])
{
    for (size_t i = 0; i < WEFT_UUID_BYTES; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        text += snprintf(text, 4, "%s%02x", dash ? "-" : "", uuid[i]);
    }
}

/* The one device whose UUID begins so, or NONE. */
static int find_uuid(const char *prefix, size_t length, const struct weft_device_grant *granted,
                     size_t count)
{
    int found = NONE;
    for (size_t i = 0; i < count; i++) {
        char text[UUID_TEXT_BYTES];
        uuid_text(granted[i].uuid, text);
        if (length == 0 || length >= UUID_TEXT_BYTES || strncasecmp(text, prefix, length) != 0)
            continue;
        if (found != NONE)
            return NONE;
        found = (int)i;
    }
    return found;
}

static int find_index(const char *digits, size_t length, size_t count)
{
    size_t index = 0;
    if (length == 0 || length > INDEX_DIGITS_MAX)
        return NONE;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)digits[i]))
            return NONE;
        index = index * 10 + (size_t)(digits[i] - '0');
    }
    return index < count ? (int)index : NONE;
}

static int find_item(const char *item, size_t length, const struct weft_device_grant *granted,
                     size_t count)
{
    if (length > 4 && (strncmp(item, "GPU-", 4) == 0 || strncmp(item, "MIG-", 4) == 0))
        return find_uuid(item + 4, length - 4, granted, count);
    return find_index(item, length, count);
}

static bool is_chosen(const struct weft_face_visible *visible, uint32_t place)
{
    for (size_t i = 0; i < visible->count; i++)
        if (visible->places[i] == place)
            return true;
    return false;
}

static struct weft_face_visible all(size_t count)
{
    struct weft_face_visible visible = {.count = count};
    for (size_t i = 0; i < count; i++)
        visible.places[i] = (uint32_t)i;
    return visible;
}

struct weft_face_visible weft_face_visible_choose(const char *setting,
                                                  const struct weft_device_grant *granted,
                                                  size_t granted_count)
{
    struct weft_face_visible visible = {0};
    if (!setting)
        return all(granted_count);
    for (const char *item = setting; visible.count < granted_count;) {
        item += strspn(item, " \t");
        size_t length = strcspn(item, ","), trimmed = length;
        while (trimmed > 0 && isspace((unsigned char)item[trimmed - 1]))
            trimmed--;
        int place = find_item(item, trimmed, granted, granted_count);
        if (place == NONE || is_chosen(&visible, (uint32_t)place))
            break;
        visible.places[visible.count++] = (uint32_t)place;
        if (item[length] == '\0')
            break;
        item += length + 1;
    }
    return visible;
}
