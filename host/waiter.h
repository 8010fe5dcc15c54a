/* An event loop that a VM waits on: until a time, until it is woken, or both. */
#ifndef CN_HOST_WAITER_H
#define CN_HOST_WAITER_H

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
struct cn_waiter;

/* NULL when the loop cannot be made. */
struct cn_waiter *cn_waiter_new(void);
/* Closes what is left on the loop. NULL is fine. */
void cn_waiter_free(struct cn_waiter *waiter);

struct uv_loop_s *cn_waiter_loop(struct cn_waiter *waiter);

/* Ends a wait, the present one or the next. On the loop's thread. */
void cn_waiter_wake(struct cn_waiter *waiter);
/* The same from any thread and from signal handlers. */
void cn_waiter_interrupt(struct cn_waiter *waiter);

/* Waits until woken or for `ns` nanoseconds (UINT64_MAX: for ever), rounded up to a
 * millisecond; a wait of 0 only handles what has happened already. */
void cn_waiter_wait(struct cn_waiter *waiter, uint64_t ns);

#endif
