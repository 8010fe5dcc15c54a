/* What this guest uses of its quotas, and how much it may. */
#ifndef CORDON_QUOTA_H
#define CORDON_QUOTA_H

#include <stddef.h>
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
    CORDON_QUOTA_THREADS,
    CORDON_QUOTA_MEMORY_RESERVE,
    CORDON_QUOTA_CPU_BURST,
};

#define CORDON_UNLIMITED UINT64_MAX

struct cordon_quota {
    uint64_t used;
    uint64_t limit; /* CORDON_UNLIMITED where there is none */
    uint64_t peak;
};

/* 0, or -1 with errno EINVAL when there is no such quota. */
int cordon_quota_get(enum cordon_quota_id id, struct cordon_quota *result);

/* By how much the use is above the limit, which only happens when somebody lowers a limit while
 * the program runs: 0 normally. Nothing has been taken away then, but nothing more is given: free
 * caches, close what is not needed, and look again now and then. */
uint64_t cordon_quota_excess(enum cordon_quota_id id);

/* Makes memory zero and gives the host's pages (4 KiB) that lie in it wholly back to the host,
 * until they are written to again. The quota counts the size of the memory, so it does not change.
 * 0, or -1 with errno EFAULT for what is not memory. */
int cordon_memory_discard(void *at, size_t size);

/* Memory pressure: told before anything is refused. */
enum {
    CORDON_PRESSURE_NEAR = 1, /* this program uses seven eighths of its memory quota, or more */
    CORDON_PRESSURE_OVER = 2, /* more than all of it: the quota was lowered (cordon_quota_excess) */
    CORDON_PRESSURE_HOST = 4, /* seven eighths of what all programs of the host may have is taken */
};

/* A descriptor for poll, with POLLIN: ready when the causes of pressure are others than
 * cordon_pressure_get has told last for this descriptor (none, in the beginning). NEAR and HOST
 * end when less than three quarters are in use. It cannot be read. close() closes it.
 * -1 with errno EMFILE or ENOMEM. */
int cordon_pressure_open(void);

/* The causes that there are now, from above; 0 for none. -1 with errno EBADF, or EINVAL for a
 * descriptor of something else. */
int cordon_pressure_get(int fd);

#endif
