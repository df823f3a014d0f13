#include "policy/room.h"

#include <sched.h>
#include <time.h>

#include "policy/pressure.h"
#include "util/util.h"

#define ROOM_MAGIC 0x6d6f6f72u /* "room" */
#define ROOM_MAJOR 1
#define ROOM_MINOR 0

/* Two who each fit and do not together both step back; they come again at different times. */
#define TRIES_MAX 12
#define REFUSALS_MAX 3 /* who is refused so often without a charge of his own is refused */
#define PAUSE_NS 20000
#define PAUSE_STEPS 7
#define LOOKS_MAX 10 /* at a word that shows too much and does not change */

struct line {
    uint64_t id;
    uint64_t guarantee_bytes;
    uint32_t slots; /* one more than the highest that was ever used */
    uint32_t reserved0;
    uint64_t reserved[5];
};

struct weft_room {
    uint32_t magic;
    uint16_t major, minor;
    uint64_t bytes;
    uint64_t capacity_bytes;
    uint32_t lines_used; /* one more than the highest that was ever taken */
    uint32_t guarantees; /* lines that have one: where none has, nobody adds up */
    uint32_t restricted;
    uint32_t reserved0;
    uint64_t reserved[3];
    struct line lines[WEFT_ROOM_LINES];
    uint64_t held[WEFT_ROOM_LINES][WEFT_LEDGER_SLOTS]; /* by each process */
};

_Static_assert(sizeof(struct line) == 64, "shared with other processes");
_Static_assert(offsetof(struct weft_room, lines) == 64, "shared with other processes");

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

size_t weft_room_bytes(void)
{
    return (sizeof(struct weft_room) + 4095) & ~(size_t)4095;
}

struct weft_room *weft_room_format(void *memory)
{
    struct weft_room *room = memory;
    room->major = ROOM_MAJOR;
    room->minor = ROOM_MINOR;
    room->bytes = weft_room_bytes();
    room->lines_used = 1;
    __atomic_store_n(&room->magic, ROOM_MAGIC, __ATOMIC_RELEASE);
    return room;
}

int weft_room_open(struct weft_room **out, void *memory, size_t bytes, struct weft_err *err)
{
    struct weft_room *room = memory;
    if (bytes < weft_room_bytes())
        return weft_fail(err, WEFT_EPROTO, "room: %zu bytes, fewer than %zu", bytes,
                         weft_room_bytes());
    if (__atomic_load_n(&room->magic, __ATOMIC_ACQUIRE) != ROOM_MAGIC)
        return weft_fail(err, WEFT_EPROTO, "room: magic 0x%08x is not ours", room->magic);
    if (room->major != ROOM_MAJOR || room->bytes != weft_room_bytes())
        return weft_fail(err, WEFT_EVERSION, "room: version %u, this side speaks %u", room->major,
                         ROOM_MAJOR);
    *out = room;
    return 0;
}

static uint32_t lines_used(const struct weft_room *room)
{
    return WEFT_MIN(__atomic_load_n(&room->lines_used, __ATOMIC_SEQ_CST), WEFT_ROOM_LINES);
}

uint64_t weft_room_line_id(const struct weft_room *room, uint32_t line)
{
    return line < WEFT_ROOM_LINES ? load(&room->lines[line].id) : 0;
}

uint32_t weft_room_line_find(const struct weft_room *room, uint64_t id)
{
    uint32_t used = lines_used(room);
    for (uint32_t line = 1; id && line < used; line++) {
        if (load(&room->lines[line].id) == id)
            return line;
    }
    return 0;
}

uint32_t weft_room_line_take(struct weft_room *room, uint64_t id)
{
    uint32_t line = weft_room_line_find(room, id);
    if (line || id == 0)
        return line;
    for (line = 1; line < WEFT_ROOM_LINES && load(&room->lines[line].id); line++) {
    }
    if (line == WEFT_ROOM_LINES)
        return 0;
    if (line >= room->lines_used)
        __atomic_store_n(&room->lines_used, line + 1, __ATOMIC_SEQ_CST);
    store(&room->lines[line].id, id);
    return line;
}

void weft_room_line_drop(struct weft_room *room, uint32_t line)
{
    const struct weft_room_seat seat = {room, line};
    if (line == 0 || line >= WEFT_ROOM_LINES)
        return;
    weft_room_promise(&seat, 0, true);
    for (uint32_t slot = 0; slot < room->lines[line].slots && slot < WEFT_LEDGER_SLOTS; slot++)
        store(&room->held[line][slot], 0);
    room->lines[line].slots = 0;
    store(&room->lines[line].id, 0);
}

