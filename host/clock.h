/* The system's clocks. */
#ifndef CN_HOST_CLOCK_H
#define CN_HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of CLOCK_MONOTONIC, or of CLOCK_THREAD_CPUTIME_ID, the calling thread's CPU time. */
static inline uint64_t cn_clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* UINT64_MAX when there is no such moment. */
static inline uint64_t cn_moment_after(uint64_t now, uint64_t ns)
{
    uint64_t moment;

    return __builtin_add_overflow(now, ns, &moment) ? UINT64_MAX : moment;
}

#endif
