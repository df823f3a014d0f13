#include "values.h"

#include <math.h>
#include <string.h>

/* SplitMix64: a counter, stirred (Steele, Lea and Flood, 2014). */
uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)(dice_roll(dice) % limit);
}

static const uint64_t corners_p[] = {0, 1};
static const uint64_t corners_h[] = {0,      1,      0xffff, 0x8000, 0x7fff, 2,      3,     0x8001,
                                     0xfffe, 0x00ff, 0x0100, 0x5555, 0xaaaa, 0xff00, 0x0080};
static const uint64_t corners_w[] = {
    0,          1,          0xffffffff, 0x80000000, 0x7fffffff, 2,          3,          0x80000001,
    0xfffffffe, 0x0000ffff, 0x00010000, 0x55555555, 0xaaaaaaaa, 0x000000ff, 0x00000080, 0x00007fff,
    0x00008000, 0x00ffffff, 0x01000000, 0xffff8000, 0x12345678, 10,         0xffffff80};
static const uint64_t corners_l[] = {0,
                                     1,
                                     UINT64_MAX,
                                     0x8000000000000000,
                                     0x7fffffffffffffff,
                                     2,
                                     0xffffffff,
                                     0x100000000,
                                     0x80000000,
                                     0x7fffffff,
                                     0xffffffff80000000,
                                     0x8000000000000001,
                                     0xfffffffffffffffe,
                                     0x5555555555555555,
                                     0xaaaaaaaaaaaaaaaa,
                                     0x0020000000000001,
                                     0x0123456789abcdef,
                                     0x7ffffffffffffc00,
                                     0x7ffffffffffffe00,
                                     10};
static const uint64_t corners_c[] = {0,  1,  31,  32,  33,  5,   15,  16,   17,         30,
                                     63, 64, 127, 255, 256, 128, 257, 1000, 0xffffffff, 8};
static const uint64_t corners_e[] = {0,      0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00,
                                     0x7ff7, 0x0001, 0x83ff, 0x0400, 0x7bff, 0x3c01, 0x3800,
                                     0x3555, 0x6400, 0xe401, 0x7d00, 0x4248, 0xfff7};
static const uint64_t corners_g[] = {0,      0x8000, 0x3f80, 0xbf80, 0x7f80, 0xff80, 0x7fc0,
                                     0x7ff7, 0x0001, 0x807f, 0x0080, 0x7f7f, 0x3f81, 0x3f00,
                                     0x3eab, 0x4b00, 0xcb01, 0x7fa0, 0x4049, 0xfff7};
static const uint64_t corners_f[] = {
    0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
    0x7e800001, 0xff000000, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0x3f800001,
    0x3f000000, 0x3eaaaaab, 0x4b000000, 0xff7fffff, 0xcb000001, 0x3fc00000, 0xc0200000,
    0x4f000000, 0x5f000000, 0x4effffff, 0x33800000, 0x7fa00000, 0x40490fdb, 0x80800000,
    0x3f7fffff, 0xcf000000, 0x4f800000, 0x477fe000, 0x477ff000, 0x38800000, 0x33000001,
    0x43000000, 0xc3008000, 0x4f7fffff, 0xbf000000, 0x42fe0000, 0x7e800000};
static const uint64_t corners_d[] = {0,
                                     0x8000000000000000,
                                     0x3ff0000000000000,
                                     0xbff0000000000000,
                                     0x7ff0000000000000,
                                     0xfff0000000000000,
                                     0x7ff8000000000000,
                                     0x0000000000000001,
                                     0x800fffffffffffff,
                                     0x0010000000000000,
                                     0x7fefffffffffffff,
                                     0x3ff0000000000001,
                                     0x3fe0000000000000,
                                     0x3fd5555555555555,
                                     0x4330000000000000,
                                     0xffefffffffffffff,
                                     0xc330000000000001,
                                     0x3ff8000000000000,
                                     0xc004000000000000,
                                     0x41e0000000000000,
                                     0x43e0000000000000,
                                     0x41dfffffffc00000,
                                     0x3ca0000000000000,
                                     0x7ff4000000000000,
                                     0x3ff0000010000000,
                                     0x3ff0000030000000,
                                     0x47efffffe0000000,
                                     0x47effffff0000000,
                                     0x380fffffffffffff,
                                     0x36a0000000000000,
                                     0x3690000000000000,
                                     0xc1e0000000200000,
                                     0x41efffffffe00000,
                                     0x43f0000000000000,
                                     0xc3e0000000000001,
                                     0xbfe0000000000000};

