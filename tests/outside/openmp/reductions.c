/* A reduction of each operator and of each of the usual types, within a team and among teams. */
#include "../compare.h"

enum { COUNT = 3000 };

static int whole[COUNT];
static long wide[COUNT];
static float single[COUNT];
static double real[COUNT];

static int sums(void)
{
    int i_sum = 7, i_sum_host = 7;
    long l_sum = 1, l_sum_host = 1;
    float f_sum = 0, f_sum_host = 0;
    double d_sum = 0.5, d_sum_host = 0.5, d_less = 3, d_less_host = 3;
#pragma omp target teams distribute parallel for reduction(+ : i_sum, l_sum, f_sum, d_sum)         \
    reduction(- : d_less) map(tofrom : i_sum, l_sum, f_sum, d_sum, d_less)
    for (int i = 0; i < COUNT; i++) {
        i_sum += whole[i];
        l_sum += wide[i];
        f_sum += single[i];
        d_sum += real[i];
        d_less -= real[i];
    }
    for (int i = 0; i < COUNT; i++) {
        i_sum_host += whole[i];
        l_sum_host += wide[i];
        f_sum_host += single[i];
        d_sum_host += real[i];
        d_less_host -= real[i];
    }
    return differ_long("int sum", i_sum, i_sum_host) + differ_long("long sum", l_sum, l_sum_host) +
           differ("float sum", f_sum, f_sum_host, 1e-4) +
           differ("double sum", d_sum, d_sum_host, 1e-12) +
           differ("double difference", d_less, d_less_host, 1e-12);
}

static int extremes(void)
{
    int i_min = 1 << 30, i_max = -(1 << 30), i_min_host = i_min, i_max_host = i_max;
    double d_min = INFINITY, d_max = -INFINITY, d_min_host = d_min, d_max_host = d_max;
    float f_max = -INFINITY, f_max_host = f_max;
#pragma omp target teams distribute parallel for reduction(min             \
                                                           : i_min, d_min) \
    reduction(max                                                          \
              : i_max, d_max, f_max) map(tofrom                            \
                                         : i_min, i_max, d_min, d_max, f_max)
    for (int i = 0; i < COUNT; i++) {
        i_min = whole[i] < i_min ? whole[i] : i_min;
        i_max = whole[i] > i_max ? whole[i] : i_max;
        d_min = real[i] < d_min ? real[i] : d_min;
        d_max = real[i] > d_max ? real[i] : d_max;
        f_max = single[i] > f_max ? single[i] : f_max;
    }
    for (int i = 0; i < COUNT; i++) {
        i_min_host = whole[i] < i_min_host ? whole[i] : i_min_host;
        i_max_host = whole[i] > i_max_host ? whole[i] : i_max_host;
        d_min_host = real[i] < d_min_host ? real[i] : d_min_host;
        d_max_host = real[i] > d_max_host ? real[i] : d_max_host;
        f_max_host = single[i] > f_max_host ? single[i] : f_max_host;
    }
    return differ_long("int min", i_min, i_min_host) + differ_long("int max", i_max, i_max_host) +
           differ("double min", d_min, d_min_host, 0) + differ("double max", d_max, d_max_host, 0) +
           differ("float max", f_max, f_max_host, 0);
}

static int bits_and_logic(void)
{
    unsigned all = ~0u, any = 0, odd = 0, all_host = ~0u, any_host = 0, odd_host = 0;
    int every = 1, some = 0, product = 1;
#pragma omp target teams distribute parallel for reduction(& : all) reduction(| : any)             \
    reduction(^ : odd) reduction(&& : every) reduction(|| : some) reduction(* : product)           \
    map(tofrom : all, any, odd, every, some, product)
    for (int i = 0; i < COUNT; i++) {
        unsigned bits = (unsigned)whole[i] * 2654435761u;
        all &= bits | 0xf0f00000u;
        any |= bits & 0x00ff00ffu;
        odd ^= bits;
        every = every && whole[i] > -COUNT;
        some = some || whole[i] == 17;
        product *= i % 1000 == 5 ? 3 : 1;
    }
    for (int i = 0; i < COUNT; i++) {
        unsigned bits = (unsigned)whole[i] * 2654435761u;
        all_host &= bits | 0xf0f00000u;
        any_host |= bits & 0x00ff00ffu;
        odd_host ^= bits;
    }
    return differ_long("and", all, all_host) + differ_long("or", any, any_host) +
           differ_long("exclusive or", odd, odd_host) + differ_long("logical and", every, 1) +
           differ_long("logical or", some, 1) + differ_long("product", product, 27);
}

int main(void)
{
    for (int i = 0; i < COUNT; i++) {
        whole[i] = (i * 7919) % 2003 - 1000;
        wide[i] = (long)whole[i] << 33;
        single[i] = (float)whole[i] / 16;
        real[i] = whole[i] / 7.0;
    }
    return sums() + extremes() + bits_and_logic() != 0;
}
