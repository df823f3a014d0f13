/* A program under `weft run` for tests of the socket and the ledger alone: no CUDA, only a session.
 * It does what its arguments say, one after the other, and tells each step on stdout. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "softgpu/device_page.h"
#include "tenant/session.h"

static struct weft_session session = {.fd = -1};
static struct weft_ledger_account account;
static struct weft_err err;

static int open_session(const char *argument)
{
    (void)argument;
    int rc = weft_session_open(&session, &err);
    if (rc) {
        printf("open failed %d: %s\n", -rc, err.text);
        return -1;
    }
    weft_ledger_account_init(&account, session.ledger, session.slot);
    weft_room_sit(&session.seats[0], &account, 0);
    printf("open %s devices %zu\n", session.tenant, session.device_count);
    return 0;
}

static int close_session(const char *argument)
{
    (void)argument;
    weft_session_close(&session);
    printf("closed\n");
    return 0;
}

/* Closes all that a program may close behind our back; what is mapped stays. */
static int close_descriptors(const char *argument)
{
    (void)argument;
    for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
        close(fd);
    return 0;
}

/* Charges bytes on device 0 under the policy's limit, and what others are guaranteed there. */
static int charge(const char *argument)
{
    uint64_t limit = weft_policy_memory_limit(session.policy, 0);
    int rc = weft_room_charge(&session.seats[0], &account, 0, strtoull(argument, NULL, 10), limit);
    printf("charge %s: %s\n", argument, rc ? "refused" : "ok");
    return 0;
}

static int limit(const char *argument)
{
    (void)argument;
    printf("limit %llu\n", (unsigned long long)weft_policy_memory_limit(session.policy, 0));
    return 0;
}

static int report(const char *argument)
{
    weft_session_report(&session, argument);
    return 0;
}

/* The parent leaves at once; its child goes on with what follows, holding all that the parent
 * opened. */
static int leave_child(const char *argument)
{
    (void)argument;
    fflush(stdout);
    if (fork() > 0)
        _exit(0);
    printf("child %d\n", (int)getpid());
    return 0;
}

static int kill_self(const char *argument)
{
    fflush(stdout);
    kill(getpid(), atoi(argument));
    return 0;
}

static int wait_line(const char *argument)
{
    char line[64];
    printf("waiting %d\n", (int)getpid());
    fflush(stdout);
    (void)argument;
    return fgets(line, sizeof(line), stdin) ? 0
                                            : -1; /* a test that has ended leaves nobody behind */
}

/* Becomes another program, of the same number and start time. */
static int become(const char *argument)
{
    fflush(stdout);
    execl("/bin/sh", "sh", "-c", argument, (char *)NULL);
    return -1;
}

/* Tells what was granted on each device. */
static int devices(const char *argument)
{
    (void)argument;
    for (size_t i = 0; i < session.device_count; i++) {
        const struct weft_device_grant *device = &session.devices[i];
        off_t bytes = device->arena_fd < 0 ? 0 : lseek(device->arena_fd, 0, SEEK_END);
        printf("device %zu kind %d index %u profile '%s' arena %lld page %d\n", i, device->kind,
               device->native_index, device->profile, (long long)bytes, device->page_fd >= 0);
    }
    return 0;
}

/* What weftd says that this host can back on each device. */
static int ceilings(const char *argument)
{
    (void)argument;
    for (size_t i = 0; i < session.device_count; i++) {
        const struct weft_device_page *page =
            mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, session.devices[i].page_fd, 0);
        if (page == MAP_FAILED)
            return -1;
        printf("ceiling %llu of %llu\n", (unsigned long long)page->memory_ceiling_bytes,
               (unsigned long long)page->memory_bytes);
    }
    return 0;
}

/* Writes so many bytes into device 0's memory. */
static int touch(const char *argument)
{
    static const char page[4096] = {1};
    off_t bytes = atoll(argument);
    for (off_t at = 0; at < bytes; at += (off_t)sizeof(page)) {
        if (pwrite(session.devices[0].arena_fd, page, sizeof(page), at) != (ssize_t)sizeof(page))
            return -1;
    }
    printf("touched\n");
    return 0;
}

