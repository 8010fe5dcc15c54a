/* The parts of governor_measure that have files of their own. */
#ifndef BENCH_MEASURES_H
#define BENCH_MEASURES_H

#include <stdint.h>

/* How soon VMs that compute, sleep, accept connections and use files are paused, killed and ended
 * by a limit, beside busy ones. */
void measure_latencies(uint32_t workers);

/* Prints how many nanoseconds each of two programs takes, one that computes and one that makes host
 * calls: with everything that governs in the way (workers, neighbours that wait, every quota set),
 * or alone on this thread, with none. By the clock, and of CPU time, whatever the process uses it
 * for; the least of some rounds. */
void print_costs(uint32_t workers, int is_governed);

#endif
