/* Data that stays on the device: nested regions, updates of parts, data entered and left at other
 * places, and device pointers. */
#include <omp.h>
#include <stdlib.h>

#include "../compare.h"

enum { COUNT = 500 };

static void double_all(int *values, int count)
{
#pragma omp target teams distribute parallel for map(tofrom : values [0:count])
    for (int i = 0; i < count; i++)
        values[i] *= 2;
}

static int nested(void)
{
    int values[COUNT], wrong = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma omp target data map(tofrom : values)
    {
        double_all(values, COUNT);
        wrong += differ_long("host before update", values[3], 3);
#pragma omp target update from(values [0:10])
        wrong += differ_long("updated", values[9], 18) + differ_long("not updated", values[10], 10);
        values[0] = 1000;
#pragma omp target update to(values [0:1])
        double_all(values, COUNT);
    }
    wrong += differ_long("first", values[0], 2000);
    for (int i = 1; i < COUNT; i++)
        wrong += differ_long("value", values[i], 4 * i);
    return wrong;
}

static int entered(void)
{
    int *values = malloc(COUNT * sizeof *values), wrong = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma omp target enter data map(to : values [0:COUNT])
    wrong += differ_long("present", omp_target_is_present(values, omp_get_default_device()), 1);
    double_all(values, COUNT);
    wrong += differ_long("host's own", values[7], 7);
#pragma omp target exit data map(from : values [0:COUNT])
    wrong += differ_long("brought back", values[7], 14);
    free(values);
    return wrong;
}

static int pointers(void)
{
    int values[COUNT], device = omp_get_default_device(), host = omp_get_initial_device();
    int *there = omp_target_alloc(sizeof values, device), wrong = there == NULL;
#pragma omp target teams distribute parallel for is_device_ptr(there)
    for (int i = 0; i < COUNT; i++)
        there[i] = 3 * i;
    wrong += omp_target_memcpy(values, there, sizeof values, 0, 0, host, device) != 0;
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("by device pointer", values[i], 3 * i);
    omp_target_free(there, device);
    int *inside = values;
#pragma omp target data map(tofrom : values) use_device_ptr(inside)
    {
#pragma omp target is_device_ptr(inside)
        inside[5] = -5;
    }
    return wrong + differ_long("by use_device_ptr", values[5], -5);
}

int main(void)
{
    return nested() + entered() + pointers() != 0;
}
