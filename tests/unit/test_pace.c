#include <criterion/criterion.h>

#include "governor/pace.h"

/* A machine that needs `ns_per_unit` (in hundredths) for a unit of fuel. */
static void learn(struct cn_pace *pace, uint64_t hundredths, int slices)
{
    for (int i = 0; i < slices; i++) {
        uint64_t fuel = (uint64_t)pace->fuel_per_slice;
        cn_pace_learn(pace, fuel, fuel * hundredths / 100);
    }
}

Test(pace, settles_on_a_millisecond)
{
    static const uint64_t speeds[] = {20, 50, 100, 300, 1000, 5000};

    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++) {
        struct cn_pace pace;
        cn_pace_init(&pace);
        learn(&pace, speeds[i], 100);
        uint64_t ns = (uint64_t)pace.fuel_per_slice * speeds[i] / 100;
        cr_expect(ns > 900000 && ns < 1100000, "%lu ns at %lu", (unsigned long)ns,
                  (unsigned long)speeds[i]);
    }
}

Test(pace, corrects_long_slices_at_once_and_short_ones_slowly)
{
    struct cn_pace pace;

    cn_pace_init(&pace);
    learn(&pace, 50, 100);
    int64_t fast = pace.fuel_per_slice;
    learn(&pace, 5000, 1);
    cr_expect_leq(pace.fuel_per_slice, fast / 50);
    learn(&pace, 50, 1);
    cr_expect_leq(pace.fuel_per_slice, fast);
}

Test(pace, stays_within_bounds_whatever_is_measured)
{
    struct cn_pace pace;

    cn_pace_init(&pace);
    for (int i = 0; i < 100; i++)
        cn_pace_learn(&pace, UINT64_MAX, 1000000);
    cr_expect(pace.fuel_per_slice > 0 && pace.fuel_per_slice <= 20000000);
    for (int i = 0; i < 100; i++)
        cn_pace_learn(&pace, 10000, UINT64_MAX);
    cr_expect(pace.fuel_per_slice >= 10000);
    int64_t before = pace.fuel_per_slice;
    cn_pace_learn(&pace, 0, 0);
    cn_pace_learn(&pace, 100, 1);
    cr_expect_eq(pace.fuel_per_slice, before);
    cn_pace_learn(&pace, 10000, 1); /* no machine is that fast: 10,000 in a hundredth of a slice */
    cr_expect_eq(pace.fuel_per_slice, (before * 3 + 1000000) / 4);
}
