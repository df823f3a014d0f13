/* What stands in the way of a program on the soft GPU, found without running it. */
#ifndef WEFT_CLI_INSPECT_H
#define WEFT_CLI_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_INSPECT_REASONS_MAX 16
#define WEFT_INSPECT_REASON_BYTES 512
#define WEFT_INSPECT_FILES_MAX 256 /* the program and the libraries that it needs */

struct weft_inspection {
    uint32_t sm; /* of the device asked about: 75 is 7.5 */
    uint32_t file_count, module_count, kernel_count;
    bool uses_cuda; /* it has device code, a runtime, or needs the driver */
    uint32_t reason_count;
    uint32_t more_reasons; /* those beyond WEFT_INSPECT_REASONS_MAX */
    char reasons[WEFT_INSPECT_REASONS_MAX][WEFT_INSPECT_REASON_BYTES];
};

/* Looks at the program and at the libraries that it is linked to; those that it opens while it runs
 * are not known. WEFT_ENOENT where it cannot be read, WEFT_EPROTO where it is no program for this
 * machine or damaged. */
int weft_inspect(struct weft_inspection *out, const char *path, uint32_t sm, struct weft_err *err);

#define WEFT_INSPECT_RUNTIMES 3
extern const char *const weft_inspect_runtime_names[WEFT_INSPECT_RUNTIMES];
/* Which of CUDA's runtimes the program is linked to, itself or by a library that it is linked to:
 * bit i is name i. A program without '/' is looked for in PATH. 0 for what is no program. */
uint32_t weft_inspect_runtimes(const char *program);

#endif
