/* How a guest waits: what a parked call waits for, as one handle on the host's event loop.
 *
 * All descriptors and clocks that a VM waits for stand in one epoll descriptor of its own, and
 * the loop watches that one. So the flags of descriptors that the VM was given are never
 * touched (a uv_poll_t would make them non-blocking), nothing depends on how many there are,
 * and timers have nanoseconds. Entries are one-shot and stay for the next time; a stale one
 * costs at most one needless wake. The loop is asked for only when the guest first waits.
 *
 * Order: cn_wait_fd and cn_wait_until as often as needed, then cn_wait_park.
 */
#ifndef CN_SHIM_WAIT_H
#define CN_SHIM_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "shim/fd_table.h"

struct uv_loop_s;

/* What the host layer gives: its loop, and a function that is called from the loop, once per
 * park, when the parked call should be made again. */
struct cn_waker {
    void *context;
    struct uv_loop_s *(*loop)(void *context);
    void (*wake)(void *context);
};

#define CN_WAIT_CLOCKS 2

struct cn_wait {
    struct cn_waker waker;
    struct cn_wait_handle *handle; /* on the loop; NULL before the first park */
    int set;                       /* the epoll descriptor, or -1 */
    int timers[CN_WAIT_CLOCKS];    /* timerfd per clock (realtime, monotonic), or -1 */
    bool is_armed[CN_WAIT_CLOCKS];
    bool is_wanted[CN_WAIT_CLOCKS]; /* by the park that is being prepared */
    bool is_parked;
};

/* Takes nothing yet. */
void cn_wait_init(struct cn_wait *wait, const struct cn_waker *waker);

/* Leaves the loop; the loop must run once more before it is closed. */
void cn_wait_release(struct cn_wait *wait);

/* The descriptor belongs to the park: `events` are EPOLLIN and EPOLLOUT. *is_ready is set when
 * it is of a kind that never waits (a regular file), and left alone otherwise. */
enum cn_errno cn_wait_fd(struct cn_wait *wait, struct cn_fd_table *table, struct cn_fd *fd,
                         uint32_t events, bool *is_ready);

/* So does this moment of the clock (CN_CLOCK_REALTIME or CN_CLOCK_MONOTONIC), in nanoseconds.
 * At most one per clock: the earliest. */
enum cn_errno cn_wait_until(struct cn_wait *wait, int clock, uint64_t moment);

/* CN_E_PARK, and the waker will be called; NOTSUP without a loop. */
enum cn_errno cn_wait_park(struct cn_wait *wait);

/* The waker will not be called any more for this park. The call can be made again all the
 * same, and will then wait anew. */
void cn_wait_cancel(struct cn_wait *wait);

#endif
