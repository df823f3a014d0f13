/* How full a device's memory is, in levels, and what is done at each. Pure: who looks says what is
 * held, and gets a level that does not flap. */
#ifndef WEFT_POLICY_PRESSURE_H
#define WEFT_POLICY_PRESSURE_H

#include <stddef.h>
#include <stdint.h>

/* A level is left downwards only that many per cent under the one at which it begins. */
#define WEFT_PRESSURE_HYSTERESIS_PERCENT 5
#define WEFT_PRESSURE_RESTRICT_PERCENT 85

enum weft_pressure {
    WEFT_PRESSURE_NONE = 0,
    WEFT_PRESSURE_SHOW = 1,     /* from 50 %: told, and no more */
    WEFT_PRESSURE_WARN = 2,     /* 75 % */
    WEFT_PRESSURE_RESTRICT = 3, /* 85 %: no growth above guarantees */
    WEFT_PRESSURE_STOP = 4,     /* 95 %: no device time for the class `idle` */
    WEFT_PRESSURE_COUNT = 5,
};

/* The per cent at which a level begins; 0 for none. */
uint32_t weft_pressure_percent(enum weft_pressure level);
/* The level at `held` of `capacity` bytes, after `before`. */
enum weft_pressure weft_pressure_next(enum weft_pressure before, uint64_t held, uint64_t capacity);

/* Something that is done while a level holds. What else there is to do at a level, as moving memory
 * of somebody idle out of the device, becomes another line of its caller's table. */
struct weft_pressure_action {
    enum weft_pressure level;
    void (*begin)(void *context); /* the level is reached; NULL: nothing to do */
    void (*end)(void *context);   /* it is left; NULL: nothing to do */
};
/* Calls what a change of the level asks for: beginnings from the lowest level up, ends from the
 * highest down, in the table's order within a level. */
void weft_pressure_change(const struct weft_pressure_action *actions, size_t count,
                          enum weft_pressure before, enum weft_pressure after, void *context);

#endif
