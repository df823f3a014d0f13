#include "softgpu/engine/shared_event.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/util.h"

/* Records have so many places. One that takes an older one's does not end who waits for that:
 * numbers only grow, and each record is reached. */
#define RECORDS 64
/* A record: its number above the pid that made it. */
#define PID_BITS 22
#define PID_MASK ((1u << PID_BITS) - 1)
/* How often a wait looks before it asks whether the recorder lives. */
#define LOOKS_PER_CHECK 64
#define SLEEP_MIN_NS 20000ull
#define SLEEP_MAX_NS 500000ull
#define DOUBLINGS_MAX 8u

struct record {
    atomic_uint_fast64_t announced; /* number and pid */
    atomic_uint_fast64_t reached;   /* number */
};

struct event_page {
    struct weft_soft_ticket_page head;
    atomic_uint_fast64_t last; /* the number announced last; 0: never recorded */
    struct record records[RECORDS];
};
_Static_assert(sizeof(struct event_page) <= WEFT_SOFT_TICKET_BYTES, "it fits the page");

struct weft_soft_shared_event {
    atomic_uint references;
    struct weft_soft_ticket ticket;
};

/* One record that somebody waits for. */
struct wait {
    struct weft_soft_shared_event *event; /* referenced */
    uint64_t number;
    int recorder; /* pidfd, owned; -1 where there is nothing to watch */
    uint32_t looks;
};

static struct event_page *page_of(const struct weft_soft_shared_event *event)
{
    return (struct event_page *)event->ticket.page;
}

static struct record *record_of(struct weft_soft_shared_event *event, uint64_t number)
{
    return &page_of(event)->records[number % RECORDS];
}

CUresult weft_soft_shared_event_create(struct weft_soft_shared_event **out)
{
    struct weft_soft_shared_event *event = calloc(1, sizeof(*event));
    if (!event)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (weft_soft_ticket_create(&event->ticket, WEFT_SOFT_TICKET_EVENT, NULL)) {
        free(event);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_init(&event->references, 1);
    *out = event;
    return CUDA_SUCCESS;
}

CUresult weft_soft_shared_event_open(const char handle[WEFT_SOFT_TICKET_HANDLE_BYTES],
                                     struct weft_soft_shared_event **out)
{
    if (weft_soft_ticket_is_own(handle))
        return CUDA_ERROR_INVALID_CONTEXT;
    struct weft_soft_shared_event *event = calloc(1, sizeof(*event));
    if (!event)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (weft_soft_ticket_open(&event->ticket, WEFT_SOFT_TICKET_EVENT, handle, NULL)) {
        free(event);
        return CUDA_ERROR_INVALID_VALUE;
    }
    atomic_init(&event->references, 1);
    *out = event;
    return CUDA_SUCCESS;
}

struct weft_soft_shared_event *weft_soft_shared_event_get(struct weft_soft_shared_event *event)
{
    atomic_fetch_add(&event->references, 1);
    return event;
}

void weft_soft_shared_event_put(struct weft_soft_shared_event *event)
{
    if (!event || atomic_fetch_sub(&event->references, 1) != 1)
        return;
    weft_soft_ticket_finish(&event->ticket);
    free(event);
}

void weft_soft_shared_event_name(const struct weft_soft_shared_event *event,
                                 char handle[WEFT_SOFT_TICKET_HANDLE_BYTES])
{
    weft_soft_ticket_write(&event->ticket, handle);
}

/* The place is taken first and the number made public after that, by whoever comes: so a process
 * that dies in between leaves a record that can be seen to be the dead's. */
uint64_t weft_soft_shared_event_announce(struct weft_soft_shared_event *event)
{
    struct event_page *page = page_of(event);
    uint64_t self = (uint64_t)getpid() & PID_MASK;
    for (;;) {
        uint64_t last = atomic_load(&page->last), number = last + 1;
        struct record *record = record_of(event, number);
        uint64_t before = atomic_load(&record->announced);
        bool taken =
            before >> PID_BITS < number &&
            atomic_compare_exchange_strong(&record->announced, &before, number << PID_BITS | self);
        atomic_compare_exchange_strong(&page->last, &last, number);
        if (taken)
            return number;
    }
}

void weft_soft_shared_event_reach(struct weft_soft_shared_event *event, uint64_t number)
{
    struct record *record = record_of(event, number);
    uint64_t before = atomic_load(&record->reached);
    while (before < number && !atomic_compare_exchange_weak(&record->reached, &before, number))
        ;
}

static bool is_dead(int pidfd)
{
    struct pollfd asked = {.fd = pidfd, .events = POLLIN};
    return pidfd >= 0 && poll(&asked, 1, 0) == 1;
}

static bool is_reached(struct weft_soft_shared_event *event, uint64_t number)
{
    return number == 0 || atomic_load(&record_of(event, number)->reached) >= number;
}

/* False where there is nothing to wait for. */
static bool wait_begin(struct wait *wait, struct weft_soft_shared_event *event)
{
    uint64_t number = atomic_load(&page_of(event)->last);
    *wait = (struct wait){.event = event, .number = number, .recorder = -1};
    if (is_reached(event, number))
        return false;
    pid_t pid = (pid_t)(atomic_load(&record_of(event, number)->announced) & PID_MASK);
    if (pid == (getpid() & (pid_t)PID_MASK))
        return true;
    wait->recorder = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Without a process there is nobody who could reach it, unless it just has. */
    return wait->recorder >= 0;
}

static void wait_end(struct wait *wait)
{
    if (wait->recorder >= 0)
        close(wait->recorder);
    wait->recorder = -1;
}

static bool wait_is_over(struct wait *wait)
{
    if (is_reached(wait->event, wait->number))
        return true;
    return ++wait->looks % LOOKS_PER_CHECK == 0 && is_dead(wait->recorder);
}

CUresult weft_soft_shared_event_query(struct weft_soft_shared_event *event)
{
    struct wait wait;
    bool pending = wait_begin(&wait, event) && !is_dead(wait.recorder);
    wait_end(&wait);
    return pending ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

void weft_soft_shared_event_wait(struct weft_soft_shared_event *event)
{
    struct wait wait;
    if (!wait_begin(&wait, event))
        return;
    for (uint32_t doublings = 0; !wait_is_over(&wait); doublings++) {
        uint64_t ns = WEFT_MIN(SLEEP_MIN_NS << WEFT_MIN(doublings, DOUBLINGS_MAX), SLEEP_MAX_NS);
        nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
    }
    wait_end(&wait);
}

static CUresult look(void *argument)
{
    return wait_is_over(argument) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static void release(void *argument)
{
    struct wait *wait = argument;
    wait_end(wait);
    weft_soft_shared_event_put(wait->event);
    free(wait);
}

CUresult weft_soft_shared_event_hold(struct weft_soft_shared_event *event,
                                     struct weft_soft_stream *stream)
{
    struct wait wait;
    if (!wait_begin(&wait, event))
        return weft_soft_context_status(weft_soft_stream_context(stream));
    struct wait *kept = malloc(sizeof(*kept));
    if (!kept) {
        wait_end(&wait);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *kept = wait;
    weft_soft_shared_event_get(event);
    struct weft_soft_task task = {.run = look, .release = release, .argument = kept};
    return weft_soft_stream_poll(stream, &task);
}
