/* Products of matrices by mma.h and by inline assembly. The factors are small whole numbers, so
 * that each kind of sum is exact, whatever the order. */
#include <stdio.h>
#include <stdlib.h>

#include "checks.h"

enum element { HALF, BF16, TF32, FLOAT, DOUBLE, S8, U8, S4, U4, B1, INT };

struct product {
    const char *kernel;
    enum element factor, sum;
    unsigned m, n, k;
    int (*combine)(int a, int b); /* of two bits; NULL: their product */
    bool b_by_rows;
};

static int differ(int a, int b)
{
    return a ^ b;
}

static int both(int a, int b)
{
    return a & b;
}

static const struct product products[] = {
    {"half_float_16", HALF, FLOAT, 16, 16, 16, NULL, false},
    {"half_float_32", HALF, FLOAT, 32, 8, 16, NULL, false},
    {"half_float_8", HALF, FLOAT, 8, 32, 16, NULL, false},
    {"half_half_16", HALF, HALF, 16, 16, 16, NULL, false},
    {"half_turned", HALF, FLOAT, 16, 16, 16, NULL, false},
    {"bf16_float_16", BF16, FLOAT, 16, 16, 16, NULL, false},
    {"bf16_float_32", BF16, FLOAT, 32, 8, 16, NULL, false},
    {"tf32_float", TF32, FLOAT, 16, 16, 8, NULL, false},
    {"double_double", DOUBLE, DOUBLE, 8, 8, 4, NULL, false},
    {"s8_int_16", S8, INT, 16, 16, 16, NULL, false},
    {"u8_int_32", U8, INT, 32, 8, 16, NULL, false},
    {"s4_int", S4, INT, 8, 8, 32, NULL, false},
    {"u4_int", U4, INT, 8, 8, 32, NULL, false},
    {"b1_xor", B1, INT, 8, 8, 128, differ, false},
    {"b1_and", B1, INT, 8, 8, 128, both, false},
};
static const struct product tiles = {"tiles", HALF, FLOAT, 32, 16, 16, NULL, true};

#define TILES 3 /* in each direction of D, and in k */
#define SIDE_MAX (128 * TILES)

static unsigned bits_of(enum element element)
{
    static const unsigned bits[] = {16, 16, 32, 32, 64, 8, 8, 4, 4, 1, 32};
    return bits[element];
}

static int random_value(enum element element, uint32_t *random)
{
    int value = (int)(check_random(random) % 8);
    if (element == B1)
        return value & 1;
    return element == U8 || element == U4 ? value : value - 4;
}

/* A whole number of at most 11 bits as a half. */
static uint16_t half_of(int value)
{
    unsigned magnitude = (unsigned)abs(value), exponent = 0;
    if (value == 0)
        return 0;
    while (magnitude >> (exponent + 1))
        exponent++;
    return (uint16_t)((value < 0) << 15 | (exponent + 15) << 10 |
                      ((magnitude << (10 - exponent)) & 1023));
}

static double half_value(uint16_t half)
{
    double value = half & 0x7fff ? ldexp(1024 + (half & 1023), (half >> 10 & 31) - 25) : 0;
    return half >> 15 ? -value : value;
}

static void put_element(uint8_t *memory, size_t index, enum element element, int value)
{
    float single = (float)value;
    double wide = value;
    uint32_t word = 0;
    uint16_t half = half_of(value);
    switch (element) {
    case HALF:
        memcpy(memory + 2 * index, &half, 2);
        break;
    case BF16:
        memcpy(&word, &single, 4);
        half = (uint16_t)(word >> 16);
        memcpy(memory + 2 * index, &half, 2);
        break;
    case DOUBLE:
        memcpy(memory + 8 * index, &wide, 8);
        break;
    case S8:
    case U8:
        memory[index] = (uint8_t)value;
        break;
    case S4:
    case U4:
        memory[index / 2] |= (uint8_t)((value & 15) << index % 2 * 4);
        break;
    case B1:
        memory[index / 8] |= (uint8_t)(value << index % 8);
        break;
    default:
        memcpy(memory + 4 * index, &single, 4);
    }
}

