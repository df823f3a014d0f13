#include "util/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    char *end;
    double seconds = strtod(text, &end);
    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end)
        return weft_fail(err, WEFT_EINVAL, "\"%s\": not a number of seconds", text);
    if (seconds > UINT32_MAX / 1e6)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": at most 4294 seconds", text);
    uint32_t rounded = (uint32_t)(seconds * 1e6);
    if (rounded == 0 && seconds > 0)
        return weft_fail(err, WEFT_ERANGE, "\"%s\": at least 0.000001 seconds", text);
    *time_us = rounded;
    return 0;
}
