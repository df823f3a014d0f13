/* A reduction of each operator over gangs, workers and vectors, and one inside a loop. */
#include "../compare.h"

enum { COUNT = 2000, ROWS = 30, COLUMNS = 40 };

static int whole[COUNT];
static double real[COUNT];
static float single[COUNT];

static int over_all(void)
{
    long sum = 5, sum_host = 5;
    double real_sum = 0, real_sum_host = 0, most = -1e9, most_host = -1e9;
    float least = 1e9f, least_host = 1e9f;
    int bits = 0, odd = 0, product = 1, every = 1, some = 0, bits_host = 0, odd_host = 0;
#pragma acc parallel loop reduction(+ : sum, real_sum) reduction(max : most) reduction(min : least) \
    reduction(| : bits) reduction(^ : odd) reduction(* : product) reduction(&& : every)            \
    reduction(|| : some)
    for (int i = 0; i < COUNT; i++) {
        sum += whole[i];
        real_sum += real[i];
        most = real[i] > most ? real[i] : most;
        least = single[i] < least ? single[i] : least;
        bits |= whole[i] & 0xf0f0;
        odd ^= whole[i];
        product *= i % 500 == 3 ? 2 : 1;
        every = every && whole[i] < 5000;
        some = some || i == 777;
    }
    for (int i = 0; i < COUNT; i++) {
        sum_host += whole[i];
        real_sum_host += real[i];
        most_host = real[i] > most_host ? real[i] : most_host;
        least_host = single[i] < least_host ? single[i] : least_host;
        bits_host |= whole[i] & 0xf0f0;
        odd_host ^= whole[i];
    }
    return differ_long("sum", sum, sum_host) + differ("real sum", real_sum, real_sum_host, 1e-12) +
           differ("max", most, most_host, 0) + differ("min", least, least_host, 0) +
           differ_long("or", bits, bits_host) + differ_long("exclusive or", odd, odd_host) +
           differ_long("product", product, 16) + differ_long("and", every, 1) +
           differ_long("or", some, 1);
}

static int of_rows(void)
{
    int sums[ROWS], wrong = 0;
#pragma acc parallel loop gang copyout(sums) vector_length(32)
    for (int row = 0; row < ROWS; row++) {
        int sum = row;
#pragma acc loop vector reduction(+ : sum)
        for (int column = 0; column < COLUMNS; column++)
            sum += whole[row * COLUMNS + column];
        sums[row] = sum;
    }
    for (int row = 0; row < ROWS; row++) {
        int sum = row;
        for (int column = 0; column < COLUMNS; column++)
            sum += whole[row * COLUMNS + column];
        wrong += differ_long("row", sums[row], sum);
    }
    return wrong;
}

int main(void)
{
    for (int i = 0; i < COUNT; i++) {
        whole[i] = (i * 7919) % 4001;
        real[i] = (whole[i] - 1700) / 3.0;
        single[i] = (float)real[i] / 8;
    }
    return over_all() + of_rows() != 0;
}
