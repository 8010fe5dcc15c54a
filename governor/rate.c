#include "governor/rate.h"

#include "governor/account.h"

#define BURST_MAX ((uint64_t)INT64_MAX / 2)

typedef unsigned __int128 wide;

uint64_t cn_rate_burst(const struct cn_rate *rate)
{
    wide burst = (wide)rate->rate * rate->shape.burst_ns / rate->shape.period_ns;

    if (burst < rate->shape.burst_least)
        burst = rate->shape.burst_least;
    burst += rate->burst_more;
    return burst < BURST_MAX ? (uint64_t)burst : BURST_MAX;
}

static void refill(struct cn_rate *rate, uint64_t now_ns)
{
    int64_t burst = (int64_t)cn_rate_burst(rate);
    uint64_t passed = now_ns > rate->last_ns ? now_ns - rate->last_ns : 0;
    /* Both factors have 64 bits, the rest fewer: the sum stays below 2^128. */
    wide gained = (wide)passed * rate->rate + rate->rest;
    wide whole = gained / rate->shape.period_ns;

    if (now_ns > rate->last_ns)
        rate->last_ns = now_ns;
    if (rate->tokens >= burst || whole >= (wide)((__int128)burst - rate->tokens)) {
        rate->tokens = burst;
        rate->rest = 0;
        return;
    }
    rate->tokens += (int64_t)whole;
    rate->rest = (uint64_t)(gained % rate->shape.period_ns);
}

void cn_rate_init(struct cn_rate *rate, const struct cn_rate_shape *shape, uint64_t per_period,
                  uint64_t now_ns)
{
    *rate = (struct cn_rate){.shape = *shape, .rate = per_period, .last_ns = now_ns};
}

void cn_rate_set(struct cn_rate *rate, uint64_t per_period, uint64_t now_ns)
{
    if (rate->rate != CN_UNLIMITED)
        refill(rate, now_ns);
    rate->rate = per_period;
    rate->last_ns = now_ns;
}

uint64_t cn_rate_ready(struct cn_rate *rate, uint64_t now_ns)
{
    if (rate->rate == CN_UNLIMITED)
        return CN_UNLIMITED;
    if (rate->rate == 0)
        return 0;
    refill(rate, now_ns);
    return rate->tokens > 0 ? (uint64_t)rate->tokens : 0;
}

uint64_t cn_rate_wait_ns(struct cn_rate *rate, uint64_t amount, uint64_t now_ns)
{
    if (rate->rate == CN_UNLIMITED)
        return 0;
    if (rate->rate == 0)
        return UINT64_MAX;
    refill(rate, now_ns);
    uint64_t burst = cn_rate_burst(rate);
    if (amount > burst)
        amount = burst;
    if (rate->tokens >= (int64_t)amount)
        return 0;
    wide missing = (wide)((__int128)amount - rate->tokens) * rate->shape.period_ns - rate->rest;
    wide wait = (missing + rate->rate - 1) / rate->rate;
    return wait < UINT64_MAX ? (uint64_t)wait : UINT64_MAX - 1;
}

void cn_rate_take(struct cn_rate *rate, uint64_t amount)
{
    int64_t taken = amount < BURST_MAX ? (int64_t)amount : (int64_t)BURST_MAX;

    if (rate->rate == CN_UNLIMITED)
        return;
    /* A debt that nobody lives to see worked off stays where it is. */
    if (__builtin_sub_overflow(rate->tokens, taken, &rate->tokens))
        rate->tokens = INT64_MIN;
}
