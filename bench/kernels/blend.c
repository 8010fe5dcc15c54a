/* Alpha blending of bytes: widened to 16 bits, multiplied, narrowed. */
#include "kernel.h"

#define SIZE 8192

static uint8_t front[SIZE], back[SIZE], alpha[SIZE];

static void blend(void)
{
    for (int i = 0; i < SIZE; i++) {
        uint16_t mixed = (uint16_t)(front[i] * alpha[i] + back[i] * (255 - alpha[i]) + 128);
        back[i] = (uint8_t)((uint16_t)(mixed + (mixed >> 8)) >> 8);
    }
}

uint32_t run(uint32_t n)
{
    uint32_t state = 1, sum = 0;

    for (int i = 0; i < SIZE; i++) {
        front[i] = (uint8_t)next_random(&state);
        back[i] = (uint8_t)next_random(&state);
        alpha[i] = (uint8_t)(next_random(&state) % 64);
    }
    while (n-- > 0) {
        blend();
        front[n % SIZE]++;
    }
    for (int i = 0; i < SIZE; i++)
        sum = sum * 31 + back[i];
    return sum;
}

KERNEL_MAIN
