#include "softgpu/ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/util.h"

#define MAGIC 0x74706766u
#define MAJOR 1
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int map_page(struct weft_soft_ticket *ticket, int fd, struct weft_err *err)
{
    void *page = mmap(NULL, WEFT_SOFT_TICKET_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return weft_fail(err, WEFT_ENOMEM, "map an IPC handle's page: %s", strerror(errno));
    ticket->page = page;
    return 0;
}

static int make_page(struct weft_soft_ticket *ticket, struct weft_err *err)
{
    ticket->fd = memfd_create("weft-ticket", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ticket->fd < 0 || ftruncate(ticket->fd, WEFT_SOFT_TICKET_BYTES) ||
        fcntl(ticket->fd, F_ADD_SEALS, SEALS))
        return weft_fail(err, WEFT_ENOMEM, "an IPC handle's page: %s", strerror(errno));
    return map_page(ticket, ticket->fd, err);
}

int weft_soft_ticket_create(struct weft_soft_ticket *ticket, enum weft_soft_ticket_kind kind,
                            struct weft_err *err)
{
    struct weft_soft_ticket made = {.fd = -1};
    uint64_t secret[2];
    int rc = make_page(&made, err);
    if (rc == 0 && getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        rc = weft_fail(err, WEFT_EIO, "no random numbers: %s", strerror(errno));
    if (rc) {
        weft_soft_ticket_finish(&made);
        return rc;
    }
    *made.page = (struct weft_soft_ticket_page){.magic = MAGIC, .major = MAJOR, .kind = kind};
    made.handle = (struct weft_soft_ticket_handle){
        .magic = MAGIC, .kind = kind, .pid = getpid(), .fd = made.fd};
    memcpy(made.page->secret, secret, sizeof(secret));
    memcpy(made.handle.secret, secret, sizeof(secret));
    *ticket = made;
    return 0;
}

int weft_soft_ticket_borrow(pid_t pid, int fd)
{
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
    int opened = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int seals = opened >= 0 ? fcntl(opened, F_GET_SEALS) : 0;
    /* What is not sealed is nothing of weft's. */
    if (opened >= 0 &&
        (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))) {
        close(opened);
        return -1;
    }
    return opened;
}

static bool is_the_page(const struct weft_soft_ticket *ticket)
{
    const struct weft_soft_ticket_page *page = ticket->page;
    return page->magic == MAGIC && page->major == MAJOR && page->kind == ticket->handle.kind &&
           memcmp(page->secret, ticket->handle.secret, sizeof(page->secret)) == 0 &&
           __atomic_load_n(&page->revoked, __ATOMIC_ACQUIRE) == 0;
}

int weft_soft_ticket_open(struct weft_soft_ticket *ticket, enum weft_soft_ticket_kind kind,
                          const char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES], struct weft_err *err)
{
    struct weft_soft_ticket found = {.fd = -1};
    memcpy(&found.handle, bytes, sizeof(found.handle));
    if (found.handle.magic != MAGIC || found.handle.kind != (uint32_t)kind ||
        found.handle.pid <= 0 || found.handle.fd < 0)
        return weft_fail(err, WEFT_EPROTO, "not an IPC handle of weft");
    _cleanup_fd_ int fd = weft_soft_ticket_borrow(found.handle.pid, found.handle.fd);
    if (fd < 0 || lseek(fd, 0, SEEK_END) != WEFT_SOFT_TICKET_BYTES)
        return weft_fail(err, WEFT_ENOENT, "process %d has no such IPC handle", found.handle.pid);
    int rc = map_page(&found, fd, err);
    if (rc == 0 && !is_the_page(&found))
        rc = weft_fail(err, WEFT_ENOENT, "what the IPC handle names is gone");
    if (rc)
        weft_soft_ticket_finish(&found);
    else
        *ticket = found;
    return rc;
}

void weft_soft_ticket_finish(struct weft_soft_ticket *ticket)
{
    if (ticket->page && ticket->fd >= 0)
        __atomic_store_n(&ticket->page->revoked, 1, __ATOMIC_RELEASE);
    if (ticket->page)
        munmap(ticket->page, WEFT_SOFT_TICKET_BYTES);
    if (ticket->fd > 0)
        close(ticket->fd);
    *ticket = (struct weft_soft_ticket){.fd = -1};
}

void weft_soft_ticket_write(const struct weft_soft_ticket *ticket,
                            char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES])
{
    memset(bytes, 0, WEFT_SOFT_TICKET_HANDLE_BYTES);
    memcpy(bytes, &ticket->handle, sizeof(ticket->handle));
}

bool weft_soft_ticket_is_own(const char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES])
{
    struct weft_soft_ticket_handle handle;
    memcpy(&handle, bytes, sizeof(handle));
    return handle.magic == MAGIC && handle.pid == getpid();
}
