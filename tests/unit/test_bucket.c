#include <criterion/criterion.h>

#include "governor/account.h"
#include "governor/bucket.h"

#define MS 1000000ull
#define SECOND (1000 * MS)

Test(bucket, no_rate_never_waits)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, CN_UNLIMITED, 5);
    cn_bucket_take(&bucket, 100 * SECOND);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, 6), 0);
}

Test(bucket, a_rate_of_nothing_waits_for_ever)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 0, 0);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, 1000 * SECOND), UINT64_MAX);
}

/* Runs slices whenever the bucket allows; returns the CPU time used until `end`. */
static uint64_t run_until(struct cn_bucket *bucket, uint64_t *now, uint64_t end, uint64_t slice)
{
    uint64_t used = 0;

    while (*now < end) {
        uint64_t wait = cn_bucket_wait_ns(bucket, *now);
        if (wait > 0) {
            *now += wait;
            continue;
        }
        cn_bucket_take(bucket, slice);
        *now += slice;
        used += slice;
    }
    return used;
}

Test(bucket, keeps_the_rate_in_the_long_run)
{
    static const uint64_t rates[] = {1, 10, 200, 333, 500, 999, 1000};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct cn_bucket bucket;
        uint64_t now = 77;
        cn_bucket_init(&bucket, rates[i], now);
        uint64_t used = run_until(&bucket, &now, 100 * SECOND, MS);
        uint64_t fair = (now - 77) * rates[i] / 1000;
        cr_expect_leq(used, fair + MS, "rate %lu", (unsigned long)rates[i]);
        cr_expect_geq(used + 11 * MS, fair, "rate %lu", (unsigned long)rates[i]);
    }
}

Test(bucket, holds_in_every_window)
{
    enum { STEPS = 2000 };
    static uint64_t at[STEPS], before[STEPS];
    struct cn_bucket bucket;
    uint64_t now = 0, used = 0;

    cn_bucket_init(&bucket, 200, 0);
    for (int i = 0; i < STEPS; i++) {
        uint64_t wait;
        if (i % 300 == 299)
            now += SECOND; /* idle now and then: what is saved up is bounded */
        while ((wait = cn_bucket_wait_ns(&bucket, now)) > 0)
            now += wait;
        at[i] = now;
        before[i] = used;
        used += MS;
        now += MS;
        cn_bucket_take(&bucket, MS);
    }
    for (int from = 0; from < STEPS; from++)
        for (int to = from; to < STEPS; to++) {
            uint64_t window = at[to] + MS - at[from], burst = 2 * MS;
            cr_assert_leq(before[to] + MS - before[from], window / 5 + burst + MS,
                          "from %d to %d", from, to);
        }
}

Test(bucket, debt_is_worked_off_first)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 500, 0);
    cn_bucket_take(&bucket, SECOND);
    uint64_t wait = cn_bucket_wait_ns(&bucket, 0);
    cr_expect_geq(wait, 2 * SECOND);
    cr_expect_leq(wait, 2 * SECOND + 2 * MS);
    cr_expect_gt(cn_bucket_wait_ns(&bucket, 2 * SECOND - MS), 0);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, wait), 0);
}

Test(bucket, a_new_rate_keeps_what_is_owed)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 100, 0);
    cn_bucket_take(&bucket, 100 * MS);
    cn_bucket_set_rate(&bucket, 1000, 0);
    uint64_t wait = cn_bucket_wait_ns(&bucket, 0);
    cr_expect_geq(wait, 100 * MS);
    cr_expect_leq(wait, 101 * MS);
}

/* Runs until it has to wait. */
static uint64_t run_dry(struct cn_bucket *bucket, uint64_t now)
{
    uint64_t used = 0;

    while (cn_bucket_wait_ns(bucket, now) == 0) {
        cn_bucket_take(bucket, MS);
        now += MS;
        used += MS;
    }
    return used;
}

Test(bucket, a_burst_is_saved_up_by_a_rest_alone)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 200, 0);
    cn_bucket_set_burst(&bucket, 100 * MS, 0);
    cr_expect_eq(run_dry(&bucket, 0), 0, "nothing is saved at first");
    cr_expect_eq(run_dry(&bucket, 100 * MS), 25 * MS, "a fifth of the time, and of what it runs");
    cr_expect_eq(run_dry(&bucket, 100 * SECOND), 128 * MS, "102 saved, and a fifth of 128");
}

Test(bucket, a_burst_leaves_the_rate_as_it_is)
{
    struct cn_bucket bucket;
    uint64_t now = 0;

    cn_bucket_init(&bucket, 200, now);
    cn_bucket_set_burst(&bucket, 500 * MS, now);
    cr_expect_leq(run_until(&bucket, &now, 10 * SECOND, MS), now / 5 + MS);
    now += 100 * SECOND;
    uint64_t from = now;
    cr_expect_leq(run_until(&bucket, &now, now + 10 * SECOND, MS),
                  502 * MS + (now - from) / 5 + MS);
}

Test(bucket, a_lowered_burst_takes_what_is_above_it)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 200, 0);
    cn_bucket_set_burst(&bucket, CN_UNLIMITED, 0);
    cr_expect_eq(run_dry(&bucket, 4 * SECOND), SECOND, "800 ms saved, and a fifth of a second");
    cr_expect_gt(cn_bucket_wait_ns(&bucket, 5 * SECOND), 0);
    cn_bucket_set_burst(&bucket, 0, 100 * SECOND);
    cr_expect_eq(run_dry(&bucket, 100 * SECOND), 3 * MS);
}

Test(bucket, long_absence_and_clocks_that_go_back)
{
    struct cn_bucket bucket;

    cn_bucket_init(&bucket, 64000, 10 * SECOND);
    cr_expect_eq(cn_bucket_wait_ns(&bucket, UINT64_MAX / 2), 0);
    cr_expect_leq(bucket.rate.tokens, 640 * (int64_t)MS);
    int64_t before = bucket.rate.tokens;
    (void)cn_bucket_wait_ns(&bucket, 5 * SECOND);
    cr_expect_eq(bucket.rate.tokens, before);
}
