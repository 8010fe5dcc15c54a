#include "kernel.h"

static uint32_t plus(uint32_t x) { return x + 0x9e3779b9u; }
static uint32_t times(uint32_t x) { return x * 2654435761u; }
static uint32_t flip(uint32_t x) { return x ^ x >> 15; }
static uint32_t turn(uint32_t x) { return x << 7 | x >> 25; }
static uint32_t minus(uint32_t x) { return x - 12345; }

typedef uint32_t step(uint32_t);
static step *volatile const steps[8] = {plus, times, flip, turn, minus, flip, plus, turn};

uint32_t run(uint32_t n)
{
    uint32_t x = 1;

    for (uint32_t i = 0; i < n * 1000; i++)
        x = steps[i & 7](x);
    return x;
}

KERNEL_MAIN
