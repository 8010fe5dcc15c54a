/* The guest's clocks. */
#ifndef CN_SHIM_CLOCK_H
#define CN_SHIM_CLOCK_H

#include <stdint.h>

/* Times are rounded down to this many nanoseconds. */
#define CN_CLOCK_GRAIN 1000u

/* Nanoseconds of CN_CLOCK_REALTIME or CN_CLOCK_MONOTONIC. */
uint64_t cn_clock_now(int clock);

#endif
