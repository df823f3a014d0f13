/* Tickets: how the 64 bytes of a CUDA IPC handle lead another process to what they name.
 *
 * A ticket is a sealed page in a memfd of the process that hands it out. The handle names that
 * process, its descriptor and a secret number that stands in the page, so it can be neither guessed
 * nor made stale by a number that is used again. The page is opened through /proc, so the kernel
 * decides who may: those who could look into the process anyway, and can see it at all. */
#ifndef WEFT_SOFTGPU_TICKET_H
#define WEFT_SOFTGPU_TICKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/err.h>

#define WEFT_SOFT_TICKET_BYTES 4096u
#define WEFT_SOFT_TICKET_HANDLE_BYTES 64

enum weft_soft_ticket_kind { WEFT_SOFT_TICKET_MEMORY = 1, WEFT_SOFT_TICKET_EVENT = 2 };

/* The beginning of the page; what follows is its owner's. */
struct weft_soft_ticket_page {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t kind;
    uint32_t revoked; /* atomic: what it names is gone */
    uint64_t secret[2];
};

/* The bytes of a handle; what is left of the 64 is zero. */
struct weft_soft_ticket_handle {
    uint32_t magic;
    uint32_t kind;
    int32_t pid;
    int32_t fd;
    uint64_t secret[2];
};
_Static_assert(sizeof(struct weft_soft_ticket_handle) <= WEFT_SOFT_TICKET_HANDLE_BYTES,
               "it fits CUDA's handles");

struct weft_soft_ticket {
    struct weft_soft_ticket_handle handle;
    struct weft_soft_ticket_page *page; /* mapped, owned */
    int fd;                             /* owned; -1 for one of another process */
};

/* A page of zeros behind its beginning. WEFT_ENOMEM. */
int weft_soft_ticket_create(struct weft_soft_ticket *ticket, enum weft_soft_ticket_kind kind,
                            struct weft_err *err);
/* Another process' page, by the bytes of a handle. WEFT_EPROTO: no handle of that kind.
 * WEFT_ENOENT: what it names is gone, or not for this process. */
int weft_soft_ticket_open(struct weft_soft_ticket *ticket, enum weft_soft_ticket_kind kind,
                          const char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES], struct weft_err *err);
/* Our own tickets can be opened no more. A zeroed one is left alone. */
void weft_soft_ticket_finish(struct weft_soft_ticket *ticket);
void weft_soft_ticket_write(const struct weft_soft_ticket *ticket,
                            char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES]);
/* Whether the handle is of this process. */
bool weft_soft_ticket_is_own(const char bytes[WEFT_SOFT_TICKET_HANDLE_BYTES]);
/* Another process' descriptor, opened anew; -1 where that cannot be. */
int weft_soft_ticket_borrow(pid_t pid, int fd);

#endif
