/* The seam between the face and whoever executes the calls. A backend fills the whole typed table
 * of CUDA driver calls (struct weft_cuda, generated from api/); tenant layers then replace the few
 * entries that they care about. */
#ifndef WEFT_BACKEND_H
#define WEFT_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

struct weft_cuda;

#define WEFT_BACKEND_VERSION 1
#define WEFT_DEVICES_MAX 16
#define WEFT_PROFILE_BYTES 32
#define WEFT_UUID_BYTES 16

enum weft_device_kind {
    WEFT_DEVICE_NATIVE = 1,
    WEFT_DEVICE_SOFT = 2,
    WEFT_DEVICE_REMOTE = 3,
};

/* One device as weftd granted it to this process; the program sees them as
 * ordinals 0, 1, … in this order. */
struct weft_device_grant {
    enum weft_device_kind kind;
    uint8_t uuid[WEFT_UUID_BYTES];
    uint32_t native_index;            /* native: index in the driver's own order */
    char profile[WEFT_PROFILE_BYTES]; /* soft: "small", "t4", … */
    int arena_fd;  /* soft: this process' device memory, a sparse memfd; -1 elsewhere */
    int page_fd;   /* soft: the device's shared page, see softgpu/device_page.h; -1 elsewhere */
    uint32_t slot; /* soft: this process' slot in that page */
};

/* What has ended a context. */
struct weft_device_fault {
    uint32_t error;   /* a CUresult: the context's from now on */
    uint32_t xid;     /* where somebody injected it; 0: the program's own doing */
    const char *text; /* for a person; empty where he has been told already */
};

struct weft_backend_config {
    const struct weft_device_grant
        *devices; /* borrowed, outlives the backend; the descriptors in it are borrowed too */
    size_t device_count;
    /* Hands a sentence for a person to weftd, and `weft run` prints it. Any thread, never blocks,
     * may drop. */
    void (*report)(const char *text);
    /* The same of a fault that ends a context on the device; once a context. NULL: `report` has to
     * do. */
    void (*fault)(uint32_t ordinal, const struct weft_device_fault *fault);
    /* This process begins or ends to pay for device memory that another one allocated and shared
     * with it: where that one let go or died, and at the import of what nobody pays for. Who limits
     * the process counts it. `charge` answers false where that would be over the limit, unless
     * `over_limit`. Any thread; but for the pools that `charge` without `over_limit` trims, they
     * call nothing of the backend. NULL: nobody counts. */
    bool (*charge)(uint32_t ordinal, uint64_t bytes, bool over_limit);
    void (*discharge)(uint32_t ordinal, uint64_t bytes);
    /* This process has device memory in a file that other processes may have too (`fd`, borrowed),
     * or has it no more (-1). `file` is the file's number. Where the process dies, what it paid for
     * the file stays charged until another one pays or nobody has it. False where that cannot be
     * said: then the memory must not be shared. Any thread, calls nothing of the backend; may wait
     * for a busy weftd. NULL: nobody has to know. */
    bool (*share)(uint32_t ordinal, uint64_t file, int fd);
    uint64_t tenant_id; /* the same in all processes that are limited together; 0: not known */
};

struct weft_backend {
    uint32_t version; /* WEFT_BACKEND_VERSION */
    const char *name;
    /* Fills every entry of `table`. Called once a process before any other; must not start threads:
     * the program may still fork, and a child that forked before cuInit opens the backend anew. */
    int (*open)(const struct weft_backend_config *config, struct weft_cuda *table,
                struct weft_err *err);
    /* In a child forked before cuInit: drops what `open` made, without touching what the parent
     * still uses. */
    void (*drop_after_fork)(void);
};

/* Each backend module (backend-soft.so, backend-remote.so) exports one
 * symbol of this type and name. */
#define WEFT_BACKEND_SYMBOL "weft_backend_describe"
typedef const struct weft_backend *(*weft_backend_describe_fn)(void);

#endif
