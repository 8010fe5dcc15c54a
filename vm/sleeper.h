/* Threads that wait at an address of a shared memory until another one notifies them (threads
 * proposal: memory.atomic.wait and notify).
 *
 * At most one thread of a VM runs at a time, so nothing here is locked. A thread that waits is
 * stopped at its instruction like one whose host call waits (CN_STOP_PARKED); it goes on, by
 * being run again, once it is not CN_ASLEEP any more. Clocks are the matter of the layer above:
 * it sees `timeout_ns` when a thread parks and ends the sleep when the time has come.
 */
#ifndef CN_VM_SLEEPER_H
#define CN_VM_SLEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cn_sleep {
    CN_AWAKE,     /* does not wait */
    CN_ASLEEP,    /* stands in a queue */
    CN_WOKEN,     /* was notified; its instruction has not gone on yet */
    CN_OVERSLEPT, /* its time is up; the same */
};

/* Of one memory: in the order in which they began to wait. */
struct cn_sleep_queue {
    struct cn_sleeper *first, *last;
};

/* A part of every thread. */
struct cn_sleeper {
    enum cn_sleep state;
    uint64_t address;
    uint64_t timeout_ns;  /* from the beginning of the wait; UINT64_MAX: for ever */
    uint64_t deadline_ns; /* the layer above's: when that is, on its clock; 0: not looked at */
    struct cn_sleep_queue *queue; /* while asleep */
    struct cn_sleeper *before, *after;
};

/* An awake thread begins to wait. */
void cn_sleep_begin(struct cn_sleep_queue *queue, struct cn_sleeper *sleeper, uint64_t address,
                    uint64_t timeout_ns);

/* It leaves the queue in which it stands. */
void cn_sleep_leave(struct cn_sleeper *sleeper);

/* It leaves the queue, if it stands in one, and has the new state. */
static inline void cn_sleep_end(struct cn_sleeper *sleeper, enum cn_sleep state)
{
    sleeper->state = state;
    if (sleeper->queue != NULL)
        cn_sleep_leave(sleeper);
}

/* Wakes the first `count` of those who wait at the address; returns how many. */
uint32_t cn_sleep_notify(struct cn_sleep_queue *queue, uint64_t address, uint32_t count);

/* The memory goes away: nobody can be notified any more. */
void cn_sleep_forget(struct cn_sleep_queue *queue);

#endif
