/* The Mandelbrot set in f64, four points at a time where there are vectors: two lanes are the
 * fewest that a vector can have, and most of the work waits for what was computed just before. */
#include "kernel.h"

#define SIZE 128

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

/* Four points at a time, in two vectors that do not wait for one another. */
struct points {
    v128_t r, i, inside, sum;
};

static inline void step_points(struct points *p, v128_t real, v128_t imaginary, v128_t limit)
{
    v128_t rr = wasm_f64x2_mul(p->r, p->r), ii = wasm_f64x2_mul(p->i, p->i);
    v128_t twice = wasm_f64x2_add(p->r, p->r);

    p->inside = wasm_f64x2_lt(wasm_f64x2_add(rr, ii), limit);
    p->sum = wasm_i64x2_sub(p->sum, p->inside);
    p->i = wasm_f64x2_add(wasm_f64x2_mul(twice, p->i), imaginary);
    p->r = wasm_f64x2_add(wasm_f64x2_sub(rr, ii), real);
}

static uint32_t steps_of_row(double cr, double ci, double step, double limit)
{
    const v128_t imaginary = wasm_f64x2_splat(ci), most = wasm_f64x2_splat(limit);
    const v128_t none = wasm_i64x2_const_splat(0);
    v128_t sum = none;

    for (int x = 0; x < SIZE; x += 4) {
        v128_t low = wasm_f64x2_make(cr + x * step, cr + (x + 1) * step);
        v128_t high = wasm_f64x2_make(cr + (x + 2) * step, cr + (x + 3) * step);
        struct points p = {.sum = none}, q = {.sum = none};
        for (int steps = 0; steps < 200; steps++) {
            step_points(&p, low, imaginary, most);
            step_points(&q, high, imaginary, most);
            if (!wasm_v128_any_true(wasm_v128_or(p.inside, q.inside)))
                break;
        }
        sum = wasm_i64x2_add(sum, wasm_i64x2_add(p.sum, q.sum));
    }
    return (uint32_t)(wasm_i64x2_extract_lane(sum, 0) + wasm_i64x2_extract_lane(sum, 1));
}
#else
static uint32_t steps_at(double cr, double ci, double limit)
{
    double r = 0, i = 0;
    uint32_t steps = 0;

    while (steps < 200 && r * r + i * i < limit) {
        double next = r * r - i * i + cr;
        i = 2 * r * i + ci;
        r = next;
        steps++;
    }
    return steps;
}

static uint32_t steps_of_row(double cr, double ci, double step, double limit)
{
    uint32_t sum = 0;

    for (int x = 0; x < SIZE; x++)
        sum += steps_at(cr + x * step, ci, limit);
    return sum;
}
#endif

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t round = 0; round < n; round++)
        for (int y = 0; y < SIZE; y++)
            sum += steps_of_row(round * 1e-6 - 2.2, y * 2.4 / SIZE - 1.2, 3.0 / SIZE,
                                4 + round * 1e-6);
    return sum;
}

KERNEL_MAIN
