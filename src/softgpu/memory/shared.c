#include "softgpu/memory/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "softgpu/memory/memory.h"
#include "util/util.h"

#define MAGIC 0x73706766u
#define MAJOR 1
#define HEADER_BYTES 4096u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* How soon it is noticed that who paid has let go, or that an export was closed. */
#define LOOK_NS 10000000ull

/* Behind the memory, in the file's last page. */
struct header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t kind;
    uint32_t reserved;
    uint8_t uuid[WEFT_UUID_BYTES];
    uint64_t bytes;
    uint64_t charged_bytes; /* written by who pays */
};
_Static_assert(sizeof(struct header) == 48, "the header is the same in every process");

static struct weft_soft_shares *shares(void)
{
    return &weft_soft.memory->shares;
}

static void lock(void)
{
    pthread_mutex_lock(&shares()->lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&shares()->lock);
}

void weft_soft_shares_open(struct weft_soft_shares *all)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->work, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void destroy(struct weft_soft_shared *shared)
{
    if (shared->fd >= 0)
        close(shared->fd);
    free(shared);
}

void weft_soft_shares_close(struct weft_soft_shares *all)
{
    while (all->first) {
        struct weft_soft_shared *shared = all->first;
        all->first = shared->next;
        destroy(shared);
    }
}

/* -- who pays */

/* Takes the file's lock; false while another process has it. */
static bool take_turn(const struct weft_soft_shared *shared)
{
    struct flock wanted = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)shared->bytes, .l_len = 1};
    return fcntl(shared->fd, F_OFD_SETLK, &wanted) == 0;
}

static void leave_turn(const struct weft_soft_shared *shared)
{
    struct flock wanted = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)shared->bytes, .l_len = 1};
    fcntl(shared->fd, F_OFD_SETLK, &wanted);
}

static uint64_t read_charged(const struct weft_soft_shared *shared)
{
    uint64_t bytes = 0;
    off_t place = (off_t)(shared->bytes + offsetof(struct header, charged_bytes));
    if (pread(shared->fd, &bytes, sizeof(bytes), place) != (ssize_t)sizeof(bytes))
        return 0;
    return WEFT_MIN(bytes, shared->bytes);
}

void weft_soft_shared_note_charge(const struct weft_soft_shared *shared, uint64_t bytes)
{
    off_t place = (off_t)(shared->bytes + offsetof(struct header, charged_bytes));
    /* The file is there and large enough: it cannot fail. */
    ssize_t written = pwrite(shared->fd, &bytes, sizeof(bytes), place);
    (void)written;
}

/* Who paid is gone: what it paid for is this process' now, whatever its limit; the lock is held. */
static void adopt(struct weft_soft_shared *shared)
{
    struct weft_soft_device *device = shared->device;
    shared->charged_bytes = read_charged(shared);
    weft_ledger_charge(&device->account, 0, shared->charged_bytes, UINT64_MAX);
    if (weft_soft.charge)
        weft_soft.charge(device->ordinal, shared->charged_bytes, true);
    shared->pays = shared->adopted = true;
}

static void stop_paying(struct weft_soft_shared *shared)
{
    if (!shared->pays)
        return;
    leave_turn(shared);
    weft_soft_arena_discharge(shared->device, shared->charged_bytes);
    if (shared->adopted && weft_soft.discharge)
        weft_soft.discharge(shared->device->ordinal, shared->charged_bytes);
    shared->pays = false;
}

/* -- who has it */

static bool is_file(int fd, const struct weft_soft_shared *shared)
{
    struct statx status;
    return fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_INO, &status) == 0 &&
           status.stx_ino == shared->inode && status.stx_dev_major == shared->volume[0] &&
           status.stx_dev_minor == shared->volume[1];
}

