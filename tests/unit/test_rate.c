/* Rates of what passes, against fractions that are never rounded.
 *
 * CORDON_SCENARIOS=1000000 build/tests/test_rate     runs as many random walks */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "governor/account.h"
#include "governor/rate.h"

#define SECOND 1000000000ull

static const struct cn_rate_shape per_second = {SECOND, SECOND / 10, 4096};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(rate, off_and_nothing)
{
    struct cn_rate rate;

    cn_rate_init(&rate, &per_second, CN_UNLIMITED, 5);
    cn_rate_take(&rate, 1ull << 60);
    cr_expect_eq(cn_rate_ready(&rate, 6), CN_UNLIMITED);
    cr_expect_eq(cn_rate_wait_ns(&rate, CN_UNLIMITED, 6), 0);
    cn_rate_set(&rate, 0, 7);
    cr_expect_eq(cn_rate_ready(&rate, UINT64_MAX), 0);
    cr_expect_eq(cn_rate_wait_ns(&rate, 1, UINT64_MAX), UINT64_MAX);
}

Test(rate, steady_demand_gets_the_rate_to_the_token)
{
    static const uint64_t rates[] = {1, 3, 7, 1000, 999983, 10 << 20, 40000000007};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct cn_rate rate;
        uint64_t state = 88172645463325252u + i, now = 0, passed = 0;
        cn_rate_init(&rate, &per_second, rates[i], 0);
        for (int step = 0; step < 100000; step++) {
            now += next(&state) % (SECOND / 20);
            uint64_t ready = cn_rate_ready(&rate, now);
            cn_rate_take(&rate, ready);
            passed += ready;
        }
        cr_expect_eq(passed, (unsigned __int128)now * rates[i] / SECOND, "rate %lu",
                     (unsigned long)rates[i]);
    }
}

/* The same in fractions that are never rounded. */
struct ideal {
    __int128 level; /* in tokens * period */
    uint64_t last_ns;
};

static void ideal_until(struct ideal *ideal, const struct cn_rate *rate, uint64_t now)
{
    __int128 full = (__int128)cn_rate_burst(rate) * rate->shape.period_ns;

    if (rate->rate != CN_UNLIMITED)
        ideal->level += (__int128)(now - ideal->last_ns) * rate->rate;
    if (rate->rate != CN_UNLIMITED && ideal->level > full)
        ideal->level = full;
    ideal->last_ns = now;
}

static void one_walk(uint64_t seed)
{
    struct cn_rate rate;
    struct ideal ideal = {0};
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1, now = 0;
    uint64_t passed = 0, allowed_burst = 0, debt = 0;
    unsigned __int128 allowed = 0;

    cn_rate_init(&rate, &per_second, next(&state) % 1000000 + 1, 0);
    for (int step = 0; step < 300; step++) {
        uint64_t pause = next(&state) % (next(&state) % 8 == 0 ? 10 * SECOND : SECOND / 100);
        now += pause;
        allowed += (unsigned __int128)pause * rate.rate;
        if (next(&state) % 16 == 0) {
            ideal_until(&ideal, &rate, now);
            cn_rate_set(&rate, next(&state) % 1000000 + 1, now);
        }
        if (cn_rate_burst(&rate) > allowed_burst)
            allowed_burst = cn_rate_burst(&rate);
        ideal_until(&ideal, &rate, now);
        uint64_t ready = cn_rate_ready(&rate, now);
        uint64_t due = ideal.level > 0 ? (uint64_t)(ideal.level / (__int128)SECOND) : 0;
        cr_assert_eq(ready, due, "seed %lu step %d", (unsigned long)seed, step);
        if (ready == 0)
            continue;
        uint64_t taken = next(&state) % 4 == 0 ? ready + next(&state) % 5000
                                               : next(&state) % ready + 1;
        cn_rate_take(&rate, taken);
        ideal.level -= (__int128)taken * SECOND;
        debt = taken > ready ? taken - ready : 0;
        passed += taken;
        cr_assert_leq(passed, (uint64_t)(allowed / SECOND) + allowed_burst + debt + 1);
    }
}

Test(rate, agrees_with_exact_fractions_over_random_walks, .timeout = 3600)
{
    const char *asked = getenv("CORDON_SCENARIOS");
    uint64_t count = asked ? strtoull(asked, NULL, 10) : 3000;

    for (uint64_t seed = 1; seed <= count; seed++)
        one_walk(seed);
    fprintf(stderr, "%lu walks\n", (unsigned long)count);
}

Test(rate, waits_to_the_nanosecond)
{
    uint64_t state = 99;

    for (int round = 0; round < 20000; round++) {
        struct cn_rate rate;
        uint64_t per_second_now = next(&state) % (1ull << next(&state) % 40) + 1;
        uint64_t amount = next(&state) % 6000 + 1, now = next(&state) % SECOND;
        cn_rate_init(&rate, &per_second, per_second_now, now);
        cn_rate_take(&rate, next(&state) % 10000);
        if (amount > cn_rate_burst(&rate))
            amount = cn_rate_burst(&rate);
        uint64_t wait = cn_rate_wait_ns(&rate, amount, now);
        cr_assert_gt(wait, 0);
        struct cn_rate early = rate;
        cr_assert_lt(cn_rate_ready(&early, now + wait - 1), amount);
        cr_assert_geq(cn_rate_ready(&rate, now + wait), amount);
    }
}

Test(rate, more_than_a_burst_counts_as_a_burst)
{
    struct cn_rate rate;

    cn_rate_init(&rate, &per_second, 100000, 0);
    cr_expect_eq(cn_rate_burst(&rate), 10000);
    cr_expect_eq(cn_rate_wait_ns(&rate, 1 << 30, 0), SECOND / 10);
    cr_expect_eq(cn_rate_ready(&rate, 100 * SECOND), 10000);
    cn_rate_set(&rate, 10, 100 * SECOND);
    cr_expect_eq(cn_rate_ready(&rate, 100 * SECOND), 4096);
}

Test(rate, extremes_do_not_overflow)
{
    static const uint64_t numbers[] = {1, 2, 1000, 1ull << 32, INT64_MAX, UINT64_MAX - 1};
    enum { COUNT = sizeof numbers / sizeof numbers[0] };

    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            for (int k = 0; k < COUNT; k++) {
                struct cn_rate_shape shape = {numbers[k], numbers[j], 1};
                struct cn_rate rate;
                cn_rate_init(&rate, &shape, numbers[i], 0);
                uint64_t ready = cn_rate_ready(&rate, numbers[j]);
                cr_assert_leq(ready, (uint64_t)INT64_MAX);
                cn_rate_take(&rate, UINT64_MAX);
                cn_rate_take(&rate, UINT64_MAX);
                cn_rate_take(&rate, UINT64_MAX);
                cr_assert_leq(rate.tokens, 0);
                uint64_t wait = cn_rate_wait_ns(&rate, UINT64_MAX, numbers[j]);
                cr_assert_gt(wait, 0);
                cr_assert_lt(wait, UINT64_MAX);
                /* A clock that goes back brings nothing. */
                int64_t before = rate.tokens;
                cr_assert_eq(cn_rate_ready(&rate, 0), 0);
                cr_assert_eq(rate.tokens, before);
            }
}
