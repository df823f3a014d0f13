/* What a program has to say: sentences, and faults that ended a context. Where weftd is gone its
 * next life is told, over a new socket, as the same lease. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tenant/session.h"
#include "tenant/session_report.h"
#include "transport/transport.h"
#include "util/util.h"

#define UNSENT_MAX 8 /* what comes after is dropped: the first fault says most */
#define RETRY_PAUSE_MS 100
#define RETRIES_MAX 36000 /* an hour */

struct weft_session_unsent {
    pthread_mutex_t lock; /* guards all of it, and the session's socket while it is replaced */
    bool closed;          /* atomic; the session is gone: who has the lock next frees this */
    bool retrying;        /* a thread looks for weftd from time to time */
    bool tries_at_exit;   /* the program's exit comes here too, so this stays for good */
    uint32_t count;
    struct weft_wire_report reports[UNSENT_MAX]; /* oldest first */
};

struct weft_session_unsent *weft_session_unsent_create(void)
{
    struct weft_session_unsent *unsent = calloc(1, sizeof(*unsent));
    if (unsent)
        pthread_mutex_init(&unsent->lock, NULL);
    return unsent;
}

void weft_session_unsent_destroy(struct weft_session_unsent *unsent)
{
    if (!unsent)
        return;
    __atomic_store_n(&unsent->closed, true, __ATOMIC_RELEASE);
    /* After a fork its lock may be held by a thread that is not here: then it is left behind. */
    if (pthread_mutex_trylock(&unsent->lock))
        return;
    bool left = unsent->retrying || unsent->tries_at_exit;
    pthread_mutex_unlock(&unsent->lock);
    if (!left)
        free(unsent);
}

/* The program may have closed our descriptor, and have another file there. */
static bool has_socket(const struct weft_session *session)
{
    int fd = __atomic_load_n(&session->fd, __ATOMIC_RELAXED);
    return fd >= 0 && weft_session_file_number(fd) == session->socket_file;
}

static void take_socket(struct weft_session *session, int fd)
{
    if (has_socket(session) && dup3(fd, session->fd, O_CLOEXEC) >= 0) {
        close(fd); /* other threads go on with the same number */
        fd = session->fd;
    }
    session->socket_file = weft_session_file_number(fd);
    __atomic_store_n(&session->fd, fd, __ATOMIC_RELAXED);
}

/* A frame of at most 1 KiB goes as a whole or not at all. WEFT_ECONN where nobody is there to take
 * it; one that a busy weftd has no room for is dropped. */
static int send_frame(int fd, const struct weft_packet *packet)
{
    if (send(fd, packet->bytes, packet->size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR
               ? 0
               : -WEFT_ECONN;
}

/* Not waited for: what follows is served after it. */
static bool resume(struct weft_session *session)
{
    struct weft_wire_resume message = {.slot = session->slot};
    struct weft_packet packet;
    struct weft_link link;
    memcpy(message.tenant, session->tenant, sizeof(message.tenant));
    if (weft_process_start_time(getpid(), &message.start_ticks, NULL) ||
        weft_unix_connect(session->path, &link, NULL))
        return false;
    weft_packet_init(&packet);
    weft_wire_resume_encode(&message, &packet.body);
    if (weft_packet_seal(&packet, WEFT_WIRE_RESUME, 0, NULL) || send_frame(link.fd, &packet)) {
        weft_link_close(&link);
        return false;
    }
    take_socket(session, link.fd);
    return true;
}

/* False where weftd is not there. */
static bool deliver(struct weft_session *session, const struct weft_wire_report *report)
{
    struct weft_packet packet;
    weft_packet_init(&packet);
    weft_wire_report_encode(report, &packet.body);
    if (weft_packet_seal(&packet, WEFT_WIRE_REPORT, 0, NULL))
        return true;
    if (has_socket(session) && send_frame(session->fd, &packet) == 0)
        return true;
    return resume(session) && send_frame(session->fd, &packet) == 0;
}

/* With the lock held. True where nothing is left. */
static bool deliver_kept(struct weft_session *session, struct weft_session_unsent *unsent)
{
    while (unsent->count && deliver(session, &unsent->reports[0])) {
        unsent->count--;
        memmove(&unsent->reports[0], &unsent->reports[1],
                unsent->count * sizeof(unsent->reports[0]));
    }
    return unsent->count == 0;
}

struct retry {
    struct weft_session *session;
    struct weft_session_unsent *unsent;
};

static void *look_for_weftd(void *context)
{
    struct retry retry = *(struct retry *)context;
    struct weft_session_unsent *unsent = retry.unsent;
    bool done = false, closed = false;
    free(context);
    for (int i = 0; i < RETRIES_MAX && !done; i++) {
        poll(NULL, 0, RETRY_PAUSE_MS);
        pthread_mutex_lock(&unsent->lock);
        closed = __atomic_load_n(&unsent->closed, __ATOMIC_ACQUIRE);
        done = closed || deliver_kept(retry.session, unsent) || i == RETRIES_MAX - 1;
        unsent->retrying = !done;
        pthread_mutex_unlock(&unsent->lock);
    }
    if (closed && !unsent->tries_at_exit)
        free(unsent);
    return NULL;
}

/* Nobody waits for weftd here; but it may be there since the last look. */
static void say_last(int status, void *context)
{
    const struct retry *retry = context;
    struct weft_session_unsent *unsent = retry->unsent;
    (void)status;
    if (pthread_mutex_trylock(&unsent->lock))
        return;
    if (!__atomic_load_n(&unsent->closed, __ATOMIC_ACQUIRE))
        deliver_kept(retry->session, unsent);
    pthread_mutex_unlock(&unsent->lock);
}

static void try_at_exit(struct weft_session *session, struct weft_session_unsent *unsent)
{
    struct retry *retry = unsent->tries_at_exit ? NULL : malloc(sizeof(*retry));
    if (!retry)
        return;
    *retry = (struct retry){session, unsent};
    unsent->tries_at_exit = on_exit(say_last, retry) == 0;
    if (!unsent->tries_at_exit)
        free(retry);
}

/* None of the program's signals is for it. */
static bool start_retrying(struct weft_session *session, struct weft_session_unsent *unsent)
{
    struct retry *retry = malloc(sizeof(*retry));
    pthread_t thread;
    sigset_t all, before;
    if (!retry)
        return false;
    *retry = (struct retry){session, unsent};
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&thread, NULL, look_for_weftd, retry) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    else
        free(retry);
    return started;
}

static void send_report(struct weft_session *session, const struct weft_wire_report *report)
{
    struct weft_session_unsent *unsent = session->unsent;
    if (!unsent)
        return;
    pthread_mutex_lock(&unsent->lock);
    bool sent = deliver_kept(session, unsent) && deliver(session, report);
    if (!sent && unsent->count < UNSENT_MAX)
        unsent->reports[unsent->count++] = *report;
    if (!sent)
        try_at_exit(session, unsent);
    if (!sent && !unsent->retrying)
        unsent->retrying = start_retrying(session, unsent);
    pthread_mutex_unlock(&unsent->lock);
}

void weft_session_report(struct weft_session *session, const char *text)
{
    struct weft_wire_report report = {0};
    snprintf(report.text, sizeof(report.text), "%s", text);
    send_report(session, &report);
}

void weft_session_fault(struct weft_session *session, uint32_t device,
                        const struct weft_device_fault *fault)
{
    struct weft_wire_report report = {.error = fault->error, .device = device, .xid = fault->xid};
    snprintf(report.text, sizeof(report.text), "%s", fault->text);
    send_report(session, &report);
}
