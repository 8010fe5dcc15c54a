/* A pool: workers that run many VMs, whose turns a fair queue deals out.
 *
 * A seat is one VM's place in the pool. While it has one, the VM belongs to the pool: a worker
 * gives it a turn, puts the seat back with the CPU time that was used, and takes the next. One
 * more thread, the watcher, waits for everything that VMs wait for, and gives those that may go
 * on back to the queue. A VM has at most one turn at a time, on any worker.
 *
 * A turn whose thread is blocked in the kernel (a slow disk, a function of the embedder's) loses
 * its place among the workers to a spare thread while others are ready: so it keeps nobody from
 * running but its own VM, which counts as asleep until the thread comes back.
 *
 * Or it has no threads of its own, and the same queue deals out turns on whatever thread calls
 * cn_pool_step, which looks after what VMs wait for, too.
 *
 * One lock guards the queue; turns run without it. Functions are for any thread unless they say
 * otherwise.
 */
#ifndef CN_HOST_POOL_H
#define CN_HOST_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/error.h"
#include "governor/fair.h"

#define CN_POOL_WORKERS_MAX 256
/* Threads that may be blocked in the kernel at once, beside the workers. */
#define CN_POOL_SPARE_MAX 64
/* Reservations may come to this many thousandths of each worker. */
#define CN_POOL_RESERVABLE 900

struct cn_pool;

/* What a turn was like. */
struct cn_turn_report {
    uint64_t used_ns;  /* CPU time */
    uint64_t until_ns; /* no turn before that, unless something happens; 0: at once */
    int wait_set;      /* a descriptor whose being readable is such a thing, or -1 */
    bool is_over;      /* no more turns: the seat is given up */
};

struct cn_seat {
    struct cn_fair_entity entity; /* first; the queue's */
    /* Set by the owner before it takes the seat. `turn` is called by workers; `over` by the last
     * of them, after the pool has let go of the seat: it may be freed from then on. */
    void (*turn)(struct cn_seat *seat, uint64_t slice_ns, struct cn_turn_report *report);
    void (*over)(struct cn_seat *seat);
    int process; /* that its turns are run by, meanwhile the worker waits; 0: the worker itself */
    bool (*is_inside)(const struct cn_seat *seat); /* whether that has the turn at this moment */
    _Atomic bool is_watching; /* it is poked by cn_pool_poke_watching; set in its turns */

    /* The pool's. */
    uint32_t number;          /* in the pool's table */
    uint32_t alarm;           /* place in the heap of moments, or CN_NO_ALARM */
    uint64_t until_ns;
    int watched;              /* descriptor that the watcher has been told of, or -1 */
    bool has_turn;            /* whatever the queue says: a thread is in its turn */
    bool is_woken;            /* something happened during that */
    _Atomic bool is_poked;
};

/* Turns by how much longer than their slice they took: entry i counts 2^i us and more. */
#define CN_OVERRUNS 16

struct cn_pool_figures {
    uint32_t workers, seats, active;
    uint64_t busy_ns;  /* CPU time of turns, of VMs that are gone, too */
    uint64_t turns;
    uint64_t blocked;  /* turns that lost their place */
    uint64_t overruns[CN_OVERRUNS];
    uint64_t reserved; /* thousandths of a core */
};

/* Starts the threads. NULL with an error when they or descriptors cannot be had. */
struct cn_pool *cn_pool_new(uint32_t workers, struct cn_error *error);
/* One without threads, whose one worker is whoever calls cn_pool_step. NULL as above. */
struct cn_pool *cn_pool_new_stepped(struct cn_error *error);
/* Stops the threads; no seat may be taken any more. NULL is fine. */
void cn_pool_free(struct cn_pool *pool);

/* Takes a seat: its first turn comes soon. CN_OVER_QUOTA when the reservation cannot be promised
 * beside those of others; CN_NO_MEMORY. */
CN_CHECKED enum cn_status cn_pool_take(struct cn_pool *pool, struct cn_seat *seat,
                                       uint32_t weight, uint32_t reserve);

/* Gives a seat another weight and reservation at once; CN_OVER_QUOTA as above. The seat must be
 * taken, or over: then nothing happens. */
CN_CHECKED enum cn_status cn_pool_set(struct cn_pool *pool, struct cn_seat *seat, uint32_t weight,
                                      uint32_t reserve);

/* It gets a turn soon, whatever it waits for. From signal handlers, too. */
void cn_pool_poke(struct cn_pool *pool, struct cn_seat *seat);

/* What it waits for has happened; nothing happens when the seat is over. Not from signal
 * handlers. */
void cn_pool_wake(struct cn_pool *pool, struct cn_seat *seat);

/* So do all that are watching. `pool` is a struct cn_pool. */
void cn_pool_poke_watching(void *pool);

/* By the thread that has the seat's turn, or its process: it may wait in the kernel for long now,
 * and its place is for another thread meanwhile. */
void cn_pool_blocks(struct cn_pool *pool, struct cn_seat *seat);

/* ------------------------------------------------------------------ without threads */

/* What a step has come to. */
enum cn_pool_state {
    CN_POOL_AGAIN, /* somebody is ready */
    CN_POOL_WAIT,  /* nobody is, before *until_ns or until something happens */
    CN_POOL_EMPTY, /* there are no seats */
    CN_POOL_BUSY,  /* another thread is in a step, or this one, further up: nothing was done */
};

bool cn_pool_is_stepped(const struct cn_pool *pool);
/* Looks after what has happened, and gives turns, in the queue's order and one at least, until
 * nobody is ready or `ns` are over; no turn is given more than is left of these, or 50 us. */
enum cn_pool_state cn_pool_step(struct cn_pool *pool, uint64_t ns, uint64_t *until_ns);
/* Waits, outside of steps, for so long at most: until something happens that wants one. */
void cn_pool_wait(struct cn_pool *pool, uint64_t ns);
/* A descriptor, the pool's, that is readable when a step is due. -1 when there are no more. */
int cn_pool_descriptor(struct cn_pool *pool);

struct cn_pool_figures cn_pool_figures(struct cn_pool *pool);

#endif
