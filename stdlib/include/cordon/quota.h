/* What this guest uses of its quotas, and how much it may. */
#ifndef CORDON_QUOTA_H
#define CORDON_QUOTA_H

#include <stdint.h>

/* In the order of Cordon's spec/quota.def. Bytes, numbers, nanoseconds, thousandths of a core,
 * bytes or operations per second; of a rate, used is what has passed in all. */
enum cordon_quota_id {
    CORDON_QUOTA_MEMORY,
    CORDON_QUOTA_STACK,
    CORDON_QUOTA_FDS,
    CORDON_QUOTA_DISK,
    CORDON_QUOTA_INODES,
    CORDON_QUOTA_CPUS,
    CORDON_QUOTA_WEIGHT,
    CORDON_QUOTA_CPU_RESERVE,
    CORDON_QUOTA_CPU_TIME,
    CORDON_QUOTA_TIMEOUT,
    CORDON_QUOTA_FUEL,
    CORDON_QUOTA_DISK_RATE,
    CORDON_QUOTA_DISK_OPS,
    CORDON_QUOTA_NET_RX,
    CORDON_QUOTA_NET_TX,
    CORDON_QUOTA_NET_RX_RATE,
    CORDON_QUOTA_NET_TX_RATE,
    CORDON_QUOTA_CONNECTIONS,
    CORDON_QUOTA_TIMERS,
    CORDON_QUOTA_LOG_RATE,
};

#define CORDON_UNLIMITED UINT64_MAX

struct cordon_quota {
    uint64_t used;
    uint64_t limit; /* CORDON_UNLIMITED where there is none */
    uint64_t peak;
};

/* 0, or -1 with errno EINVAL when there is no such quota. */
int cordon_quota_get(enum cordon_quota_id id, struct cordon_quota *result);

#endif