void weft_room_slot_begin(const struct weft_room_seat *seat, uint32_t slot)
{
    if (!seat->room || slot >= WEFT_LEDGER_SLOTS)
        return;
    struct line *line = &seat->room->lines[seat->line];
    store(&seat->room->held[seat->line][slot], 0);
    if (line->slots <= slot)
        __atomic_store_n(&line->slots, slot + 1, __ATOMIC_SEQ_CST);
}

void weft_room_slot_end(const struct weft_room_seat *seat, uint32_t slot)
{
    if (seat->room && slot < WEFT_LEDGER_SLOTS)
        store(&seat->room->held[seat->line][slot], 0);
}

void weft_room_set_capacity(struct weft_room *room, uint64_t bytes)
{
    store(&room->capacity_bytes, bytes);
}

void weft_room_restrict(struct weft_room *room, bool restricted)
{
    __atomic_store_n(&room->restricted, restricted, __ATOMIC_SEQ_CST);
}

static uint64_t line_held(const struct weft_room *room, uint32_t line)
{
    uint32_t slots = __atomic_load_n(&room->lines[line].slots, __ATOMIC_SEQ_CST);
    uint64_t held = 0;
    for (uint32_t slot = 0; slot < WEFT_MIN(slots, WEFT_LEDGER_SLOTS); slot++)
        held += load(&room->held[line][slot]);
    return held;
}

struct weft_room_sums weft_room_sum(const struct weft_room *room, uint32_t line)
{
    struct weft_room_sums sums = {.capacity_bytes = load(&room->capacity_bytes)};
    uint32_t used = lines_used(room);
    for (uint32_t i = 1; i < used; i++) {
        uint64_t held = line_held(room, i), guarantee = load(&room->lines[i].guarantee_bytes);
        sums.tenants += load(&room->lines[i].id) != 0;
        sums.held_bytes += held;
        sums.guaranteed_bytes += guarantee;
        sums.committed_bytes += WEFT_MAX(held, guarantee);
        if (i == line) {
            sums.own_held_bytes = held;
            sums.own_guarantee_bytes = guarantee;
        }
    }
    return sums;
}

/* What is left of the device up to the pressure at which nobody grows above his guarantee. It binds
 * for others' guarantees only: without any it would keep memory free for nobody. */
static uint64_t left_unrestricted(const struct weft_room *room, const struct weft_room_sums *sums)
{
    uint64_t most = sums->capacity_bytes / 100 * WEFT_PRESSURE_RESTRICT_PERCENT;
    if (sums->guaranteed_bytes == sums->own_guarantee_bytes)
        return UINT64_MAX;
    if (__atomic_load_n(&room->restricted, __ATOMIC_SEQ_CST))
        return 0;
    return most - WEFT_MIN(most, sums->held_bytes);
}

/* Whether the line may hold `more` than its words say now. */
static bool admits(const struct weft_room_seat *seat, uint64_t more)
{
    struct weft_room_sums sums = weft_room_sum(seat->room, seat->line);
    uint64_t own, all;
    if (__builtin_add_overflow(sums.own_held_bytes, more, &own))
        return false;
    if (own <= sums.own_guarantee_bytes)
        return true;
    if (more && more > left_unrestricted(seat->room, &sums))
        return false;
    all = sums.committed_bytes - WEFT_MAX(sums.own_held_bytes, sums.own_guarantee_bytes);
    return !__builtin_add_overflow(all, own, &all) && all <= sums.capacity_bytes;
}

bool weft_room_promise(const struct weft_room_seat *seat, uint64_t bytes, bool anyhow)
{
    struct line *line = &seat->room->lines[seat->line];
    uint64_t before = load(&line->guarantee_bytes);
    store(&line->guarantee_bytes, bytes);
    __atomic_fetch_add(&seat->room->guarantees, (uint32_t)(bytes != 0) - (uint32_t)(before != 0),
                       __ATOMIC_SEQ_CST);
    struct weft_room_sums sums = weft_room_sum(seat->room, seat->line);
    if (anyhow || bytes <= before || bytes <= sums.own_held_bytes ||
        sums.committed_bytes <= sums.capacity_bytes)
        return true;
    __atomic_fetch_add(&seat->room->guarantees, (uint32_t)(before != 0) - (uint32_t)(bytes != 0),
                       __ATOMIC_SEQ_CST);
    store(&line->guarantee_bytes, before);
    return false;
}

void weft_room_sit(const struct weft_room_seat *seat, struct weft_ledger_account *account,
                   uint32_t device)
{
    if (!seat->room || device >= WEFT_LEDGER_DEVICES)
        return;
    account->mirrors[device] = &seat->room->held[seat->line][account->slot];
    store(account->mirrors[device], account->hands[device].held);
}

static bool is_bound(const struct weft_room_seat *seat)
{
    return seat->room && __atomic_load_n(&seat->room->guarantees, __ATOMIC_SEQ_CST) != 0;
}

