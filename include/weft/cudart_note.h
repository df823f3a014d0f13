/* The ELF note in weft's CUDA runtime, and so in every program that holds it: who looks at a
 * program sees whose runtime is inside. Any program may claim it; a false claim comes out when it
 * runs. */
#ifndef WEFT_CUDART_NOTE_H
#define WEFT_CUDART_NOTE_H

#include <stdint.h>

#define WEFT_CUDART_NOTE_SECTION ".note.weft.cudart"
#define WEFT_CUDART_NOTE_OWNER "weft"
#define WEFT_CUDART_NOTE_TYPE 1

/* As ELF lays a note out: sizes, type, owner and content, in words of four bytes. */
struct weft_cudart_note {
    uint32_t owner_bytes, content_bytes, type;
    char owner[sizeof(WEFT_CUDART_NOTE_OWNER)];
    char filled[3]; /* up to the next word */
    uint32_t major; /* of CUDA */
};
_Static_assert(sizeof(struct weft_cudart_note) == 24, "an ELF note has no other gaps");

#endif
