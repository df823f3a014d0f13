/* Which SMs a tenant's kernels may run on. Sets, and not counts: what may run on no other SM than
 * its own needs no count that is right after every kill -9. Pure. */
#ifndef WEFT_POLICY_SPACE_H
#define WEFT_POLICY_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#define WEFT_SPACE_SMS_MAX 256
#define WEFT_SPACE_WORDS (WEFT_SPACE_SMS_MAX / 64)

/* Zeroed is all of a device. In shared memory each word is read and written by one atomic
 * instruction. */
struct weft_space_set {
    uint64_t words[WEFT_SPACE_WORDS]; /* a bit for each SM, if it is a part */
    uint64_t is_part;                 /* 0 or 1 */
    uint64_t reserved[3];
};
_Static_assert(sizeof(struct weft_space_set) == 64, "shared with other processes");

/* How many SMs a share of so many per cent is: rounded down, at least one. */
uint32_t weft_space_sms(uint32_t sm_count, uint32_t percent);
bool weft_space_is_whole(const struct weft_space_set *set);
bool weft_space_has(const struct weft_space_set *set, uint32_t sm);
/* How many SMs of a device of `sm_count` the set holds. */
uint32_t weft_space_count(const struct weft_space_set *set, uint32_t sm_count);
/* Whether some SM is in both. */
bool weft_space_meets(const struct weft_space_set *one, const struct weft_space_set *other);
/* Chooses `wanted` of `sm_count` SMs, at most WEFT_SPACE_SMS_MAX: those that the fewest others have
 * (`loads`, by SM); of equal ones those that `own` holds, then the first. */
struct weft_space_set weft_space_choose(const uint32_t *loads, uint32_t sm_count, uint32_t wanted,
                                        const struct weft_space_set *own);
/* Writes a set that others read meanwhile. Between two parts no reader finds an SM that is in
 * neither. */
void weft_space_write(struct weft_space_set *shared, const struct weft_space_set *set);

#endif
