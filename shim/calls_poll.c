/* poll_oneoff: waits until one of many things has happened.
 *
 * Every try looks at all of them without waiting; when there is nothing to tell, the guest is
 * parked on the lot. Relative times count from the first try, whose moment stands in the call's
 * state: word 0 the monotonic clock, word 1 the real-time clock. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "shim/call.h"
#include "shim/clock.h"
#include "shim/errno.h"

#define FEW 16      /* subscriptions that need no memory of their own */
#define ASK_MAX 256 /* descriptors per question to the host */

/* A subscription in either layout, read once. */
struct subscription {
    uint64_t userdata;
    uint8_t tag;
    uint32_t fd;
    uint32_t clock;
    uint64_t timeout;
    bool is_absolute;
    bool is_malformed;
};

/* One subscription and what was found about it. */
struct watch {
    struct subscription subscription;
    struct cn_fd *fd;    /* NULL for a clock, or when `error` says why not */
    enum cn_errno error;
    uint64_t held_until; /* a quota lets nothing pass before; 0 for none */
    short found;         /* what poll reported */
};

struct polling {
    struct cn_call *call;
    struct watch *watches; /* call->event_count of them */
    uint64_t now[CN_WAIT_CLOCKS];
    uint32_t event_count;  /* events that have been told */
};

static struct subscription subscription_at(const struct cn_call *call, uint32_t index)
{
    struct subscription result = {0};

    if (call->is_unstable) {
        struct cn_abi_subscription0 from;
        memcpy(&from, call->subscriptions.at + index * sizeof from, sizeof from);
        result.userdata = from.userdata;
        result.tag = from.tag;
        result.fd = from.fd;
        result.clock = from.clock.id;
        result.timeout = from.clock.timeout;
        result.is_absolute = from.clock.flags & CN_SUBCLOCK_ABSTIME;
        result.is_malformed = from.clock.flags > CN_SUBCLOCK_ABSTIME;
    } else {
        struct cn_abi_subscription from;
        memcpy(&from, call->subscriptions.at + index * sizeof from, sizeof from);
        result.userdata = from.userdata;
        result.tag = from.tag;
        result.fd = from.fd;
        result.clock = from.clock.id;
        result.timeout = from.clock.timeout;
        result.is_absolute = from.clock.flags & CN_SUBCLOCK_ABSTIME;
        result.is_malformed = from.clock.flags > CN_SUBCLOCK_ABSTIME;
    }
    return result;
}

static void tell(struct polling *polling, const struct subscription *subscription,
                 struct cn_abi_event event)
{
    struct cn_abi_event clean = {0};

    clean.userdata = subscription->userdata;
    clean.type = subscription->tag;
    clean.error = event.error;
    clean.byte_count = event.byte_count;
    clean.flags = event.flags;
    memcpy(polling->call->events.at + polling->event_count * sizeof clean, &clean, sizeof clean);
    polling->event_count++;
}

static void tell_error(struct polling *polling, const struct subscription *subscription,
                       enum cn_errno error)
{
    tell(polling, subscription, (struct cn_abi_event){.error = (uint16_t)error});
}

/* The moment a clock subscription waits for; UINT64_MAX is never. */
static uint64_t moment_of(const struct cn_call *call, const struct subscription *subscription)
{
    uint64_t start = cn_call_words(call)[subscription->clock == CN_CLOCK_MONOTONIC ? 0 : 1];
    uint64_t moment;

    if (subscription->is_absolute)
        return subscription->timeout;
    if (__builtin_add_overflow(start, subscription->timeout, &moment))
        return UINT64_MAX;
    return moment;
}

static void look_at_clock(struct polling *polling, const struct subscription *subscription)
{
    if (subscription->is_malformed || subscription->clock > CN_CLOCK_THREAD_CPU)
        tell_error(polling, subscription, CN_E_INVAL);
    else if (subscription->clock > CN_CLOCK_MONOTONIC)
        tell_error(polling, subscription, CN_E_NOTSUP);
    else if (moment_of(polling->call, subscription) <= polling->now[subscription->clock])
        tell_error(polling, subscription, CN_E_SUCCESS);
}

/* The descriptor of a subscription, if its event can be waited for. */
static enum cn_errno fd_of(const struct cn_call *call, const struct subscription *subscription,
                           struct cn_fd **result)
{
    struct cn_fd *fd = cn_fd_get(&call->wasi->fds, subscription->fd);
    uint64_t needed = CN_RIGHT_POLL_FD_READWRITE;
    bool reads = subscription->tag == CN_EVENT_FD_READ;

