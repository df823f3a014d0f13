/* VMM memory is charged once, when it is created, and given back when its last handle, mapping and
 * export is gone.
 *
 * An export is a descriptor that the program may hand on and close without our seeing it. So memory
 * whose handles and mappings are gone is kept charged until its descriptor is seen to be closed.
 * What an importer in another process holds after that is not charged to anybody: that importer's
 * process cannot be told from here. A backend that can tell (weft_quota_config.exports_are_counted)
 * has charged the process by then for what others have, and nothing is kept here. */
#include "tenant/quota_vmm.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

#define EXPORTS_MAX 16

struct export
{
    int fd; /* borrowed: the program's; -1 is none */
    struct statx status;
};

/* All but the first two fields are guarded by the lock. */
struct weft_quota_memory {
    uint64_t bytes;
    uint32_t device;
    uint32_t references; /* handles and mappings */
    bool listed;
    bool exported_unseen; /* in a form whose end cannot be seen: charged until the process ends */
    struct export exports[EXPORTS_MAX];
    struct weft_quota_memory *next; /* of those that were exported */
};

static struct {
    pthread_mutex_t lock;
    struct weft_quota_memory *exported;
    uint32_t lingering; /* atomic: how many of the exported nothing else refers to */
} memories;

void weft_quota_vmm_lock(void)
{
    pthread_mutex_lock(&memories.lock);
}

void weft_quota_vmm_unlock(void)
{
    pthread_mutex_unlock(&memories.lock);
}

struct weft_quota_memory *weft_quota_memory_create(uint64_t bytes, uint32_t device)
{
    struct weft_quota_memory *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return NULL;
    memory->bytes = bytes;
    memory->device = device;
    for (int i = 0; i < EXPORTS_MAX; i++)
        memory->exports[i].fd = -1;
    return memory;
}

/* statx, because the C library's fstat is newer than the oldest system that we run on. */
static bool file_status(int fd, struct statx *status)
{
    return fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, status) == 0;
}

static bool same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

static bool export_open(const struct export *export)
{
    struct statx now;
    return file_status(export->fd, &now) && same_file(&now, &export->status);
}

/* Whether an export is still open, as far as can be seen from this process. */
static bool memory_exported(const struct weft_quota_memory *memory)
{
    if (memory->exported_unseen)
        return true;
    for (int i = 0; i < EXPORTS_MAX; i++) {
        if (export_open(&memory->exports[i]))
            return true;
    }
    return false;
}

void weft_quota_memory_destroy(struct weft_quota_memory *memory)
{
    weft_quota_release(memory->device, memory->bytes);
    free(memory);
}

static void memory_unlist(struct weft_quota_memory *memory)
{
    struct weft_quota_memory **link = &memories.exported;
    while (*link && *link != memory)
        link = &(*link)->next;
    if (*link)
        *link = memory->next;
}

void weft_quota_memory_put(struct weft_quota_memory *memory)
{
    if (--memory->references > 0)
        return;
    if (!weft_quota.exports_are_counted && memory_exported(memory)) {
        __atomic_add_fetch(&memories.lingering, 1, __ATOMIC_RELEASE);
        return;
    }
    if (memory->listed)
        memory_unlist(memory);
    weft_quota_memory_destroy(memory);
}

void weft_quota_memory_get(struct weft_quota_memory *memory)
{
    if (memory->references++ == 0 && memory->listed)
        __atomic_sub_fetch(&memories.lingering, 1, __ATOMIC_RELEASE);
}

void weft_quota_vmm_reap(void)
{
    if (__atomic_load_n(&memories.lingering, __ATOMIC_ACQUIRE) == 0)
        return;
    weft_quota_vmm_lock();
    for (struct weft_quota_memory **link = &memories.exported; *link;) {
        struct weft_quota_memory *memory = *link;
        if (memory->references > 0 || memory_exported(memory)) {
            link = &memory->next;
            continue;
        }
        *link = memory->next;
        __atomic_sub_fetch(&memories.lingering, 1, __ATOMIC_RELEASE);
        weft_quota_memory_destroy(memory);
    }
    weft_quota_vmm_unlock();
}

static void memory_list(struct weft_quota_memory *memory)
{
    if (memory->listed)
        return;
    memory->listed = true;
    memory->next = memories.exported;
    memories.exported = memory;
}

void weft_quota_memory_note_export(struct weft_quota_memory *memory, int fd)
{
    struct export noted = {.fd = fd};
    memory_list(memory);
    bool known = file_status(fd, &noted.status);
    for (int i = 0; i < EXPORTS_MAX && known; i++) {
        if (!export_open(&memory->exports[i])) {
            memory->exports[i] = noted;
            return;
        }
    }
    memory->exported_unseen = true; /* rather charged too long than not at all */
}

/* Device nodes are the same file for every export, so only regular files tell. */
struct weft_quota_memory *weft_quota_memory_exported_as(int fd)
{
    struct statx status;
    if (!file_status(fd, &status) || !S_ISREG(status.stx_mode))
        return NULL;
    for (struct weft_quota_memory *memory = memories.exported; memory; memory = memory->next) {
        for (int i = 0; i < EXPORTS_MAX; i++) {
            if (memory->exports[i].fd >= 0 && same_file(&memory->exports[i].status, &status))
                return memory;
        }
    }
    return NULL;
}

void weft_quota_memory_reset(void)
{
    pthread_mutex_init(&memories.lock, NULL);
    memories.exported = NULL;
    memories.lingering = 0;
}
