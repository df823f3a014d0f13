#include "policy/ledger.h"

#include <inttypes.h>
#include <sched.h>

#include "util/log.h"

#define LEDGER_MAGIC 0x6765646cu /* "ledg" */
#define LEDGER_MAJOR 1
#define LEDGER_MINOR 0

/* A tag names a slot and the sequence number of its change. */
#define SEQUENCE_BITS 52
#define SEQUENCE_MASK ((UINT64_C(1) << SEQUENCE_BITS) - 1)

/* Each lost race means that somebody else got on, so only a page that is
 * scribbled over reaches this. */
#define RETRIES_MAX (1u << 20)
#define SPINS_MAX 64

/* Tests put a death, or another process' change, at each of these places. */
#ifndef WEFT_LEDGER_STEP
#define WEFT_LEDGER_STEP() ((void)0)
#endif

struct record {
    uint64_t before, after; /* what the slot holds without and with the change */
};

/* One slot on one device. The change numbered n is in records[n % 2], so that writing the next one
 * leaves the announced one whole. */
struct entry {
    struct record records[2];
    uint64_t announced; /* release; written by the slot's owner only */
    uint64_t applied;   /* a maximum; written by whoever replaces this slot's tag */
    uint64_t reserved[2];
};

/* Both words change in one 16-byte exchange. */
struct sum {
    uint64_t held;
    uint64_t tag; /* of the last change applied */
} __attribute__((aligned(16)));

struct total {
    struct sum sum;
    uint64_t reserved[6]; /* a cache line for each device */
};

struct weft_ledger {
    uint32_t magic;
    uint16_t major, minor;
    uint64_t bytes;
    uint32_t devices, slots;
    uint64_t reserved[5];
    struct total totals[WEFT_LEDGER_DEVICES];
    uint64_t states[WEFT_LEDGER_SLOTS]; /* generation << 1 | taken; written by the daemon only */
    struct entry entries[WEFT_LEDGER_SLOTS][WEFT_LEDGER_DEVICES];
};

_Static_assert(sizeof(struct entry) == 64, "shared with other processes");
_Static_assert(sizeof(struct total) == 64, "shared with other processes");
_Static_assert(offsetof(struct weft_ledger, totals) == 64, "shared with other processes");
_Static_assert(WEFT_LEDGER_SLOTS <= 1u << (64 - SEQUENCE_BITS), "a tag has room for every slot");

struct change {
    uint64_t sequence;
    struct record record;
};

size_t weft_ledger_bytes(void)
{
    return (sizeof(struct weft_ledger) + 4095) & ~(size_t)4095;
}

struct weft_ledger *weft_ledger_format(void *memory)
{
    struct weft_ledger *ledger = memory;
    ledger->major = LEDGER_MAJOR;
    ledger->minor = LEDGER_MINOR;
    ledger->bytes = weft_ledger_bytes();
    ledger->devices = WEFT_LEDGER_DEVICES;
    ledger->slots = WEFT_LEDGER_SLOTS;
    ledger->states[WEFT_LEDGER_DAEMON_SLOT] = 1;
    __atomic_store_n(&ledger->magic, LEDGER_MAGIC, __ATOMIC_RELEASE);
    return ledger;
}

int weft_ledger_open(struct weft_ledger **out, void *memory, size_t bytes, struct weft_err *err)
{
    struct weft_ledger *ledger = memory;
    if (bytes < weft_ledger_bytes())
        return weft_fail(err, WEFT_EPROTO, "ledger: %zu bytes, fewer than %zu", bytes,
                         weft_ledger_bytes());
    if (__atomic_load_n(&ledger->magic, __ATOMIC_ACQUIRE) != LEDGER_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "ledger: magic 0x%08x is not ours", ledger->magic);
    if (ledger->major != LEDGER_MAJOR)
        return weft_fail(err, WEFT_EVERSION, "ledger: version %u, this side speaks %u",
                         ledger->major, LEDGER_MAJOR);
    if (ledger->bytes != weft_ledger_bytes() || ledger->slots != WEFT_LEDGER_SLOTS ||
        ledger->devices != WEFT_LEDGER_DEVICES)
        return weft_fail(err, WEFT_EPROTO, "ledger: %u slots of %u devices in %" PRIu64 " bytes",
                         ledger->slots, ledger->devices, ledger->bytes);
    *out = ledger;
    return 0;
}

static uint64_t tag_of(uint32_t slot, uint64_t sequence)
{
    return (uint64_t)slot << SEQUENCE_BITS | (sequence & SEQUENCE_MASK);
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Written out because the compilers' 16-byte exchange may become a call into libatomic, whose lock
 * is of one process. */
static bool sum_exchange(struct sum *sum, struct sum from, struct sum to)
{
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*sum), "+a"(from.held), "+d"(from.tag)
                     : "b"(to.held), "c"(to.tag)
                     : "memory");
    return done;
}

