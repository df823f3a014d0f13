/* Archives as GNU ar writes them: a magic, and members of a head in text and their bytes, each at
 * an even place. The member "//" has the long names, "/" and "/SYM64/" an index of symbols. */
#include <assert.h>
#include <string.h>

#include "image/host_object.h"
#include "util/util.h"

#define MAGIC "!<arch>\n"
#define THIN_MAGIC "!<thin>\n"
#define MAGIC_BYTES 8

struct head {
    char name[16], date[12], user[6], group[6], mode[8], size[10], end[2];
};
static_assert(sizeof(struct head) == 60, "as ar writes it");

int weft_archive_open(struct weft_archive *archive, const void *bytes, size_t size,
                      struct weft_err *err)
{
    if (size >= MAGIC_BYTES && memcmp(bytes, THIN_MAGIC, MAGIC_BYTES) == 0)
        return weft_fail(err, WEFT_EPROTO, "a thin archive, which only names its members");
    if (size < MAGIC_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return weft_fail(err, WEFT_EPROTO, "not an archive");
    *archive = (struct weft_archive){.next = (const uint8_t *)bytes + MAGIC_BYTES,
                                     .left = size - MAGIC_BYTES,
                                     .members_left = WEFT_ARCHIVE_MEMBERS_MAX};
    return 0;
}

/* Digits, then blanks. */
static bool read_number(const char *text, size_t width, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    for (; i < width && text[i] >= '0' && text[i] <= '9'; i++)
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    for (size_t rest = i; rest < width; rest++)
        if (text[rest] != ' ')
            return false;
    return i > 0;
}

/* "name/", or "/n" where n is a place among the long names; there too a slash ends it. */
static void read_name(const struct weft_archive *archive, const struct head *head, char *out)
{
    const char *text = head->name;
    size_t length = sizeof(head->name);
    uint64_t place;
    if (text[0] == '/' && read_number(text + 1, length - 1, &place) &&
        place < archive->names_bytes) {
        text = archive->names + place;
        length = archive->names_bytes - (size_t)place;
    }
    const char *end = memchr(text, '/', length);
    length = WEFT_MIN(end ? (size_t)(end - text) : length, (size_t)WEFT_ARCHIVE_NAME_BYTES - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

static bool is_named(const struct head *head, const char *name)
{
    size_t length = strlen(name);
    return memcmp(head->name, name, length) == 0 &&
           (head->name[length] == ' ' || length == sizeof(head->name));
}

/* The next member of any kind: its head, and the bytes behind it. */
static int next_member(struct weft_archive *archive, struct head *head,
                       struct weft_archive_member *out, struct weft_err *err)
{
    uint64_t size;
    if (archive->left == 0)
        return 0;
    if (archive->members_left-- == 0)
        return weft_fail(err, WEFT_EPROTO, "an archive of more than %d members",
                         WEFT_ARCHIVE_MEMBERS_MAX);
    if (archive->left < sizeof(*head))
        return weft_fail(err, WEFT_EPROTO, "the archive ends within a member's head");
    memcpy(head, archive->next, sizeof(*head));
    if (memcmp(head->end, "`\n", sizeof(head->end)) != 0 ||
        !read_number(head->size, sizeof(head->size), &size) || size > archive->left - sizeof(*head))
        return weft_fail(err, WEFT_EPROTO, "the head of an archive's member is damaged");
    out->bytes = archive->next + sizeof(*head);
    out->size = (size_t)size;
    size_t step = WEFT_MIN(sizeof(*head) + (size_t)(size + size % 2), archive->left);
    archive->next += step;
    archive->left -= step;
    return 1;
}

int weft_archive_next(struct weft_archive *archive, struct weft_archive_member *out,
                      struct weft_err *err)
{
    struct head head;
    int rc;
    while ((rc = next_member(archive, &head, out, err)) > 0) {
        if (is_named(&head, "//")) {
            archive->names = (const char *)out->bytes;
            archive->names_bytes = out->size;
        } else if (!is_named(&head, "/") && !is_named(&head, "/SYM64/")) {
            read_name(archive, &head, out->name);
            return 1;
        }
    }
    return rc;
}
