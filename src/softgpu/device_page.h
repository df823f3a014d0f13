/* The page of a device: what all processes that use the device share with each other and with
 * weftd. That of a native device is the same, with no SMs in use. It is a memfd that weftd makes,
 * sealed against shrinking and growing, mapped read-write by clients. After it, at
 * WEFT_DEVICE_LEDGER_OFFSET, lies a weft_ledger (device 0 of it) that charges device memory against
 * `memory_ceiling_bytes`.
 *
 * Crash rule: each word is changed by one atomic instruction; what names an owner is taken back by
 * weftd when the owner dies. */
#ifndef WEFT_SOFTGPU_DEVICE_PAGE_H
#define WEFT_SOFTGPU_DEVICE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/ledger.h"
#include "policy/room.h"
#include "policy/share.h"
#include "policy/space.h"
#include <weft/backend.h>

#define WEFT_DEVICE_MAGIC 0x75706766u
#define WEFT_DEVICE_MAJOR 1
#define WEFT_DEVICE_MINOR 5
#define WEFT_DEVICE_SMS_MAX 256
#define WEFT_DEVICE_TENANTS 1025 /* line 0 is of processes that weftd gave none */

/* A worker thread that runs kernels holds one SM, and gives it up between two bounded runs when
 * others wait. */
struct weft_device_sm {
    /* 0: free. Else WEFT_DEVICE_OWNER(slot, thread); taken and given up by compare-and-swap. */
    uint64_t owner;
    uint64_t reserved[7];
};
#define WEFT_DEVICE_OWNER(slot, thread) (((uint64_t)(thread) << 32) | ((uint64_t)(slot) + 1))
#define WEFT_DEVICE_OWNER_SLOT(owner) ((uint32_t)((owner)&0xffffffffu) - 1)

/* One a process, indexed by its slot in the device's ledger. weftd
 * zeroes it when the slot is taken. */
struct weft_device_process {
    uint64_t retired;        /* warp instructions, monotone; the base of virtual device time */
    uint64_t device_time_ns; /* virtual: retired × cost ÷ the device's rate, monotone */
    uint64_t fault;     /* like the page's, for all contexts of this process; weftd writes it */
    uint32_t tenant;    /* the line in `tenants`; weftd writes it */
    uint32_t beat;      /* goes up whenever a thread asks for its turn: it is alive */
    uint32_t admitted;  /* the policy's sequence, its lowest 16 bits, under which work last began */
    uint32_t in_flight; /* native: kernels that were given to the device and not seen to end */
    uint64_t ran_ns;    /* native, since minor 5: for so long its work ran, monotone */
    uint64_t reserved[2];
};

/* Whose turn it is to use the device; softgpu/engine/turn.h. A bit for each process' slot, set and
 * cleared by the process, and cleared by weftd when it died. */
#define WEFT_DEVICE_SLOT_WORDS (WEFT_LEDGER_SLOTS / 64)
struct weft_device_turns {
    uint32_t turn;    /* futex, bit sets by tenant: goes up when somebody held may be let through */
    uint32_t sharers; /* live tenants on the device; weftd writes it */
    uint64_t quiet_since_ns; /* on the monotonic clock, since when nobody wants it; 0: not known */
    uint64_t reserved[6];
    uint64_t wanting[WEFT_DEVICE_SLOT_WORDS]; /* have work for the device */
    uint64_t held[WEFT_DEVICE_SLOT_WORDS];    /* of these, some thread waits for its turn */
};

/* A fault that somebody injected: which one it was, so that each context can tell whether it is
 * older, and the CUresult that becomes its error. 0: there was none. */
#define WEFT_DEVICE_FAULT(sequence, error) (((uint64_t)(sequence) << 32) | (uint32_t)(error))
#define WEFT_DEVICE_FAULT_SEQUENCE(fault) ((uint32_t)((fault) >> 32))
#define WEFT_DEVICE_FAULT_ERROR(fault) ((uint32_t)((fault)&0xffffffffu))

