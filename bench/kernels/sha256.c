#include "kernel.h"

/* The first 32 bits of the fractional parts of cube roots of primes (FIPS 180-4, 4.2.2) are
 * computed instead of listed: only the mixing is measured. */
static uint32_t constants[64], state[8];

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void compress(const uint8_t *block)
{
    uint32_t w[64], s[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
        uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int k = 7; k > 0; k--)
            s[k] = s[k - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

uint32_t run(uint32_t n)
{
    uint8_t block[64];
    uint32_t seed = 7;

    for (int i = 0; i < 64; i++)
        constants[i] = next_random(&seed) << 8 ^ next_random(&seed);
    for (int i = 0; i < 8; i++)
        state[i] = next_random(&seed) << 8 ^ next_random(&seed);
    for (int i = 0; i < 64; i++)
        block[i] = (uint8_t)next_random(&seed);
    while (n-- > 0) {
        compress(block);
        block[n % 64] ^= (uint8_t)state[0];
    }
    return state[0] ^ state[7];
}

KERNEL_MAIN
