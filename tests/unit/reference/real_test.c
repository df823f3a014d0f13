/* The reference's arithmetic against the processor's own, in all four rounding modes. Breaks where
 * the integer arithmetic of real.c rounds, overflows, underflows or signs a zero otherwise than
 * IEEE 754 does. */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "reference/real.h"

#define RANDOM_PAIRS 20000

static const struct {
    int mode;
    enum weft_ptx_rounding rounding;
} modes[] = {{FE_TONEAREST, WEFT_PTX_RN},
             {FE_TOWARDZERO, WEFT_PTX_RZ},
             {FE_DOWNWARD, WEFT_PTX_RM},
             {FE_UPWARD, WEFT_PTX_RP}};

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Close exponents, short fractions, and now and then any bits at all. */
static uint64_t random_bits(int fraction_bits, int exponent_bits)
{
    static const uint64_t corners[] = {0, 1, 2, 3};
    uint64_t random = next_random();
    uint64_t sign = (random & 1) << (fraction_bits + exponent_bits);
    uint64_t fraction = next_random() & ((1ull << fraction_bits) - 1);
    uint64_t all = (1ull << exponent_bits) - 1;
    uint64_t exponent = all / 2 - 30 + random / 2 % 61;
    switch (random >> 8 & 7) {
    case 0:
        return sign | (next_random() & ((1ull << (fraction_bits + exponent_bits)) - 1));
    case 1:
        return sign | corners[random >> 16 & 3];
    case 2:
        return sign | ((all - (random >> 16 & 1)) << fraction_bits) | (fraction & ~corners[1]);
    case 3:
        return sign | exponent << fraction_bits | (fraction >> 40 << 20);
    default:
        return sign | exponent << fraction_bits | fraction;
    }
}

enum operation { ADD, MULTIPLY, DIVIDE, ROOT, FUSED, OPERATIONS };

static struct real refer(enum operation operation, const struct real *x,
                         enum weft_ptx_rounding rounding)
{
    switch (operation) {
    case ADD:
        return real_add(x[0], x[1], rounding);
    case MULTIPLY:
        return real_multiply(x[0], x[1]);
    case DIVIDE:
        return real_divide(x[0], x[1]);
    case ROOT:
        return real_square_root(x[0]);
    default:
        return real_add(real_multiply(x[0], x[1]), x[2], rounding);
    }
}

static uint64_t processor_double(enum operation operation, const uint64_t *bits)
{
    volatile double x[3];
    memcpy((void *)x, bits, sizeof x);
    volatile double y = operation == ADD        ? x[0] + x[1]
                        : operation == MULTIPLY ? x[0] * x[1]
                        : operation == DIVIDE   ? x[0] / x[1]
                        : operation == ROOT     ? sqrt(x[0])
                                                : fma(x[0], x[1], x[2]);
    uint64_t result;
    memcpy(&result, (void *)&y, sizeof result);
    return result;
}

static uint64_t processor_single(enum operation operation, const uint64_t *bits)
{
    volatile float x[3];
    for (int i = 0; i < 3; i++) {
        uint32_t low = (uint32_t)bits[i];
        memcpy((void *)&x[i], &low, sizeof low);
    }
    volatile float y = operation == ADD        ? x[0] + x[1]
                       : operation == MULTIPLY ? x[0] * x[1]
                       : operation == DIVIDE   ? x[0] / x[1]
                       : operation == ROOT     ? sqrtf(x[0])
                                               : fmaf(x[0], x[1], x[2]);
    uint32_t result;
    memcpy(&result, (void *)&y, sizeof result);
    return result;
}

static void check(enum weft_ptx_type type, enum operation operation, int mode)
{
    struct real_format format = real_format_of(type);
    uint64_t bits[3];
    struct real x[3];
    for (int i = 0; i < 3; i++) {
        bits[i] = random_bits(format.fraction_bits, format.exponent_bits);
        x[i] = real_unpack(format, bits[i]);
    }
    fesetround(modes[mode].mode);
    uint64_t want = type == WEFT_PTX_F64 ? processor_double(operation, bits)
                                         : processor_single(operation, bits);
    fesetround(FE_TONEAREST);
    uint64_t got =
        real_pack(format, refer(operation, x, modes[mode].rounding), modes[mode].rounding);
    bool both_nan =
        real_unpack(format, want).class == REAL_NAN && real_unpack(format, got).class == REAL_NAN;
    if (want != got && !both_nan) {
        printf("operation %d mode %d: %lx %lx %lx: processor %lx, reference %lx\n", operation, mode,
               bits[0], bits[1], bits[2], want, got);
        fail();
    }
}

static void equals_the_processor(void **state)
{
    (void)state;
    for (int i = 0; i < RANDOM_PAIRS; i++)
        for (int operation = 0; operation < OPERATIONS; operation++)
            for (int mode = 0; mode < 4; mode++) {
                check(WEFT_PTX_F64, (enum operation)operation, mode);
                check(WEFT_PTX_F32, (enum operation)operation, mode);
            }
}

/* Every half-precision number goes through F32 and back unchanged, and ties go to even. */
static void halves_round(void **state)
{
    (void)state;
    struct real_format half = real_format_of(WEFT_PTX_F16);
    struct real_format single = real_format_of(WEFT_PTX_F32);
    for (uint64_t bits = 0; bits < 0x7c00; bits++) {
        uint64_t wide = real_pack(single, real_unpack(half, bits), WEFT_PTX_RN);
        assert_int_equal(real_pack(half, real_unpack(single, wide), WEFT_PTX_RN), bits);
    }
    assert_int_equal(real_pack(half, real_unpack(single, 0x3f801000), WEFT_PTX_RN), 0x3c00);
    assert_int_equal(real_pack(half, real_unpack(single, 0x3f803000), WEFT_PTX_RN), 0x3c02);
    assert_int_equal(real_pack(half, real_unpack(single, 0x477ff000), WEFT_PTX_RN), 0x7c00);
    assert_int_equal(real_pack(half, real_unpack(single, 0x477ff000), WEFT_PTX_RZ), 0x7bff);
    assert_int_equal(real_pack(half, real_unpack(single, 0x33000000), WEFT_PTX_RN), 0x0000);
    assert_int_equal(real_pack(half, real_unpack(single, 0x33000001), WEFT_PTX_RN), 0x0001);
}

static void rounds_to_integers(void **state)
{
    (void)state;
    struct real_format format = real_format_of(WEFT_PTX_F64);
    static const double values[] = {0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, -2.7, 1e300};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int mode = 0; mode < 4; mode++) {
            uint64_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            volatile double value = values[i];
            fesetround(modes[mode].mode);
            double rounded = rint(value);
            fesetround(FE_TONEAREST);
            uint64_t want;
            memcpy(&want, &rounded, sizeof want);
            struct real got = real_round_integral(real_unpack(format, bits), modes[mode].rounding);
            assert_int_equal(real_pack(format, got, WEFT_PTX_RN), want);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_processor),
        cmocka_unit_test(halves_round),
        cmocka_unit_test(rounds_to_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
