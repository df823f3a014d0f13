/* Placement. Breaks when a device is given more memory than it has, when spread does not take the
 * least loaded or pack opens a device that it need not, or when the same numbers choose otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/place.h"
#include "util/util.h"

#define GIB ((uint64_t)1 << 30)
#define WHOLE WEFT_PLACE_COMPUTE_WHOLE
#define SPREAD WEFT_PLACEMENT_SPREAD
#define PACK WEFT_PLACEMENT_PACK
#define DEVICES 16
#define ROUNDS 3000
#define JOBS 40

/* Rows of: memory, claimed, booked, open, tenants. */
static const struct weft_place_device mixed[] = {
    {4 * GIB, 1 * GIB, 3000, 0, 1},
    {4 * GIB, 0, 0, 0, 0},
    {8 * GIB, 6 * GIB, 0, 2, 2},
    {4 * GIB, 3 * GIB, 8000, 0, 2},
};

static void chooses_as_the_rule_says(void **state)
{
    (void)state;
    const struct {
        enum weft_placement placement;
        struct weft_place_demand demand;
        uint32_t expected[4];
        bool fits;
    } rows[] = {
        {SPREAD, {1, 1 * GIB, 0}, {1}, true},
        {WEFT_PLACEMENT_DEFAULT, {1, 1 * GIB, 0}, {1}, true},
        {SPREAD, {2, 1 * GIB, 0}, {0, 1}, true},
        {SPREAD, {3, 1 * GIB, 0}, {0, 1, 3}, true},
        {SPREAD, {2, 2 * GIB, 0}, {0, 1}, true},
        {SPREAD, {3, 2 * GIB, 0}, {0, 1, 2}, true},
        {SPREAD, {4, 2 * GIB, 0}, {0}, false},
        {SPREAD, {1, 5 * GIB, 0}, {0}, false}, /* what is left of 8 GiB is 2 */
        {SPREAD, {1, 4 * GIB, 0}, {1}, true},
        {SPREAD, {0, 0, 0}, {0}, false},
        {SPREAD, {WEFT_PLACE_CHOICE_MAX + 1, 0, 0}, {0}, false},
        {PACK, {1, 1 * GIB, 0}, {3}, true},    /* nothing would be left of its memory */
        {PACK, {1, 1 * GIB, 3000}, {2}, true}, /* there its compute would be overbooked */
        {PACK, {1, 3 * GIB, 0}, {0}, true},
        {PACK, {1, 4 * GIB, 0}, {1}, true},
        {PACK, {2, 2 * GIB, 0}, {0, 2}, true},
        {PACK, {1, 0, 7000}, {2}, true},
        {PACK, {1, 0, 7100}, {2}, true},
        {PACK, {1, 9 * GIB, 0}, {0}, false},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(rows); i++) {
        uint32_t chosen[WEFT_PLACE_CHOICE_MAX];
        assert_int_equal(
            weft_place_choose(rows[i].placement, mixed, 4, &rows[i].demand, chosen, NULL),
            rows[i].fits);
        for (uint32_t d = 0; rows[i].fits && d < rows[i].demand.devices; d++)
            assert_int_equal(chosen[d], rows[i].expected[d]);
    }
}

static void says_why_not(void **state)
{
    (void)state;
    const struct weft_place_device over = {4 * GIB, 5 * GIB, 0, 1, 1};
    assert_int_equal(weft_place_judge(&mixed[0], &(struct weft_place_demand){1, 4 * GIB, 0}),
                     WEFT_PLACE_FULL);
    assert_int_equal(weft_place_judge(&mixed[0], &(struct weft_place_demand){1, 4 * GIB + 1, 0}),
                     WEFT_PLACE_TOO_SMALL);
    assert_int_equal(weft_place_judge(&over, &(struct weft_place_demand){1, 1, 0}),
                     WEFT_PLACE_FULL);
    assert_int_equal(weft_place_judge(&over, &(struct weft_place_demand){1, 0, 0}),
                     WEFT_PLACE_FITS);
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)rand() % bound;
}

static struct weft_place_demand any_demand(uint32_t devices)
{
    return (struct weft_place_demand){1 + below(devices), below(4) ? below(9) * GIB / 2 : 0,
                                      below(2) ? 100 * (1 + below(99)) : 0};
}

