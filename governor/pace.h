/* How much fuel a slice of about a millisecond is: learned from what slices took. Pure. */
#ifndef CN_GOVERNOR_PACE_H
#define CN_GOVERNOR_PACE_H

#include <stdint.h>

#define CN_SLICE_NS 1000000

struct cn_pace {
    int64_t fuel_per_slice;
};

void cn_pace_init(struct cn_pace *pace);

/* A slice of `fuel` took `cpu_ns`. Short ones say little and are ignored. */
void cn_pace_learn(struct cn_pace *pace, uint64_t fuel, uint64_t cpu_ns);

#endif
