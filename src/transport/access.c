/* Users and groups as people name them. */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "transport/transport.h"

/* A number, or what the system's list of users or groups has. */
static int find_id(const char *text, bool group, uint32_t *id)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && number < UINT32_MAX) {
        *id = (uint32_t)number;
        return 0;
    }
    const struct passwd *user = group ? NULL : getpwnam(text);
    const struct group *found = group ? getgrnam(text) : NULL;
    if (user)
        *id = user->pw_uid;
    else if (found)
        *id = found->gr_gid;
    return user || found ? 0 : -WEFT_ENOENT;
}

int weft_access_user(const char *text, uint32_t *uid, struct weft_err *err)
{
    return find_id(text, false, uid) == 0
               ? 0
               : weft_fail(err, WEFT_EINVAL, "\"%.64s\": no such user", text);
}

int weft_access_add(struct weft_access *access, const char *text, struct weft_err *err)
{
    bool group = *text == '@';
    uint32_t *count = group ? &access->gid_count : &access->uid_count;
    uint32_t id;
    if (find_id(text + group, group, &id))
        return weft_fail(err, WEFT_EINVAL, "\"%.64s\": no such %s", text,
                         group ? "group" : "user; groups are written @NAME");
    if (*count == WEFT_ACCESS_MAX)
        return weft_fail(err, WEFT_ELIMIT, "more than %d users, or groups", WEFT_ACCESS_MAX);
    (group ? access->gids : access->uids)[(*count)++] = id;
    access->given = true;
    return 0;
}

int weft_access_parse(const char *text, struct weft_access *access, struct weft_err *err)
{
    struct weft_access read = {.given = true};
    char word[WEFT_ACCESS_WORD_BYTES];
    for (const char *next = text; *next;) {
        size_t length = strcspn(next, ",");
        if (length == 0 || length >= sizeof(word))
            return weft_fail(err, WEFT_EINVAL,
                             "\"%.64s\": users and @groups are separated by commas", text);
        memcpy(word, next, length);
        word[length] = '\0';
        int rc = weft_access_add(&read, word, err);
        if (rc)
            return rc;
        next += length;
        if (*next == ',' && !*++next)
            return weft_fail(err, WEFT_EINVAL, "\"%.64s\": ends in a comma", text);
    }
    *access = read;
    return 0;
}
