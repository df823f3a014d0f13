#include "policy/pressure.h"

#include <stdbool.h>

static const uint32_t percents[WEFT_PRESSURE_COUNT] = {
    [WEFT_PRESSURE_SHOW] = 50,
    [WEFT_PRESSURE_WARN] = 75,
    [WEFT_PRESSURE_RESTRICT] = WEFT_PRESSURE_RESTRICT_PERCENT,
    [WEFT_PRESSURE_STOP] = 95,
};

uint32_t weft_pressure_percent(enum weft_pressure level)
{
    return (unsigned)level < WEFT_PRESSURE_COUNT ? percents[level] : 0;
}

/* Whether `held` is so many per cent of `capacity`, or more. */
static bool reaches(uint64_t held, uint64_t capacity, uint32_t percent)
{
    return (unsigned __int128)held * 100 >= (unsigned __int128)capacity * percent;
}

enum weft_pressure weft_pressure_next(enum weft_pressure before, uint64_t held, uint64_t capacity)
{
    enum weft_pressure level = WEFT_PRESSURE_NONE;
    for (unsigned i = 1; capacity && i < WEFT_PRESSURE_COUNT; i++) {
        uint32_t slack = i <= (unsigned)before ? WEFT_PRESSURE_HYSTERESIS_PERCENT : 0;
        if (reaches(held, capacity, percents[i] - slack))
            level = (enum weft_pressure)i;
    }
    return level;
}

static void call_all(const struct weft_pressure_action *actions, size_t count, unsigned level,
                     bool begins, void *context)
{
    for (size_t i = 0; i < count; i++) {
        void (*call)(void *) = begins ? actions[i].begin : actions[i].end;
        if ((unsigned)actions[i].level == level && call)
            call(context);
    }
}

void weft_pressure_change(const struct weft_pressure_action *actions, size_t count,
                          enum weft_pressure before, enum weft_pressure after, void *context)
{
    for (unsigned level = (unsigned)before + 1; level <= (unsigned)after; level++)
        call_all(actions, count, level, true, context);
    for (unsigned level = (unsigned)before; level > (unsigned)after; level--)
        call_all(actions, count, level, false, context);
}
