/* A token bucket for a rate of CPU time: pure bookkeeping on a clock that is passed in.
 *
 * Tokens are nanoseconds of CPU time. They arrive at the rate, up to a burst; what runs takes
 * them afterwards, by what it really used, and may leave a debt that must be worked off first.
 * So over any time t from the start no more than rate * t + burst + one slice is used.
 */
#ifndef CN_GOVERNOR_BUCKET_H
#define CN_GOVERNOR_BUCKET_H

#include <stdint.h>

/* Tokens for this long can be saved up. */
#define CN_BUCKET_PERIOD_NS 10000000ll

struct cn_bucket {
    uint64_t millicores; /* the rate; CN_UNLIMITED switches the bucket off */
    int64_t tokens;      /* ns; negative is debt */
    uint64_t last_ns;
    uint64_t rest;       /* what division left over, in ns * millicores below 1000 */
};

/* Starts with nothing saved. */
void cn_bucket_init(struct cn_bucket *bucket, uint64_t millicores, uint64_t now_ns);

/* Changes the rate; what was saved or owed stays. */
void cn_bucket_set_rate(struct cn_bucket *bucket, uint64_t millicores, uint64_t now_ns);

/* How long to wait before running: 0 when there are tokens. UINT64_MAX for a rate of 0. */
uint64_t cn_bucket_wait_ns(struct cn_bucket *bucket, uint64_t now_ns);

/* Takes what was used. */
void cn_bucket_take(struct cn_bucket *bucket, uint64_t used_ns);

#endif
