/* Bodies that pull each other, in float, with their arrays kept on the device for all steps. */
#include <string.h>

#include "../compare.h"

enum { BODIES = 96, STEPS = 3 };

struct bodies {
    float x[BODIES], y[BODIES], z[BODIES], u[BODIES], v[BODIES], w[BODIES], mass[BODIES];
};

#pragma omp declare target
static void pull(struct bodies *b, int i)
{
    float ax = 0, ay = 0, az = 0;
    for (int j = 0; j < BODIES; j++) {
        float dx = b->x[j] - b->x[i], dy = b->y[j] - b->y[i], dz = b->z[j] - b->z[i];
        float near = dx * dx + dy * dy + dz * dz + 0.01f;
        float force = b->mass[j] / (near * sqrtf(near));
        ax += dx * force;
        ay += dy * force;
        az += dz * force;
    }
    b->u[i] += 0.01f * ax;
    b->v[i] += 0.01f * ay;
    b->w[i] += 0.01f * az;
}

static void drift(struct bodies *b, int i)
{
    b->x[i] += 0.01f * b->u[i];
    b->y[i] += 0.01f * b->v[i];
    b->z[i] += 0.01f * b->w[i];
}
#pragma omp end declare target

int main(void)
{
    static struct bodies here, there;
    int wrong = 0;
    for (int i = 0; i < BODIES; i++) {
        here.x[i] = (float)(i % 7) - 3;
        here.y[i] = (float)(i % 11) - 5;
        here.z[i] = (float)(i % 13) - 6;
        here.mass[i] = 1.0f + (float)(i % 3);
    }
    memcpy(&there, &here, sizeof there);
    struct bodies *b = &there;
#pragma omp target data map(tofrom : b [0:1])
    for (int step = 0; step < STEPS; step++) {
#pragma omp target teams distribute parallel for
        for (int i = 0; i < BODIES; i++)
            pull(b, i);
#pragma omp target teams distribute parallel for
        for (int i = 0; i < BODIES; i++)
            drift(b, i);
    }
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BODIES; i++)
            pull(&here, i);
        for (int i = 0; i < BODIES; i++)
            drift(&here, i);
    }
    for (int i = 0; i < BODIES; i++)
        wrong += differ("x", (double)there.x[i], (double)here.x[i], 1e-5) +
                 differ("w", (double)there.w[i], (double)here.w[i], 1e-5);
    return wrong != 0;
}
