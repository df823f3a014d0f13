/* What CUDA a program or library has inside: the basis of saying beforehand where it can run. */
#ifndef WEFT_IMAGE_PROGRAM_H
#define WEFT_IMAGE_PROGRAM_H

#include "image/elf_file.h"
#include "image/fatbin.h"

#define WEFT_PROGRAM_MODULES_MAX 4096

/* A fat binary that is registered when the program starts. */
struct weft_program_module {
    const uint8_t *fatbin; /* borrowed from the file */
    size_t bytes;          /* that follow it in the file */
    uint32_t version;      /* of its wrapper */
    bool is_relocatable;   /* of -rdc=true: linked with the others of its kind before it is used */
    bool has_ptx;          /* of any target */
    uint32_t cubin_count;
};

struct weft_program {
    struct weft_elf elf;
    bool has_shared_runtime; /* needs a libcudart.so */
    bool has_static_runtime; /* registers fat binaries, and has NVIDIA's runtime inside */
    bool has_own_runtime;    /* has weft's static runtime inside */
    bool needs_driver;       /* needs libcuda.so.1 */
    uint32_t module_count;
    struct weft_program_module *modules; /* owned */
};

/* WEFT_EPROTO, WEFT_ENOMEM. `bytes` outlive it. */
int weft_program_open(struct weft_program *program, const void *bytes, size_t size,
                      struct weft_err *err);
void weft_program_finish(struct weft_program *program);

#endif
