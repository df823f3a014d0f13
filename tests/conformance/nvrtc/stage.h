/* Where compiled kernels run: the reference, the executor, or a CUDA driver. The checks know only
 * this. */
#ifndef WEFT_TESTS_CONFORMANCE_NVRTC_STAGE_H
#define WEFT_TESTS_CONFORMANCE_NVRTC_STAGE_H

#include <stddef.h>
#include <stdint.h>

#define STAGE_ARGUMENTS_MAX 8

struct stage_argument {
    const void *value;
    size_t bytes, align;
};
#define STAGE_ARGUMENT(x)                        \
    {                                            \
        &(x), sizeof(x), _Alignof(__typeof__(x)) \
    }

struct stage_launch {
    const char *kernel;
    unsigned grid[3], block[3];
    unsigned shared_bytes;
    unsigned argument_count;
    struct stage_argument arguments[STAGE_ARGUMENTS_MAX];
    unsigned cluster; /* blocks of a cluster, along x; 0: not stated. The driver's alone */
};

/* All but `alloc` return 0, or print why not and return -1. Memory is zeroed, and freed with the
 * next `load`. */
struct stage {
    const char *name;
    int (*load)(struct stage *stage, const char *ptx);
    uint64_t (*alloc)(struct stage *stage, size_t bytes);
    int (*write)(struct stage *stage, uint64_t to, const void *from, size_t bytes);
    int (*read)(struct stage *stage, void *to, uint64_t from, size_t bytes);
    int (*launch)(struct stage *stage, const struct stage_launch *launch);
};

/* One file of kernels, and the function that runs them and looks at what they give: 0 where all is
 * right. */
struct check {
    const char *file;
    int (*run)(struct stage *stage);
    unsigned least; /* the architecture from which on, 90 of compute_90; 0: any */
};
/* What the program runs: table.c or table_newer.c. */
extern const struct check checks[];
extern const size_t check_count;
/* Ended by 0. A device that is older leaves the rest out. */
extern const unsigned check_architectures[];

/* Compiles kernels/FILE.cu for `architecture` (75); the text is the caller's to free. NULL, with
 * the compiler's log printed, where it does not compile. */
char *compile_kernels(const char *file, unsigned architecture);
/* Why there is no compiler here, or no toolkit's headers where they are needed; NULL where they are
 * there. */
const char *compile_unavailable(void);
const char *compile_headers_unavailable(void);

/* Runs all checks for all architectures from `oldest` to `newest`; the number that failed. */
int stage_run_checks(struct stage *stage, unsigned oldest, unsigned newest);

#endif
