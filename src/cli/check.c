/* weft check: which backends can run a program, and why the others cannot. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inspect.h"
#include "policy/gpus.h"
#include "softgpu/profiles.h"

struct asked {
    const char *gpu;
    bool as_json, help;
};

/* The compute capability of the soft device that is asked about. */
static int find_sm(const char *gpu, uint32_t *sm, struct weft_err *err)
{
    struct weft_gpu_list list;
    int rc = weft_gpu_list_parse(gpu ? gpu : "soft", &list, err);
    if (rc)
        return weft_wrap(err, rc, "--gpu");
    if (list.items[0].kind != WEFT_GPU_SOFT)
        return weft_fail(err, WEFT_EINVAL,
                         "--gpu \"%s\": only soft devices have something to be checked; a native "
                         "GPU runs what its driver runs",
                         gpu);
    const char *name = list.items[0].place[0] ? list.items[0].place : WEFT_SOFT_PROFILE_DEFAULT;
    const struct weft_soft_profile *profile = weft_soft_profile_find(name);
    if (!profile)
        return weft_fail(err, WEFT_EINVAL, "--gpu \"%s\": there is no profile %s", gpu, name);
    *sm = profile->cc_major * 10 + profile->cc_minor;
    return 0;
}

static void print_people(const char *path, const struct weft_inspection *found)
{
    if (!found->uses_cuda) {
        printf("%s: no CUDA in it or in the libraries it is linked to; what it opens while it runs "
               "is not known\n",
               path);
        return;
    }
    printf("%s: %u modules, %u kernels looked at for sm_%u\n", path, found->module_count,
           found->kernel_count, found->sm);
    printf("native  yes, with NVIDIA's driver\n");
    printf("soft    %s\n", found->reason_count ? "no:" : "yes");
    for (uint32_t i = 0; i < found->reason_count; i++)
        printf("        %s\n", found->reasons[i]);
    if (found->more_reasons)
        printf("        and %u more\n", found->more_reasons);
    printf("remote  no: remote GPUs are not there yet\n");
}

static void print_json(const char *path, const struct weft_inspection *found)
{
    json_t *reasons = json_array();
    for (uint32_t i = 0; i < found->reason_count; i++)
        json_array_append_new(reasons,
                              json_stringn_nocheck(found->reasons[i], strlen(found->reasons[i])));
    json_t *answer =
        json_pack("{s:i, s:s, s:b, s:i, s:i, s:i, s:{s:b}, s:{s:b, s:o, s:i}, s:{s:b}}", "version",
                  1, "program", path, "uses_cuda", found->uses_cuda, "sm", (int)found->sm,
                  "modules", (int)found->module_count, "kernels", (int)found->kernel_count,
                  "native", "runs", true, "soft", "runs", found->reason_count == 0, "reasons",
                  reasons, "more_reasons", (int)found->more_reasons, "remote", "runs", false);
    json_dumpf(answer, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(answer);
}

static int check(const struct asked *asked, const char *path, struct weft_err *err)
{
    struct weft_inspection found;
    uint32_t sm = 0;
    int rc = find_sm(asked->gpu, &sm, err);
    if (rc == 0)
        rc = weft_inspect(&found, path, sm, err);
    if (rc)
        return rc;
    (asked->as_json ? print_json : print_people)(path, &found);
    if (fflush(stdout))
        return weft_fail(err, WEFT_EIO, "stdout cannot be written");
    /* Asked about one kind of device, the answer is the status. */
    return asked->gpu && found.reason_count ? -WEFT_ENOSYS : 0;
}

int weft_cli_check(const struct weft_verb *verb, int argc, char **argv)
{
    struct asked asked = {0};
    const struct weft_option options[] = {
        {"gpu", "soft[=PROFILE]", "for this device; status 1 if the program cannot run there",
         .value = &asked.gpu},
        {"json", NULL, "print JSON", .flag = &asked.as_json},
        {"help", NULL, "print this", .flag = &asked.help},
    };
    struct weft_err err = {0};
    int words = weft_options_parse(argc, argv, options, WEFT_ARRAY_COUNT(options), &err);
    if (words >= 0 && asked.help) {
        weft_cli_help(verb, options, WEFT_ARRAY_COUNT(options));
        return 0;
    }
    if (words >= 0 && argc - words != 1)
        words = weft_fail(&err, WEFT_EINVAL, "name one program");
    if (words < 0) {
        weft_cli_say("%s: %s", verb->name, err.text);
        return WEFT_CLI_USAGE;
    }
    int rc = check(&asked, argv[words], &err);
    if (rc && err.text[0])
        weft_cli_say("%s: %s", verb->name, err.text);
    return rc == -WEFT_EINVAL ? WEFT_CLI_USAGE : rc ? WEFT_CLI_FAILED : 0;
}
