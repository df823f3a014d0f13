/* The options of `weft run` and `weft tenant add` that say which devices. */
#include "cli/cli.h"

size_t weft_cli_gpus_options(struct weft_cli_gpus *asked, struct weft_option *list)
{
    const struct weft_option options[WEFT_CLI_GPUS] = {
        {"gpu", "LIST", "devices: N, GPU-uuid, soft[=PROFILE[xN]], any, …; default: all native",
         .value = &asked->list},
        {"gpus", "N", "so many of these, chosen by memory and load", .value = &asked->count},
        {"placement", "HOW", "chosen to spread tenants over devices (the default), or to pack them",
         .value = &asked->placement},
    };
    for (size_t i = 0; i < WEFT_CLI_GPUS; i++)
        list[i] = options[i];
    return WEFT_CLI_GPUS;
}

int weft_cli_gpus_parse(const struct weft_cli_gpus *asked, struct weft_gpu_list *gpus,
                        struct weft_err *err)
{
    int rc = asked->list ? weft_gpu_list_parse(asked->list, gpus, err) : 0;
    if (rc)
        return weft_wrap(err, rc, "--gpu");
    if (asked->count && (rc = weft_gpu_count_parse(asked->count, &gpus->wanted, err)))
        return weft_wrap(err, rc, "--gpus");
    if (asked->placement)
        rc = weft_placement_parse(asked->placement, &gpus->placement, err);
    if (rc == 0)
        rc = weft_gpu_list_check(gpus, err);
    return rc ? weft_wrap(err, rc, "--placement") : 0;
}
