/* c += a * b for matrices of f32: the inner loop goes along rows. */
#include "kernel.h"

#define SIZE 128

static float a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static void multiply(void)
{
    memset(c, 0, sizeof c);
    for (int i = 0; i < SIZE; i++)
        for (int k = 0; k < SIZE; k++) {
            float factor = a[i][k];
            for (int j = 0; j < SIZE; j++)
                c[i][j] += factor * b[k][j];
        }
}

uint32_t run(uint32_t n)
{
    float trace = 0;

    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (float)((i * 7 + j * 3) % 17);
            b[i][j] = (float)((i * 5 + j * 11) % 13);
        }
    while (n-- > 0) {
        multiply();
        a[n % SIZE][0] += 1;
    }
    for (int i = 0; i < SIZE; i++)
        trace += c[i][i];
    return (uint32_t)trace;
}

KERNEL_MAIN
