/* Logging for all of weft. Inside a program it is silent unless WEFT_LOG=LEVEL[:FILE] asks for it.
 * A line is `time level component pid tenant message`. Any thread; one write(2) a line. */
#ifndef WEFT_UTIL_LOG_H
#define WEFT_UTIL_LOG_H

#include <stdbool.h>

/* error: a user must act. warn: something was given up. info: life cycle. debug: for us. */
enum weft_log_level {
    WEFT_LOG_NONE,
    WEFT_LOG_ERROR,
    WEFT_LOG_WARN,
    WEFT_LOG_INFO,
    WEFT_LOG_DEBUG,
};

/* Reads WEFT_LOG; the daemon and the command raise the default to WARN on stderr first. Safe to
 * call again. */
void weft_log_init(enum weft_log_level default_level);
/* The tenant named in every later line; cut to 64 bytes. */
void weft_log_set_tenant(const char *tenant);
void weft_log(enum weft_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
