/* weft: the command. A table of verbs, one file each. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "util/log.h"

static const struct weft_verb verbs[] = {
    {"run", "[OPTIONS] [--] PROGRAM [ARGUMENTS]", "run a program on GPUs, or on a part of one",
     weft_cli_run},
    {"ls", "[--json]", "list the devices of this node", weft_cli_ls},
    {"check", "[--gpu soft[=PROFILE]] [--json] PROGRAM",
     "say which backends can run a program, and why not", weft_cli_check},
    {"ps", "[--json]", "list tenants, their processes, and what they hold", weft_cli_ps},
    {"set", "TENANT OPTIONS", "change the limits of a live tenant", weft_cli_set},
    {"tenant", "[list|add NAME|remove NAME] [OPTIONS]",
     "list the tenants of this node, add and remove such as need no process", weft_cli_tenant},
    {"soft", "[list|inject DEVICE KIND|clear DEVICE] [OPTIONS]",
     "list the soft GPU's profiles and devices, and let faults happen to them", weft_cli_soft},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: weft VERB [OPTIONS]\n\n");
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(verbs); i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n`weft VERB --help` tells more, `weft --version` the version.\n");
}

/* Started with one of them closed, the next descriptor that we open would be taken for it. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    weft_log_init(WEFT_LOG_NONE);
    if (argc < 2) {
        print_usage(stderr);
        return WEFT_CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("weft %s\n", WEFT_VERSION);
        return 0;
    }
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(&verbs[i], argc - 2, argv + 2);
    }
    weft_cli_say("unknown %s \"%s\"; `weft --help` lists the verbs",
                 *argv[1] == '-' ? "option" : "verb", argv[1]);
    return WEFT_CLI_USAGE;
}
