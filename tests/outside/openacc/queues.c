/* Queues: work that is ordered in each, beside each other, and waits from one for another. */
#include <openacc.h>

#include "../compare.h"

enum { COUNT = 600, QUEUES = 4 };

static int each_in_order(void)
{
    static int values[QUEUES][COUNT];
    int wrong = 0;
#pragma acc data copyout(values)
    {
        for (int q = 0; q < QUEUES; q++) {
#pragma acc parallel loop async(q)
            for (int i = 0; i < COUNT; i++)
                values[q][i] = i;
#pragma acc parallel loop async(q)
            for (int i = 0; i < COUNT; i++)
                values[q][i] = values[q][i] * 3 + q;
        }
#pragma acc wait
    }
    for (int q = 0; q < QUEUES; q++)
        for (int i = 0; i < COUNT; i++)
            wrong += differ_long("in order", values[q][i], 3 * i + q);
    return wrong;
}

static int across(void)
{
    static int a[COUNT], b[COUNT];
    int wrong = 0;
#pragma acc data create(a) copyout(b)
    {
#pragma acc parallel loop async(1)
        for (int i = 0; i < COUNT; i++)
            a[i] = 2 * i;
#pragma acc parallel loop async(2) wait(1)
        for (int i = 0; i < COUNT; i++)
            b[i] = a[COUNT - 1 - i];
#pragma acc wait(2)
        wrong += differ_long("test after wait", acc_async_test(2), 1);
    }
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("across", b[i], 2 * (COUNT - 1 - i));
    return wrong;
}

static int copies(void)
{
    static int values[COUNT];
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        values[i] = i;
#pragma acc enter data copyin(values) async(3)
#pragma acc parallel loop present(values) async(3)
    for (int i = 0; i < COUNT; i++)
        values[i] -= COUNT;
#pragma acc update self(values) async(3)
    acc_wait(3);
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("copied", values[i], i - COUNT);
#pragma acc exit data delete (values)
    return wrong;
}

int main(void)
{
    return each_in_order() + across() + copies() != 0;
}
