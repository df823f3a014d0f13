/* The ledger: who holds how many bytes of what, in memory that processes share and any of them may
 * leave at any instant by kill -9. A charge is one 16-byte compare-and-swap away from being refused
 * or granted: no lock, no call to the daemon, and two processes cannot pass the limit together.
 *
 * Exactness. Each slot announces a change (sequence number, what it holds without and with it)
 * before it is made. The total word is {bytes held, tag}, where the tag names the slot and the
 * sequence number of the last change applied. Whoever replaces a tag first writes down in the named
 * slot that its change was applied (a monotone maximum). So after a death the announced change was
 * applied exactly if the tag, or the slot's own note, says so, and what the slot holds is known to
 * the byte. The idea is the helping of lock-free algorithms (Herlihy, "Wait-free synchronization",
 * 1991).
 *
 * A tenant has one ledger (limit: the policy page), a soft device has one (limit: its capacity). */
#ifndef WEFT_POLICY_LEDGER_H
#define WEFT_POLICY_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WEFT_LEDGER_DEVICES 16
#define WEFT_LEDGER_SLOTS 1024 /* slot 0 is the daemon's own and never taken by a process */
#define WEFT_LEDGER_DAEMON_SLOT 0

/* The layout lives in ledger.c; fixed-width, versioned, page-aligned. */
struct weft_ledger;

size_t weft_ledger_bytes(void);
/* Writes an empty ledger into zeroed memory of weft_ledger_bytes(). Daemon only. */
struct weft_ledger *weft_ledger_format(void *memory);
/* Checks magic, version and size of memory that somebody else formatted.
 * WEFT_EPROTO or WEFT_EVERSION. */
int weft_ledger_open(struct weft_ledger **out, void *memory, size_t bytes, struct weft_err *err);

/* Takes a free slot for a process. Daemon only. WEFT_ELIMIT when all are taken. */
int weft_ledger_slot_take(struct weft_ledger *ledger, uint32_t *slot, struct weft_err *err);
/* After the death of the slot's process: finishes or drops the announced change, gives back all it
 * held, frees the slot. Daemon only; exact whatever instruction the process died at. The give-back
 * is one more announced change of the same slot, so a daemon that dies in the middle leaves an
 * exact ledger too, and its next life calls this again for every taken slot whose process is gone.
 * No-op for a free slot and for the daemon's own. */
void weft_ledger_slot_settle(struct weft_ledger *ledger, uint32_t slot);
/* Whether the slot belongs to a process, alive or not yet settled. */
bool weft_ledger_slot_taken(const struct weft_ledger *ledger, uint32_t slot);

/* What a process knows of its own slot on one device, so that it need not trust shared memory for
 * it. A cache line each, since threads use different devices at once. */
struct weft_ledger_hand {
    uint32_t lock;     /* guards the rest: spins, then yields */
    uint64_t sequence; /* of the last change announced */
    uint64_t held;     /* bytes, that change counted as it came out */
} __attribute__((aligned(64)));

/* One process' hand on its slot. In the process' own memory; its locks serialise the process'
 * threads only. A child that is forked must not use its parent's. */
struct weft_ledger_account {
    struct weft_ledger *ledger; /* borrowed */
    uint32_t slot;
    uint64_t state; /* the slot's state word when the account was made: names its generation */
    struct weft_ledger_hand hands[WEFT_LEDGER_DEVICES];
    /* What the slot holds shows there too, in shared memory (policy/room.h): before a charge is
     * made, and after a giving back. Borrowed; NULL: nowhere. */
    uint64_t *mirrors[WEFT_LEDGER_DEVICES];
};

void weft_ledger_account_init(struct weft_ledger_account *account, struct weft_ledger *ledger,
                              uint32_t slot);
/* Charges `bytes` if the total stays at or under `limit`. Any thread. 0 or -WEFT_ELIMIT, without
 * text: it is a hot path. Once the slot was settled, every charge is refused and every discharge
 * does nothing. */
int weft_ledger_charge(struct weft_ledger_account *account, uint32_t device, uint64_t bytes,
                       uint64_t limit);
/* Gives back; never fails. Giving back more than the slot holds is our bug: the slot goes to 0 and
 * it is logged. */
void weft_ledger_discharge(struct weft_ledger_account *account, uint32_t device, uint64_t bytes);

/* What all slots hold together, and what one holds (its announced change
 * settled as above). Any process. */
uint64_t weft_ledger_total(const struct weft_ledger *ledger, uint32_t device);
uint64_t weft_ledger_slot_held(const struct weft_ledger *ledger, uint32_t slot, uint32_t device);
/* The number of the slot's last announced change: the same before and after means that it announced
 * none in between. */
uint64_t weft_ledger_slot_sequence(const struct weft_ledger *ledger, uint32_t slot,
                                   uint32_t device);

#endif
