/* The bucket of a rate of CPU time (governor/rate.h): tokens are nanoseconds of CPU time, and what
 * runs takes them afterwards, by what it really used. So over any time t from the start no more
 * than rate * t + burst + one slice is used.
 */
#ifndef CN_GOVERNOR_BUCKET_H
#define CN_GOVERNOR_BUCKET_H

#include "governor/rate.h"

/* Tokens for this long can be saved up, whatever the quota CPU_BURST adds. */
#define CN_BUCKET_PERIOD_NS 10000000ll
/* Below this much it is not worth waking up. */
#define CN_BUCKET_WORTH_NS 500000u

static const struct cn_rate_shape cn_bucket_shape = {
    .period_ns = 1000, /* so many nanoseconds bring as many tokens as the rate has millicores */
    .burst_ns = CN_BUCKET_PERIOD_NS,
    .burst_least = CN_BUCKET_WORTH_NS,
};

struct cn_bucket {
    struct cn_rate rate;
};

/* Starts with nothing saved. */
static inline void cn_bucket_init(struct cn_bucket *bucket, uint64_t millicores,
                                  uint64_t now_ns)
{
    cn_rate_init(&bucket->rate, &cn_bucket_shape, millicores, now_ns);
}

/* Changes the rate; what was saved or owed stays. A zeroed bucket will do. */
static inline void cn_bucket_set_rate(struct cn_bucket *bucket, uint64_t millicores,
                                      uint64_t now_ns)
{
    if (bucket->rate.shape.period_ns == 0)
        cn_bucket_init(bucket, millicores, now_ns);
    cn_rate_set(&bucket->rate, millicores, now_ns);
}

/* Changes how much can be saved up besides; what is saved above that is lost. After a rate. */
static inline void cn_bucket_set_burst(struct cn_bucket *bucket, uint64_t ns, uint64_t now_ns)
{
    cn_rate_set(&bucket->rate, bucket->rate.rate, now_ns); /* until now the old one held */
    bucket->rate.burst_more = ns;
}

/* How long to wait before running: 0 when there are tokens. UINT64_MAX for a rate of 0. */
static inline uint64_t cn_bucket_wait_ns(struct cn_bucket *bucket, uint64_t now_ns)
{
    return cn_rate_ready(&bucket->rate, now_ns) > 0
               ? 0
               : cn_rate_wait_ns(&bucket->rate, CN_BUCKET_WORTH_NS, now_ns);
}

/* Takes what was used. */
static inline void cn_bucket_take(struct cn_bucket *bucket, uint64_t used_ns)
{
    cn_rate_take(&bucket->rate, used_ns);
}

#endif
