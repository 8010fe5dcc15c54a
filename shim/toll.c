#include "shim/toll.h"

#include "shim/call.h"
#include "shim/clock.h"

#define SECOND_NS 1000000000u
#define BURST_NS (SECOND_NS / 10)
/* What this long brings is worth waking up for; and it is little enough of a burst that a guest
 * that wakes late loses nothing. */
#define WORTH_PART 40

static const struct cn_rate_shape bytes_shape = {SECOND_NS, BURST_NS, 4096};
static const struct cn_rate_shape operations_shape = {SECOND_NS, BURST_NS, 4};

static const enum cn_quota byte_rates[] = {CN_QUOTA_DISK_RATE, CN_QUOTA_NET_RX_RATE,
                                           CN_QUOTA_NET_TX_RATE, CN_QUOTA_LOG_RATE};

void cn_tolls_init(struct cn_tolls *tolls, struct cn_account *account)
{
    uint64_t now = cn_clock_now(CN_CLOCK_MONOTONIC);

    tolls->account = account;
    for (size_t i = 0; i < sizeof byte_rates / sizeof byte_rates[0]; i++)
        cn_rate_init(&tolls->rates[byte_rates[i]], &bytes_shape, account->limit[byte_rates[i]],
                     now);
    cn_rate_init(&tolls->rates[CN_QUOTA_DISK_OPS], &operations_shape,
                 account->limit[CN_QUOTA_DISK_OPS], now);
}

struct cn_gate cn_gate_of(const struct cn_fd *fd, bool writes)
{
    static const struct cn_gate file = {CN_QUOTA_DISK_RATE, CN_QUOTA_COUNT, CN_QUOTA_DISK_OPS};
    static const struct cn_gate receive = {CN_QUOTA_NET_RX_RATE, CN_QUOTA_NET_RX, CN_QUOTA_COUNT};
    static const struct cn_gate transmit = {CN_QUOTA_NET_TX_RATE, CN_QUOTA_NET_TX, CN_QUOTA_COUNT};
    static const struct cn_gate log = {CN_QUOTA_LOG_RATE, CN_QUOTA_COUNT, CN_QUOTA_COUNT};
    static const struct cn_gate open = {CN_QUOTA_COUNT, CN_QUOTA_COUNT, CN_QUOTA_COUNT};

    switch (fd->kind) {
    case CN_FD_FILE:
        return file;
    case CN_FD_SOCKET:
        return writes ? transmit : receive;
    case CN_FD_STDIO:
        return writes ? log : open;
    default:
        return open;
    }
}

/* The bucket, with the limit that holds now. */
static struct cn_rate *bucket_of(struct cn_tolls *tolls, enum cn_quota quota)
{
    struct cn_rate *rate = &tolls->rates[quota];
    uint64_t limit = tolls->account->limit[quota];

    if (rate->rate != limit)
        cn_rate_set(rate, limit, cn_clock_now(CN_CLOCK_MONOTONIC));
    return rate;
}

static uint64_t worth_of(const struct cn_rate *rate)
{
    return rate->rate < WORTH_PART ? 1 : rate->rate / WORTH_PART;
}

/* How long until `size`, or something worth it, may pass by that quota. */
static uint64_t wait_ns(struct cn_tolls *tolls, enum cn_quota quota, uint64_t size)
{
    if (quota == CN_QUOTA_COUNT || tolls->account->limit[quota] == CN_UNLIMITED)
        return 0;
    struct cn_rate *rate = bucket_of(tolls, quota);
    uint64_t worth = size < worth_of(rate) ? size : worth_of(rate);
    return cn_rate_wait_ns(rate, worth, cn_clock_now(CN_CLOCK_MONOTONIC));
}

enum cn_errno cn_toll_ask(struct cn_tolls *tolls, struct cn_gate gate, uint64_t *size)
{
    uint64_t room = *size;

