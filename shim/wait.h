/* How a guest waits: what a parked call waits for, as one descriptor that the host can watch.
 *
 * All descriptors and clocks that a VM waits for stand in one epoll descriptor of its own, which
 * is readable when the call should be made again. So the flags of descriptors that the VM was
 * given are never touched, nothing depends on how many there are, timers have nanoseconds, and
 * the host may wait for thousands of VMs in whatever way it likes. Entries are one-shot and stay
 * for the next time; a stale one costs at most one needless try. The descriptor is made when the
 * guest first waits.
 *
 * Order: cn_wait_fd and cn_wait_until as often as needed, then cn_wait_park; when the host has
 * seen the set readable, or for any other reason: cn_wait_resume, and the call is made again.
 */
#ifndef CN_SHIM_WAIT_H
#define CN_SHIM_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "shim/fd_table.h"

#define CN_WAIT_CLOCKS 2

struct cn_wait {
    int set;                       /* the epoll descriptor, or -1 */
    int timers[CN_WAIT_CLOCKS];    /* timerfd per clock (realtime, monotonic), or -1 */
    bool is_armed[CN_WAIT_CLOCKS];
    bool is_wanted[CN_WAIT_CLOCKS]; /* by calls that are parked, or the one that will be */
    uint64_t moments[CN_WAIT_CLOCKS]; /* that the armed ones ring at */
};

/* Takes nothing yet. */
void cn_wait_init(struct cn_wait *wait);

void cn_wait_release(struct cn_wait *wait);

/* The descriptor belongs to the park: `events` are EPOLLIN and EPOLLOUT. *is_ready is set when
 * it is of a kind that never waits (a regular file), and left alone otherwise. */
enum cn_errno cn_wait_fd(struct cn_wait *wait, struct cn_fd_table *table, struct cn_fd *fd,
                         uint32_t events, bool *is_ready);

/* So does this moment of the clock (CN_CLOCK_REALTIME or CN_CLOCK_MONOTONIC), in nanoseconds.
 * Of several the earliest counts. */
enum cn_errno cn_wait_until(struct cn_wait *wait, int clock, uint64_t moment);

/* CN_E_PARK, and wait->set will be readable. */
enum cn_errno cn_wait_park(struct cn_wait *wait);

/* Takes note of what has fired, so that the set is quiet again; false when nothing has. */
bool cn_wait_resume(struct cn_wait *wait);

/* All calls that are parked will be made again: what they waited for so far is nothing any more. */
void cn_wait_anew(struct cn_wait *wait);

#endif
