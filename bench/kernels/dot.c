/* The scalar product of vectors of f64, and the greatest element of one of i32: reductions. */
#include "kernel.h"

#define SIZE 4096

static double a[SIZE], b[SIZE];
static int32_t c[SIZE];

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

static double dot(void)
{
    v128_t even = wasm_f64x2_const_splat(0), odd = even;

    for (int i = 0; i < SIZE; i += 4) {
        v128_t first = wasm_f64x2_mul(wasm_v128_load(a + i), wasm_v128_load(b + i));
        v128_t second = wasm_f64x2_mul(wasm_v128_load(a + i + 2), wasm_v128_load(b + i + 2));
        even = wasm_f64x2_add(even, first);
        odd = wasm_f64x2_add(odd, second);
    }
    even = wasm_f64x2_add(even, odd);
    return wasm_f64x2_extract_lane(even, 0) + wasm_f64x2_extract_lane(even, 1);
}

static int32_t greatest(void)
{
    v128_t best = wasm_v128_load(c);
    int32_t lanes[4];

    for (int i = 4; i < SIZE; i += 4)
        best = wasm_i32x4_max(best, wasm_v128_load(c + i));
    wasm_v128_store(lanes, best);
    for (int i = 1; i < 4; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}
#else
static double dot(void)
{
    double sum = 0;

    for (int i = 0; i < SIZE; i++)
        sum += a[i] * b[i];
    return sum;
}

static int32_t greatest(void)
{
    int32_t best = c[0];

    for (int i = 1; i < SIZE; i++)
        best = c[i] > best ? c[i] : best;
    return best;
}
#endif

uint32_t run(uint32_t n)
{
    uint32_t state = 1, result = 0;

    for (int i = 0; i < SIZE; i++) {
        a[i] = next_random(&state) % 256;
        b[i] = next_random(&state) % 256;
        c[i] = (int32_t)next_random(&state);
    }
    while (n-- > 0) {
        result = result * 31 + (uint32_t)dot() + (uint32_t)greatest();
        c[n % SIZE] += 1000;
    }
    return result;
}

KERNEL_MAIN
