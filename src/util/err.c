#include <weft/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int weft_fail(struct weft_err *err, enum weft_errno code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = -(int)code;
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return -(int)code;
}

int weft_wrap(struct weft_err *err, int code, const char *format, ...)
{
    if (err) {
        char context[WEFT_ERR_TEXT_BYTES];
        char inner[WEFT_ERR_TEXT_BYTES];
        va_list args;
        va_start(args, format);
        vsnprintf(context, sizeof(context), format, args);
        va_end(args);
        memcpy(inner, err->text, sizeof(inner));
        err->code = code;
        size_t used = (size_t)snprintf(err->text, sizeof(err->text), "%s: ", context);
        if (used < sizeof(err->text))
            snprintf(err->text + used, sizeof(err->text) - used, "%s", inner);
    }
    return code;
}

const char *weft_strerror(int code)
{
    switch (code < 0 ? -code : code) {
    case WEFT_OK:
        return "success";
#define X(name, number, text) \
    case name:                \
        return text;
        WEFT_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}