/* Waits until weftd has taken device 0's pages back. */
static int drained(const char *argument)
{
    struct stat found;
    (void)argument;
    while (fstat(session.devices[0].arena_fd, &found) == 0 && found.st_blocks)
        usleep(1000);
    printf("drained\n");
    return 0;
}

/* Tries what a program must not be able to do to the memory that it was given. */
static int tamper(const char *argument)
{
    (void)argument;
    int writable =
        mprotect((void *)session.policy, sizeof(*session.policy), PROT_READ | PROT_WRITE) == 0;
    int shrinks = ftruncate(session.devices[0].arena_fd, 4096) == 0;
    printf("tamper policy %s arena %s\n", writable ? "writable" : "safe",
           shrinks ? "shrinks" : "safe");
    return 0;
}

/* Takes one of device 0's SMs, as a worker thread of the soft driver does. */
static int take_sm(const char *argument)
{
    struct weft_device_page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED,
                                         session.devices[0].page_fd, 0);
    if (page == MAP_FAILED)
        return -1;
    uint64_t none = 0, owner = WEFT_DEVICE_OWNER(session.devices[0].slot, 1);
    struct weft_device_sm *sm = &page->sms[atoi(argument)];
    bool taken = __atomic_compare_exchange_n(&sm->owner, &none, owner, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_RELAXED);
    printf("sm %s %s\n", argument, taken ? "taken" : "busy");
    return 0;
}

/* Uses device time on device 0, as the soft driver does when a kernel ends. */
static int use_time(const char *argument)
{
    uint64_t time_ns = strtoull(argument, NULL, 10);
    off_t bytes = lseek(session.devices[0].page_fd, 0, SEEK_END);
    char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                        session.devices[0].page_fd, 0);
    if (memory == MAP_FAILED)
        return -1;
    struct weft_device_page *page = (struct weft_device_page *)memory;
    struct weft_device_time *time = (struct weft_device_time *)(memory + weft_device_time_offset());
    __atomic_fetch_add(&page->processes[session.devices[0].slot].device_time_ns, time_ns,
                       __ATOMIC_RELAXED);
    __atomic_fetch_add(&time->share.used_ns, time_ns, __ATOMIC_RELAXED);
    return 0;
}

/* Writes over all that says what the tenant's processes hold. */
static int scribble(const char *argument)
{
    memset(session.ledger, atoi(argument), weft_ledger_bytes());
    printf("scribbled\n");
    return 0;
}

/* Writes over all that tells the processes of device 0 what others hold and are guaranteed. */
static int wipe_room(const char *argument)
{
    enum { HEAD_BYTES = 16 }; /* magic, version and size */
    memset((char *)session.seats[0].room + HEAD_BYTES, atoi(argument),
           weft_room_bytes() - HEAD_BYTES);
    printf("wiped\n");
    return 0;
}

/* Claims to hold so much more than it may, with a ledger that is well formed. */
static int overdraw(const char *argument)
{
    int rc = weft_ledger_charge(&account, 0, strtoull(argument, NULL, 10), UINT64_MAX);
    printf("overdraw %d\n", rc);
    return 0;
}

static int leave(const char *argument)
{
    fflush(stdout);
    _exit(atoi(argument));
}

static const struct {
    const char *name;
    int (*step)(const char *argument);
} steps[] = {
    {"open", open_session}, {"close", close_session},
    {"charge", charge},     {"limit", limit},
    {"report", report},     {"exec", become},
    {"devices", devices},   {"tamper", tamper},
    {"ceilings", ceilings}, {"touch", touch},
    {"drained", drained},   {"sm", take_sm},
    {"time", use_time},     {"orphan", leave_child},
    {"kill", kill_self},    {"wait", wait_line},
    {"exit", leave},        {"scribble", scribble},
    {"overdraw", overdraw}, {"closefrom", close_descriptors},
    {"wipe", wipe_room},
};

/* Each argument is STEP or STEP=VALUE. */
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t length = strcspn(argv[i], "=");
        const char *value = argv[i][length] ? argv[i] + length + 1 : "";
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
            if (strlen(steps[s].name) == length && strncmp(steps[s].name, argv[i], length) == 0 &&
                steps[s].step(value))
                return 3;
        }
        fflush(stdout);
    }
    return 0;
}
