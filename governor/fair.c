#include "governor/fair.h"

#include <assert.h>
#include <string.h>

/* Virtual times are CPU nanoseconds * 2^30 / effective weight; effective weights are in 1/1024.
 * So the smallest weight moves by 2^20 per ns, the largest still by thousands per slice. */
#define VTIME_SHIFT 30
#define WEIGHT_SHIFT 10
/* Times are counted anew from 0 when they have come this far: days, at the smallest weight. */
#define VTIME_FAR (1ll << 60)
/* More than this is not remembered of a debt: a host call took leave of its senses. */
#define DEBT_MAX_NS 1000000000ll
/* An hour at once keeps every product in its type. */
#define USE_MAX_NS (3600ll * 1000000000ll)
/* The deadline of one that cannot wait. */
#define AT_ONCE INT64_MIN
#define FIRST_ROOM 16

void cn_fair_init(struct cn_fair *fair, struct cn_allocator allocator, uint32_t workers)
{
    *fair = (struct cn_fair){.allocator = allocator, .workers = workers};
}

void cn_fair_release(struct cn_fair *fair)
{
    cn_free(fair->allocator, fair->all, fair->room * sizeof(struct cn_fair_entity *));
    cn_free(fair->allocator, fair->ready, fair->room * sizeof(struct cn_fair_ready));
    *fair = (struct cn_fair){0};
}

/* ------------------------------------------------------------------ virtual time */

static int64_t floor_divide(__int128 dividend, int64_t divisor)
{
    __int128 quotient = dividend / divisor;

    return (int64_t)(quotient - (dividend % divisor < 0));
}

static int64_t now_of(const struct cn_fair *fair)
{
    return fair->weight_sum > 0 ? floor_divide(fair->moment_sum, fair->weight_sum) : 0;
}

static int64_t virtual_of(const struct cn_fair_entity *entity, int64_t ns)
{
    return (int64_t)(((__int128)ns << VTIME_SHIFT) / entity->effective);
}

static __int128 moment_of(const struct cn_fair_entity *entity)
{
    return (__int128)entity->effective * entity->vtime;
}

static void join_sums(struct cn_fair *fair, const struct cn_fair_entity *entity)
{
    fair->weight_sum += entity->effective;
    fair->moment_sum += moment_of(entity);
}

static void leave_sums(struct cn_fair *fair, const struct cn_fair_entity *entity)
{
    fair->weight_sum -= entity->effective;
    fair->moment_sum -= moment_of(entity);
}

static int64_t active_lag_ns(int64_t now, const struct cn_fair_entity *entity)
{
    return (int64_t)(((__int128)entity->effective * (now - entity->vtime)) >> VTIME_SHIFT);
}

int64_t cn_fair_lag_ns(const struct cn_fair *fair, const struct cn_fair_entity *entity)
{
    return entity->state == CN_FAIR_ASLEEP ? entity->lag_ns
                                           : active_lag_ns(now_of(fair), entity);
}

static void note_ready(struct cn_fair *fair, const struct cn_fair_entity *entity)
{
    struct cn_fair_ready *ready = &fair->ready[entity->ready_place];

    ready->vtime = entity->vtime;
    ready->deadline = entity->deadline;
}

/* Time goes forward: one that comes moves it back by what it is owed, a slice at most. */
static void count_anew(struct cn_fair *fair)
{
    int64_t now = now_of(fair);

    if (now < VTIME_FAR)
        return;
    for (uint32_t i = 0; i < fair->count; i++) {
        struct cn_fair_entity *entity = fair->all[i];
        if (entity->state == CN_FAIR_ASLEEP)
            continue;
        leave_sums(fair, entity);
        entity->vtime -= now;
        if (entity->deadline != AT_ONCE)
            entity->deadline -= now;
        join_sums(fair, entity);
        if (entity->state == CN_FAIR_READY)
            note_ready(fair, entity);
    }
}

/* ------------------------------------------------------------------ feasible weights */

/* What an entity is entitled to when a weight of 1 is worth `worth` cores. */
static double entitled(const struct cn_fair_entity *entity, double worth)
{
    double share = worth * entity->weight;
    double reserve = entity->reserve / 1000.0;

    if (share < reserve)
        share = reserve;
    return share < 1.0 ? share : 1.0;
}