/* Says in the slot that `tag` names that its change was applied. Must come before the tag is
 * replaced; only a slot that replaces its own tag need not, since its next change already says what
 * came of the last one. */
static void note_applied(struct weft_ledger *ledger, uint32_t device, uint64_t tag,
                         uint32_t own_slot)
{
    uint64_t slot = tag >> SEQUENCE_BITS;
    uint64_t sequence = tag & SEQUENCE_MASK;
    if (slot >= WEFT_LEDGER_SLOTS || slot == own_slot)
        return;
    uint64_t *applied = &ledger->entries[slot][device].applied;
    uint64_t seen = load(applied);
    for (uint32_t i = 0; seen < sequence && i < RETRIES_MAX; i++) {
        if (__atomic_compare_exchange_n(applied, &seen, sequence, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            break;
    }
}

static void announce(struct entry *entry, const struct change *change)
{
    struct record *record = &entry->records[change->sequence % 2];
    WEFT_LEDGER_STEP();
    __atomic_store_n(&record->before, change->record.before, __ATOMIC_RELAXED);
    WEFT_LEDGER_STEP();
    __atomic_store_n(&record->after, change->record.after, __ATOMIC_RELAXED);
    WEFT_LEDGER_STEP();
    __atomic_store_n(&entry->announced, change->sequence, __ATOMIC_RELEASE);
    WEFT_LEDGER_STEP();
}

/* The total with the change in it; false where that would pass the limit. A
 * giving back is never refused. */
static bool add_change(uint64_t held, const struct record *record, uint64_t limit, uint64_t *with)
{
    if (record->after < record->before) {
        uint64_t less = record->before - record->after;
        *with = held > less ? held - less : 0;
        return true;
    }
    uint64_t more = record->after - record->before;
    *with = held + more;
    return more <= limit && held <= limit - more;
}

/* Makes an announced change, or drops it where it would pass the limit: the sequence number is used
 * up either way. */
static bool apply(struct weft_ledger *ledger, uint32_t slot, uint32_t device,
                  const struct change *change, uint64_t limit)
{
    struct sum *sum = &ledger->totals[device].sum;
    struct sum to = {.tag = tag_of(slot, change->sequence)};
    for (uint32_t i = 0; i < RETRIES_MAX; i++) {
        struct sum from = {.held = load(&sum->held), .tag = load(&sum->tag)};
        WEFT_LEDGER_STEP();
        if (!add_change(from.held, &change->record, limit, &to.held))
            return false;
        note_applied(ledger, device, from.tag, slot);
        WEFT_LEDGER_STEP();
        bool done = sum_exchange(sum, from, to);
        WEFT_LEDGER_STEP();
        if (done)
            return true;
    }
    weft_log(WEFT_LOG_ERROR, "ledger", "slot %u: the total of device %u does not hold still", slot,
             device);
    return false;
}

/* What came of the entry's announced change. The tag is read before the note: whoever replaces a
 * tag writes the note first. Another process may be at work, so the answer counts only if the
 * announcement stood still meanwhile. */
static struct change entry_settled(const struct weft_ledger *ledger, uint32_t slot, uint32_t device)
{
    const struct entry *entry = &ledger->entries[slot][device];
    struct change change = {0};
    for (uint32_t i = 0; i < RETRIES_MAX; i++) {
        change.sequence = load(&entry->announced) & SEQUENCE_MASK;
        const struct record *record = &entry->records[change.sequence % 2];
        change.record.before = load(&record->before);
        change.record.after = load(&record->after);
        bool last = load(&ledger->totals[device].sum.tag) == tag_of(slot, change.sequence);
        bool applied = last || load(&entry->applied) >= change.sequence;
        if (applied)
            change.record.before = change.record.after;
        if ((load(&entry->announced) & SEQUENCE_MASK) == change.sequence)
            break;
    }
    change.record.after = change.record.before;
    return change;
}

int weft_ledger_slot_take(struct weft_ledger *ledger, uint32_t *slot, struct weft_err *err)
{
    for (uint32_t i = WEFT_LEDGER_DAEMON_SLOT + 1; i < WEFT_LEDGER_SLOTS; i++) {
        uint64_t state = load(&ledger->states[i]);
        if (state & 1)
            continue;
        __atomic_store_n(&ledger->states[i], state + 3, __ATOMIC_RELEASE);
        *slot = i;
        return 0;
    }
    return weft_fail(err, WEFT_ELIMIT, "all %d slots of the ledger are taken",
                     WEFT_LEDGER_SLOTS - 1);
}

bool weft_ledger_slot_taken(const struct weft_ledger *ledger, uint32_t slot)
{
    return slot < WEFT_LEDGER_SLOTS && (load(&ledger->states[slot]) & 1);
}

/* Gives back all that the slot holds on the device, in the slot's own name. */
static bool entry_clear(struct weft_ledger *ledger, uint32_t slot, uint32_t device)
{
    struct change change = entry_settled(ledger, slot, device);
    if (change.record.before == 0)
        return true;
    change.sequence++;
    change.record.after = 0;
    announce(&ledger->entries[slot][device], &change);
    return apply(ledger, slot, device, &change, UINT64_MAX);
}

void weft_ledger_slot_settle(struct weft_ledger *ledger, uint32_t slot)
{
    if (slot == WEFT_LEDGER_DAEMON_SLOT || !weft_ledger_slot_taken(ledger, slot))
        return;
    bool clear = true;
    for (uint32_t device = 0; device < WEFT_LEDGER_DEVICES; device++)
        clear &= entry_clear(ledger, slot, device);
    WEFT_LEDGER_STEP();
    if (clear)
        __atomic_fetch_and(&ledger->states[slot], ~UINT64_C(1), __ATOMIC_RELEASE);
}

void weft_ledger_account_init(struct weft_ledger_account *account, struct weft_ledger *ledger,
                              uint32_t slot)
{
    *account = (struct weft_ledger_account){.ledger = ledger, .slot = slot};
    if (!weft_ledger_slot_taken(ledger, slot))
        return; /* state 0: refuses everything */
    account->state = load(&ledger->states[slot]);
    for (uint32_t device = 0; device < WEFT_LEDGER_DEVICES; device++) {
        struct change last = entry_settled(ledger, slot, device);
        account->hands[device].sequence = last.sequence;
        account->hands[device].held = last.record.before;
    }
}

/* The hand on the device, locked; NULL where the slot is not the account's, or not any more. */
static struct weft_ledger_hand *hand_lock(struct weft_ledger_account *account, uint32_t device)
{
    if (device >= WEFT_LEDGER_DEVICES || !account->state ||
        load(&account->ledger->states[account->slot]) != account->state)
        return NULL;
    struct weft_ledger_hand *hand = &account->hands[device];
    for (uint32_t spins = 0; __atomic_exchange_n(&hand->lock, 1, __ATOMIC_ACQUIRE); spins++) {
        if (spins < SPINS_MAX)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
    return hand;
}

static void hand_unlock(struct weft_ledger_hand *hand)
{
    __atomic_store_n(&hand->lock, 0, __ATOMIC_RELEASE);
}

static bool hand_change(struct weft_ledger_account *account, uint32_t device, uint64_t after,
                        uint64_t limit)
{
    struct weft_ledger_hand *hand = &account->hands[device];
    struct change change = {.sequence = hand->sequence + 1,
                            .record = {.before = hand->held, .after = after}};
    uint64_t *mirror = account->mirrors[device];
    hand->sequence = change.sequence;
    if (mirror && after > hand->held)
        __atomic_store_n(mirror, after, __ATOMIC_RELAXED); /* the exchange comes after it */
    announce(&account->ledger->entries[account->slot][device], &change);
    bool done = apply(account->ledger, account->slot, device, &change, limit);
    if (done)
        hand->held = after;
    if (mirror)
        __atomic_store_n(mirror, hand->held, __ATOMIC_RELEASE);
    return done;
}

int weft_ledger_charge(struct weft_ledger_account *account, uint32_t device, uint64_t bytes,
                       uint64_t limit)
{
    struct weft_ledger_hand *hand = hand_lock(account, device);
    if (!hand)
        return -WEFT_ELIMIT;
    uint64_t after;
    bool done = bytes == 0 || (!__builtin_add_overflow(hand->held, bytes, &after) &&
                               hand_change(account, device, after, limit));
    hand_unlock(hand);
    return done ? 0 : -WEFT_ELIMIT;
}

void weft_ledger_discharge(struct weft_ledger_account *account, uint32_t device, uint64_t bytes)
{
    struct weft_ledger_hand *hand = hand_lock(account, device);
    if (!hand)
        return;
    if (bytes > hand->held) {
        weft_log(WEFT_LOG_ERROR, "ledger",
                 "slot %u gives back %" PRIu64 " of %" PRIu64 " bytes, device %u", account->slot,
                 bytes, hand->held, device);
        bytes = hand->held;
    }
    if (bytes)
        hand_change(account, device, hand->held - bytes, UINT64_MAX);
    hand_unlock(hand);
}

uint64_t weft_ledger_total(const struct weft_ledger *ledger, uint32_t device)
{
    return device < WEFT_LEDGER_DEVICES ? load(&ledger->totals[device].sum.held) : 0;
}

uint64_t weft_ledger_slot_held(const struct weft_ledger *ledger, uint32_t slot, uint32_t device)
{
    if (slot >= WEFT_LEDGER_SLOTS || device >= WEFT_LEDGER_DEVICES)
        return 0;
    return entry_settled(ledger, slot, device).record.before;
}

uint64_t weft_ledger_slot_sequence(const struct weft_ledger *ledger, uint32_t slot, uint32_t device)
{
    if (slot >= WEFT_LEDGER_SLOTS || device >= WEFT_LEDGER_DEVICES)
        return 0;
    return load(&ledger->entries[slot][device].announced);
}
