#include "governor/pace.h"

#define FUEL_MIN 10000
#define FUEL_MAX 20000000
#define FUEL_FIRST 200000

void cn_pace_init(struct cn_pace *pace)
{
    pace->fuel_per_slice = FUEL_FIRST;
}

void cn_pace_learn(struct cn_pace *pace, uint64_t fuel, uint64_t cpu_ns)
{
    if (fuel < FUEL_MIN / 2)
        return;
    /* Too short to be measured well, but a fast machine must not stay with short slices. */
    if (cpu_ns < CN_SLICE_NS / 100)
        cpu_ns = CN_SLICE_NS / 100;
    double fair = (double)fuel * CN_SLICE_NS / (double)cpu_ns;
    double next = ((double)pace->fuel_per_slice * 3 + fair) / 4;

    /* Too long slices are corrected at once, too short ones step by step. */
    if (fair < next)
        next = fair;
    if (next < FUEL_MIN)
        next = FUEL_MIN;
    if (next > FUEL_MAX)
        next = FUEL_MAX;
    pace->fuel_per_slice = (int64_t)next;
}
