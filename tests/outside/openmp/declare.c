/* Functions and variables of the device: recursion, calls through pointers, variables that keep
 * their values from one region to the next. */
#include "../compare.h"

enum { COUNT = 40 };

#pragma omp declare target
static int calls;
static const int squares[8] = {0, 1, 4, 9, 16, 25, 36, 49};

static int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static int is_odd(int n);
__attribute__((noinline)) static int is_even(int n)
{
    return n == 0 ? 1 : is_odd(n - 1);
}
__attribute__((noinline)) static int is_odd(int n)
{
    return n == 0 ? 0 : is_even(n - 1);
}

__attribute__((noinline)) static int ackermann(int m, int n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static int twice(int x)
{
    return 2 * x;
}
static int negated(int x)
{
    return -x;
}
typedef int (*change_fn)(int);

__attribute__((noinline)) static int apply(change_fn change, int x)
{
    return change(x);
}
#pragma omp end declare target

static int recursion(void)
{
    int numbers[16], parity[COUNT], wrong = 0, tower = 0;
#pragma omp target teams distribute parallel for map(from : numbers)
    for (int i = 0; i < 16; i++)
        numbers[i] = fibonacci(i);
#pragma omp target teams distribute parallel for map(from : parity)
    for (int i = 0; i < COUNT; i++)
        parity[i] = is_even(i);
#pragma omp target map(from : tower)
    tower = ackermann(2, 3);
    for (int i = 0; i < 16; i++)
        wrong += differ_long("fibonacci", numbers[i], fibonacci(i));
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("parity", parity[i], i % 2 == 0);
    return wrong + differ_long("ackermann", tower, 9);
}

static int pointers(void)
{
    int results[COUNT], wrong = 0;
#pragma omp target teams distribute parallel for map(from : results)
    for (int i = 0; i < COUNT; i++)
        results[i] = apply(i % 3 ? twice : negated, i);
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("through a pointer", results[i], i % 3 ? 2 * i : -i);
    return wrong;
}

static int variables(void)
{
    int sum = 0;
    for (int round = 0; round < 5; round++) {
#pragma omp target
        calls += squares[round];
    }
#pragma omp target map(from : sum)
    sum = calls;
    int wrong = differ_long("kept", sum, 30) + differ_long("host's copy", calls, 0);
#pragma omp target update from(calls)
    return wrong + differ_long("updated", calls, 30);
}

int main(void)
{
    return recursion() + pointers() + variables() != 0;
}
