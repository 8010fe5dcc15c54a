#include "kernel.h"

static uint64_t lanes[25], round_constants[24];
static const uint8_t rotations[25] = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                      25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};

static uint64_t rotate(uint64_t x, int n)
{
    return n ? x << n | x >> (64 - n) : x;
}

static void permute(void)
{
    for (int round = 0; round < 24; round++) {
        uint64_t column[5], moved[25];
        for (int x = 0; x < 5; x++)
            column[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t mix = column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5)
                lanes[x + y] ^= mix;
        }
        for (int x = 0; x < 5; x++)
            for (int y = 0; y < 5; y++)
                moved[y + 5 * ((2 * x + 3 * y) % 5)] =
                    rotate(lanes[x + 5 * y], rotations[x + 5 * y]);
        for (int y = 0; y < 25; y += 5)
            for (int x = 0; x < 5; x++)
                lanes[x + y] = moved[x + y] ^ (~moved[(x + 1) % 5 + y] & moved[(x + 2) % 5 + y]);
        lanes[0] ^= round_constants[round];
    }
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 3;

    for (int i = 0; i < 24; i++)
        round_constants[i] = (uint64_t)next_random(&seed) << 40 ^ next_random(&seed);
    memset(lanes, 0, sizeof lanes);
    while (n-- > 0)
        permute();
    return (uint32_t)(lanes[0] ^ lanes[0] >> 32);
}

KERNEL_MAIN
