/* What a VM's own thread waits on: until a descriptor is readable, until a time, until somebody
 * interrupts it, or whichever comes first. */
#ifndef CN_HOST_WAITER_H
#define CN_HOST_WAITER_H

#include <stdint.h>

struct cn_waiter;

/* NULL when memory or descriptors are exhausted. */
struct cn_waiter *cn_waiter_new(void);
/* NULL is fine. */
void cn_waiter_free(struct cn_waiter *waiter);

/* Ends a wait, the present one or the next. From any thread and from signal handlers. */
void cn_waiter_interrupt(struct cn_waiter *waiter);

/* Waits for at most `ns` nanoseconds (UINT64_MAX: for ever). `fd` is -1 for none. */
void cn_waiter_wait(struct cn_waiter *waiter, int fd, uint64_t ns);

/* What is readable once it was interrupted, until it is calmed: for others to wait with. */
int cn_waiter_descriptor(const struct cn_waiter *waiter);
void cn_waiter_calm(struct cn_waiter *waiter);

#endif
