/* Device memory in a file of its own, which other processes of the same device may map too.
 *
 * Such memory is charged to one process. Who that is says a lock on the file (shared_file.h): who
 * pays holds it, and charged the memory before; the kernel takes it away when that process dies.
 * The others look for it now and then, and the first that gets it pays from then on. Who lets go
 * pays until another does. For who dies weftd does, which was told of the file: it keeps the dead
 * one's charge as long as somebody has the memory and nobody pays. So at no instant is memory that
 * somebody has charged to nobody; while the charge moves it is counted twice. An export, wherever
 * its descriptor is, counts as having the memory. */
#ifndef WEFT_SOFTGPU_MEMORY_SHARED_H
#define WEFT_SOFTGPU_MEMORY_SHARED_H

#include <pthread.h>

#include "softgpu/soft.h"

#define WEFT_SOFT_SHARED_EXPORTS_MAX 16

enum weft_soft_shared_kind {
    WEFT_SOFT_SHARED_PHYSICAL = 1, /* of cuMemCreate */
    WEFT_SOFT_SHARED_POOL = 2,
};

/* One file as this process has it. */
struct weft_soft_shared {
    struct weft_soft_shared *next; /* the lock; the process' others */
    struct weft_soft_device *device;
    enum weft_soft_shared_kind kind;
    uint64_t bytes; /* of memory */
    int fd;         /* owned; an open file of our own, since a lock belongs to that */
    uint64_t inode;
    uint32_t volume[2];
    uint32_t references;    /* the lock */
    bool pays;              /* the lock */
    bool leaves;            /* the lock; it pays, and lets anybody else do so */
    bool adopted;           /* the lock; who limits this process was told that it pays */
    bool announced;         /* the lock; weftd was told that this process has it */
    uint64_t charged_bytes; /* the lock; while it pays */
    int exports[WEFT_SOFT_SHARED_EXPORTS_MAX]; /* the lock; the program's; -1 is none */
};

/* All files of the process. */
struct weft_soft_shares {
    pthread_mutex_t lock; /* before the memory lock */
    pthread_cond_t work;  /* the keeper has something to look after */
    struct weft_soft_shared *first;
    bool has_keeper;
};

void weft_soft_shares_open(struct weft_soft_shares *shares);
/* After a fork: the child gives up its copies. */
void weft_soft_shares_close(struct weft_soft_shares *shares);

/* Memory, all zeros, under a reference; `charged_bytes` of it are charged now. OUT_OF_MEMORY. */
CUresult weft_soft_shared_create(struct weft_soft_device *device, enum weft_soft_shared_kind kind,
                                 uint64_t bytes, uint64_t charged_bytes,
                                 struct weft_soft_shared **out);
/* The memory behind a descriptor of the program, under a reference; where nobody else pays for it,
 * it is charged. INVALID_VALUE for anything but memory of that kind, INVALID_DEVICE for memory of a
 * device that this process does not have, OUT_OF_MEMORY, OPERATING_SYSTEM. */
CUresult weft_soft_shared_import(int fd, enum weft_soft_shared_kind kind,
                                 struct weft_soft_shared **out);
/* A descriptor for the program, which closes it. */
CUresult weft_soft_shared_export(struct weft_soft_shared *shared, int *fd);
/* What the next one would pay for, of memory of which this process pays the parts by itself. */
void weft_soft_shared_note_charge(const struct weft_soft_shared *shared, uint64_t bytes);
void weft_soft_shared_get(struct weft_soft_shared *shared);
void weft_soft_shared_put(struct weft_soft_shared *shared);

#endif
