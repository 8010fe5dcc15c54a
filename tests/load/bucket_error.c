/* How exactly buckets hold their rates on a clock that is passed in: the largest difference, in
 * parts of what the rate allows, between that and what passed in a hundred seconds of steady demand
 * that looks in at random moments. One line of JSON; bench/governor/run shows it. */
#include <math.h>
#include <stdio.h>

#include "governor/account.h"
#include "governor/bucket.h"

#define SECOND 1000000000ull
#define LONG_NS (100 * SECOND)
#define WALKS 200

static const struct cn_rate_shape per_second = {SECOND, SECOND / 10, 4096};

static uint64_t state = 88172645463325252u;

static uint64_t below(uint64_t end)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % end;
}

static double off(uint64_t passed, double allowed)
{
    return fabs((double)passed / allowed - 1);
}

/* Bytes or operations: as many as there are, up to what it wants at once. */
static double walk_rate(void)
{
    struct cn_rate rate;
    uint64_t now = 0, last = 0, passed = 0, per = 1000 + below(1ull << (10 + below(24)));

    cn_rate_init(&rate, &per_second, per, 0);
    while (now < LONG_NS) {
        uint64_t ready = cn_rate_ready(&rate, now);
        cn_rate_take(&rate, ready);
        passed += ready;
        last = now;
        now += below(SECOND / 20);
    }
    return off(passed, (double)last / SECOND * (double)per);
}

/* CPU time: turns of at most a millisecond, paid for afterwards. */
static double walk_bucket(void)
{
    struct cn_bucket bucket;
    uint64_t now = 0, used = 0, millicores = 10 + below(990);

    cn_bucket_init(&bucket, millicores, 0);
    while (now < LONG_NS) {
        uint64_t wait = cn_bucket_wait_ns(&bucket, now), slice = 200000 + below(800000);
        if (wait == 0) {
            cn_bucket_take(&bucket, slice);
            used += slice;
            wait = slice;
        }
        now += wait;
    }
    return off(used, (double)now * (double)millicores / 1000);
}

static double worst_of(double (*walk)(void))
{
    double worst = 0;

    for (int i = 0; i < WALKS; i++) {
        double here = walk();
        worst = here > worst ? here : worst;
    }
    return worst;
}

int main(void)
{
    printf("{\"rates\": %.9f, \"cpu\": %.9f}\n", worst_of(walk_rate), worst_of(walk_bucket));
    return 0;
}
