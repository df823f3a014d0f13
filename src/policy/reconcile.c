#include "policy/reconcile.h"

#include "util/util.h"

void weft_reconcile_take(struct weft_reconcile_figure *figure, uint64_t now)
{
    bool known = now != WEFT_RECONCILE_UNKNOWN && figure->last != WEFT_RECONCILE_UNKNOWN;
    figure->steady = known ? WEFT_MIN(figure->last, now) : WEFT_RECONCILE_UNKNOWN;
    figure->last = now;
}

bool weft_reconcile_is_news(struct weft_reconcile_figure *figure, uint64_t bound)
{
    if (figure->steady == WEFT_RECONCILE_UNKNOWN)
        return false;
    bool grown = figure->steady > figure->told && figure->steady - figure->told > bound;
    if (grown || figure->steady < figure->told)
        figure->told = figure->steady;
    return grown;
}

uint64_t weft_reconcile_of_process(const struct weft_reconcile_sample *sample, uint32_t pid)
{
    uint32_t count = WEFT_MIN(sample->count, WEFT_RECONCILE_PROCESSES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (sample->processes[i].pid == pid)
            return sample->processes[i].bytes;
    }
    return WEFT_RECONCILE_UNKNOWN;
}

uint64_t weft_reconcile_driver(uint64_t given_bytes, uint64_t held_bytes)
{
    if (given_bytes == WEFT_RECONCILE_UNKNOWN)
        return WEFT_RECONCILE_UNKNOWN;
    return given_bytes - WEFT_MIN(given_bytes, held_bytes);
}

uint64_t weft_reconcile_ours(uint64_t given_bytes, uint64_t held_bytes)
{
    return given_bytes == WEFT_RECONCILE_UNKNOWN ? held_bytes : WEFT_MAX(given_bytes, held_bytes);
}