static void take(struct weft_place_device *device, const struct weft_place_demand *demand)
{
    device->claimed_bytes += demand->memory_bytes;
    device->booked_e4 += demand->booked_e4;
    device->open_tenants += demand->booked_e4 == 0;
    device->tenants++;
}

/* Whatever the devices hold: never over their memory, each once, in order, the same again; and
 * refused only where it is true. */
static void never_over_the_memory(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        struct weft_place_device devices[DEVICES];
        uint32_t count = 1 + below(DEVICES), fitting = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t tenants = below(4);
            devices[i] = (struct weft_place_device){(1 + below(8)) * GIB,
                                                    tenants * below(3) * GIB,
                                                    below(15000) * (tenants > 0),
                                                    below(tenants + 1),
                                                    tenants,
                                                    below(3) * GIB};
        }
        struct weft_place_demand demand = any_demand(DEVICES);
        enum weft_placement placement = below(2) ? SPREAD : PACK;
        uint32_t chosen[WEFT_PLACE_CHOICE_MAX], again[WEFT_PLACE_CHOICE_MAX];
        struct weft_place_score score, same;
        for (uint32_t i = 0; i < count; i++)
            fitting += weft_place_judge(&devices[i], &demand) == WEFT_PLACE_FITS;
        bool fits = weft_place_choose(placement, devices, count, &demand, chosen, &score);
        assert_int_equal(fits, fitting >= demand.devices);
        if (!fits)
            continue;
        assert_true(weft_place_choose(placement, devices, count, &demand, again, &same));
        assert_false(weft_place_is_better(&score, &same) || weft_place_is_better(&same, &score));
        for (uint32_t i = 0; i < demand.devices; i++) {
            const struct weft_place_device *device = &devices[chosen[i]];
            assert_true(chosen[i] < count && (i == 0 || chosen[i] > chosen[i - 1]));
            assert_int_equal(chosen[i], again[i]);
            if (demand.memory_bytes)
                assert_true(device->claimed_bytes + device->outside_bytes + demand.memory_bytes <=
                            device->memory_bytes);
        }
    }
}

static uint32_t in_use(const struct weft_place_device *devices)
{
    uint32_t count = 0;
    for (int i = 0; i < DEVICES; i++)
        count += devices[i].tenants != 0;
    return count;
}

/* Equal devices, and jobs that come one after the other for as long as both have room. */
static void pack_uses_no_more_devices_than_spread(void **state)
{
    (void)state;
    uint64_t fewer = 0;
    srand(3);
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct weft_place_device packed[DEVICES], spread[DEVICES];
        for (int i = 0; i < DEVICES; i++)
            packed[i] = spread[i] = (struct weft_place_device){.memory_bytes = 8 * GIB};
        for (int job = 0; job < JOBS; job++) {
            struct weft_place_demand demand = any_demand(1);
            uint32_t chosen[WEFT_PLACE_CHOICE_MAX];
            if (!weft_place_choose(PACK, packed, DEVICES, &demand, chosen, NULL))
                break;
            take(&packed[chosen[0]], &demand);
            if (!weft_place_choose(SPREAD, spread, DEVICES, &demand, chosen, NULL))
                break;
            take(&spread[chosen[0]], &demand);
            assert_true(in_use(packed) <= in_use(spread));
            fewer += in_use(spread) - in_use(packed);
        }
    }
    assert_true(fewer > ROUNDS);
}

static void names_are_read(void **state)
{
    (void)state;
    enum weft_placement placement = WEFT_PLACEMENT_DEFAULT;
    assert_int_equal(weft_placement_parse("pack", &placement, NULL), 0);
    assert_int_equal(placement, PACK);
    assert_int_equal(weft_placement_parse("spread", &placement, NULL), 0);
    assert_int_equal(placement, SPREAD);
    const char *const wrong[] = {"", "Pack", "pack ", "binpack"};
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(wrong); i++)
        assert_int_equal(weft_placement_parse(wrong[i], &placement, NULL), -WEFT_EINVAL);
    assert_int_equal(placement, SPREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_as_the_rule_says),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(never_over_the_memory),
        cmocka_unit_test(pack_uses_no_more_devices_than_spread),
        cmocka_unit_test(names_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
