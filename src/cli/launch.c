/* The program under `weft run`: its environment, its signals, its end. */
#include "cli/cli.h"
#include "cli/inspect.h"
#include "softgpu/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUMP_FRAMES_MAX 1024 /* reports printed before signals are looked at again */
#define SYNC_TIMEOUT_MS 2000
#define REJOIN_PAUSE_MS 100
#define REJOIN_TRIES_MAX 100 /* where the program has failed, and weftd could say why */
/* Before the program is started again, doubled each time up to 6.4 s. */
#define RESTART_PAUSE_MS 100u
#define RESTART_DOUBLINGS_MAX 6u

static const int handed_on[] = {SIGTERM, SIGINT,   SIGHUP,  SIGQUIT, SIGUSR1,
                                SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT};

struct launch {
    pid_t pid;
    bool told_to_end;       /* it was handed a signal that asks it to */
    uint32_t xid;           /* of the last fault that was not the program's doing; 0: none */
    int signals;            /* owned signalfd */
    struct weft_link *link; /* borrowed; its fd is -1 once weftd is gone */
    struct weft_inbox inbox;
    const char *tenant; /* borrowed */
    uint32_t syncs;     /* RUN_SYNC that a DONE has not answered yet */
    bool rejoining;     /* a new weftd was asked whether it knows us */
    bool forgotten;     /* it does not */
    bool ended;
    int status; /* as waitpid has it, once ended */
};

/* Puts `ours` before what the user has in the variable. */
static int put_first(const char *name, const char *ours)
{
    const char *theirs = getenv(name);
    if (!theirs || !*theirs)
        return setenv(name, ours, 1);
    size_t size = strlen(ours) + 1 + strlen(theirs) + 1;
    _cleanup_free_ char *both = malloc(size);
    if (!both)
        return -1;
    snprintf(both, size, "%s:%s", ours, theirs);
    return setenv(name, both, 1);
}

/* A library that is loaded already is taken for its name, wherever an RPATH points. */
static int preload_runtimes(const char *runtime_dir, const char *program)
{
    uint32_t needed = weft_inspect_runtimes(program);
    int rc = 0;
    for (uint32_t i = 0; i < WEFT_INSPECT_RUNTIMES && rc == 0; i++) {
        char path[WEFT_PLACES_PATH_BYTES];
        if (!(needed & 1u << i))
            continue;
        rc = weft_places_join(runtime_dir, weft_inspect_runtime_names[i], path, NULL);
        if (rc == 0 && access(path, R_OK) == 0)
            rc = put_first("LD_PRELOAD", path);
    }
    return rc;
}

/* What stands in for NVIDIA's libraries where the devices are not NVIDIA's. */
static int put_runtime_first(const char *library_dir, const char *program)
{
    char runtime[WEFT_PLACES_PATH_BYTES], nvrtc[WEFT_PLACES_PATH_BYTES];
    if (weft_places_join(library_dir, "cudart", runtime, NULL) ||
        weft_places_join(library_dir, "nvrtc-ptx.so", nvrtc, NULL) ||
        preload_runtimes(runtime, program) || put_first("LD_LIBRARY_PATH", runtime))
        return -1;
    /* The loader complains at every start about a library that is not there. */
    return access(nvrtc, R_OK) == 0 ? put_first("LD_PRELOAD", nvrtc) : 0;
}

/* MPS reads its share when the program's first context is made. Who asked for less gets that. */
static int ask_mps(uint32_t percent)
{
    const char *name = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", *theirs = getenv(name);
    double asked = theirs ? strtod(theirs, NULL) : 0;
    char text[16];
    if (percent == 0 || (asked > 0 && asked < percent))
        return 0;
    snprintf(text, sizeof(text), "%u", percent);
    return setenv(name, text, 1);
}

