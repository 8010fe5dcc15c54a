#include "shim/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shim/errno.h"

#define FIRED_MAX 64
#define NANOSECONDS 1000000000u

static const int clock_ids[CN_WAIT_CLOCKS] = {
    [CN_CLOCK_REALTIME] = CLOCK_REALTIME,
    [CN_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
};

void cn_wait_init(struct cn_wait *wait)
{
    *wait = (struct cn_wait){.set = -1, .timers = {-1, -1}};
}

void cn_wait_release(struct cn_wait *wait)
{
    for (int i = 0; i < CN_WAIT_CLOCKS; i++) {
        if (wait->timers[i] >= 0)
            close(wait->timers[i]);
        wait->timers[i] = -1;
    }
    if (wait->set >= 0)
        close(wait->set);
    wait->set = -1;
}

bool cn_wait_resume(struct cn_wait *wait)
{
    struct epoll_event fired[FIRED_MAX];
    bool has_fired = false;
    int count;

    if (wait->set < 0)
        return false;
    do {
        count = epoll_pwait(wait->set, fired, FIRED_MAX, 0, NULL);
        has_fired = has_fired || count > 0;
        for (int i = 0; i < count; i++) {
            bool *timer = fired[i].data.ptr;
            if (timer == &wait->is_armed[0] || timer == &wait->is_armed[1])
                *timer = false;
            else
                ((struct cn_fd *)fired[i].data.ptr)->armed = 0;
        }
    } while (count == FIRED_MAX);
    return has_fired;
}

void cn_wait_anew(struct cn_wait *wait)
{
    for (int i = 0; i < CN_WAIT_CLOCKS; i++)
        wait->is_wanted[i] = false;
}

static enum cn_errno open_set(struct cn_wait *wait, struct cn_fd_table *table)
{
    if (wait->set < 0) {
        wait->set = epoll_create1(EPOLL_CLOEXEC);
        if (wait->set < 0)
            return cn_errno_of_host(errno);
    }
    if (table != NULL)
        table->wait_set = wait->set;
    return CN_E_SUCCESS;
}

/* Adds an entry, or sets it anew when it is there. */
static int arm(struct cn_wait *wait, int host, bool is_there, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = data};

    if (epoll_ctl(wait->set, is_there ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, host, &event) == 0)
        return 0;
    return errno;
}

enum cn_errno cn_wait_fd(struct cn_wait *wait, struct cn_fd_table *table, struct cn_fd *fd,
                         uint32_t events, bool *is_ready)
{
    enum cn_errno error = open_set(wait, table);

    if (error != CN_E_SUCCESS)
        return error;
    if (fd->armed != 0 && (fd->armed & events) == events)
        return CN_E_SUCCESS;
    int host = arm(wait, fd->host, fd->is_in_wait_set, events | fd->armed, fd);
    if (host == EPERM) {
        *is_ready = true;
        return CN_E_SUCCESS;
    }
    if (host != 0)
        return cn_errno_of_host(host);
    fd->is_in_wait_set = true;
    fd->armed |= events;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wait_until(struct cn_wait *wait, int clock, uint64_t moment)
{
    struct itimerspec when = {
        .it_value = {(time_t)(moment / NANOSECONDS), (long)(moment % NANOSECONDS)},
    };
    enum cn_errno error = open_set(wait, NULL);

    if (error != CN_E_SUCCESS)
        return error;
    if (wait->is_armed[clock] && wait->is_wanted[clock] && wait->moments[clock] <= moment)
        return CN_E_SUCCESS; /* another thread of the guest waits for something earlier */
    bool is_there = wait->timers[clock] >= 0;
    if (!is_there) {
        wait->timers[clock] = timerfd_create(clock_ids[clock], TFD_CLOEXEC | TFD_NONBLOCK);
        if (wait->timers[clock] < 0)
            return cn_errno_of_host(errno);
    }
    if (moment == 0)
        when.it_value.tv_nsec = 1; /* all zeros would stop the timer */
    if (timerfd_settime(wait->timers[clock], TFD_TIMER_ABSTIME, &when, NULL) != 0)
        return cn_errno_of_host(errno);
    int host = arm(wait, wait->timers[clock], is_there, EPOLLIN, &wait->is_armed[clock]);
    if (host != 0)
        return cn_errno_of_host(host);
    wait->is_armed[clock] = true;
    wait->is_wanted[clock] = true;
    wait->moments[clock] = moment;
    return CN_E_SUCCESS;
}

/* Stops the timers that earlier parks have left behind. */
static void stop_other_timers(struct cn_wait *wait)
{
    static const struct itimerspec never;

    for (int i = 0; i < CN_WAIT_CLOCKS; i++) {
        if (wait->is_armed[i] && !wait->is_wanted[i]) {
            (void)timerfd_settime(wait->timers[i], 0, &never, NULL);
            wait->is_armed[i] = false;
        }
    }
}

enum cn_errno cn_wait_park(struct cn_wait *wait)
{
    enum cn_errno error = open_set(wait, NULL);

    if (error != CN_E_SUCCESS)
        return error;
    stop_other_timers(wait);
    return CN_E_PARK;
}
