/* A tenant that shares its device keeps its place as long as it has work in a stream. What would
 * break it: a place that is given up between two kernels, for as long as the host pleases. */
#include "rig.h"

#include <sched.h>

#include "softgpu/engine/turn.h"

#define LAUNCHES 15000

static struct weft_device_time shared;

static void keeps_its_place_between_kernels(void **state)
{
    (void)state;
    rig_enter();
    uint32_t *gate = rig_word(), *count = rig_word();
    RIG_OK(rig_launch("spin", 1, NULL, gate, 1));
    for (uint32_t i = 0; i < LAUNCHES; i++)
        RIG_OK(rig_launch("count", 2, NULL, count, 0));
    RIG_OK(rig_launch("spin", 1, NULL, gate, 2));
    __atomic_store_n(gate, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < 2 * LAUNCHES)
        sched_yield();
    assert_int_not_equal(weft_share_clock(&shared.share), 0);
    assert_int_equal(__atomic_load_n(&shared.tenants[0].left_ns, __ATOMIC_SEQ_CST), 0);
    __atomic_store_n(gate, 2, __ATOMIC_RELEASE);
    RIG_OK(cuda.cuCtxSynchronize());
    rig_leave();
}

int main(void)
{
    /* Two tenants, one of whom never wants anything. */
    shared.turns.sharers = 2;
    rig_open(1);
    weft_soft.devices[0].place.time = &shared;
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_its_place_between_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