struct weft_device_page {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t bytes; /* of this struct as the writer knew it */
    uint32_t sm_count;
    uint8_t uuid[WEFT_UUID_BYTES];
    char profile[WEFT_PROFILE_BYTES];
    uint64_t memory_bytes;         /* what the profile states */
    uint64_t memory_ceiling_bytes; /* what this host can back; never over memory_bytes */
    /* Injected faults (softgpu/faults.h), written by weftd. Contexts compare with what they found
     * when they were made, workers between two bounded runs. */
    uint64_t fault;         /* the last that reached all contexts of the device */
    uint64_t fault_at_work; /* the last that reached those with work on the device */
    uint64_t ecc_volatile;  /* double-bit errors since the device was made or cleared */
    uint64_t ecc_aggregate; /* since it was made */
    uint32_t last_xid;      /* 0: none yet */
    uint32_t state;         /* enum weft_soft_state */
    uint32_t xid_count;     /* since it was made */
    uint32_t watchdog_us;   /* of device time that one kernel may take; 0: no limit */
    uint32_t sm_released;   /* futex, bit sets by SM: goes up whenever one becomes free */
    uint32_t sm_waiters;    /* threads that want one; a hint, may be too high after a death */
    uint64_t reserved2[7];
    struct weft_device_sm sms[WEFT_DEVICE_SMS_MAX];
    struct weft_device_process processes[WEFT_LEDGER_SLOTS];
};

#define WEFT_DEVICE_LEDGER_OFFSET ((sizeof(struct weft_device_page) + 4095) & ~(uint64_t)4095)

/* Since minor 2, behind the ledger: how tenants share the device's time. */
struct weft_device_time {
    struct weft_device_turns turns;
    struct weft_share share;
    struct weft_share_tenant tenants[WEFT_DEVICE_TENANTS]; /* `terms` are weftd's */
};
static inline uint64_t weft_device_time_offset(void)
{
    return (WEFT_DEVICE_LEDGER_OFFSET + weft_ledger_bytes() + 4095) & ~(uint64_t)4095;
}

/* Since minor 4, behind that: which SMs the kernels of each tenant may run on. weftd writes it. */
struct weft_device_space {
    uint32_t limited; /* tenants that have not all of them */
    uint32_t reserved[15];
    struct weft_space_set sets[WEFT_DEVICE_TENANTS];
};
static inline uint64_t weft_device_space_offset(void)
{
    return (weft_device_time_offset() + sizeof(struct weft_device_time) + 4095) & ~(uint64_t)4095;
}

/* Since minor 3, at the page's end: what the device's tenants are guaranteed of its memory. */
static inline uint64_t weft_device_room_offset(void)
{
    return (weft_device_space_offset() + sizeof(struct weft_device_space) + 4095) & ~(uint64_t)4095;
}

/* Where a process stands among those of a device: all that it takes turns with them by. */
struct weft_soft_turns;
struct weft_device_place {
    struct weft_device_page *page; /* mapped */
    size_t page_bytes;
    uint32_t slot;                         /* the process' own, in the page's ledger */
    struct weft_device_time *time;         /* in the page; NULL where its weftd knows of none */
    const struct weft_device_space *space; /* the same */
    struct weft_soft_turns *turns;         /* the process' own state; see engine/turn.h */
};

/* Wakes up to `most` of those who wait for an SM and may have that one; returns how many. */
int weft_device_page_wake(struct weft_device_page *page, uint32_t sm, int most);
/* Takes back the SMs that the workers of a process hold which is dead, or not to be seen, and wakes
 * who waits for one. A process that comes back finds its own no longer its own. */
void weft_device_page_free_sms(struct weft_device_page *page, uint32_t slot);

_Static_assert(WEFT_DEVICE_SMS_MAX <= WEFT_SPACE_SMS_MAX, "a set has a bit for each");
_Static_assert(sizeof(struct weft_device_sm) == 64, "one cache line, shared with other processes");
_Static_assert(sizeof(struct weft_device_process) == 64,
               "one cache line, shared with other processes");

#endif
