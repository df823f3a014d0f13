/* Exact arithmetic on floating-point values, rounded once and at the end: what an IEEE 754
 * operation means, by integers alone.
 *
 * A finite value is significand × 2^exponent; `sticky` says that the true value lies above that, by
 * less than one unit of the significand's lowest bit. Slow on purpose: every step can be checked by
 * reading it. */
#ifndef WEFT_TESTS_REFERENCE_REAL_H
#define WEFT_TESTS_REFERENCE_REAL_H

#include <stdbool.h>
#include <stdint.h>

#include "softgpu/ptx/ptx.h"

typedef unsigned __int128 wide_uint;
typedef __int128 wide_int;

enum real_class { REAL_ZERO, REAL_FINITE, REAL_INFINITE, REAL_NAN };

struct real {
    enum real_class class;
    bool negative;
    bool sticky;
    int exponent;
    wide_uint significand;
};

struct real_format {
    int exponent_bits, fraction_bits;
};

/* The format of F16, BF16, F32 or F64. */
struct real_format real_format_of(enum weft_ptx_type type);

struct real real_unpack(struct real_format format, uint64_t bits);
/* Rounds by RN, RZ, RM or RP (ROUND_NONE is RN); NaN gives the canonical NaN of PTX, all ones but
 * the sign. */
uint64_t real_pack(struct real_format format, struct real value, enum weft_ptx_rounding rounding);

/* Exact or with `sticky`. The rounding only decides the sign of an exact zero sum. */
struct real real_add(struct real a, struct real b, enum weft_ptx_rounding rounding);
struct real real_multiply(struct real a, struct real b);
struct real real_divide(struct real a, struct real b);
struct real real_square_root(struct real a);
/* -1, 0, 1; 2 where one is NaN. */
int real_compare(struct real a, struct real b);

struct real real_from_integer(wide_int value);
/* To an integral value, by RNI, RZI, RMI or RPI (or their plain names); keeps infinities, NaN and
 * the sign of zero. */
struct real real_round_integral(struct real a, enum weft_ptx_rounding rounding);
/* Of an integral value; beyond ±2^100 it gives ±2^100. NaN is not allowed. */
wide_int real_to_integer(struct real a);

#endif
