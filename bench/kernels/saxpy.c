/* y = a * x + y in f32, as the compiler makes vectors of it. */
#include "kernel.h"

#define SIZE 4096

static float x[SIZE], y[SIZE];

static void saxpy(float a)
{
    for (int i = 0; i < SIZE; i++)
        y[i] = a * x[i] + y[i];
}

uint32_t run(uint32_t n)
{
    uint32_t state = 1;
    double sum = 0;

    for (int i = 0; i < SIZE; i++) {
        x[i] = (float)(next_random(&state) % 1000) / 8;
        y[i] = (float)(next_random(&state) % 1000) / 4;
    }
    while (n-- > 0)
        saxpy(n % 2 ? 0.5f : -0.5f);
    for (int i = 0; i < SIZE; i++)
        sum += (double)y[i];
    return (uint32_t)(int32_t)sum;
}

KERNEL_MAIN
