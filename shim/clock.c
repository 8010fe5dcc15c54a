#include "shim/clock.h"

#include <time.h>

#include "shim/abi.h"

#define NANOSECONDS 1000000000u

uint64_t cn_clock_now(int clock)
{
    struct timespec now = {0};

    if (clock_gettime(clock == CN_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now) != 0 ||
        now.tv_sec < 0)
        return 0;
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}
