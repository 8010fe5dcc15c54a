#include <math.h>

#include "kernel.h"

#define BODIES 5

static struct {
    double x[3], v[3], mass;
} body[BODIES];

static void advance(double step)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = body[i].x[k] - body[j].x[k];
                square += d[k] * d[k];
            }
            double pull = step / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                body[i].v[k] -= d[k] * body[j].mass * pull;
                body[j].v[k] += d[k] * body[i].mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            body[i].x[k] += step * body[i].v[k];
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 42, hash = 0;

    for (int i = 0; i < BODIES; i++) {
        body[i].mass = i == 0 ? 40 : 0.01 * (i + 1);
        for (int k = 0; k < 3; k++) {
            body[i].x[k] = i * 5 + next_random(&seed) % 100 / 50.0;
            body[i].v[k] = i == 0 ? 0 : next_random(&seed) % 100 / 40.0;
        }
    }
    while (n-- > 0)
        advance(0.001);
    for (int i = 0; i < BODIES; i++)
        hash = hash * 31 + (uint32_t)(int32_t)(body[i].x[0] * 1000);
    return hash;
}

KERNEL_MAIN