static int set_environment(const struct weft_cli_program *program)
{
    char face[WEFT_PLACES_PATH_BYTES];
    if (weft_places_join(program->library_dir, "libcuda.so.1", face, NULL))
        return -1;
    if (program->own_runtime && put_runtime_first(program->library_dir, program->argv[0]))
        return -1;
    if (ask_mps(program->mps_percent) || put_first("LD_PRELOAD", face) ||
        put_first("LD_LIBRARY_PATH", program->library_dir))
        return -1;
    return setenv("WEFT_SOCKET", program->socket, 1);
}

/* In the child. What goes wrong is told to the parent as an errno. */
static void become_program(const struct weft_cli_program *program, const sigset_t *mask, int tell)
{
    int number;
    if (set_environment(program)) {
        number = ENOMEM;
    } else {
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(program->argv[0], program->argv);
        number = errno;
    }
    ssize_t written = write(tell, &number, sizeof(number));
    (void)written;
    _exit(WEFT_CLI_RUN_FAILED);
}

static int cannot_start(const char *program, int number)
{
    weft_cli_say("%s: %s", program, strerror(number));
    return number == ENOENT ? WEFT_CLI_RUN_NOT_FOUND : WEFT_CLI_RUN_CANNOT_EXECUTE;
}

static void take_report(struct launch *launch)
{
    const struct weft_inbox *inbox = &launch->inbox;
    struct weft_wire_report report;
    if (weft_wire_report_decode(weft_inbox_reader(inbox), inbox->header.minor, &report, NULL))
        return;
    const struct weft_soft_xid *xid = report.error ? weft_soft_xid_find(report.xid) : NULL;
    if (xid && xid->blames_device)
        launch->xid = xid->number;
    if (*report.text)
        weft_cli_say("%s", report.text);
}

static void take_done(struct launch *launch)
{
    launch->syncs -= launch->syncs > 0;
    if (launch->rejoining && !launch->ended)
        weft_cli_say("weftd is back");
    launch->rejoining = false;
}

static void leave(struct launch *launch)
{
    weft_link_close(launch->link);
    weft_inbox_finish(&launch->inbox);
    weft_inbox_init(&launch->inbox, 0);
    launch->syncs = 0;
}

/* Takes what weftd has sent. Its loss is no reason to end the program, which goes on under its last
 * policy. */
static void pump_daemon(struct launch *launch)
{
    struct weft_err err = {0};
    int rc = 0;
    for (int i = 0; i < PUMP_FRAMES_MAX; i++) {
        rc = weft_inbox_fill(&launch->inbox, launch->link, &err);
        if (rc <= 0)
            break;
        if (launch->inbox.header.type == WEFT_WIRE_REPORT)
            take_report(launch);
        else if (launch->inbox.header.type == WEFT_WIRE_DONE)
            take_done(launch);
        else if (launch->inbox.header.type == WEFT_WIRE_ERROR && launch->rejoining)
            launch->forgotten = true;
        weft_inbox_next(&launch->inbox);
    }
    if (rc < 0 && !launch->ended && !launch->rejoining)
        weft_cli_say("weftd is gone (%s); the program goes on under its last limits", err.text);
    if (rc < 0 || launch->forgotten)
        leave(launch);
}

/* Looks what became of the program: its end, or a stop that the shell must see in us. */
static void look_at_child(struct launch *launch)
{
    int status;
    pid_t found;
    while ((found = waitpid(launch->pid, &status, WNOHANG | WUNTRACED)) > 0 ||
           (found < 0 && errno == EINTR)) {
        if (found > 0 && WIFSTOPPED(status)) {
            kill(getpid(), SIGSTOP);
        } else if (found > 0) {
            launch->ended = true;
            launch->status = status;
            return;
        }
    }
}

static void hand_on(struct launch *launch, const struct signalfd_siginfo *info)
{
    if (info->ssi_signo == SIGCHLD)
        return;
    /* What the terminal sends goes to the whole foreground group: the program has it already. */
    if (info->ssi_code == SI_KERNEL && getpgid(launch->pid) == getpgrp())
        return;
    kill(launch->pid, (int)info->ssi_signo);
}

