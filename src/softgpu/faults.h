/* What can go wrong with a GPU, by the numbers (Xids) under which NVIDIA's driver logs it, and what
 * programs see of it. A pure table, known to the driver, to weftd and to the command. */
#ifndef WEFT_SOFTGPU_FAULTS_H
#define WEFT_SOFTGPU_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_SOFT_XID_ECC 48
#define WEFT_SOFT_XID_FALLEN_OFF 79

enum weft_soft_reach {
    WEFT_SOFT_REACH_NONE,    /* it is logged and counted, programs go on */
    WEFT_SOFT_REACH_AT_WORK, /* contexts that have work on the device at that moment */
    WEFT_SOFT_REACH_DEVICE,  /* all contexts of the device */
};

/* What a device is after it; kept in the device page. */
enum weft_soft_state {
    WEFT_SOFT_HEALTHY,
    WEFT_SOFT_NEEDS_RESET, /* answers questions, takes no new context */
    WEFT_SOFT_LOST,        /* every call that names it fails */
};

struct weft_soft_xid {
    uint32_t number;
    uint32_t error; /* a CUresult, sticky in the contexts that it reaches; 0 with REACH_NONE */
    enum weft_soft_reach reach;
    enum weft_soft_state state; /* of the device, until it is cleared */
    bool is_double_bit;         /* counts as a double-bit ECC error */
    bool blames_device;         /* no program can be the cause: it may be started again */
    const char *text;
};

/* The table, by number; `count` entries. */
const struct weft_soft_xid *weft_soft_xids(size_t *count);
/* NULL where the number is not in the table. Any thread. */
const struct weft_soft_xid *weft_soft_xid_find(uint32_t number);
/* "healthy", "needs reset", "lost"; "unknown" for another number. */
const char *weft_soft_state_name(uint32_t state);

#endif
