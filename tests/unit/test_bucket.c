#include "governor/bucket.h"

#include <criterion/criterion.h>

#include "governor/account.h"
#include "governor/pace.h"

#define SECOND 1000000000ull
#define SLICE 1000000ull

/* Runs whenever it may, in slices, for `span`; returns what was used. */
static uint64_t use_all(struct cn_bucket *bucket, uint64_t *now, uint64_t span)
{
    uint64_t used = 0, end = *now + span;

    while (*now < end) {
        uint64_t wait = cn_bucket_wait_ns(bucket, *now);
        *now += wait;
        if (wait > 0)
            continue;
        cn_bucket_take(bucket, SLICE);
        used += SLICE;
        *now += SLICE;
    }
    return used;
}

Test(bucket, keeps_to_every_rate_within_a_slice_and_the_burst)
{
    static const uint64_t rates[] = {1, 10, 50, 200, 333, 500, 900, 999};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct cn_bucket bucket;
        uint64_t now = 12345;
        cn_bucket_init(&bucket, rates[i], now);
        uint64_t used = use_all(&bucket, &now, 10 * SECOND);
        uint64_t fair = 10 * SECOND / 1000 * rates[i];
        cr_expect_leq(used, fair + 12 * SLICE, "rate %llu", (unsigned long long)rates[i]);
        cr_expect_geq(used + 12 * SLICE, fair, "rate %llu", (unsigned long long)rates[i]);
    }
}

Test(bucket, does_not_save_up_a_long_absence)
{
    struct cn_bucket bucket;
    uint64_t now = 0;

    cn_bucket_init(&bucket, 500, now);
    use_all(&bucket, &now, SECOND);
    now += 1000 * SECOND;
    cr_expect_leq(use_all(&bucket, &now, SECOND), SECOND / 2 + 12 * SLICE);
}

Test(bucket, works_off_a_debt_first)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 100, 0);
    cn_bucket_take(&bucket, SECOND);
    uint64_t wait = cn_bucket_wait_ns(&bucket, 0);
    cr_expect_geq(wait, 10 * SECOND);
    cr_expect_leq(wait, 10 * SECOND + SECOND / 10);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, wait), 0);
}

Test(bucket, lets_everything_through_without_a_rate_and_nothing_with_rate_0)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, CN_UNLIMITED, 0);
    cn_bucket_take(&bucket, 1000 * SECOND);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, 1), 0);
    cn_bucket_init(&bucket, 0, 0);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, SECOND), UINT64_MAX);
}

Test(bucket, follows_a_change_of_rate)
{
    struct cn_bucket bucket;
    uint64_t now = 0;

    cn_bucket_init(&bucket, 100, now);
    use_all(&bucket, &now, SECOND);
    cn_bucket_set_rate(&bucket, 800, now);
    uint64_t used = use_all(&bucket, &now, SECOND);
    cr_expect_geq(used, SECOND / 1000 * 780);
    cr_expect_leq(used, SECOND / 1000 * 820);
}

Test(bucket, paces_slices_to_a_millisecond_and_corrects_long_ones_at_once)
{
    struct cn_pace pace;

    cn_pace_init(&pace);
    for (int i = 0; i < 60; i++)
        cn_pace_learn(&pace, (uint64_t)pace.fuel_per_slice, (uint64_t)pace.fuel_per_slice * 2);
    cr_expect_geq(pace.fuel_per_slice, 490000);
    cr_expect_leq(pace.fuel_per_slice, 510000);
    cn_pace_learn(&pace, 500000, 10 * SLICE);
    cr_expect_leq(pace.fuel_per_slice, 51000);
}