    if (fd == NULL)
        return CN_E_BADF;
    if (fd->kind != CN_FD_LISTENER && !(fd->kind == CN_FD_PRESSURE && reads))
        needed |= reads ? CN_RIGHT_FD_READ : CN_RIGHT_FD_WRITE;
    if ((fd->rights & needed) != needed)
        return CN_E_NOTCAPABLE;
    *result = fd;
    return CN_E_SUCCESS;
}

/* When what the subscription waits for may pass by the quotas. A descriptor that is ready but may
 * not be used is not worth telling about: the guest would only ask again. */
static uint64_t held_until(const struct cn_call *call, const struct watch *watch)
{
    bool writes = watch->subscription.tag == CN_EVENT_FD_WRITE;

    if (watch->fd->kind == CN_FD_LISTENER)
        return cn_account_left(call->wasi->account, CN_QUOTA_CONNECTIONS) > 0 ? 0 : UINT64_MAX;
    return cn_toll_moment(&call->wasi->tolls, cn_gate_of(watch->fd, writes));
}

static uint64_t readable_bytes(const struct cn_fd *fd)
{
    struct stat stat;
    int size = 0;

    if (fd->kind == CN_FD_LISTENER || fd->kind == CN_FD_PRESSURE || fd->feed != NULL)
        return 1;
    if (fd->kind == CN_FD_FILE) {
        if (fstat(fd->host, &stat) != 0 || (uint64_t)stat.st_size <= fd->position)
            return 0;
        return (uint64_t)stat.st_size - fd->position;
    }
    return ioctl(fd->host, FIONREAD, &size) == 0 && size > 0 ? (uint64_t)size : 0;
}

static void tell_ready(struct polling *polling, const struct watch *watch)
{
    struct cn_abi_event event = {0};

    if (watch->subscription.tag == CN_EVENT_FD_READ)
        event.byte_count = readable_bytes(watch->fd);
    if (watch->found & POLLHUP)
        event.flags = CN_EVENT_HANGUP;
    if (watch->found & POLLNVAL)
        event.error = CN_E_BADF;
    tell(polling, &watch->subscription, event);
}

/* Reads the subscriptions, once, and looks up their descriptors. */
static void prepare(struct polling *polling)
{
    for (uint32_t i = 0; i < polling->call->event_count; i++) {
        struct watch *watch = &polling->watches[i];
        *watch = (struct watch){.subscription = subscription_at(polling->call, i)};
        uint8_t tag = watch->subscription.tag;
        if (tag == CN_EVENT_FD_READ || tag == CN_EVENT_FD_WRITE)
            watch->error = fd_of(polling->call, &watch->subscription, &watch->fd);
        else if (tag != CN_EVENT_CLOCK)
            watch->error = CN_E_INVAL;
        if (watch->fd != NULL)
            watch->held_until = held_until(polling->call, watch);
    }
}

/* What the host knows nothing about: whether the guest has not been told yet. */
static short news_of_pressure(struct cn_wasi *wasi, const struct cn_fd *fd)
{
    return cn_wasi_pressure(wasi) != fd->told ? POLLIN : 0;
}

static bool is_of_pressure(const struct watch *watch)
{
    return watch->fd != NULL && watch->fd->kind == CN_FD_PRESSURE;
}

/* Asks the host about the descriptors, so many at a time: it refuses more than it would let a
 * process open. */
static enum cn_errno ask(struct watch *watches, uint32_t count)
{
    const struct timespec now = {0, 0};
    struct pollfd entries[ASK_MAX];
    int found;

    for (uint32_t i = 0; i < count; i++) {
        bool reads = watches[i].subscription.tag == CN_EVENT_FD_READ;
        bool is_asked = watches[i].fd != NULL && watches[i].held_until == 0;
        entries[i].fd = is_asked ? watches[i].fd->host : -1;
        entries[i].events = reads ? POLLIN : POLLOUT;
    }
    do
        found = ppoll(entries, count, &now, NULL);
    while (found < 0 && errno == EINTR);
    if (found < 0)
        return cn_errno_of_host(errno);
    for (uint32_t i = 0; i < count; i++)
        watches[i].found = entries[i].revents;
    return CN_E_SUCCESS;
}

/* The events, in the order of the subscriptions. */
static enum cn_errno collect(struct polling *polling)
{
    uint32_t count = polling->call->event_count;
    enum cn_errno error = CN_E_SUCCESS;

