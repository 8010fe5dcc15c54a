#include "kernel.h"

#define SIZE 100000

static int32_t values[SIZE];

static void sort(int32_t *low, int32_t *high)
{
    while (low < high) {
        int32_t pivot = low[(high - low) / 2];
        int32_t *i = low, *j = high;
        while (i <= j) {
            while (*i < pivot)
                i++;
            while (*j > pivot)
                j--;
            if (i <= j) {
                int32_t kept = *i;
                *i++ = *j;
                *j-- = kept;
            }
        }
        if (j - low < high - i) {
            sort(low, j);
            low = i;
        } else {
            sort(i, high);
            high = j;
        }
    }
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 5, hash = 0;

    while (n-- > 0) {
        for (int i = 0; i < SIZE; i++)
            values[i] = (int32_t)next_random(&seed);
        sort(values, values + SIZE - 1);
        for (int i = 0; i < SIZE; i += 1000)
            hash = hash * 31 + (uint32_t)values[i];
    }
    return hash;
}

KERNEL_MAIN
