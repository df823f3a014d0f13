/* Values to try, by the letter of their kind:
 *   h w l  16, 32, 64 bits as integers     c  32 bits as counts and positions
 *   e g f d  f16, bf16, f32, f64           E G  pairs of f16, bf16 in 32 bits
 *   p  a predicate */
#ifndef WEFT_TESTS_CONFORMANCE_PTX_VALUES_H
#define WEFT_TESTS_CONFORMANCE_PTX_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A generator of pseudo-random numbers that is the same everywhere. */
struct dice {
    uint64_t state;
};
uint64_t dice_roll(struct dice *dice);
/* Below `limit`, which is not 0. */
uint32_t dice_below(struct dice *dice, uint32_t limit);

unsigned kind_bits(char kind);
bool kind_is_float(char kind);
/* The corner values of a kind, most telling first. */
size_t kind_corners(char kind, const uint64_t **out);
/* Uniform bits, small integers, and for floats numbers of like size that cancel and round. */
uint64_t kind_random(char kind, struct dice *dice);

/* Whether a float of that kind is NaN. */
bool kind_is_nan(char kind, uint64_t bits);
/* The number that a float of the kind stands for. */
long double kind_number(char kind, uint64_t bits);

#endif