/* Whether the program still has a descriptor that it was given. */
static bool is_exported(const struct weft_soft_shared *shared)
{
    for (int i = 0; i < WEFT_SOFT_SHARED_EXPORTS_MAX; i++) {
        if (is_file(shared->exports[i], shared))
            return true;
    }
    return false;
}

static void unlist(struct weft_soft_shared *shared)
{
    struct weft_soft_shared **place = &shares()->first;
    while (*place != shared)
        place = &(*place)->next;
    *place = shared->next;
}

/* One look at everything; true where there is reason for another. The lock is held. */
static bool look(void)
{
    bool again = false;
    for (struct weft_soft_shared *shared = shares()->first, *next; shared; shared = next) {
        next = shared->next;
        if (shared->references == 0 && !is_exported(shared)) {
            unlist(shared);
            stop_paying(shared);
            destroy(shared);
            continue;
        }
        if (!shared->pays && take_turn(shared))
            adopt(shared);
        again |= !shared->pays || shared->references == 0;
    }
    return again;
}

static void *keep(void *argument)
{
    struct weft_soft_shares *all = argument;
    pthread_mutex_lock(&all->lock);
    for (;;) {
        struct timespec until;
        if (!look()) {
            pthread_cond_wait(&all->work, &all->lock);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + LOOK_NS;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&all->work, &all->lock, &until);
    }
    return NULL;
}

/* The lock is held. Where there can be no keeper, charges stay where they are until the end. */
static void wake_keeper(void)
{
    struct weft_soft_shares *all = shares();
    if (!all->has_keeper)
        all->has_keeper = weft_soft_thread_create("weft-shared", keep, all) == 0;
    pthread_cond_signal(&all->work);
}

void weft_soft_shared_get(struct weft_soft_shared *shared)
{
    lock();
    shared->references++;
    unlock();
}

void weft_soft_shared_put(struct weft_soft_shared *shared)
{
    lock();
    if (--shared->references == 0 && look())
        wake_keeper();
    unlock();
}

/* -- making and finding */

/* The same file under a description of its own. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

static struct weft_soft_shared *new_shared(struct weft_soft_device *device,
                                           const struct header *header, int fd)
{
    struct statx status;
    struct weft_soft_shared *shared = calloc(1, sizeof(*shared));
    if (!shared)
        return NULL;
    *shared = (struct weft_soft_shared){.device = device,
                                        .kind = (enum weft_soft_shared_kind)header->kind,
                                        .bytes = header->bytes,
                                        .references = 1,
                                        .fd = open_again(fd)};
    memset(shared->exports, -1, sizeof(shared->exports));
    if (statx(shared->fd, "", AT_EMPTY_PATH, STATX_INO, &status)) {
        destroy(shared);
        return NULL;
    }
    shared->inode = status.stx_ino;
    shared->volume[0] = status.stx_dev_major;
    shared->volume[1] = status.stx_dev_minor;
    return shared;
}

static int make_file(const struct header *header)
{
    _cleanup_fd_ int fd = memfd_create("weft-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)(header->bytes + HEADER_BYTES)) ||
        pwrite(fd, header, sizeof(*header), (off_t)header->bytes) != (ssize_t)sizeof(*header) ||
        fcntl(fd, F_ADD_SEALS, SEALS))
        return -1;
    return weft_steal_fd(&fd);
}

static void list(struct weft_soft_shared *shared)
{
    shared->next = shares()->first;
    shares()->first = shared;
}

CUresult weft_soft_shared_create(struct weft_soft_device *device, enum weft_soft_shared_kind kind,
                                 uint64_t bytes, uint64_t charged_bytes,
                                 struct weft_soft_shared **out)
{
    struct header header = {.magic = MAGIC,
                            .major = MAJOR,
                            .kind = kind,
                            .bytes = bytes,
                            .charged_bytes = charged_bytes};
    memcpy(header.uuid, device->uuid, sizeof(header.uuid));
    CUresult result = weft_soft_arena_charge(device, charged_bytes);
    if (result)
        return result;
    _cleanup_fd_ int fd = make_file(&header);
    struct weft_soft_shared *shared = fd >= 0 ? new_shared(device, &header, fd) : NULL;
    if (!shared || !take_turn(shared)) {
        if (shared)
            destroy(shared);
        weft_soft_arena_discharge(device, charged_bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    shared->pays = true;
    shared->charged_bytes = charged_bytes;
    lock();
    list(shared);
    unlock();
    *out = shared;
    return CUDA_SUCCESS;
}

/* Whether the descriptor is one of our files, whole and for ever of its size. */
static bool read_header(int fd, enum weft_soft_shared_kind kind, struct header *header)
{
    struct statx status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS ||
        statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) || status.stx_size < HEADER_BYTES)
        return false;
    off_t place = (off_t)(status.stx_size - HEADER_BYTES);
    return pread(fd, header, sizeof(*header), place) == (ssize_t)sizeof(*header) &&
           header->magic == MAGIC && header->major == MAJOR && header->kind == (uint32_t)kind &&
           header->bytes == (uint64_t)place && header->bytes > 0 &&
           header->bytes % WEFT_SOFT_GRANULE_BYTES == 0;
}

