#include <stdio.h>

#include "cli/cli.h"

const char *weft_cli_size_told(const json_t *object, const char *key, char *text)
{
    const json_t *bytes = json_object_get(object, key);
    if (!bytes)
        return "-";
    if (json_is_null(bytes))
        return "?";
    return weft_size_format((uint64_t)json_integer_value(bytes), text);
}

static int ask_and_print(const struct weft_view *view, bool as_json, struct weft_err *err)
{
    json_t *answer;
    int rc = weft_cli_query(view->kind, &answer, err);
    if (rc)
        return rc;
    if (!answer)
        answer = json_pack("{s:i, s:[]}", "version", 1, view->key);
    if (as_json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else {
        view->print_people(json_object_get(answer, view->key));
    }
    json_decref(answer);
    return fflush(stdout) ? weft_fail(err, WEFT_EIO, "stdout cannot be written") : 0;
}

int weft_cli_show(const struct weft_verb *verb, int argc, char **argv, const struct weft_view *view)
{
    bool as_json = false, help = false;
    const struct weft_option options[] = {
        {"json", NULL, "print JSON", .flag = &as_json},
        {"help", NULL, "print this", .flag = &help},
    };
    struct weft_err err = {0};
    int words = weft_options_parse(argc, argv, options, WEFT_ARRAY_COUNT(options), &err);
    if (words >= 0 && words < argc)
        words = weft_fail(&err, WEFT_EINVAL, "unexpected word \"%s\"", argv[words]);
    if (words < 0) {
        weft_cli_say("%s: %s", verb->name, err.text);
        return WEFT_CLI_USAGE;
    }
    if (help) {
        weft_cli_help(verb, options, WEFT_ARRAY_COUNT(options));
        return 0;
    }
    if (ask_and_print(view, as_json, &err)) {
        weft_cli_say("%s: %s", verb->name, err.text);
        return WEFT_CLI_FAILED;
    }
    return 0;
}