    if (room == 0)
        return CN_E_SUCCESS;
    if (gate.total != CN_QUOTA_COUNT) {
        uint64_t left = cn_account_left(tolls->account, gate.total);
        if (left == 0) {
            tolls->account->refused[gate.total]++;
            return CN_E_DQUOT;
        }
        room = room < left ? room : left;
    }
    if (gate.rate != CN_QUOTA_COUNT && tolls->account->limit[gate.rate] != CN_UNLIMITED) {
        if (wait_ns(tolls, gate.rate, room) > 0)
            return CN_E_AGAIN;
        uint64_t ready = cn_rate_ready(&tolls->rates[gate.rate],
                                       cn_clock_now(CN_CLOCK_MONOTONIC));
        room = room < ready ? room : ready;
    }
    *size = room;
    return CN_E_SUCCESS;
}

static void pass(struct cn_tolls *tolls, enum cn_quota quota, uint64_t amount)
{
    if (quota == CN_QUOTA_COUNT)
        return;
    cn_account_count(tolls->account, quota, amount);
    cn_rate_take(bucket_of(tolls, quota), amount);
}

void cn_toll_pay(struct cn_tolls *tolls, struct cn_gate gate, uint64_t size)
{
    pass(tolls, gate.rate, size);
    if (gate.total != CN_QUOTA_COUNT)
        cn_account_count(tolls->account, gate.total, size);
}

static uint64_t moment_after(uint64_t wait)
{
    uint64_t moment, now = cn_clock_now(CN_CLOCK_MONOTONIC);

    return __builtin_add_overflow(now, wait, &moment) ? UINT64_MAX : moment;
}

uint64_t cn_toll_moment(struct cn_tolls *tolls, struct cn_gate gate)
{
    uint64_t bytes = wait_ns(tolls, gate.rate, UINT64_MAX);
    uint64_t operations = wait_ns(tolls, gate.operations, 1);
    uint64_t wait = bytes > operations ? bytes : operations;

    return wait == 0 ? 0 : moment_after(wait);
}

/* Parks the call; a moment that no clock reaches is waited for all the same, because the rate
 * may change. */
static enum cn_errno park(struct cn_call *call, enum cn_quota quota, uint64_t size)
{
    struct cn_wait *wait = &call->wasi->wait;
    uint64_t ns = wait_ns(&call->wasi->tolls, quota, size);
    uint64_t moment = moment_after(ns);

    if (ns == 0)
        return CN_E_YIELD;
    call->wasi->account->refused[quota]++;
    if (moment <= INT64_MAX) {
        enum cn_errno error = cn_wait_until(wait, CN_CLOCK_MONOTONIC, moment);
        if (error != CN_E_SUCCESS)
            return error;
    }
    return cn_wait_park(wait);
}

enum cn_errno cn_toll_wait(struct cn_call *call, struct cn_gate gate, uint64_t size)
{
    if ((call->fd->flags & CN_FDFLAG_NONBLOCK) == 0)
        return park(call, gate.rate, size);
    call->wasi->account->refused[gate.rate]++;
    return CN_E_AGAIN;
}

enum cn_errno cn_toll_operation(struct cn_call *call, bool may_refuse)
{
    struct cn_tolls *tolls = &call->wasi->tolls;
    uint64_t *state = &cn_call_words(call)[CN_WORD_TOLLS];

    if ((call->fd->kind != CN_FD_FILE && call->fd->kind != CN_FD_DIR) ||
        (*state & CN_TOLL_OPERATION))
        return CN_E_SUCCESS;
    if (wait_ns(tolls, CN_QUOTA_DISK_OPS, 1) > 0) {
        if (!may_refuse || (call->fd->flags & CN_FDFLAG_NONBLOCK) == 0)
            return park(call, CN_QUOTA_DISK_OPS, 1);
        tolls->account->refused[CN_QUOTA_DISK_OPS]++;
        return CN_E_AGAIN;
    }
    pass(tolls, CN_QUOTA_DISK_OPS, 1);
    *state |= CN_TOLL_OPERATION;
    return CN_E_SUCCESS;
}