static double get_sum(const uint8_t *memory, size_t index, enum element element)
{
    uint16_t half;
    int32_t whole;
    float single;
    double wide;
    switch (element) {
    case HALF:
        memcpy(&half, memory + 2 * index, 2);
        return half_value(half);
    case INT:
        memcpy(&whole, memory + 4 * index, 4);
        return whole;
    case DOUBLE:
        memcpy(&wide, memory + 8 * index, 8);
        return wide;
    default:
        memcpy(&single, memory + 4 * index, 4);
        return single;
    }
}

struct numbers {
    int a[SIDE_MAX / 4 * SIDE_MAX], b[SIDE_MAX / 4 * SIDE_MAX];
};

static int expected(const struct product *product, const struct numbers *numbers, unsigned row,
                    unsigned column)
{
    unsigned depth = product->k * TILES, columns = product->n * TILES;
    int sum = 1;
    for (unsigned i = 0; i < depth; i++) {
        int a = numbers->a[row * depth + i];
        int b = numbers->b[product->b_by_rows ? i * columns + column : column * depth + i];
        sum += product->combine ? product->combine(a, b) : a * b;
    }
    return sum;
}

static uint64_t put_factor(struct stage *stage, enum element element, const int *values,
                           size_t count)
{
    size_t bytes = count * bits_of(element) / 8;
    uint8_t *memory = calloc(1, bytes);
    for (size_t i = 0; memory && i < count; i++)
        put_element(memory, i, element, values[i]);
    uint64_t address = memory ? check_put(stage, memory, bytes) : 0;
    free(memory);
    return address;
}

static int compare(const struct product *product, const struct numbers *numbers,
                   const uint8_t *sums)
{
    unsigned rows = product->m * TILES, columns = product->n * TILES;
    for (unsigned row = 0; row < rows; row++)
        for (unsigned column = 0; column < columns; column++) {
            double got = get_sum(sums, row * columns + column, product->sum);
            int want = expected(product, numbers, row, column);
            if (got != want)
                return check_report(product->kernel, row * columns + column, got, want);
        }
    return 0;
}

static int check_product(struct stage *stage, const struct product *product, unsigned threads)
{
    static struct numbers numbers;
    static uint8_t sums[96 * 96 * 8];
    int columns = (int)product->n * TILES, depth = (int)product->k * TILES;
    size_t a_count = (size_t)product->m * TILES * depth, b_count = (size_t)columns * depth;
    size_t sum_bytes = (size_t)product->m * TILES * columns * bits_of(product->sum) / 8;
    uint32_t random = product->m * 1000 + product->k;
    for (size_t i = 0; i < a_count; i++)
        numbers.a[i] = random_value(product->factor, &random);
    for (size_t i = 0; i < b_count; i++)
        numbers.b[i] = random_value(product->factor, &random);
    uint64_t a = put_factor(stage, product->factor, numbers.a, a_count);
    uint64_t b = put_factor(stage, product->factor, numbers.b, b_count);
    uint64_t d = check_put(stage, NULL, sum_bytes);
    struct stage_launch launch = {product->kernel,
                                  {TILES, TILES, 1},
                                  {threads, 1, 1},
                                  0,
                                  5,
                                  {STAGE_ARGUMENT(a), STAGE_ARGUMENT(b), STAGE_ARGUMENT(d),
                                   STAGE_ARGUMENT(columns), STAGE_ARGUMENT(depth)},
                                  0};
    if (stage->launch(stage, &launch) || stage->read(stage, sums, d, sum_bytes))
        return -1;
    return compare(product, &numbers, sums);
}

int check_wmma(struct stage *stage)
{
    int status = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        status |= check_product(stage, &products[i], 32);
    return status;
}

int check_tiles(struct stage *stage)
{
    return check_product(stage, &tiles, 128);
}