static uint32_t mend(uint64_t *word, uint64_t value)
{
    if (load(word) == value)
        return 0;
    store(word, value);
    return 1;
}

static uint32_t mend_half(uint32_t *word, uint32_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST) != value;
}

static uint32_t mend_line(struct weft_room *room, const struct weft_room_terms *terms)
{
    struct line *line = &room->lines[terms->line];
    uint32_t slots = __atomic_load_n(&line->slots, __ATOMIC_SEQ_CST);
    uint32_t wrong = mend(&line->id, terms->id);
    if (slots < terms->slots || slots > WEFT_LEDGER_SLOTS)
        wrong += mend_half(&line->slots, terms->slots);
    return wrong + mend(&line->guarantee_bytes, terms->guarantee_bytes);
}

static uint32_t mend_free_line(struct weft_room *room, uint32_t line)
{
    const struct weft_room_terms free = {.line = line};
    return mend_line(room, &free) + mend_half(&room->lines[line].slots, 0);
}

uint32_t weft_room_mend(struct weft_room *room, const struct weft_room_terms *terms, size_t count,
                        uint64_t capacity_bytes, bool restricted)
{
    bool known[WEFT_ROOM_LINES] = {0};
    uint32_t wrong = mend_half(&room->restricted, restricted), guarantees = 0, last = 0;
    if (capacity_bytes)
        wrong += mend(&room->capacity_bytes, capacity_bytes);
    for (size_t i = 0; i < count; i++) {
        if (terms[i].line == 0 || terms[i].line >= WEFT_ROOM_LINES)
            continue;
        known[terms[i].line] = true;
        guarantees += terms[i].guarantee_bytes != 0;
        last = WEFT_MAX(last, terms[i].line);
        wrong += mend_line(room, &terms[i]);
    }
    uint32_t used = __atomic_load_n(&room->lines_used, __ATOMIC_SEQ_CST);
    if (used <= last || used > WEFT_ROOM_LINES)
        wrong += mend_half(&room->lines_used, last + 1);
    for (uint32_t line = 1; line < WEFT_ROOM_LINES; line++)
        wrong += known[line] ? 0 : mend_free_line(room, line);
    return wrong + mend_half(&room->guarantees, guarantees);
}

bool weft_room_mend_word(const struct weft_room_seat *seat, uint32_t slot,
                         const struct weft_ledger *ledger, uint32_t device,
                         struct weft_room_look *look)
{
    uint64_t sequence, held, shown, *word = &seat->room->held[seat->line][slot];
    if (!ledger)
        return mend(word, 0) != 0;
    /* The word first: a charge shows before it is announced, a giving back after it was made. */
    sequence = weft_ledger_slot_sequence(ledger, slot, device);
    shown = load(word);
    held = weft_ledger_slot_held(ledger, slot, device);
    if (weft_ledger_slot_sequence(ledger, slot, device) != sequence)
        return false;
    if (shown > held && look) {
        bool same = look->shown == shown && look->sequence == sequence;
        *look = (struct weft_room_look){shown, sequence, same ? look->looks + 1 : 0};
    }
    if (shown == held || (shown > held && (!look || look->looks < LOOKS_MAX)))
        return false;
    return __atomic_compare_exchange_n(word, &shown, held, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static void pause_for(uint32_t slot, int attempt)
{
    if (attempt == 0)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS * (long)(slot % PAUSE_STEPS + 1)}, NULL);
}

int weft_room_charge(const struct weft_room_seat *seat, struct weft_ledger_account *account,
                     uint32_t device, uint64_t bytes, uint64_t limit)
{
    int refusals = 0;
    for (int i = 0; i < TRIES_MAX; i++) {
        bool fits = !is_bound(seat) || admits(seat, bytes);
        if (!fits && ++refusals == REFUSALS_MAX)
            break;
        if (fits) {
            int rc = weft_ledger_charge(account, device, bytes, limit);
            if (rc || !is_bound(seat) || admits(seat, 0))
                return rc;
            weft_ledger_discharge(account, device, bytes);
        }
        pause_for(account->slot, i);
    }
    return -WEFT_ELIMIT;
}

uint64_t weft_room_left(const struct weft_room_seat *seat)
{
    if (!is_bound(seat))
        return UINT64_MAX;
    struct weft_room_sums sums = weft_room_sum(seat->room, seat->line);
    uint64_t own =
        sums.own_guarantee_bytes - WEFT_MIN(sums.own_guarantee_bytes, sums.own_held_bytes);
    uint64_t rest = sums.capacity_bytes - WEFT_MIN(sums.capacity_bytes, sums.committed_bytes);
    return own + WEFT_MIN(rest, left_unrestricted(seat->room, &sums));
}
