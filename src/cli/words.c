/* Words of a command line that are no options. */
#include "cli/cli.h"

#include <string.h>

int weft_cli_words_parse(int argc, char **argv, const struct weft_option *options, size_t count,
                         const char **words, size_t room, struct weft_err *err)
{
    size_t used = 0;
    while (argc > 0) {
        int taken = weft_options_parse(argc, argv, options, count, err);
        if (taken < 0)
            return taken;
        argc -= taken;
        argv += taken;
        if (argc == 0)
            break;
        if (used == room)
            return weft_fail(err, WEFT_EINVAL, "unexpected word \"%s\"", *argv);
        words[used++] = *argv++;
        argc--;
    }
    return (int)used;
}

int weft_cli_tenant_name(const char *typed, char name[WEFT_WIRE_TENANT_BYTES], struct weft_err *err)
{
    if (strlen(typed) >= WEFT_WIRE_TENANT_BYTES)
        return weft_fail(err, WEFT_EINVAL, "\"%.20s…\": a tenant's name has at most %d characters",
                         typed, WEFT_WIRE_TENANT_BYTES - 1);
    memset(name, 0, WEFT_WIRE_TENANT_BYTES);
    memcpy(name, typed, strlen(typed));
    return 0;
}