static struct weft_soft_device *device_of(const struct header *header)
{
    for (size_t i = 0; i < weft_soft.device_count; i++) {
        if (memcmp(weft_soft.devices[i].uuid, header->uuid, sizeof(header->uuid)) == 0)
            return &weft_soft.devices[i];
    }
    return NULL;
}

/* Where this process has the file already, under a new reference. */
static struct weft_soft_shared *find_own(int fd)
{
    struct weft_soft_shared *shared;
    lock();
    for (shared = shares()->first; shared; shared = shared->next) {
        if (is_file(fd, shared))
            break;
    }
    if (shared)
        shared->references++;
    unlock();
    return shared;
}

/* Nobody pays for it, and now this process does, if it may. */
static CUresult begin_paying(struct weft_soft_shared *shared)
{
    uint64_t bytes = read_charged(shared);
    if (weft_soft.charge && !weft_soft.charge(shared->device->ordinal, bytes, false))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = weft_soft_arena_charge(shared->device, bytes);
    if (result) {
        if (weft_soft.discharge)
            weft_soft.discharge(shared->device->ordinal, bytes);
        return result;
    }
    shared->charged_bytes = bytes;
    shared->pays = shared->adopted = true;
    return CUDA_SUCCESS;
}

CUresult weft_soft_shared_import(int fd, enum weft_soft_shared_kind kind,
                                 struct weft_soft_shared **out)
{
    struct header header;
    if (!read_header(fd, kind, &header))
        return CUDA_ERROR_INVALID_VALUE;
    struct weft_soft_device *device = device_of(&header);
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    struct weft_soft_shared *shared = find_own(fd);
    if (shared) {
        *out = shared;
        return CUDA_SUCCESS;
    }
    shared = new_shared(device, &header, fd);
    if (!shared)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = take_turn(shared) ? begin_paying(shared) : CUDA_SUCCESS;
    if (result) {
        destroy(shared);
        return result;
    }
    lock();
    list(shared);
    if (!shared->pays)
        wake_keeper();
    unlock();
    *out = shared;
    return CUDA_SUCCESS;
}

CUresult weft_soft_shared_export(struct weft_soft_shared *shared, int *out)
{
    int fd = open_again(shared->fd);
    if (fd < 0)
        return CUDA_ERROR_OPERATING_SYSTEM;
    int place = 0;
    lock();
    while (place < WEFT_SOFT_SHARED_EXPORTS_MAX && shared->exports[place] != fd &&
           is_file(shared->exports[place], shared))
        place++;
    if (place < WEFT_SOFT_SHARED_EXPORTS_MAX)
        shared->exports[place] = fd;
    unlock();
    *out = fd;
    return CUDA_SUCCESS;
}
