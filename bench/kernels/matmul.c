#include "kernel.h"

#define SIZE 160

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static void multiply(void)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            double sum = 0;
            for (int k = 0; k < SIZE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

uint32_t run(uint32_t n)
{
    double trace = 0;

    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (i * 7 + j * 3) % 17;
            b[i][j] = (i * 5 + j * 11) % 13;
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
