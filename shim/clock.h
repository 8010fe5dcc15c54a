/* The guest's clocks. */
#ifndef CN_SHIM_CLOCK_H
#define CN_SHIM_CLOCK_H

#include <stdint.h>

/* Times are rounded down to this many nanoseconds. */
#define CN_CLOCK_GRAIN 1000u

/* Nanoseconds of a CN_CLOCK_...; the CPU clocks count the host's thread from `cpu_start` on. */
uint64_t cn_clock_now(int clock, uint64_t cpu_start);

#endif
