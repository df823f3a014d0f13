/* The one list of weft's errors, and the record in which a failure travels up to the place that
 * reports it. */
#ifndef WEFT_ERR_H
#define WEFT_ERR_H

/* X(name, number, text). Numbers are stable: they cross the socket.
 * Functions return them negated. */
#define WEFT_ERRORS(X)                                        \
    X(WEFT_EINVAL, 1, "invalid argument")                     \
    X(WEFT_ENOMEM, 2, "out of memory")                        \
    X(WEFT_ELIMIT, 3, "a limit of the tenant is reached")     \
    X(WEFT_ENOENT, 4, "not found")                            \
    X(WEFT_EEXIST, 5, "already there")                        \
    X(WEFT_EPERM, 6, "not allowed")                           \
    X(WEFT_EBUSY, 7, "busy")                                  \
    X(WEFT_ENOSYS, 8, "not supported")                        \
    X(WEFT_EPROTO, 9, "the peer does not speak our protocol") \
    X(WEFT_EVERSION, 10, "the peer has another version")      \
    X(WEFT_ECONN, 11, "no connection")                        \
    X(WEFT_EIO, 12, "input or output failed")                 \
    X(WEFT_ESYNTAX, 13, "malformed text")                     \
    X(WEFT_EFAULT, 14, "a kernel faulted")                    \
    X(WEFT_ERANGE, 15, "out of range")                        \
    X(WEFT_ETIMEDOUT, 16, "timed out")                        \
    X(WEFT_EBUG, 17, "a bug in weft")

enum weft_errno {
    WEFT_OK = 0,
#define X(name, number, text) name = number,
    WEFT_ERRORS(X)
#undef X
};

#define WEFT_ERR_TEXT_BYTES 512

/* Belongs to the caller, never allocates; a zeroed one is valid.
 * Functions that take it accept NULL. */
struct weft_err {
    int code; /* a negated enum weft_errno, or 0 */
    char text[WEFT_ERR_TEXT_BYTES];
};

/* Records the failure and returns -code. The text is printf-formatted and cut to fit. */
int weft_fail(struct weft_err *err, enum weft_errno code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there, and returns err's code. */
int weft_wrap(struct weft_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The list's text for a code, positive or negated; never NULL. */
const char *weft_strerror(int code);

#endif
