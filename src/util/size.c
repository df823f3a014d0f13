#include "util/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A number of seconds has no more characters. */
#define SECONDS_TEXT_MAX 24

static int parse_unit(const char *text, const char *unit, uint64_t *factor, struct weft_err *err)
{
    static const char letters[] = "KMGT";
    *factor = 1;
    if (*unit == '\0')
        return 0;
    const char *letter = strchr(letters, toupper((unsigned char)*unit));
    if (!letter)
        return weft_fail(err, WEFT_EINVAL, "\"%s\": unknown unit '%s'; use K, M, G or T", text,
                         unit);
    *factor = 1ull << (10 * (letter - letters + 1));
    if (unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0)
        return 0;
    if (strcasecmp(unit + 1, "B") == 0)
        return weft_fail(err, WEFT_EINVAL,
                         "\"%s\": '%s' can mean powers of 1000 or of 1024; write %c or %ciB (1024)",
                         text, unit, *letter, *letter);
    return weft_fail(err, WEFT_EINVAL, "\"%s\": unknown unit '%s'; use K, M, G or T", text, unit);
}

int weft_size_parse(const char *text, uint64_t *bytes, struct weft_err *err)
{
    if (*text == '-')
        return weft_fail(err, WEFT_EINVAL, "\"%s\": a size cannot be negative", text);
    size_t digits = strspn(text, "0123456789.");
    char number[32];
    if (digits == 0 || digits >= sizeof(number))
        return weft_fail(err, WEFT_EINVAL, "\"%s\": not a size; write a number and K, M, G or T",
                         text);
    memcpy(number, text, digits);
    number[digits] = '\0';
    uint64_t factor;
    int rc = parse_unit(text, text + digits, &factor, err);
    if (rc)
        return rc;
    char *end;
    errno = 0;
    long double value = strtold(number, &end);
    if (*end || end == number)
        return weft_fail(err, WEFT_EINVAL, "\"%s\": '%s' is not a number", text, number);
    long double total = value * (long double)factor;
    if (total >= 0x1p63L)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": too large", text);
    if ((uint64_t)total == 0)
        return weft_fail(err, WEFT_EINVAL, "\"%s\": a size must be more than 0", text);
    *bytes = (uint64_t)total;
    return 0;
}

char *weft_size_format(uint64_t bytes, char *text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < WEFT_ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(text, WEFT_SIZE_TEXT_BYTES, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

int weft_seconds_parse(const char *text, uint32_t *time_us, struct weft_err *err)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}};
    char *end = NULL, number[SECONDS_TEXT_MAX + 1] = "";
    size_t digits = strspn(text, "0123456789."), unit = 0;
    if (digits <= SECONDS_TEXT_MAX)
        memcpy(number, text, digits);
    double seconds = strtod(number, &end);
    while (unit < WEFT_ARRAY_COUNT(units) && strcmp(text + digits, units[unit].name) != 0)
        unit++;
    if (end == number || *end || unit == WEFT_ARRAY_COUNT(units))
        return weft_fail(err, WEFT_EINVAL,
                         "\"%s\": not a number of seconds; 2, 2s, 20ms or 500us are", text);
    seconds *= units[unit].seconds;
    if (seconds > UINT32_MAX / 1e6)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": at most 4294 seconds", text);
    uint32_t rounded = (uint32_t)(seconds * 1e6 + 0.5);
    if (rounded == 0 && seconds > 0)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": at least 0.000001 seconds", text);
    *time_us = rounded;
    return 0;
}
