#include "util/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* Written once by weft_log_init before other threads log; later changes are whole-word and harmless
 * to race with. */
static struct {
    enum weft_log_level level;
    int fd;
    char tenant[65];
} log_state = {.fd = STDERR_FILENO};

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

static bool parse_level(const char *text, size_t length, enum weft_log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strlen(level_names[i]) == length && strncmp(level_names[i], text, length) == 0) {
            *level = (enum weft_log_level)i;
            return true;
        }
    }
    return false;
}

void weft_log_init(enum weft_log_level default_level)
{
    log_state.level = default_level;
    const char *setting = getenv("WEFT_LOG");
    if (!setting || !*setting)
        return;
    const char *colon = strchrnul(setting, ':');
    if (!parse_level(setting, (size_t)(colon - setting), &log_state.level))
        log_state.level = WEFT_LOG_INFO;
    if (*colon == ':' && log_state.fd == STDERR_FILENO) {
        int fd = open(colon + 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0)
            log_state.fd = fd;
    }
}

void weft_log_set_tenant(const char *tenant)
{
    snprintf(log_state.tenant, sizeof(log_state.tenant), "%s", tenant);
}

void weft_log(enum weft_log_level level, const char *component, const char *format, ...)
{
    if (level > log_state.level)
        return;
    char line[LINE_BYTES];
    struct timespec now;
    struct tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &local);
    size_t used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &local);
    used += (size_t)snprintf(line + used, sizeof(line) - used, ".%03ldZ %s %s %d %s ",
                             now.tv_nsec / 1000000, level_names[level], component, (int)getpid(),
                             *log_state.tenant ? log_state.tenant : "-");
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    used += text < 0 ? 0 : (size_t)text;
    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    line[used++] = '\n';
    ssize_t written = write(log_state.fd, line, used);
    (void)written; /* there is nowhere to say that the log is broken */
}