struct kind {
    char letter;
    unsigned bits;
    unsigned exponent_bits; /* 0: not a float */
    const uint64_t *corners;
    size_t count;
};

#define CORNERS(list) list, sizeof list / sizeof *list
static const struct kind kinds[] = {
    {'p', 1, 0, CORNERS(corners_p)},   {'h', 16, 0, CORNERS(corners_h)},
    {'w', 32, 0, CORNERS(corners_w)},  {'l', 64, 0, CORNERS(corners_l)},
    {'c', 32, 0, CORNERS(corners_c)},  {'e', 16, 5, CORNERS(corners_e)},
    {'g', 16, 8, CORNERS(corners_g)},  {'f', 32, 8, CORNERS(corners_f)},
    {'d', 64, 11, CORNERS(corners_d)},
};

/* A pair is tried through the corners of its half. */
static const struct kind *find(char letter)
{
    char single = letter == 'E' ? 'e' : letter == 'G' ? 'g' : letter;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].letter == single)
            return &kinds[i];
    return &kinds[0];
}

static bool is_pair(char letter)
{
    return letter == 'E' || letter == 'G';
}

unsigned kind_bits(char kind)
{
    return is_pair(kind) ? 32 : find(kind)->bits;
}

bool kind_is_float(char kind)
{
    return find(kind)->exponent_bits != 0;
}

size_t kind_corners(char kind, const uint64_t **out)
{
    *out = find(kind)->corners;
    return find(kind)->count;
}

static uint64_t random_float(const struct kind *kind, struct dice *dice)
{
    unsigned fraction_bits = kind->bits - 1 - kind->exponent_bits;
    uint64_t bias = (1ull << (kind->exponent_bits - 1)) - 1;
    uint64_t random = dice_roll(dice);
    uint64_t fraction = random & ((1ull << fraction_bits) - 1);
    if (random >> 60 & 1)
        fraction &= ~0ull << (fraction_bits - dice_below(dice, fraction_bits));
    uint64_t exponent = bias - 4 + dice_below(dice, 8 + fraction_bits);
    if (exponent >= 2 * bias)
        exponent = bias;
    uint64_t sign = random >> 63 << (kind->bits - 1);
    return sign | exponent << fraction_bits | fraction;
}

static uint64_t random_single(const struct kind *kind, struct dice *dice)
{
    uint64_t mask = kind->bits == 64 ? UINT64_MAX : (1ull << kind->bits) - 1;
    uint32_t way = dice_below(dice, 8);
    if (way == 0)
        return kind->corners[dice_below(dice, (uint32_t)kind->count)];
    if (kind->letter == 'c')
        return dice_below(dice, 70);
    if (way == 1 || (kind->exponent_bits == 0 && way < 6))
        return dice_roll(dice) & mask;
    if (kind->exponent_bits)
        return random_float(kind, dice);
    return (dice_roll(dice) >> dice_below(dice, 64)) & mask;
}

uint64_t kind_random(char letter, struct dice *dice)
{
    const struct kind *kind = find(letter);
    uint64_t low = random_single(kind, dice);
    return is_pair(letter) ? random_single(kind, dice) << 16 | low : low;
}

bool kind_is_nan(char letter, uint64_t bits)
{
    const struct kind *kind = find(letter);
    unsigned fraction_bits = kind->bits - 1 - kind->exponent_bits;
    uint64_t infinity = ((1ull << kind->exponent_bits) - 1) << fraction_bits;
    uint64_t magnitude = bits & ((1ull << (kind->bits - 1)) - 1);
    return kind->exponent_bits && magnitude > infinity;
}

long double kind_number(char letter, uint64_t bits)
{
    if (letter == 'd') {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (letter == 'f') {
        float value;
        uint32_t low = (uint32_t)bits;
        memcpy(&value, &low, sizeof value);
        return value;
    }
    const struct kind *kind = find(letter);
    unsigned fraction_bits = kind->bits - 1 - kind->exponent_bits;
    long double sign = bits >> (kind->bits - 1) & 1 ? -1 : 1;
    int field = (int)(bits >> fraction_bits) & ((1 << kind->exponent_bits) - 1);
    uint64_t fraction = bits & ((1ull << fraction_bits) - 1);
    if (field == (1 << kind->exponent_bits) - 1)
        return fraction ? NAN : sign * INFINITY;
    int bias = (1 << (kind->exponent_bits - 1)) - 1;
    uint64_t significand = field ? fraction | 1ull << fraction_bits : fraction;
    return sign * ldexpl(significand, (field ? field : 1) - bias - (int)fraction_bits);
}
