#include "host/waiter.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"

#define NANOSECONDS 1000000000u

struct cn_waiter {
    int event; /* readable once it was interrupted */
};

struct cn_waiter *cn_waiter_new(void)
{
    struct cn_waiter *waiter = cn_alloc(cn_heap, sizeof *waiter);

    if (waiter == NULL)
        return NULL;
    waiter->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waiter->event >= 0)
        return waiter;
    cn_free(cn_heap, waiter, sizeof *waiter);
    return NULL;
}

void cn_waiter_free(struct cn_waiter *waiter)
{
    if (waiter == NULL)
        return;
    close(waiter->event);
    cn_free(cn_heap, waiter, sizeof *waiter);
}

void cn_waiter_interrupt(struct cn_waiter *waiter)
{
    int before = errno; /* it may be a signal handler that calls */

    (void)eventfd_write(waiter->event, 1);
    errno = before;
}

int cn_waiter_descriptor(const struct cn_waiter *waiter)
{
    return waiter->event;
}

void cn_waiter_calm(struct cn_waiter *waiter)
{
    eventfd_t count;

    (void)eventfd_read(waiter->event, &count);
}

void cn_waiter_wait(struct cn_waiter *waiter, int fd, uint64_t ns)
{
    struct pollfd fds[] = {{.fd = waiter->event, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    struct timespec time = {(time_t)(ns / NANOSECONDS), (long)(ns % NANOSECONDS)};
    eventfd_t count;

    (void)ppoll(fds, 2, ns == UINT64_MAX ? NULL : &time, NULL);
    if (fds[0].revents != 0)
        (void)eventfd_read(waiter->event, &count);
}
