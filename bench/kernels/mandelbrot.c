#include "kernel.h"

#define SIZE 128

static uint32_t steps_at(double cr, double ci)
{
    double r = 0, i = 0;
    uint32_t steps = 0;

    while (steps < 200 && r * r + i * i < 4) {
        double next = r * r - i * i + cr;
        i = 2 * r * i + ci;
        r = next;
        steps++;
    }
    return steps;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t round = 0; round < n; round++)
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++)
                sum += steps_at(x * 3.0 / SIZE - 2.2 + round * 1e-6, y * 2.4 / SIZE - 1.2);
    return sum;
}

KERNEL_MAIN
