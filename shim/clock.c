#include "shim/clock.h"

#include <time.h>

#include "shim/abi.h"

#define NANOSECONDS 1000000000u

uint64_t cn_clock_now(int clock, uint64_t cpu_start)
{
    static const clockid_t ids[] = {
        [CN_CLOCK_REALTIME] = CLOCK_REALTIME,
        [CN_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
        [CN_CLOCK_PROCESS_CPU] = CLOCK_THREAD_CPUTIME_ID,
        [CN_CLOCK_THREAD_CPU] = CLOCK_THREAD_CPUTIME_ID,
    };
    struct timespec now = {0};

    if (clock_gettime(ids[clock], &now) != 0 || now.tv_sec < 0)
        return 0;
    uint64_t value = (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
    if (clock < CN_CLOCK_PROCESS_CPU)
        return value;
    return value > cpu_start ? value - cpu_start : 0;
}
