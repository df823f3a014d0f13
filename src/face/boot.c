/* Opening on the first call, once, from any thread, and what a fork does to it. */
#include "face/face.h"

#include <errno.h>

#include "util/log.h"
#include "util/util.h"

struct weft_face weft_face = {
    .lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
    .session = {.fd = -1},
};

static CUresult not_initialised(void)
{
    return CUDA_ERROR_NOT_INITIALIZED;
}

static weft_cuda_fn entry_of(const struct weft_cuda *table, uint32_t index)
{
    return __atomic_load_n((const weft_cuda_fn *)table + index, __ATOMIC_ACQUIRE);
}

/* Word by word: a thread in the middle of a call finds the boot stub or the final function. */
static void publish(const struct weft_cuda *table)
{
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        __atomic_store_n(weft_cuda_slot(&weft_face_table, i), entry_of(table, (uint32_t)i),
                         __ATOMIC_RELEASE);
}

static void before_fork(void)
{
    weft_face.locked_by_fork = pthread_mutex_lock(&weft_face.lock) == 0;
}

static void after_fork_in_parent(void)
{
    if (weft_face.locked_by_fork)
        pthread_mutex_unlock(&weft_face.lock);
}

/* The parent's devices too: what it frees, or leaves behind when it dies, must not live on here. */
static void close_inherited(struct weft_session *session)
{
    weft_close_pointer(&session->fd);
    session->fd = -1;
    for (size_t i = 0; i < session->device_count; i++) {
        struct weft_device_grant *grant = &session->devices[i];
        if (grant->arena_fd >= 0)
            weft_close_pointer(&grant->arena_fd);
        if (grant->page_fd >= 0)
            weft_close_pointer(&grant->page_fd);
        grant->arena_fd = grant->page_fd = -1;
    }
}

/* Only stores, and closes descriptors: a lock of libc may be held by a thread that is not here. */
static void after_fork_in_child(void)
{
    struct weft_face *face = &weft_face;
    face->lock = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    if (face->stage == WEFT_FACE_FORKED)
        return;
    face->inherited = face->inherited || face->stage == WEFT_FACE_READY;
    close_inherited(&face->session);
    if (!face->driver_initialised) {
        face->stage = WEFT_FACE_COLD;
        publish(&weft_face_boot_table);
        return;
    }
    face->stage = WEFT_FACE_FORKED;
    face->failure = CUDA_ERROR_NOT_INITIALIZED;
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        *weft_cuda_slot(&weft_face_table, i) = weft_face_refusal((uint32_t)i);
}

/* Without it a child would go on in its parent's session. */
static int watch_forks(struct weft_face *face, struct weft_err *err)
{
    if (face->watches_forks)
        return 0;
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
        return weft_fail(err, WEFT_ENOMEM, "pthread_atfork: no memory");
    face->watches_forks = true;
    return 0;
}

static void try_open(struct weft_face *face)
{
    struct weft_err err = {0};
    struct weft_cuda table;
    weft_log_init(WEFT_LOG_NONE);
    if (face->inherited)
        weft_face_drop(face);
    int rc = watch_forks(face, &err);
    if (rc == 0)
        rc = weft_face_open(face, &table, &err);
    if (rc) {
        weft_log(WEFT_LOG_ERROR, "face", "cannot open: %s", err.text);
        __atomic_store_n(&face->failure, weft_face_result(rc), __ATOMIC_RELAXED);
        face->stage = WEFT_FACE_FAILED;
        return;
    }
    publish(&table);
    face->stage = WEFT_FACE_READY;
}

weft_cuda_fn weft_face_boot(uint32_t index)
{
    struct weft_face *face = &weft_face;
    /* A driver that calls back into libcuda while it is being opened would wait for itself. */
    if (pthread_mutex_lock(&face->lock) == EDEADLK)
        return (weft_cuda_fn)not_initialised;
    bool retry = face->stage == WEFT_FACE_FAILED && index == WEFT_CUDA_INDEX(cuInit);
    if (face->stage == WEFT_FACE_COLD || retry)
        try_open(face);
    weft_cuda_fn next = face->stage == WEFT_FACE_FAILED ? weft_face_refusal(index)
                                                        : entry_of(&weft_face_table, index);
    pthread_mutex_unlock(&face->lock);
    return next;
}
