/* Fat binaries: what nvcc embeds in a program, one module in several forms. Facts about the format
 * were found by looking at what nvcc writes.
 *
 *     wrapper, 24 bytes: u32 magic, u32 version, pointer to the fat binary, pointer: in version 2
 *                        to a zero-ended array of fat binaries that are to be linked
 *     header, 16 bytes:  u32 magic, u16 version, u16 bytes of the header, u64 bytes that follow
 *     entry, 64 or more: u16 kind, u16 version, u32 bytes of the head, u64 bytes of the payload,
 *                        u32@16 compressed bytes, u32@28 sm, u64@40 flags, u64@56 bytes unpacked
 *
 * Nothing is trusted: an image in a program's memory says itself how long it is, so it is read by
 * copies that fail where nothing is mapped. No allocation but for what is unpacked; any thread. */
#ifndef WEFT_IMAGE_FATBIN_H
#define WEFT_IMAGE_FATBIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_FATBIN_MAGIC 0xba55ed50u
#define WEFT_FATBIN_WRAPPER_MAGIC 0x466243b1u
#define WEFT_FATBIN_ENTRIES_MAX 4096
#define WEFT_FATBIN_LINKED_MAX 4096
#define WEFT_FATBIN_TEXT_BYTES_MAX ((size_t)1 << 30)

enum weft_fatbin_kind {
    WEFT_FATBIN_PTX = 1,
    WEFT_FATBIN_ELF = 2, /* machine code: a cubin. Other kinds are passed over by who searches */
};

/* A fat binary, at the next of its entries. */
struct weft_fatbin {
    const uint8_t *next; /* borrowed */
    uint64_t left;
    uint32_t entries_left;
};

struct weft_fatbin_entry {
    uint32_t kind; /* enum weft_fatbin_kind, or another number */
    uint32_t sm;   /* 75 is compute capability 7.5 */
    uint64_t flags;
    const uint8_t *payload; /* borrowed */
    uint64_t payload_bytes;
    uint64_t packed_bytes;   /* of the payload, 0 where it is not compressed */
    uint64_t unpacked_bytes; /* of a compressed one */
};

/* The fat binary itself, and what it is to be linked with. */
struct weft_fatbin_wrapper {
    const void *image;         /* borrowed; a fat binary's header */
    const void *const *linked; /* borrowed; zero-ended; NULL: none */
};

/* WEFT_EPROTO where it is no wrapper of a known version, or not readable. */
int weft_fatbin_unwrap(const void *memory, struct weft_fatbin_wrapper *out, struct weft_err *err);
/* Image number `index` of those to be linked; NULL behind the last. WEFT_EPROTO, WEFT_ERANGE. */
int weft_fatbin_linked(const struct weft_fatbin_wrapper *wrapper, uint32_t index, const void **out,
                       struct weft_err *err);

/* At its first entry. `bytes` bounds it from outside, SIZE_MAX where only its header says how long
 * it is. WEFT_EPROTO. */
int weft_fatbin_open(struct weft_fatbin *out, const void *image, size_t bytes,
                     struct weft_err *err);
/* 1 and the next entry, 0 at the end, WEFT_EPROTO where the head contradicts itself or its place.
 */
int weft_fatbin_next(struct weft_fatbin *fatbin, struct weft_fatbin_entry *out,
                     struct weft_err *err);
/* The PTX with the highest target at or under `sm`: 1, or 0 where there is none, and then *cubins
 * counts its machine code and *lowest_sm is the lowest target of its PTX, 0 without any. Outputs
 * may be NULL. WEFT_EPROTO. */
int weft_fatbin_choose(struct weft_fatbin fatbin, uint32_t sm, struct weft_fatbin_entry *out,
                       uint32_t *cubins, uint32_t *lowest_sm, struct weft_err *err);
/* The payload, unpacked, with a zero behind it and without the zeros that pad a text. The caller
 * frees it. WEFT_EPROTO, WEFT_ERANGE, WEFT_ENOMEM, WEFT_ENOSYS for an unknown compression. */
int weft_fatbin_unpack(const struct weft_fatbin_entry *entry, char **out, size_t *bytes,
                       struct weft_err *err);

/* Copies memory of this process that may not be there. False where a part of it is not mapped. */
bool weft_image_copy(void *to, const void *from, size_t bytes);

#endif
