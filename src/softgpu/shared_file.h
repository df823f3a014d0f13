/* The file behind device memory that several processes have: the memory, and a page behind it that
 * says what it is. Two locks on that page (open file description locks, which the kernel takes from
 * who dies) say who pays for the memory and who has it, to the processes and to weftd. */
#ifndef WEFT_SOFTGPU_SHARED_FILE_H
#define WEFT_SOFTGPU_SHARED_FILE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <weft/backend.h>

#define WEFT_SHARED_FILE_NAME "weft-shared" /* of the memfd */
#define WEFT_SHARED_FILE_MAGIC 0x73706766u
#define WEFT_SHARED_FILE_MAJOR 2
#define WEFT_SHARED_FILE_HEADER_BYTES 4096u
#define WEFT_SHARED_FILE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct weft_shared_file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t kind;
    uint32_t reserved;
    uint8_t uuid[WEFT_UUID_BYTES];
    uint64_t bytes;
    uint64_t charged_bytes; /* written by who pays */
    uint64_t payer_tenant;  /* of who pays, or paid last */
};
_Static_assert(sizeof(struct weft_shared_file_header) == 56, "the same in every process");

/* Bytes of the header's page that are locked. */
enum weft_shared_file_lock {
    WEFT_SHARED_FILE_PAYER = 0,  /* for writing, by who pays */
    WEFT_SHARED_FILE_HOLDER = 1, /* for reading, by every open file that leads to the memory */
};

static inline struct flock weft_shared_file_range(uint64_t bytes, enum weft_shared_file_lock lock,
                                                  short type)
{
    return (struct flock){.l_type = type,
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)(bytes + (uint64_t)lock),
                          .l_len = 1};
}

/* Takes a lock of a file of so many bytes of memory, or gives it back: F_RDLCK, F_WRLCK, F_UNLCK.
 * False where somebody else has it. */
static inline bool weft_shared_file_lock(int fd, uint64_t bytes, enum weft_shared_file_lock lock,
                                         short type)
{
    struct flock range = weft_shared_file_range(bytes, lock, type);
    return fcntl(fd, F_OFD_SETLK, &range) == 0;
}

/* Whether no other open file than this one has the lock. */
static inline bool weft_shared_file_is_free(int fd, uint64_t bytes, enum weft_shared_file_lock lock)
{
    struct flock range = weft_shared_file_range(bytes, lock, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_UNLCK;
}

#endif