static void note_signal(struct launch *launch, uint32_t number)
{
    launch->told_to_end |=
        number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
}

static void pump_signals(struct launch *launch)
{
    struct signalfd_siginfo info;
    while (read(launch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        note_signal(launch, info.ssi_signo);
        hand_on(launch, &info);
    }
    look_at_child(launch);
}

static int send_message(struct launch *launch, struct weft_packet *packet, enum weft_wire_type type)
{
    if (launch->link->fd < 0 || weft_packet_seal(packet, type, 0, NULL))
        return -WEFT_ECONN;
    return weft_link_send(launch->link, packet, NULL, 0, SYNC_TIMEOUT_MS, NULL);
}

static int ask_sync(struct launch *launch)
{
    struct weft_packet packet;
    weft_packet_init(&packet);
    int rc = send_message(launch, &packet, WEFT_WIRE_RUN_SYNC);
    launch->syncs += rc == 0;
    return rc;
}

/* Looks whether weftd's next life is there, and says which run this is. */
static void rejoin(struct launch *launch)
{
    struct weft_wire_resume resume = {0};
    struct weft_packet packet;
    if (launch->forgotten || weft_process_start_time(getpid(), &resume.start_ticks, NULL) ||
        weft_cli_connect(launch->link, NULL))
        return;
    snprintf(resume.tenant, sizeof(resume.tenant), "%s", launch->tenant);
    weft_packet_init(&packet);
    weft_wire_resume_encode(&resume, &packet.body);
    launch->rejoining = true;
    if (send_message(launch, &packet, WEFT_WIRE_RESUME) || ask_sync(launch))
        leave(launch);
}

static void supervise(struct launch *launch)
{
    look_at_child(launch);
    while (!launch->ended) {
        struct pollfd wait[] = {
            {.fd = launch->signals, .events = POLLIN},
            {.fd = launch->link->fd, .events = POLLIN}, /* ignored while it is -1 */
        };
        bool alone = launch->link->fd < 0 && !launch->forgotten;
        if (poll(wait, WEFT_ARRAY_COUNT(wait), alone ? REJOIN_PAUSE_MS : -1) < 0 && errno != EINTR)
            return;
        if (alone)
            rejoin(launch);
        if (wait[1].revents)
            pump_daemon(launch);
        pump_signals(launch);
    }
}

static void tell_child(struct launch *launch)
{
    struct weft_wire_run_child child = {.pid = (uint32_t)launch->pid};
    struct weft_packet packet;
    weft_packet_init(&packet);
    weft_wire_run_child_encode(&child, &packet.body);
    send_message(launch, &packet, WEFT_WIRE_RUN_CHILD);
}

/* False where a signal came that asks the program to end. */
static bool pause_for(struct launch *launch, uint32_t pause_ms)
{
    struct pollfd wait = {.fd = launch->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    uint64_t until_ns = weft_clock_ns() + pause_ms * 1000000ull, now_ns;
    while (!launch->told_to_end && (now_ns = weft_clock_ns()) < until_ns) {
        if (poll(&wait, 1, (int)((until_ns - now_ns) / 1000000) + 1) <= 0)
            continue;
        while (read(launch->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            note_signal(launch, info.ssi_signo);
    }
    return !launch->told_to_end;
}

/* Only weftd, which is on its way perhaps, knows whether it is to be started again. */
static void find_weftd(struct launch *launch, bool may_start_again)
{
    int tries = may_start_again && launch->status ? REJOIN_TRIES_MAX : 1;
    for (int i = 0; i < tries && launch->link->fd < 0 && !launch->forgotten; i++) {
        rejoin(launch);
        if (launch->link->fd < 0 && i + 1 < tries && !pause_for(launch, REJOIN_PAUSE_MS))
            return;
    }
}

/* The program's last reports may still be on their way through weftd: asks for them, and waits a
 * bounded time. */
static void sync_reports(struct launch *launch, bool may_start_again)
{
    find_weftd(launch, may_start_again);
    if (ask_sync(launch))
        return;
    uint64_t deadline_ns = weft_clock_ns() + SYNC_TIMEOUT_MS * 1000000ull;
    while (launch->syncs && launch->link->fd >= 0 && weft_clock_ns() < deadline_ns) {
        struct pollfd wait = {.fd = launch->link->fd, .events = POLLIN};
        if (poll(&wait, 1, SYNC_TIMEOUT_MS) > 0)
            pump_daemon(launch);
    }
}

/* Signals arrive at a descriptor from before the fork on, so that none is lost; *before is the mask
 * for the program. */
static int open_signals(sigset_t *before)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(handed_on); i++)
        sigaddset(&mask, handed_on[i]);
    sigprocmask(SIG_BLOCK, &mask, before);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Forks and waits for the program's exec. Returns 0, or the errno with which it failed. */
static int start(struct launch *launch, const struct weft_cli_program *program,
                 const sigset_t *mask)
{
    int ends[2], number = 0;
    if (pipe2(ends, O_CLOEXEC))
        return errno;
    launch->pid = fork();
    if (launch->pid == 0)
        become_program(program, mask, ends[1]);
    number = launch->pid < 0 ? errno : 0;
    close(ends[1]);
    if (launch->pid > 0) {
        /* Told before the exec ends, so that the tenant outlives us whenever we are killed. */
        tell_child(launch);
        if (weft_read_all(ends[0], &number, sizeof(number), NULL) != (int64_t)sizeof(number))
            number = 0;
    }
    close(ends[0]);
    if (number && launch->pid > 0)
        waitpid(launch->pid, NULL, 0);
    return number;
}

/* From the program's start to its end, and to the last of its reports. */
static int run_once(struct launch *launch, const struct weft_cli_program *program,
                    const sigset_t *mask)
{
    launch->xid = 0;
    launch->ended = false;
    int number = start(launch, program, mask);
    if (number)
        return cannot_start(program->argv[0], number);
    supervise(launch);
    sync_reports(launch, program->restarts_max > 0);
    if (WIFSIGNALED(launch->status))
        return WEFT_CLI_RUN_SIGNALLED + WTERMSIG(launch->status);
    return WEXITSTATUS(launch->status);
}

/* Whether it failed because of the device, and nobody wants it to end. Waits a while before it says
 * so: longer each time, since what broke the device may not be over. */
static bool starts_again(struct launch *launch, uint32_t tries, uint32_t tries_max)
{
    const struct weft_soft_xid *xid = weft_soft_xid_find(launch->xid);
    if (!xid || launch->told_to_end || launch->link->fd < 0)
        return false;
    if (tries >= tries_max) {
        if (tries_max)
            weft_cli_say("Xid %u (%s) again: started again %u times, now it is over", xid->number,
                         xid->text, tries_max);
        return false;
    }
    weft_cli_say("Xid %u (%s) was not the program's doing: starting it again, %u of %u",
                 xid->number, xid->text, tries + 1, tries_max);
    uint32_t pause_ms = RESTART_PAUSE_MS << WEFT_MIN(tries, RESTART_DOUBLINGS_MAX);
    return pause_for(launch, pause_ms);
}

int weft_cli_launch(const struct weft_cli_program *program, struct weft_link *link)
{
    struct launch launch = {.link = link, .tenant = program->tenant};
    sigset_t mask;
    _cleanup_fd_ int signals = open_signals(&mask);
    launch.signals = signals;
    if (signals < 0) {
        weft_cli_say("signalfd: %s", strerror(errno));
        return WEFT_CLI_RUN_FAILED;
    }
    weft_inbox_init(&launch.inbox, 0);
    int status = run_once(&launch, program, &mask);
    for (uint32_t tries = 0; status && starts_again(&launch, tries, program->restarts_max); tries++)
        status = run_once(&launch, program, &mask);
    weft_inbox_finish(&launch.inbox);
    return status;
}
