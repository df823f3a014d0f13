/* The room on a device: what its tenants are guaranteed of its memory, and what each holds, so that
 * growth above a guarantee leaves the unused part of every other one free. In memory that all
 * processes of the device share; the daemon writes the terms, each process one word, for its slot.
 *
 * Exactness without a lock. A charge shows in the process' word before it is made in the ledger
 * (weft_ledger_account.mirrors), and the ledger's exchange is a full barrier. Only then its maker
 * adds up all words, and takes the charge back where they are too much. Of charges that together
 * would be too much the last one sees all others, so never all of them stay. The daemon gives a
 * guarantee the same way: written first, then looked whether it is there. A death leaves a word
 * that is too high at most, and the daemon clears it. */
#ifndef WEFT_POLICY_ROOM_H
#define WEFT_POLICY_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/ledger.h"
#include <weft/err.h>

#define WEFT_ROOM_LINES 1025 /* tenants; line 0 is nobody's */

/* The layout lives in room.c. */
struct weft_room;

/* Where a tenant sits: its line in a device's room. A NULL room binds nobody. */
struct weft_room_seat {
    struct weft_room *room; /* borrowed */
    uint32_t line;
};

size_t weft_room_bytes(void);
/* Writes an empty room into zeroed memory of weft_room_bytes(). Daemon only. */
struct weft_room *weft_room_format(void *memory);
/* Checks memory that somebody else formatted. WEFT_EPROTO, WEFT_EVERSION. */
int weft_room_open(struct weft_room **out, void *memory, size_t bytes, struct weft_err *err);

/* -- the daemon's */

/* The tenant's line, by a number that no other has (not 0); a free one where it has none yet, and 0
 * where all are taken. */
uint32_t weft_room_line_take(struct weft_room *room, uint64_t id);
void weft_room_line_drop(struct weft_room *room, uint32_t line);
/* 0: the line is free. */
uint64_t weft_room_line_id(const struct weft_room *room, uint32_t line);
/* A process gets, or has left, its slot of the tenant's ledger. */
void weft_room_slot_begin(const struct weft_room_seat *seat, uint32_t slot);
void weft_room_slot_end(const struct weft_room_seat *seat, uint32_t slot);
void weft_room_set_capacity(struct weft_room *room, uint64_t bytes);
/* Whether growth above guarantees is refused where another tenant has a guarantee. Growth that
 * would lead there by itself is in any case. */
void weft_room_restrict(struct weft_room *room, bool restricted);
/* Guarantees so much from here on; false, and nothing has changed, where it is not there. `anyhow`:
 * a promise that was given already is kept. */
bool weft_room_promise(const struct weft_room_seat *seat, uint64_t bytes, bool anyhow);

/* What the daemon knows of a line. */
struct weft_room_terms {
    uint32_t line;
    uint32_t slots; /* one more than the highest that is in use */
    uint64_t id, guarantee_bytes;
};
/* Puts right the words that are the daemon's alone: a line of `terms` is as it is there, any other
 * is free, and 0 bytes of capacity leave that as it is. Returns how many were wrong. */
uint32_t weft_room_mend(struct weft_room *room, const struct weft_room_terms *terms, size_t count,
                        uint64_t capacity_bytes, bool restricted);
/* What was seen of a process' word before. */
struct weft_room_look {
    uint64_t shown, sequence;
    uint32_t looks;
};
/* Compares the word of a process with what its slot of the ledger holds on the device. It never
 * shows less: then it is put right at once. More it shows for the moments of a change: then only
 * when many looks in a row have seen the same, or never where `look` is NULL. A NULL ledger: nobody
 * has the slot. True where it was wrong. */
bool weft_room_mend_word(const struct weft_room_seat *seat, uint32_t slot,
                         const struct weft_ledger *ledger, uint32_t device,
                         struct weft_room_look *look);

/* -- anybody's */

/* 0 where the tenant has none. */
uint32_t weft_room_line_find(const struct weft_room *room, uint64_t id);
/* Has the account's charges of that device show in the room. Before its first charge there. */
void weft_room_sit(const struct weft_room_seat *seat, struct weft_ledger_account *account,
                   uint32_t device);
/* Charges `bytes` if the tenant's total stays at or under `limit`, and what others are guaranteed
 * stays free. As weft_ledger_charge otherwise. */
int weft_room_charge(const struct weft_room_seat *seat, struct weft_ledger_account *account,
                     uint32_t device, uint64_t bytes, uint64_t limit);
/* What this tenant could still get of the device; UINT64_MAX where nobody has a guarantee. */
uint64_t weft_room_left(const struct weft_room_seat *seat);

struct weft_room_sums {
    uint64_t capacity_bytes;
    uint64_t held_bytes;       /* by all tenants */
    uint64_t guaranteed_bytes; /* to all of them, held or not */
    uint64_t
        committed_bytes; /* of each tenant what it holds, or its guarantee where that is more */
    uint64_t own_held_bytes, own_guarantee_bytes; /* of one line */
    uint32_t tenants;
};
struct weft_room_sums weft_room_sum(const struct weft_room *room, uint32_t line);

#endif
