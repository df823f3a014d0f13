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
#include "softgpu/shared_file.h"
#include "util/util.h"

#define HEADER_BYTES WEFT_SHARED_FILE_HEADER_BYTES
#define SEALS WEFT_SHARED_FILE_SEALS
/* How soon it is noticed that who paid has let go, or that an export was closed. */
#define LOOK_NS 10000000ull

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

/* The same file under a description of its own. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* -- who pays */

static bool take_turn(const struct weft_soft_shared *shared)
{
    return weft_shared_file_lock(shared->fd, shared->bytes, WEFT_SHARED_FILE_PAYER, F_WRLCK);
}

static void leave_turn(const struct weft_soft_shared *shared)
{
    weft_shared_file_lock(shared->fd, shared->bytes, WEFT_SHARED_FILE_PAYER, F_UNLCK);
}

/* Whether no other process pays. */
static bool is_turn_free(const struct weft_soft_shared *shared)
{
    return weft_shared_file_is_free(shared->fd, shared->bytes, WEFT_SHARED_FILE_PAYER);
}

/* Whether another open file leads to the memory: another process', or a descriptor that the program
 * was given, wherever that has gone. */
static bool has_others(const struct weft_soft_shared *shared)
{
    return !weft_shared_file_is_free(shared->fd, shared->bytes, WEFT_SHARED_FILE_HOLDER);
}

/* One of the header's numbers. The file is there and large enough: neither can fail. */
static uint64_t read_number(const struct weft_soft_shared *shared, size_t field)
{
    uint64_t number = 0;
    ssize_t got = pread(shared->fd, &number, sizeof(number), (off_t)(shared->bytes + field));
    return got == (ssize_t)sizeof(number) ? number : 0;
}

static void write_number(const struct weft_soft_shared *shared, size_t field, uint64_t number)
{
    ssize_t written = pwrite(shared->fd, &number, sizeof(number), (off_t)(shared->bytes + field));
    (void)written;
}

static uint64_t read_charged(const struct weft_soft_shared *shared)
{
    uint64_t bytes = read_number(shared, offsetof(struct weft_shared_file_header, charged_bytes));
    return WEFT_MIN(bytes, shared->bytes);
}

static bool was_paid_by_this_tenant(const struct weft_soft_shared *shared)
{
    size_t field = offsetof(struct weft_shared_file_header, payer_tenant);
    return weft_soft.tenant_id && read_number(shared, field) == weft_soft.tenant_id;
}

void weft_soft_shared_note_charge(const struct weft_soft_shared *shared, uint64_t bytes)
{
    write_number(shared, offsetof(struct weft_shared_file_header, charged_bytes), bytes);
}

static void discharge(struct weft_soft_shared *shared, uint64_t bytes, bool tenant_too)
{
    weft_soft_arena_discharge(shared->device, bytes);
    if (tenant_too && weft_soft.discharge)
        weft_soft.discharge(shared->device->ordinal, bytes);
}

/* Pays from now on where no other does. What is charged first and locked then is never without a
 * charge while it is locked; where another was faster, this process pays nothing. False where it
 * may not. The device has the memory charged already, to who paid or in his place. */
static bool begin_paying(struct weft_soft_shared *shared, bool over_limit)
{
    struct weft_soft_device *device = shared->device;
    uint64_t bytes = read_charged(shared);
    if (!is_turn_free(shared))
        return true;
    if (weft_soft.charge && !weft_soft.charge(device->ordinal, bytes, over_limit))
        return false;
    weft_ledger_charge(&device->account, 0, bytes, UINT64_MAX);
    if (!take_turn(shared)) {
        discharge(shared, bytes, true);
        return true;
    }
    write_number(shared, offsetof(struct weft_shared_file_header, payer_tenant),
                 weft_soft.tenant_id);
    shared->charged_bytes = bytes;
    shared->pays = shared->adopted = true;
    return true;
}

static void stop_paying(struct weft_soft_shared *shared)
{
    discharge(shared, shared->charged_bytes, shared->adopted);
    shared->pays = shared->adopted = shared->leaves = false;
}

/* Who limits this process is about to count less, since the program lets go; as long as somebody
 * else has the memory it is counted here. */
static void count_for_others(struct weft_soft_shared *shared)
{
    if (!shared->pays || shared->adopted || !has_others(shared))
        return;
    if (weft_soft.charge)
        weft_soft.charge(shared->device->ordinal, shared->charged_bytes, true);
    shared->adopted = true;
}

/* The process has no use for the file any more. It pays until another one does, or nobody has the
 * memory; then it is true. */
static bool has_left(struct weft_soft_shared *shared)
{
    if (!shared->pays)
        return true;
    bool others = has_others(shared);
    if (others && !shared->leaves) {
        count_for_others(shared);
        shared->leaves = true;
        leave_turn(shared);
        return false;
    }
    if (others && is_turn_free(shared))
        return false;
    stop_paying(shared);
    return true;
}

