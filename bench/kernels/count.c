/* How often bytes occur in a text, and the sum of all: comparisons and sums of bytes. */
#include "kernel.h"

#define SIZE 16384

static uint8_t text[SIZE];

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

/* Sums of bytes in lanes, emptied before they overflow. */
static uint32_t total(v128_t bytes)
{
    v128_t pairs = wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(bytes));

    return (uint32_t)(wasm_i32x4_extract_lane(pairs, 0) + wasm_i32x4_extract_lane(pairs, 1) +
                      wasm_i32x4_extract_lane(pairs, 2) + wasm_i32x4_extract_lane(pairs, 3));
}

static uint32_t count(uint8_t wanted)
{
    const v128_t pattern = wasm_i8x16_splat((int8_t)wanted);
    uint32_t found = 0;

    for (int i = 0; i < SIZE; i += 16 * 128) {
        v128_t lanes = wasm_i8x16_const_splat(0);
        for (int j = i; j < i + 16 * 128; j += 16)
            lanes = wasm_i8x16_sub(lanes, wasm_i8x16_eq(wasm_v128_load(text + j), pattern));
        found += total(lanes);
    }
    return found;
}

static uint32_t sum(void)
{
    v128_t lanes = wasm_i32x4_const_splat(0);

    for (int i = 0; i < SIZE; i += 16) {
        v128_t pairs = wasm_u16x8_extadd_pairwise_u8x16(wasm_v128_load(text + i));
        lanes = wasm_i32x4_add(lanes, wasm_u32x4_extadd_pairwise_u16x8(pairs));
    }
    return (uint32_t)(wasm_i32x4_extract_lane(lanes, 0) + wasm_i32x4_extract_lane(lanes, 1) +
                      wasm_i32x4_extract_lane(lanes, 2) + wasm_i32x4_extract_lane(lanes, 3));
}
#else
static uint32_t count(uint8_t wanted)
{
    uint32_t found = 0;

    for (int i = 0; i < SIZE; i++)
        found += text[i] == wanted;
    return found;
}

static uint32_t sum(void)
{
    uint32_t all = 0;

    for (int i = 0; i < SIZE; i++)
        all += text[i];
    return all;
}
#endif

uint32_t run(uint32_t n)
{
    uint32_t state = 1, result = 0;

    for (int i = 0; i < SIZE; i++)
        text[i] = (uint8_t)next_random(&state);
    while (n-- > 0) {
        result = result * 31 + count((uint8_t)n) + sum();
        text[n % SIZE]++;
    }
    return result;
}

KERNEL_MAIN
