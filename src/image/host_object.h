/* Device code that is to be linked, as it comes in files of the host: object files with fat
 * binaries in them, and archives of those. Bounded: any bytes may come. Borrowed from the bytes,
 * which outlive it. No allocation; any thread. */
#ifndef WEFT_IMAGE_HOST_OBJECT_H
#define WEFT_IMAGE_HOST_OBJECT_H

#include <stdbool.h>

#include "image/elf_file.h"

#define WEFT_ARCHIVE_MEMBERS_MAX 65536
#define WEFT_ARCHIVE_NAME_BYTES 128

/* An object file, at the next of its fat binaries. */
struct weft_host_object {
    struct weft_elf elf;
    uint32_t section;
    uint64_t offset; /* within it */
};

/* WEFT_EPROTO where it is no ELF file of x86-64. */
int weft_host_object_open(struct weft_host_object *object, const void *bytes, size_t size,
                          struct weft_err *err);
/* 1 and the next fat binary with its own length, 0 behind the last, WEFT_EPROTO for a damaged one.
 */
int weft_host_object_next(struct weft_host_object *object, const uint8_t **fatbin, size_t *bytes,
                          struct weft_err *err);

/* An archive of ar, at the next of its members. */
struct weft_archive {
    const uint8_t *next;
    size_t left;
    const char *names; /* those too long for a member's head; NULL: none yet */
    size_t names_bytes;
    uint32_t members_left;
};

struct weft_archive_member {
    char name[WEFT_ARCHIVE_NAME_BYTES]; /* cut to fit */
    const uint8_t *bytes;
    size_t size;
};

/* WEFT_EPROTO where it is no archive, or a thin one, which has its members elsewhere. */
int weft_archive_open(struct weft_archive *archive, const void *bytes, size_t size,
                      struct weft_err *err);
/* 1 and the next member that is a file, 0 at the end, WEFT_EPROTO for a damaged head. */
int weft_archive_next(struct weft_archive *archive, struct weft_archive_member *out,
                      struct weft_err *err);

#endif
