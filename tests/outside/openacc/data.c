/* Data that stays on the device: copies in and out, parts, updates, device pointers, and the
 * runtime's own calls. */
#include <openacc.h>
#include <stdlib.h>

#include "../compare.h"

enum { COUNT = 400 };

static void add_one(int *values)
{
#pragma acc parallel loop present(values [0:COUNT])
    for (int i = 0; i < COUNT; i++)
        values[i]++;
}

static int nested(void)
{
    int values[COUNT], scratch[COUNT], wrong = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma acc data copy(values) create(scratch)
    {
#pragma acc parallel loop
        for (int i = 0; i < COUNT; i++)
            scratch[i] = 10 * values[i];
        add_one(values);
#pragma acc update self(values [5:2])
        wrong += differ_long("updated", values[6], 7) + differ_long("not updated", values[7], 7);
        values[0] = 100;
#pragma acc update device(values [0:1])
#pragma acc data present(values)
        add_one(values);
#pragma acc parallel loop
        for (int i = 0; i < COUNT; i++)
            values[i] += scratch[i];
    }
    wrong += differ_long("first", values[0], 101);
    for (int i = 1; i < COUNT; i++)
        wrong += differ_long("value", values[i], 11 * i + 2);
    return wrong;
}

static int entered(void)
{
    int *values = malloc(COUNT * sizeof *values), wrong = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma acc enter data copyin(values [0:COUNT])
    wrong += differ_long("present", acc_is_present(values, COUNT * sizeof *values), 1);
    add_one(values);
#pragma acc exit data copyout(values [0:COUNT])
    wrong += differ_long("not present", acc_is_present(values, COUNT * sizeof *values), 0);
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("brought back", values[i], i + 1);
    free(values);
    return wrong;
}

static int pointers(void)
{
    int values[COUNT], wrong = 0, *there = acc_malloc(sizeof values);
#pragma acc parallel loop deviceptr(there)
    for (int i = 0; i < COUNT; i++)
        there[i] = 5 * i;
    acc_memcpy_from_device(values, there, sizeof values);
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("by acc_malloc", values[i], 5 * i);
#pragma acc data copy(values)
#pragma acc host_data use_device(values)
    {
        int *inside = values;
        acc_memcpy_to_device(inside + 1, &(int){-9}, sizeof *inside);
    }
    acc_free(there);
    return wrong + differ_long("by use_device", values[1], -9);
}

int main(void)
{
    return nested() + entered() + pointers() != 0;
}
