/* For programs of several processes that share device memory: a controller, which is a process of
 * the tenant too, and peers that do what it tells them, one step after the other. The first wrong
 * answer ends all of them with its line. */
#ifndef WEFT_TESTS_SHARE_H
#define WEFT_TESTS_SHARE_H

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../conformance/driver/memory/program.h"

#define SHARE_PATIENCE_S 60

/* A process, and the socket that leads to it. */
struct peer {
    pid_t pid;
    int socket;
};

/* A step's words, with or without a descriptor. */
struct step {
    unsigned long long words[12];
    char handle[64];
};

static inline void share_send(int socket, const struct step *step, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {(void *)step, sizeof(*step)};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.align = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(int));
    }
    TRUE(sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*step));
}

/* Ends the process where the other side has ended: whoever failed has said why. */
static inline int share_receive(int socket, struct step *step)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {step, sizeof(*step)};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int fd = -1;
    if (recvmsg(socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*step))
        exit(1);
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return fd;
}

/* Before the controller's own first CUDA call. */
static inline struct peer share_start(void (*run)(int socket))
{
    int sockets[2];
    TRUE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    struct peer peer = {fork(), sockets[0]};
    TRUE(peer.pid >= 0);
    if (peer.pid > 0) {
        close(sockets[1]);
        return peer;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(sockets[0]);
    run(sockets[1]);
    exit(0);
}

/* Has the peer do its next step, and returns the descriptor that it answers with. */
static inline int share_next(const struct peer *peer, struct step *step, int fd)
{
    share_send(peer->socket, step, fd);
    return share_receive(peer->socket, step);
}

static inline void share_kill(const struct peer *peer)
{
    int status;
    TRUE(kill(peer->pid, SIGKILL) == 0);
    TRUE(waitpid(peer->pid, &status, 0) == peer->pid && WIFSIGNALED(status));
}

/* The peer has come to its end, and all was right. */
static inline void share_join(const struct peer *peer)
{
    int status;
    TRUE(waitpid(peer->pid, &status, 0) == peer->pid && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0);
}

/* What the tenant is free to allocate. */
static inline size_t share_free(void)
{
    size_t free_bytes, total;
    DO(cuMemGetInfo(&free_bytes, &total));
    return free_bytes;
}

/* Waits until so much is free: what a death or a closed descriptor gives back comes soon, not at
 * once. Without a limit of its own the tenant cannot tell. */
static inline void share_expect_free(size_t wanted, int line)
{
    size_t now = 0;
    if (!getenv("SHARE_LIMITED"))
        return;
    for (int i = 0; i < SHARE_PATIENCE_S * 100; i++) {
        now = share_free();
        if (now == wanted)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fprintf(stderr, "line %d: %zu bytes are free, not %zu\n", line, now, wanted);
    exit(1);
}
#define EXPECT_FREE(bytes) share_expect_free(bytes, __LINE__)

/* The first word of device memory. */
static inline unsigned int share_word(CUdeviceptr address)
{
    unsigned int word;
    DO(cuMemcpyDtoH(&word, address, sizeof(word)));
    return word;
}

#endif
