#include "util/options.h"

#include <string.h>

static const struct weft_option *find(const struct weft_option *options, size_t count,
                                      const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
            return &options[i];
    }
    return NULL;
}

/* Takes the option at argv[index] and returns the index of the next word. */
static int take(int index, int argc, char **argv, const struct weft_option *options, size_t count,
                struct weft_err *err)
{
    const char *name = strcmp(argv[index], "-h") == 0 ? "help" : argv[index] + 2;
    size_t length = strcspn(name, "=");
    const struct weft_option *option = find(options, count, name, length);
    if (!option || (argv[index][1] != '-' && strcmp(argv[index], "-h") != 0))
        return weft_fail(err, WEFT_EINVAL, "unknown option %s; --help lists the options",
                         argv[index]);
    if (!option->value_name) {
        if (name[length] == '=')
            return weft_fail(err, WEFT_EINVAL, "--%s takes no value", option->name);
        *option->flag = true;
        return index + 1;
    }
    if (name[length] == '=') {
        *option->value = name + length + 1;
        return index + 1;
    }
    if (index + 1 >= argc)
        return weft_fail(err, WEFT_EINVAL, "--%s needs a value: --%s %s", option->name,
                         option->name, option->value_name);
    *option->value = argv[index + 1];
    return index + 2;
}

int weft_options_parse(int argc, char **argv, const struct weft_option *options, size_t count,
                       struct weft_err *err)
{
    int index = 0;
    while (index < argc && argv[index][0] == '-' && argv[index][1]) {
        if (strcmp(argv[index], "--") == 0)
            return index + 1;
        index = take(index, argc, argv, options, count, err);
        if (index < 0)
            return index;
    }
    return index;
}

void weft_options_print(FILE *out, const struct weft_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", options[i].name, options[i].value_name ? " " : "",
                 options[i].value_name ? options[i].value_name : "");
        fprintf(out, "  %-24s %s\n", left, options[i].help);
    }
}
