/* Threads that change the same words: atomics that update, capture, read and write, critical
 * sections, and a histogram. */
#include "../compare.h"

enum { COUNT = 2000, BINS = 17 };

static int updates(void)
{
    int sum = 0, bits = 0, tickets[COUNT] = {0}, next = 0;
    double real = 0;
    float single = 0;
#pragma omp target teams distribute parallel for map(tofrom \
                                                     : sum, bits, tickets, next, real, single)
    for (int i = 0; i < COUNT; i++) {
        int mine;
#pragma omp atomic
        sum += i;
#pragma omp atomic
        bits |= 1 << (i % 30);
#pragma omp atomic
        real += 0.25;
#pragma omp atomic
        single += 0.5f;
#pragma omp atomic capture
        mine = next++;
        tickets[mine]++;
    }
    int wrong = differ_long("sum", sum, COUNT * (COUNT - 1) / 2) +
                differ_long("bits", bits, (1 << 30) - 1) + differ("real", real, COUNT / 4.0, 0) +
                differ("single", single, COUNT / 2.0, 0) + differ_long("next", next, COUNT);
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("holders of a ticket", tickets[i], 1);
    return wrong;
}

static int histogram(void)
{
    static unsigned char pixels[COUNT];
    int bins[BINS] = {0}, expected[BINS] = {0};
    for (int i = 0; i < COUNT; i++) {
        pixels[i] = (unsigned char)(i * i + 3 * i);
        expected[pixels[i] % BINS]++;
    }
#pragma omp target teams distribute parallel for map(to : pixels) map(tofrom : bins)
    for (int i = 0; i < COUNT; i++) {
#pragma omp atomic
        bins[pixels[i] % BINS]++;
    }
    return differ_ints("bin", bins, expected, BINS);
}

/* The two variables change together, which only the critical section makes sure of. */
static int critical(void)
{
    int count = 0, torn = 0;
    long square = 0;
#pragma omp target map(tofrom : count, square, torn)
#pragma omp parallel for num_threads(32)
    for (int i = 0; i < 256; i++) {
#pragma omp critical
        {
            torn += square != (long)count * count;
            square += 2L * count + 1;
            count++;
        }
    }
    return differ_long("count", count, 256) + differ_long("square", square, 256 * 256) +
           differ_long("torn", torn, 0);
}

static int handed_over(void)
{
    int flag = 0, answer = 0, got = 0;
#pragma omp target map(tofrom : flag, answer, got)
#pragma omp parallel num_threads(2)
#pragma omp sections
    {
#pragma omp section
        {
            answer = 42;
#pragma omp atomic write seq_cst
            flag = 1;
        }
#pragma omp section
        {
            int seen = 0;
            while (!seen) {
#pragma omp atomic read seq_cst
                seen = flag;
            }
            got = answer;
        }
    }
    return differ_long("answer", got, 42);
}

int main(void)
{
    return updates() + histogram() + critical() + handed_over() != 0;
}
