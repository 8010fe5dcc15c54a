/* A token bucket: pure bookkeeping on a clock that is passed in, exact integer arithmetic.
 *
 * Tokens are bytes, operations, or nanoseconds of a processor. They arrive at the rate, a fraction
 * of a token is kept, and what nobody takes is saved up to a burst. Whoever takes may leave a
 * debt, which is worked off before anything passes again. So in any time t no more passes than
 * rate * t + burst + the last take's debt, and under steady demand no less than rate * t - 1.
 */
#ifndef CN_GOVERNOR_RATE_H
#define CN_GOVERNOR_RATE_H

#include <stdint.h>

/* What a kind of bucket has in common. */
struct cn_rate_shape {
    uint64_t period_ns;   /* `rate` tokens arrive in this time; above 0 */
    uint64_t burst_ns;    /* what this long brings can be saved up, */
    uint64_t burst_least; /* but always so many */
};

struct cn_rate {
    struct cn_rate_shape shape;
    uint64_t rate;   /* CN_UNLIMITED switches the bucket off; with 0 nothing passes */
    uint64_t burst_more; /* so many can be saved up besides */
    int64_t tokens;  /* negative is debt */
    uint64_t rest;   /* of a token, in 1/period_ns */
    uint64_t last_ns;
};

/* Starts with nothing saved. */
void cn_rate_init(struct cn_rate *rate, const struct cn_rate_shape *shape, uint64_t per_period,
                  uint64_t now_ns);

/* Changes the rate from now on; what was saved (up to the new burst) or owed stays. */
void cn_rate_set(struct cn_rate *rate, uint64_t per_period, uint64_t now_ns);

/* How many may be taken now without a debt. CN_UNLIMITED when the bucket is off. */
uint64_t cn_rate_ready(struct cn_rate *rate, uint64_t now_ns);

/* How long until `amount` can be taken without a debt, to the nanosecond: 0 when it can be now,
 * UINT64_MAX when it never will. More than a burst counts as a burst. */
uint64_t cn_rate_wait_ns(struct cn_rate *rate, uint64_t amount, uint64_t now_ns);

/* Takes what has passed. */
void cn_rate_take(struct cn_rate *rate, uint64_t amount);

/* The most that can be saved. */
uint64_t cn_rate_burst(const struct cn_rate *rate);

#endif
