/* Structures by value and by pointer, and what is private to a thread, comes first or lasts. */
#include "../compare.h"

enum { COUNT = 300 };

struct vector {
    double x, y, z;
};

struct particle {
    struct vector position, velocity;
    char kind;
    short charge;
    unsigned flags : 3;
};

struct world {
    struct vector pull;
    double step;
    int rounds;
};

#pragma omp declare target
static struct vector plus(struct vector a, struct vector b, double factor)
{
    return (struct vector){a.x + b.x * factor, a.y + b.y * factor, a.z + b.z * factor};
}

static struct particle moved(struct particle p, const struct world *world)
{
    for (int i = 0; i < world->rounds; i++) {
        p.velocity = plus(p.velocity, world->pull, world->step * p.charge);
        p.position = plus(p.position, p.velocity, world->step);
        p.flags = (p.flags + 1) & 7;
    }
    p.kind ^= 1;
    return p;
}
#pragma omp end declare target

static int particles(void)
{
    static struct particle before[COUNT], after[COUNT];
    struct world world = {{0.5, -1, 2}, 0.125, 11};
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
        before[i] = (struct particle){{i, 1, -i}, {0, i, 2}, (char)i, (short)(i % 5 - 2), i & 7};
#pragma omp target teams distribute parallel for map(to                 \
                                                     : before) map(from \
                                                                   : after) firstprivate(world)
    for (int i = 0; i < COUNT; i++)
        after[i] = moved(before[i], &world);
    for (int i = 0; i < COUNT; i++) {
        struct particle expected = moved(before[i], &world);
        wrong += differ("position", after[i].position.z, expected.position.z, 1e-15) +
                 differ("velocity", after[i].velocity.x, expected.velocity.x, 1e-15) +
                 differ_long("kind", after[i].kind, expected.kind) +
                 differ_long("flags", after[i].flags, expected.flags);
    }
    return wrong;
}

static int private_values(void)
{
    int results[COUNT], start = 100, last = -1, scratch = 5, wrong = 0;
#pragma omp target map(from : results) map(tofrom : last) firstprivate(start)
#pragma omp parallel for firstprivate(scratch) lastprivate(last)
    for (int i = 0; i < COUNT; i++) {
        scratch += i;
        results[i] = start + scratch;
        last = 3 * i;
        scratch -= i;
    }
    for (int i = 0; i < COUNT; i++)
        wrong += differ_long("firstprivate", results[i], 105 + i);
    return wrong + differ_long("lastprivate", last, 3 * (COUNT - 1));
}

struct list {
    int count;
    int *values;
};

static int members(void)
{
    int values[COUNT];
    struct list list = {COUNT, values};
#pragma omp target map(to : list) map(from : list.values [0:COUNT])
    for (int i = 0; i < list.count; i++)
        list.values[i] = i * i;
    return differ_long("member", values[COUNT - 1], (COUNT - 1) * (COUNT - 1));
}

int main(void)
{
    return particles() + private_values() + members() != 0;
}