/* The process was about to leave, and has the memory again. */
static void come_back(struct weft_soft_shared *shared)
{
    if (take_turn(shared))
        shared->leaves = false;
    else
        stop_paying(shared);
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

/* Says that this process has the file, so that its charge outlives it while others have it. */
static bool announce(struct weft_soft_shared *shared)
{
    if (shared->announced || !weft_soft.share)
        return true;
    _cleanup_fd_ int fd = open_again(shared->fd);
    shared->announced = fd >= 0 && weft_soft.share(shared->device->ordinal, shared->inode, fd);
    return shared->announced;
}

static void forget(struct weft_soft_shared *shared)
{
    struct weft_soft_shared **place = &shares()->first;
    while (*place != shared)
        place = &(*place)->next;
    *place = shared->next;
    if (shared->announced)
        weft_soft.share(shared->device->ordinal, shared->inode, -1);
    destroy(shared);
}

/* One look at everything; true where there is reason for another. The lock is held. */
static bool look(void)
{
    bool again = false;
    for (struct weft_soft_shared *shared = shares()->first, *next; shared; shared = next) {
        next = shared->next;
        if (shared->references == 0 && !is_exported(shared)) {
            if (has_left(shared))
                forget(shared);
            else
                again = true;
            continue;
        }
        if (shared->leaves)
            come_back(shared);
        /* Who paid is gone: what it paid for is this process' now, whatever its limit. */
        if (!shared->pays)
            begin_paying(shared, true);
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
    if (--shared->references == 0) {
        count_for_others(shared);
        if (look())
            wake_keeper();
    }
    unlock();
}

/* -- making and finding */

/* Marks an open file as one that leads to the memory. */
static bool has_it(int fd, uint64_t bytes)
{
    return fd >= 0 && weft_shared_file_lock(fd, bytes, WEFT_SHARED_FILE_HOLDER, F_RDLCK);
}

static struct weft_soft_shared *new_shared(struct weft_soft_device *device,
                                           const struct weft_shared_file_header *header, int fd)
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
    if (!has_it(shared->fd, shared->bytes) ||
        statx(shared->fd, "", AT_EMPTY_PATH, STATX_INO, &status)) {
        destroy(shared);
        return NULL;
    }
    shared->inode = status.stx_ino;
    shared->volume[0] = status.stx_dev_major;
    shared->volume[1] = status.stx_dev_minor;
    return shared;
}

static int make_file(const struct weft_shared_file_header *header)
{
    _cleanup_fd_ int fd = memfd_create(WEFT_SHARED_FILE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
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
    struct weft_shared_file_header header = {.magic = WEFT_SHARED_FILE_MAGIC,
                                             .major = WEFT_SHARED_FILE_MAJOR,
                                             .kind = kind,
                                             .bytes = bytes,
                                             .charged_bytes = charged_bytes,
                                             .payer_tenant = weft_soft.tenant_id};
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
static bool read_header(int fd, enum weft_soft_shared_kind kind,
                        struct weft_shared_file_header *header)
{
    struct statx status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS ||
        statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status) || status.stx_size < HEADER_BYTES)
        return false;
    off_t place = (off_t)(status.stx_size - HEADER_BYTES);
    return pread(fd, header, sizeof(*header), place) == (ssize_t)sizeof(*header) &&
           header->magic == WEFT_SHARED_FILE_MAGIC && header->major == WEFT_SHARED_FILE_MAJOR &&
           header->kind == (uint32_t)kind && header->bytes == (uint64_t)place &&
           header->bytes > 0 && header->bytes % WEFT_SOFT_GRANULE_BYTES == 0;
}

static struct weft_soft_device *device_of(const struct weft_shared_file_header *header)
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

CUresult weft_soft_shared_import(int fd, enum weft_soft_shared_kind kind,
                                 struct weft_soft_shared **out)
{
    struct weft_shared_file_header header;
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
    lock();
    list(shared);
    /* What the tenant has been charged for all the time is not refused to one of its processes. */
    CUresult result = !announce(shared) ? CUDA_ERROR_OPERATING_SYSTEM
                      : begin_paying(shared, was_paid_by_this_tenant(shared))
                          ? CUDA_SUCCESS
                          : CUDA_ERROR_OUT_OF_MEMORY;
    if (result)
        forget(shared);
    else if (!shared->pays)
        wake_keeper();
    unlock();
    if (result)
        return result;
    *out = shared;
    return CUDA_SUCCESS;
}

CUresult weft_soft_shared_export(struct weft_soft_shared *shared, int *out)
{
    _cleanup_fd_ int fd = open_again(shared->fd);
    if (!has_it(fd, shared->bytes))
        return CUDA_ERROR_OPERATING_SYSTEM;
    int place = 0;
    lock();
    if (!announce(shared)) {
        unlock();
        return CUDA_ERROR_OPERATING_SYSTEM;
    }
    while (place < WEFT_SOFT_SHARED_EXPORTS_MAX && shared->exports[place] != fd &&
           is_file(shared->exports[place], shared))
        place++;
    if (place < WEFT_SOFT_SHARED_EXPORTS_MAX)
        shared->exports[place] = fd;
    unlock();
    *out = weft_steal_fd(&fd);
    return CUDA_SUCCESS;
}
