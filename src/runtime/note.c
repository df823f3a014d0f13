/* Says that this runtime is weft's, in a note that a linker takes over into the program: `weft
 * check` tells by it a program with our static runtime from one with NVIDIA's. */
#include <weft/cudart_abi.h>
#include <weft/cudart_note.h>

const struct weft_cudart_note weft_cudart_note
    __attribute__((section(WEFT_CUDART_NOTE_SECTION), used, aligned(4))) = {
        .owner_bytes = sizeof(weft_cudart_note.owner),
        .content_bytes = sizeof(weft_cudart_note.major),
        .type = WEFT_CUDART_NOTE_TYPE,
        .owner = WEFT_CUDART_NOTE_OWNER,
        .major = WEFT_CUDART_MAJOR};
