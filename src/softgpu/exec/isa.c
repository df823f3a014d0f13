/* Which of the builds of the inner loops runs. */
#include <stdatomic.h>

#include "softgpu/exec/run.h"

static bool has(enum weft_exec_isa isa)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi") &&
                __builtin_cpu_supports("bmi2");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    switch (isa) {
    case WEFT_EXEC_ISA_BASELINE:
        return true;
    case WEFT_EXEC_ISA_AVX2:
        return avx2;
    case WEFT_EXEC_ISA_AVX512:
        return avx2 && avx512;
    default:
        return false;
    }
}

enum weft_exec_isa weft_exec_isa_best(void)
{
    enum weft_exec_isa best = WEFT_EXEC_ISA_BASELINE;
    for (int isa = 0; isa < WEFT_EXEC_ISA_COUNT; isa++)
        if (has((enum weft_exec_isa)isa))
            best = (enum weft_exec_isa)isa;
    return best;
}

/* Tests and benchmarks choose; -1: nobody has. The one mutable global of the executor, read when a
 * block is made. */
static atomic_int forced = -1;

bool weft_exec_isa_force(enum weft_exec_isa isa)
{
    if (!has(isa))
        return false;
    atomic_store(&forced, (int)isa);
    return true;
}

const weft_exec_handler_fn *weft_exec_isa_handlers(void)
{
    int isa = atomic_load(&forced);
    switch (isa < 0 ? weft_exec_isa_best() : (enum weft_exec_isa)isa) {
    case WEFT_EXEC_ISA_AVX512:
        return weft_exec_handlers_avx512;
    case WEFT_EXEC_ISA_AVX2:
        return weft_exec_handlers_avx2;
    default:
        return weft_exec_handlers_baseline;
    }
}
