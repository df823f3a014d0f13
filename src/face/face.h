/* The face: what a program links as libcuda.so.1. The first call, whichever it is,
 * opens the session and the backend, and from then on every exported function is one
 * jump through weft_face_table. */
#ifndef WEFT_FACE_FACE_H
#define WEFT_FACE_FACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/backend.h>
#include <weft/cuda_table.h>

#include "cuda/entries.h"
#include "face/visible.h"
#include "tenant/session.h"

enum weft_face_stage {
    WEFT_FACE_COLD,   /* nothing was tried, or a fork took it back */
    WEFT_FACE_READY,  /* the table is published */
    WEFT_FACE_FAILED, /* opening failed; cuInit tries again, every other call gets `failure` */
    WEFT_FACE_FORKED, /* a child of a process that used CUDA: nothing works here any more */
};

/* The one state of the face: the CUDA ABI passes none. */
struct weft_face {
    pthread_mutex_t lock; /* guards all of it, unless it says atomic */
    bool watches_forks;
    bool locked_by_fork;
    bool inherited; /* session and backend are the parent's, to be dropped before the next open */
    enum weft_face_stage stage;
    bool told_of_runtime;    /* atomic */
    CUresult failure;        /* atomic */
    bool driver_initialised; /* atomic; cuInit succeeded in this process */
    struct weft_session session;
    struct weft_face_visible visible;
    /* Those that are visible; the descriptors are the session's. */
    struct weft_device_grant devices[WEFT_DEVICES_MAX];
    const struct weft_backend *backend; /* borrowed, static; NULL where none was opened */
    enum weft_device_kind kind;         /* atomic; of all devices; 0 until `below` is there */
    int driver_version;                 /* atomic; 0 before it is known */
    bool missing[WEFT_CUDA_ENTRIES];    /* calls that an older real driver does not have */
    int trace_fd;                       /* owned unless it is stderr; 0 where nothing is traced */
    struct weft_cuda traced;            /* what a traced call hands on to */
    struct weft_cuda below; /* backend and tenant layers: what the face's own calls hand on to */
};
extern struct weft_face weft_face;

static inline enum weft_device_kind weft_face_kind(void)
{
    return __atomic_load_n(&weft_face.kind, __ATOMIC_ACQUIRE);
}

/* In symbols.S. */
extern struct weft_cuda weft_face_table;
extern const struct weft_cuda weft_face_boot_table;
extern const weft_cuda_fn weft_face_symbols[WEFT_CUDA_ENTRIES];

/* Called by the boot stub of entry `index`; returns the function to go on in. Any thread. */
weft_cuda_fn weft_face_boot(uint32_t index);

/* Opens session and backend and fills `table` with what the program is to call. Holds the lock. */
int weft_face_open(struct weft_face *face, struct weft_cuda *table, struct weft_err *err);
/* Drops what was opened, by a parent too, without touching what it still uses. Holds the lock. */
void weft_face_drop(struct weft_face *face);

/* Puts the calls that the face answers itself into the table: cuInit,
 * cuGetProcAddress, cuGetExportTable. */
void weft_face_calls_install(struct weft_face *face, struct weft_cuda *table);
/* Makes them forget the table below. */
void weft_face_calls_remove(struct weft_face *face);
/* What entry `index` does while there is no backend, or where a fork left none: all but the naming
 * of errors and the looking up of functions returns weft_face.failure. */
weft_cuda_fn weft_face_refusal(uint32_t index);

CUresult weft_face_get_proc_address(const char *symbol, void **pfn, int version, cuuint64_t flags);
CUresult weft_face_get_proc_address_v2(const char *symbol, void **pfn, int version,
                                       cuuint64_t flags, CUdriverProcAddressQueryResult *status);

/* The version that cuDriverGetVersion tells, or what our list is of while there is no backend. */
int weft_face_driver_version(void);

/* The one place where weft's errors become CUDA's. */
CUresult weft_face_result(int code);

#endif
