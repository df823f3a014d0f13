/* Threads that change the same words: update, capture, read and write, and a histogram. */
#include "../compare.h"

enum { COUNT = 1500, BINS = 23 };

static int updates(void)
{
    int next = 0, holders[COUNT] = {0}, wrong = 0, least = 1 << 20;
    double real = 0;
#pragma acc parallel loop copy(next, holders, real, least)
    for (int i = 0; i < COUNT; i++) {
        int mine;
#pragma acc atomic capture
        mine = next++;
#pragma acc atomic update
        real += 0.125;
#pragma acc atomic update
        least &= ~(1 << (i % 20));
#pragma acc atomic write
        holders[mine] = 1;
    }
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("holder", holders[i], 1);
    return wrong + differ_long("next", next, COUNT) + differ("real", real, COUNT / 8.0, 0) +
           differ_long("bits", least, 1 << 20);
}

static int histogram(void)
{
    int samples[COUNT], bins[BINS] = {0}, expected[BINS] = {0};
    float weights[BINS] = {0}, weights_host[BINS] = {0};
    int wrong = 0;
    for (int i = 0; i < COUNT; i++) {
        samples[i] = (i * i + 7 * i) % BINS;
        expected[samples[i]]++;
        weights_host[samples[i]] += 0.5f;
    }
#pragma acc parallel loop copyin(samples) copy(bins, weights)
    for (int i = 0; i < COUNT; i++) {
#pragma acc atomic
        bins[samples[i]]++;
#pragma acc atomic
        weights[samples[i]] += 0.5f;
    }
    for (int i = 0; i < BINS; i++)
        wrong += differ("weight", weights[i], weights_host[i], 0);
    return wrong + differ_ints("bin", bins, expected, BINS);
}

int main(void)
{
    return updates() + histogram() != 0;
}
