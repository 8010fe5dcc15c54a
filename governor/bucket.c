#include "governor/bucket.h"

#include "governor/account.h"

/* Below this much it is not worth waking up. */
#define WORTHWHILE_NS 500000

void cn_bucket_init(struct cn_bucket *bucket, uint64_t millicores, uint64_t now_ns)
{
    *bucket = (struct cn_bucket){.millicores = millicores, .last_ns = now_ns};
}

static int64_t burst_of(const struct cn_bucket *bucket)
{
    int64_t burst = (int64_t)(bucket->millicores * (CN_BUCKET_PERIOD_NS / 1000));

    return burst > WORTHWHILE_NS ? burst : WORTHWHILE_NS;
}

static void refill(struct cn_bucket *bucket, uint64_t now_ns)
{
    /* A long absence fills the bucket in any case; the bound keeps the product in 64 bits. */
    const uint64_t longest = 3600ull * 1000000000ull;
    uint64_t passed = now_ns > bucket->last_ns ? now_ns - bucket->last_ns : 0;

    if (passed > longest)
        passed = longest;
    uint64_t gained = passed * bucket->millicores + bucket->rest;
    bucket->tokens += (int64_t)(gained / 1000);
    bucket->rest = gained % 1000;
    bucket->last_ns = now_ns;
    if (bucket->tokens > burst_of(bucket)) {
        bucket->tokens = burst_of(bucket);
        bucket->rest = 0;
    }
}

void cn_bucket_set_rate(struct cn_bucket *bucket, uint64_t millicores, uint64_t now_ns)
{
    if (bucket->millicores != CN_UNLIMITED)
        refill(bucket, now_ns);
    bucket->millicores = millicores;
    bucket->last_ns = now_ns;
}

uint64_t cn_bucket_wait_ns(struct cn_bucket *bucket, uint64_t now_ns)
{
    if (bucket->millicores == CN_UNLIMITED)
        return 0;
    refill(bucket, now_ns);
    if (bucket->tokens > 0)
        return 0;
    if (bucket->millicores == 0)
        return UINT64_MAX;
    uint64_t missing = (uint64_t)(WORTHWHILE_NS - bucket->tokens);
    return missing * 1000 / bucket->millicores + 1;
}

void cn_bucket_take(struct cn_bucket *bucket, uint64_t used_ns)
{
    if (bucket->millicores != CN_UNLIMITED)
        bucket->tokens -= (int64_t)used_ns;
}
