/* A kernel is one C file with run(); the same source is compiled natively and for the guest. */
#ifndef CN_BENCH_KERNEL_H
#define CN_BENCH_KERNEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The work, `n` times something; the result depends on all of it. */
uint32_t run(uint32_t n);

/* A small generator, the same everywhere. */
static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#define KERNEL_MAIN                                                                                \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        printf("%08x\n", (unsigned)run(argc > 1 ? (uint32_t)atoi(argv[1]) : 1));                   \
        return 0;                                                                                  \
    }

#endif
