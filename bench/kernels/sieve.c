#include "kernel.h"

#define SIZE 1000000u

static uint8_t composite[SIZE];

static uint32_t count_primes(void)
{
    uint32_t count = 0;

    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i < SIZE; i++) {
        if (composite[i])
            continue;
        count++;
        for (uint32_t j = 2 * i; j < SIZE; j += i)
            composite[j] = 1;
    }
    return count;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;

    while (n-- > 0)
        sum += count_primes();
    return sum;
}

KERNEL_MAIN
