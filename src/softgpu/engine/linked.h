/* What cuLinkComplete hands out for a cubin: the texts that were linked, one behind the other,
 * little-endian. It is linked again when it is loaded, so it holds nothing that a text could not.
 *
 *     u32 magic, u32 version, u64 bytes of all, u32 count, and so often:
 *     u16 length and name, u64 length and text */
#ifndef WEFT_SOFTGPU_ENGINE_LINKED_H
#define WEFT_SOFTGPU_ENGINE_LINKED_H

#include <stddef.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

/* Its first byte starts no text. */
#define WEFT_SOFT_LINKED_MAGIC 0x58545091u
#define WEFT_SOFT_LINKED_NAME_BYTES 256

struct weft_soft_linked_text {
    char name[WEFT_SOFT_LINKED_NAME_BYTES];
    char *text; /* owned by who fills it in */
    size_t bytes;
};

/* A list of them that grows; a zeroed one is empty. */
struct weft_soft_linked_texts {
    struct weft_soft_linked_text *items; /* owned, as are their texts */
    uint32_t count, room;
};
/* Takes `text` over, also where it fails: with WEFT_ENOMEM or, where there are too many to link,
 * WEFT_ERANGE. */
int weft_soft_linked_texts_add(struct weft_soft_linked_texts *texts, const char *name, char *text,
                               size_t bytes, struct weft_err *err);
void weft_soft_linked_texts_finish(struct weft_soft_linked_texts *texts);

/* The caller frees the image. WEFT_ENOMEM. */
int weft_soft_linked_write(void **image, size_t *bytes, const struct weft_soft_linked_text *texts,
                           uint32_t count, struct weft_err *err);
/* How long an image in memory says it is; its first words are there to be read. */
size_t weft_soft_linked_bytes(const void *image);
/* Parses and links; bodies are read late unless it is to be `whole`. WEFT_EPROTO for a damaged
 * image, and the errors of weft_ptx_parse_heads, weft_ptx_link and, where whole,
 * weft_ptx_read_body. */
int weft_soft_linked_read(struct weft_ptx_module **out, const void *image, size_t bytes, bool whole,
                          struct weft_err *err);

#endif