    for (uint32_t i = 0; i < count && error == CN_E_SUCCESS; i += ASK_MAX)
        error = ask(polling->watches + i, count - i < ASK_MAX ? count - i : ASK_MAX);
    if (error != CN_E_SUCCESS)
        return error;
    for (int i = 0; i < CN_WAIT_CLOCKS; i++)
        polling->now[i] = cn_clock_now(i);
    for (uint32_t i = 0; i < count; i++) {
        struct watch *watch = &polling->watches[i];
        if (is_of_pressure(watch))
            watch->found = news_of_pressure(polling->call->wasi, watch->fd);
        if (watch->error != CN_E_SUCCESS)
            tell_error(polling, &watch->subscription, watch->error);
        else if (watch->fd == NULL)
            look_at_clock(polling, &watch->subscription);
        else if (watch->found != 0)
            tell_ready(polling, watch);
    }
    return CN_E_SUCCESS;
}

/* Registers everything that is waited for. */
static enum cn_errno wait_for_all(struct polling *polling)
{
    struct cn_call *call = polling->call;
    struct cn_wait *wait = &call->wasi->wait;
    uint64_t first[CN_WAIT_CLOCKS] = {UINT64_MAX, UINT64_MAX};
    enum cn_errno error = CN_E_SUCCESS;
    bool is_ready = false;

    for (uint32_t i = 0; i < call->event_count && error == CN_E_SUCCESS; i++) {
        const struct watch *watch = &polling->watches[i];
        const struct subscription *subscription = &watch->subscription;
        if (watch->held_until != 0) {
            if (watch->held_until < first[CN_CLOCK_MONOTONIC])
                first[CN_CLOCK_MONOTONIC] = watch->held_until;
        } else if (is_of_pressure(watch)) {
            continue; /* the VM is given a turn when that changes */
        } else if (watch->fd != NULL) {
            uint32_t events = subscription->tag == CN_EVENT_FD_READ ? EPOLLIN : EPOLLOUT;
            error = cn_wait_fd(wait, &call->wasi->fds, watch->fd, events, &is_ready);
        } else if (moment_of(call, subscription) < first[subscription->clock]) {
            first[subscription->clock] = moment_of(call, subscription);
        }
    }
    for (int i = 0; i < CN_WAIT_CLOCKS && error == CN_E_SUCCESS; i++) {
        if (first[i] <= INT64_MAX)
            error = cn_wait_until(wait, i, first[i]);
    }
    return error == CN_E_SUCCESS ? cn_wait_park(wait) : error;
}

static enum cn_errno try_all(struct polling *polling)
{
    prepare(polling);
    enum cn_errno error = collect(polling);
    if (error != CN_E_SUCCESS)
        return error;
    if (polling->event_count == 0)
        return wait_for_all(polling);
    polling->call->out[0].u32 = polling->event_count;
    return CN_E_SUCCESS;
}

static enum cn_errno poll_once(struct cn_call *call)
{
    struct watch few[FEW];
    struct polling polling = {.call = call, .watches = few};
    size_t size = call->event_count * sizeof *polling.watches;
    uint64_t *words = cn_call_words(call);

    if (words[0] == 0) {
        words[0] = cn_clock_now(CN_CLOCK_MONOTONIC);
        words[1] = cn_clock_now(CN_CLOCK_REALTIME);
    }
    if (call->event_count <= FEW)
        return try_all(&polling);
    polling.watches = cn_alloc(call->wasi->allocator, size);
    if (polling.watches == NULL)
        return CN_E_NOMEM;
    enum cn_errno error = try_all(&polling);
    cn_free(call->wasi->allocator, polling.watches, size);
    return error;
}

/* The subscriptions count from the first try to the answer. */
enum cn_errno cn_wasi_poll_oneoff(struct cn_call *call)
{
    struct cn_account *account = call->wasi->account;
    uint64_t *state = &cn_call_words(call)[CN_WORD_TOLLS];

    if ((*state & CN_TOLL_SUBSCRIPTIONS) == 0) {
        if (cn_account_charge(account, CN_QUOTA_TIMERS, call->event_count) != CN_OK)
            return CN_E_NOMEM;
        *state |= CN_TOLL_SUBSCRIPTIONS;
    }
    enum cn_errno error = poll_once(call);
    if (error != CN_E_PARK && error != CN_E_YIELD)
        cn_account_refund(account, CN_QUOTA_TIMERS, call->event_count);
    return error;
}
