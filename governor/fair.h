/* The fair queue: which VM runs next on which worker, and for how long.
 *
 * Earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995, as in Linux since 6.6)
 * over a number of workers. Every entity has a virtual time that its CPU time moves on, the
 * slower the more weight it has; the queue's own virtual time is the weighted mean of those that
 * want to run. Who is behind it is owed CPU time (its lag is above 0) and may run; of those, the
 * one whose slice is due first does. Lag is kept over sleep: a debt does not vanish by sleeping,
 * and at most one slice of a credit is kept.
 *
 * Weights are made feasible: an entity uses one worker at a time, so it is entitled to no more
 * than that, and to its reservation at the least; what that adds or leaves changes the weights
 * of the others in proportion (Chandra, Adler, Goyal and Shenoy 2000). Limits are not the
 * queue's: who has used up its rate sleeps.
 *
 * Pure bookkeeping: no clock, no threads, no I/O. Whoever calls holds the lock, if there is one.
 */
#ifndef CN_GOVERNOR_FAIR_H
#define CN_GOVERNOR_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/alloc.h"
#include "core/status.h"

#define CN_WEIGHT_MAX 10000
/* The longest slice and the shortest. */
#define CN_SLICE_LONG_NS 2000000
#define CN_SLICE_SHORT_NS 200000
/* So many turns a second even the one with the smallest part has, unless slices would become too
 * short: what it is off by, about a slice at the beginning of any time and one at its end, is less
 * than 5% of a second's part then. */
#define CN_TURNS_PER_SECOND 44
/* A turn for each takes at least about this long, however small the smallest part is. */
#define CN_ROUND_NS 6000000

enum cn_fair_state {
    CN_FAIR_ASLEEP,
    CN_FAIR_READY,
    CN_FAIR_RUNNING,
};

/* One that wants to run, inside whatever that is. All of it is the queue's. */
struct cn_fair_entity {
    enum cn_fair_state state;
    uint32_t weight;    /* as asked for: 1 to CN_WEIGHT_MAX */
    uint32_t reserve;   /* thousandths of a core */
    uint32_t place;     /* among all, and among the ready ones below */
    uint32_t ready_place;
    int64_t effective;  /* the weight that it is worth, in 1/1024 */
    int64_t vtime;      /* virtual time; less is more behind */
    int64_t deadline;   /* virtual */
    int64_t lag_ns;     /* while asleep: what it is owed, below 0 what it owes */
};

struct cn_fair_ready {
    int64_t vtime, deadline;
    struct cn_fair_entity *entity;
};

struct cn_fair {
    struct cn_allocator allocator;
    uint32_t workers;
    struct cn_fair_entity **all;
    struct cn_fair_ready *ready;
    uint32_t count, ready_count, room;
    uint32_t active;        /* ready or running */
    uint32_t reserving;     /* of these, with a reservation */
    uint32_t changes, picks; /* since the effective weights were last worked out */
    bool is_adjusted;       /* some effective weight differs from the one asked for */
    int64_t weight_sum;     /* effective, of the active ones */
    int64_t lightest;       /* of these, when they were last worked out */
    int64_t slice_ns;       /* as long as slices were then */
    __int128 moment_sum;    /* of effective weight times virtual time */
};

void cn_fair_init(struct cn_fair *fair, struct cn_allocator allocator, uint32_t workers);
/* The entities are their owners'. */
void cn_fair_release(struct cn_fair *fair);

/* A new entity, asleep, owing nothing. CN_NO_MEMORY. */
CN_CHECKED enum cn_status cn_fair_add(struct cn_fair *fair, struct cn_fair_entity *entity,
                                      uint32_t weight, uint32_t reserve);
/* Not while it runs. */
void cn_fair_remove(struct cn_fair *fair, struct cn_fair_entity *entity);

/* Changes what it asks for, in whatever state it is; its lag stays. */
void cn_fair_set(struct cn_fair *fair, struct cn_fair_entity *entity, uint32_t weight,
                 uint32_t reserve);

/* It wants to run; nothing happens when it already does. */
void cn_fair_wake(struct cn_fair *fair, struct cn_fair_entity *entity);

/* If it is ready its turn is the next one, whatever it is entitled to. */
void cn_fair_hurry(struct cn_fair *fair, struct cn_fair_entity *entity);

/* Takes the next one to run; NULL when none is ready. */
struct cn_fair_entity *cn_fair_pick(struct cn_fair *fair);

/* How long whoever is picked should run now. */
uint64_t cn_fair_slice_ns(const struct cn_fair *fair);

/* It has run for that long and wants to go on, or sleeps. */
void cn_fair_put(struct cn_fair *fair, struct cn_fair_entity *entity, uint64_t used_ns,
                 bool wants_more);

/* CPU time that others used for it while it did not run. */
void cn_fair_charge(struct cn_fair *fair, struct cn_fair_entity *entity, uint64_t used_ns);

/* What it is owed, in ns of CPU time; below 0 what it owes. */
int64_t cn_fair_lag_ns(const struct cn_fair *fair, const struct cn_fair_entity *entity);

#endif
