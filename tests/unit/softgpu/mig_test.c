/* MIG as data. Breaks when an instance may lie where it cannot on a card, when instances share a
 * slice, when more fit than a GPU has slices, or when a full set that NVIDIA documents does not
 * fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "softgpu/mig.h"
#include "softgpu/profiles.h"
#include "util/util.h"

static const char *const models[] = {"a100-40g", "a100-80g", "h100-80g"};

static void every_model_with_mig_has_a_table(void **state)
{
    (void)state;
    size_t model_count, count;
    const struct weft_soft_profile *profiles = weft_soft_profiles(&model_count);
    for (size_t i = 0; i < model_count; i++) {
        const struct weft_mig_profile *kinds = weft_mig_profiles(profiles[i].name, &count);
        assert_int_equal(profiles[i].mig, kinds != NULL);
        assert_int_equal(profiles[i].mig ? 7 : 0, count);
        for (size_t k = 0; k < count; k++) {
            assert_true(kinds[k].sm_count <= profiles[i].sm_count);
            assert_true(((uint64_t)kinds[k].memory_mib << 20) < profiles[i].memory_bytes);
            assert_ptr_equal(weft_mig_profile_find(profiles[i].name, kinds[k].name), &kinds[k]);
        }
    }
}

/* What `nvidia-smi mig -lgip` shows in GiB with two decimals, from published listings of cards. */
static void sizes_are_those_of_cards(void **state)
{
    (void)state;
    static const struct {
        const char *model, *name;
        double gib;
        uint32_t sm_count, copy_engines;
    } rows[] = {
        {"a100-40g", "1g.5gb", 4.75, 14, 1},    {"a100-40g", "2g.10gb", 9.62, 28, 2},
        {"a100-40g", "3g.20gb", 19.50, 42, 3},  {"a100-80g", "1g.10gb", 9.50, 14, 1},
        {"a100-80g", "1g.20gb", 19.50, 14, 1},  {"a100-80g", "2g.20gb", 19.50, 28, 2},
        {"a100-80g", "3g.40gb", 39.25, 42, 3},  {"a100-80g", "4g.40gb", 39.25, 56, 4},
        {"a100-80g", "7g.80gb", 78.75, 98, 7},  {"h100-80g", "1g.10gb", 9.75, 16, 1},
        {"h100-80g", "1g.20gb", 19.62, 26, 1},  {"h100-80g", "2g.20gb", 19.62, 32, 2},
        {"h100-80g", "3g.40gb", 39.50, 60, 3},  {"h100-80g", "4g.40gb", 39.50, 64, 4},
        {"h100-80g", "7g.80gb", 79.25, 132, 8},
    };
    for (size_t i = 0; i < WEFT_ARRAY_COUNT(rows); i++) {
        const struct weft_mig_profile *profile = weft_mig_profile_find(rows[i].model, rows[i].name);
        assert_non_null(profile);
        double gib = profile->memory_mib / 1024.0;
        assert_true(gib >= rows[i].gib && gib < rows[i].gib + 0.01);
        assert_int_equal(profile->sm_count, rows[i].sm_count);
        assert_int_equal(profile->copy_engines, rows[i].copy_engines);
    }
}

/* Alone, an instance fits at each of its starts and at no other, and never past the last slice. */
static void each_has_its_places(void **state)
{
    (void)state;
    static const struct {
        const char *number, *starts;
    } rows[] = {{"19", "0123456"}, {"20", "0123456"}, {"15", "0246"}, {"14", "024"},
                {"9", "04"},       {"5", "0"},        {"0", "0"}};
    for (size_t m = 0; m < WEFT_ARRAY_COUNT(models); m++) {
        for (size_t r = 0; r < WEFT_ARRAY_COUNT(rows); r++) {
            const struct weft_mig_profile *profile =
                weft_mig_profile_find(models[m], rows[r].number);
            assert_non_null(profile);
            for (uint32_t start = 0; start < 10; start++) {
                struct weft_mig_instance one = {profile, start};
                bool allowed = start < 10 && strchr(rows[r].starts, (int)('0' + start)) != NULL;
                assert_int_equal(weft_mig_check(&one, 1, NULL) == 0, allowed);
                if (allowed)
                    assert_true(start + profile->memory_slices <= WEFT_MIG_MEMORY_SLICES);
            }
        }
    }
}

/* Every pair at every two starts: fits exactly if no slice is shared and the sums hold. */
static void pairs_share_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < WEFT_ARRAY_COUNT(models); m++) {
        size_t count;
        const struct weft_mig_profile *kinds = weft_mig_profiles(models[m], &count);
        for (size_t i = 0; i < count * count; i++) {
            const struct weft_mig_profile *a = &kinds[i / count], *b = &kinds[i % count];
            for (uint32_t p = 0; p < a->start_count * b->start_count; p++) {
                struct weft_mig_instance two[] = {{a, a->starts[p / b->start_count]},
                                                  {b, b->starts[p % b->start_count]}};
                bool apart = two[0].start + a->memory_slices <= two[1].start ||
                             two[1].start + b->memory_slices <= two[0].start;
                bool fits =
                    apart && a->compute_slices + b->compute_slices <= 7 && !(a->media && b->media);
                assert_int_equal(weft_mig_check(two, 2, NULL) == 0, fits);
            }
        }
    }
}

/* Names of instances in the order in which they are made; the last may be refused. */
static void sets_are_placed(void **state)
{
    (void)state;
    static const struct {
        const char *names[9];
        bool last_fits;
    } sets[] = {
        {{"1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb"}, true},
        {{"1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb"}, false},
        {{"4g.20gb", "3g.20gb"}, true},
        {{"4g.20gb", "2g.10gb", "1g.5gb"}, true},
        {{"3g.20gb", "3g.20gb"}, true},
        {{"3g.20gb", "3g.20gb", "1g.5gb"}, false},
        {{"4g.20gb", "4g.20gb"}, false},
        {{"2g.10gb", "2g.10gb", "2g.10gb", "1g.5gb"}, true},
        {{"2g.10gb", "2g.10gb", "2g.10gb", "2g.10gb"}, false},
        {{"1g.10gb", "1g.10gb", "1g.10gb", "1g.10gb"}, true},
        {{"1g.5gb+me", "1g.5gb+me"}, false},
        {{"7g.40gb", "1g.5gb"}, false},
    };
    for (size_t s = 0; s < WEFT_ARRAY_COUNT(sets); s++) {
        struct weft_mig_instance instances[8];
        for (size_t i = 0; sets[s].names[i]; i++) {
            const struct weft_mig_profile *profile =
                weft_mig_profile_find("a100-40g", sets[s].names[i]);
            int start = weft_mig_place(instances, i, profile);
            bool last = sets[s].names[i + 1] == NULL;
            assert_int_equal(start >= 0, last ? sets[s].last_fits : true);
            instances[i] = (struct weft_mig_instance){profile, (uint32_t)start};
        }
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    size_t count = 1;
    assert_null(weft_mig_profiles("t4", &count));
    assert_int_equal(count, 0);
    assert_null(weft_mig_profile_find("a100-40g", "8g.80gb"));
    assert_null(weft_mig_profile_find("a100-40g", "7"));
    assert_null(weft_mig_profile_find("a100-40g", ""));
    assert_null(weft_mig_profile_find("small", "1g.5gb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_with_mig_has_a_table),
        cmocka_unit_test(sizes_are_those_of_cards),
        cmocka_unit_test(each_has_its_places),
        cmocka_unit_test(pairs_share_nothing),
        cmocka_unit_test(sets_are_placed),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
