/* Loops divided among teams, threads and lanes in each of the ways: every iteration runs once, and
 * every thread is where it says. */
#include <omp.h>
#include <string.h>

#include "../compare.h"

enum { X = 13, Y = 9, Z = 21, CELLS = X * Y * Z, TEAMS = 5, THREADS = 64 };

static int seen[CELLS], once[CELLS];

static int collapsed(void)
{
    memset(seen, 0, sizeof seen);
#pragma omp target teams distribute parallel for collapse(3) map(tofrom : seen)
    for (int x = 0; x < X; x++)
        for (int y = 0; y < Y; y++)
            for (int z = 0; z < Z; z++)
                seen[(x * Y + y) * Z + z]++;
    return differ_ints("collapse(3)", seen, once, CELLS);
}

static int nested(void)
{
    memset(seen, 0, sizeof seen);
#pragma omp target teams distribute map(tofrom : seen) num_teams(TEAMS)
    for (int x = 0; x < X; x++) {
#pragma omp parallel for collapse(2)
        for (int y = 0; y < Y; y++)
            for (int z = 0; z < Z; z++)
                seen[(x * Y + y) * Z + z]++;
    }
    return differ_ints("distribute around parallel for", seen, once, CELLS);
}

static int scheduled(void)
{
    memset(seen, 0, sizeof seen);
#pragma omp target map(tofrom : seen)
#pragma omp parallel num_threads(THREADS)
    {
#pragma omp for schedule(dynamic, 3) nowait
        for (int i = 0; i < CELLS / 2; i++)
            seen[i]++;
#pragma omp for schedule(guided)
        for (int i = CELLS / 2; i < CELLS; i++)
            seen[i]++;
    }
    return differ_ints("dynamic and guided", seen, once, CELLS);
}

static int lanes(void)
{
    memset(seen, 0, sizeof seen);
#pragma omp target teams distribute parallel for simd map(tofrom : seen) thread_limit(THREADS)
    for (int i = 0; i < CELLS; i++)
        seen[i]++;
    int total = 0;
#pragma omp target map(tofrom : total) map(to : seen)
#pragma omp simd reduction(+ : total)
    for (int i = 0; i < CELLS; i++)
        total += seen[i];
    return differ_ints("simd", seen, once, CELLS) + differ_long("simd total", total, CELLS);
}

static int places(void)
{
    int teams = 0, host = 1, members[TEAMS] = {0};
#pragma omp target teams num_teams(TEAMS) thread_limit(32) map(tofrom : teams, members, host)
    {
#pragma omp parallel
        {
#pragma omp atomic
            members[omp_get_team_num()]++;
            if (omp_get_team_num() == 0 && omp_get_thread_num() == 0)
                host = omp_is_initial_device();
        }
        if (omp_get_team_num() == 0)
            teams = omp_get_num_teams();
    }
    int wrong = differ_long("teams", teams, TEAMS) + differ_long("on the host", host, 0);
    for (int i = 1; i < TEAMS; i++)
        wrong += differ_long("threads of a team", members[i], members[0]);
    return wrong + (members[0] == 0);
}

int main(void)
{
    for (int i = 0; i < CELLS; i++)
        once[i] = 1;
    return collapsed() + nested() + scheduled() + lanes() + places() != 0;
}