static double entitled_in_all(const struct cn_fair *fair, double worth)
{
    double sum = 0;

    for (uint32_t i = 0; i < fair->count; i++)
        if (fair->all[i]->state != CN_FAIR_ASLEEP)
            sum += entitled(fair->all[i], worth);
    return sum;
}

/* The worth of a weight of 1 at which all entitlements come to the number of workers: the more
 * it is worth the more they are, so the right one is closed in on from both sides. */
static double fair_worth(const struct cn_fair *fair)
{
    double cores = fair->active < fair->workers ? fair->active : fair->workers;
    double low = 0, high = 1; /* weights are at least 1, so at 1 everybody has a core */

    for (int i = 0; i < 48; i++) {
        double middle = (low + high) / 2;
        if (entitled_in_all(fair, middle) < cores)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Gives it another effective weight. Its lag stays, and what is left of its slice. */
static void reweigh(struct cn_fair_entity *entity, int64_t now, int64_t effective)
{
    __int128 behind = (__int128)(now - entity->vtime) * entity->effective;
    __int128 left = (__int128)(entity->deadline - entity->vtime) * entity->effective;

    entity->effective = effective;
    entity->vtime = now - (int64_t)(behind / effective);
    if (entity->deadline != AT_ONCE)
        entity->deadline = entity->vtime + (int64_t)(left / effective);
}

static int64_t plain_weight(const struct cn_fair_entity *entity)
{
    return (int64_t)entity->weight << WEIGHT_SHIFT;
}

static int64_t adjusted_weight(const struct cn_fair_entity *entity, double worth)
{
    double share = entitled(entity, worth);

    if (share == worth * entity->weight)
        return plain_weight(entity);
    int64_t effective = (int64_t)(share / worth * (1 << WEIGHT_SHIFT));
    assert(effective > 0); /* a share is a whole core or more than weight * worth; worth <= 1 */
    return effective;
}

static void reweigh_all(struct cn_fair *fair, int64_t now, double worth)
{
    fair->weight_sum = 0;
    fair->moment_sum = 0;
    for (uint32_t i = 0; i < fair->count; i++) {
        struct cn_fair_entity *entity = fair->all[i];
        if (entity->state == CN_FAIR_ASLEEP)
            continue;
        reweigh(entity, now, worth > 0 ? adjusted_weight(entity, worth) : plain_weight(entity));
        join_sums(fair, entity);
        if (entity->state == CN_FAIR_READY)
            note_ready(fair, entity);
    }
}

/* Whether the weights that were asked for can be had as they are. */
static bool are_feasible(const struct cn_fair *fair)
{
    int64_t sum = 0, heaviest = 0;

    if (fair->reserving > 0)
        return false;
    for (uint32_t i = 0; i < fair->count; i++) {
        const struct cn_fair_entity *entity = fair->all[i];
        if (entity->state == CN_FAIR_ASLEEP)
            continue;
        sum += entity->weight;
        if (entity->weight > heaviest)
            heaviest = entity->weight;
    }
    return heaviest * fair->workers <= sum;
}

static int64_t lightest_of(const struct cn_fair *fair)
{
    int64_t lightest = INT64_MAX;

    for (uint32_t i = 0; i < fair->count; i++) {
        const struct cn_fair_entity *entity = fair->all[i];
        if (entity->state != CN_FAIR_ASLEEP && entity->effective < lightest)
            lightest = entity->effective;
    }
    return lightest;
}

/* What of a second the one with the smallest part is entitled to, in so many turns. */
static uint64_t turn_of_lightest(const struct cn_fair *fair)
{
    __int128 part = (__int128)fair->lightest * fair->workers * (1000000000 / CN_TURNS_PER_SECOND);

    return fair->weight_sum > 0 && part / fair->weight_sum < CN_SLICE_LONG_NS
               ? (uint64_t)(part / fair->weight_sum)
               : CN_SLICE_LONG_NS;
}

/* The same for all: more weight gives more turns. Turns that are long make those with a small part
 * wait, so what everybody is off by at most is one of the longest. Turns that are short are dear:
 * at the beginning of each, caches hold what others have used. */
uint64_t cn_fair_slice_ns(const struct cn_fair *fair)
{
    uint64_t round = (uint64_t)CN_ROUND_NS * fair->workers / (fair->active ? fair->active : 1);
    uint64_t slice = turn_of_lightest(fair);

    if (slice < round)
        slice = round;
    if (slice > CN_SLICE_LONG_NS)
        return CN_SLICE_LONG_NS;
    return slice < CN_SLICE_SHORT_NS ? CN_SLICE_SHORT_NS : slice;
}

/* Slices have become shorter: nobody waits for the end of one that was to be longer. */
static void shorten_slices(struct cn_fair *fair, int64_t slice_ns)
{
    for (uint32_t i = 0; i < fair->count; i++) {
        struct cn_fair_entity *entity = fair->all[i];
        if (entity->state == CN_FAIR_ASLEEP)
            continue;
        int64_t latest = entity->vtime + virtual_of(entity, slice_ns);
        if (entity->deadline > latest)
            entity->deadline = latest;
        if (entity->state == CN_FAIR_READY)
            note_ready(fair, entity);
    }
}

/* Works the effective weights out anew after changes, of which there are some, at the virtual time
 * that lags are counted from. With many entities one more or less moves little: then some changes,
 * or some turns, are waited for. */
static void adjust(struct cn_fair *fair, int64_t now)
{
    if ((fair->changes + fair->picks) * 16 < fair->active)
        return;
    fair->changes = fair->picks = 0;
    bool feasible = fair->active == 0 || are_feasible(fair);
    if (!feasible || fair->is_adjusted)
        reweigh_all(fair, now, feasible ? 0 : fair_worth(fair));
    fair->is_adjusted = !feasible;
    fair->lightest = lightest_of(fair);
    int64_t slice = (int64_t)cn_fair_slice_ns(fair);
    if (slice < fair->slice_ns)
        shorten_slices(fair, slice);
    fair->slice_ns = slice;
}

/* ------------------------------------------------------------------ coming and going */

static bool make_room(struct cn_fair *fair)
{
    if (fair->count < fair->room)
        return true;
    uint32_t room = fair->room ? fair->room * 2 : FIRST_ROOM;
    void *all = cn_resize(fair->allocator, fair->all, fair->room * sizeof *fair->all,
                          room * sizeof *fair->all);
    if (all == NULL)
        return false;
    fair->all = all;
    void *ready = cn_resize(fair->allocator, fair->ready, fair->room * sizeof *fair->ready,
                            room * sizeof *fair->ready);
    if (ready == NULL) { /* `all` is larger than its books say; shrinking cannot fail */
        fair->all = cn_resize(fair->allocator, fair->all, room * sizeof *fair->all,
                              fair->room * sizeof *fair->all);
        return false;
    }
    fair->ready = ready;
    fair->room = room;
    return true;
}

enum cn_status cn_fair_add(struct cn_fair *fair, struct cn_fair_entity *entity, uint32_t weight,
                           uint32_t reserve)
{
    if (!make_room(fair))
        return CN_NO_MEMORY;
    *entity = (struct cn_fair_entity){.weight = weight, .reserve = reserve};
    entity->effective = plain_weight(entity);
    entity->place = fair->count;
    fair->all[fair->count++] = entity;
    return CN_OK;
}

static void enter_ready(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    entity->state = CN_FAIR_READY;
    entity->ready_place = fair->ready_count++;
    fair->ready[entity->ready_place].entity = entity;
    note_ready(fair, entity);
}

static void leave_ready(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    struct cn_fair_ready *place = &fair->ready[entity->ready_place];

    *place = fair->ready[--fair->ready_count];
    place->entity->ready_place = entity->ready_place;
}

static void start_slice(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    entity->deadline =
        entity->vtime + virtual_of(entity, (int64_t)cn_fair_slice_ns(fair));
}

/* Where one that comes with a lag has to stand, so that it has that lag when it has come: the
 * queue's time moves by its coming. */
static void place_by_lag(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    int64_t others = fair->weight_sum;
    __int128 lag = entity->lag_ns;

    if (others > 0)
        lag += lag * entity->effective / others;
    else
        lag = 0;
    entity->vtime = now_of(fair) - (int64_t)((lag << VTIME_SHIFT) / entity->effective);
}

void cn_fair_wake(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    if (entity->state != CN_FAIR_ASLEEP)
        return;
    entity->effective = plain_weight(entity);
    place_by_lag(fair, entity);
    join_sums(fair, entity);
    fair->active++;
    fair->reserving += entity->reserve > 0;
    fair->changes++;
    entity->state = CN_FAIR_READY;
    start_slice(fair, entity);
    enter_ready(fair, entity);
    adjust(fair, now_of(fair));
}

/* It is active and not among the ready ones. What it is owed or owes falls to the others, by the
 * weights that they have without it, as it came from them by those weights when it joined. */
static void fall_asleep(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    int64_t now = now_of(fair);
    int64_t lag = active_lag_ns(now, entity);

    if (lag > CN_SLICE_LONG_NS)
        lag = CN_SLICE_LONG_NS;
    if (lag < -DEBT_MAX_NS)
        lag = -DEBT_MAX_NS;
    leave_sums(fair, entity);
    entity->lag_ns = lag;
    entity->state = CN_FAIR_ASLEEP;
    fair->active--;
    fair->reserving -= entity->reserve > 0;
    fair->changes++;
    adjust(fair, now);
}

void cn_fair_remove(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    assert(entity->state != CN_FAIR_RUNNING);
    if (entity->state == CN_FAIR_READY) {
        leave_ready(fair, entity);
        fall_asleep(fair, entity);
    }
    struct cn_fair_entity *last = fair->all[--fair->count];
    fair->all[entity->place] = last;
    last->place = entity->place;
}

void cn_fair_set(struct cn_fair *fair, struct cn_fair_entity *entity, uint32_t weight,
                 uint32_t reserve)
{
    bool is_active = entity->state != CN_FAIR_ASLEEP;
    int64_t now = now_of(fair);

    if (is_active) {
        fair->reserving += (uint32_t)((reserve > 0) - (entity->reserve > 0));
        leave_sums(fair, entity);
    }
    entity->weight = weight;
    entity->reserve = reserve;
    if (is_active) {
        reweigh(entity, now, plain_weight(entity));
        join_sums(fair, entity);
        if (entity->state == CN_FAIR_READY)
            note_ready(fair, entity);
    }
    fair->changes += fair->active + 1;
    adjust(fair, now);
}

void cn_fair_hurry(struct cn_fair *fair, struct cn_fair_entity *entity)
{
    if (entity->state != CN_FAIR_READY)
        return;
    entity->deadline = AT_ONCE;
    note_ready(fair, entity);
}

/* ------------------------------------------------------------------ running */

struct cn_fair_entity *cn_fair_pick(struct cn_fair *fair)
{
    struct cn_fair_ready *best = NULL, *least = NULL;
    int64_t now = now_of(fair);

    if (fair->changes > 0) {
        fair->picks++;
        adjust(fair, now);
        now = now_of(fair);
    }

    for (uint32_t i = 0; i < fair->ready_count; i++) {
        struct cn_fair_ready *ready = &fair->ready[i];
        if ((ready->vtime <= now || ready->deadline == AT_ONCE) &&
            (best == NULL || ready->deadline < best->deadline))
            best = ready;
        if (least == NULL || ready->vtime < least->vtime)
            least = ready;
    }
    if (best == NULL)
        best = least; /* those that are behind run already; no worker is idle for that */
    if (best == NULL)
        return NULL;
    struct cn_fair_entity *entity = best->entity;
    leave_ready(fair, entity);
    entity->state = CN_FAIR_RUNNING;
    return entity;
}

static void use(struct cn_fair *fair, struct cn_fair_entity *entity, uint64_t used_ns)
{
    int64_t used = used_ns < USE_MAX_NS ? (int64_t)used_ns : USE_MAX_NS;
    int64_t moved = virtual_of(entity, used);

    entity->vtime += moved;
    fair->moment_sum += (__int128)entity->effective * moved;
    if (entity->vtime >= entity->deadline)
        start_slice(fair, entity);
}

void cn_fair_put(struct cn_fair *fair, struct cn_fair_entity *entity, uint64_t used_ns,
                 bool wants_more)
{
    assert(entity->state == CN_FAIR_RUNNING);
    use(fair, entity, used_ns);
    if (wants_more)
        enter_ready(fair, entity);
    else
        fall_asleep(fair, entity);
    count_anew(fair);
}

void cn_fair_charge(struct cn_fair *fair, struct cn_fair_entity *entity, uint64_t used_ns)
{
    if (entity->state == CN_FAIR_ASLEEP) {
        entity->lag_ns -= used_ns < DEBT_MAX_NS ? (int64_t)used_ns : DEBT_MAX_NS;
        return;
    }
    use(fair, entity, used_ns);
    if (entity->state == CN_FAIR_READY)
        note_ready(fair, entity);
}
