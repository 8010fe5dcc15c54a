/* Numeric operators that C does not have or leaves undefined (core 4.3). */
#ifndef CN_VM_NUMERIC_H
#define CN_VM_NUMERIC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MIN32 0x80000000u
#define MAX32 0xffffffffu
#define MIN64 0x8000000000000000ull
#define MAX64 0xffffffffffffffffull

static inline uint32_t ROTL32(uint32_t x, uint32_t n)
{
    return (x << (n & 31)) | (x >> (-n & 31));
}

static inline uint32_t ROTR32(uint32_t x, uint32_t n)
{
    return (x >> (n & 31)) | (x << (-n & 31));
}

static inline uint64_t ROTL64(uint64_t x, uint64_t n)
{
    return (x << (n & 63)) | (x >> (-n & 63));
}

static inline uint64_t ROTR64(uint64_t x, uint64_t n)
{
    return (x >> (n & 63)) | (x << (-n & 63));
}

static inline uint32_t F32_BITS(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline uint64_t F64_BITS(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float BITS_F32(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline double BITS_F64(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A NaN operand gives a NaN, and -0 is less than +0. The sum of operands quiets a NaN. */
#define CN_MIN_MAX(type, name)                                                                     \
    static inline type cn_##name##_min(type a, type b)                                             \
    {                                                                                              \
        if (a != a || b != b)                                                                      \
            return a + b;                                                                          \
        if (a == b)                                                                                \
            return __builtin_signbit(a) ? a : b;                                                   \
        return a < b ? a : b;                                                                      \
    }                                                                                              \
    static inline type cn_##name##_max(type a, type b)                                             \
    {                                                                                              \
        if (a != a || b != b)                                                                      \
            return a + b;                                                                          \
        if (a == b)                                                                                \
            return __builtin_signbit(a) ? b : a;                                                   \
        return a > b ? a : b;                                                                      \
    }

CN_MIN_MAX(float, f32)
CN_MIN_MAX(double, f64)

/* Whether the truncated value fits, and the truncation that saturates. `above` is the first
 * value that is too large; `below` the largest that is too small, or, where that cannot be told
 * apart from the smallest good one in this width, the comparison says so. */
#define CN_FITS(float_type, f, name, compare, below, above, int_type, low, high)                   \
    static inline int cn_##f##_fits_##name(float_type x)                                           \
    {                                                                                              \
        return x compare below && x < above;                                                       \
    }                                                                                              \
    static inline int_type cn_##f##_sat_##name(float_type x)                                       \
    {                                                                                              \
        if (x != x)                                                                                \
            return 0;                                                                              \
        if (!(x compare below))                                                                    \
            return low;                                                                            \
        return x < above ? (int_type)x : high;                                                     \
    }

CN_FITS(float, f32, s32, >=, -0x1p31f, 0x1p31f, int32_t, INT32_MIN, INT32_MAX)
CN_FITS(float, f32, u32, >, -1.0f, 0x1p32f, uint32_t, 0, UINT32_MAX)
CN_FITS(float, f32, s64, >=, -0x1p63f, 0x1p63f, int64_t, INT64_MIN, INT64_MAX)
CN_FITS(float, f32, u64, >, -1.0f, 0x1p64f, uint64_t, 0, UINT64_MAX)
CN_FITS(double, f64, s32, >, -0x1.00000002p31, 0x1p31, int32_t, INT32_MIN, INT32_MAX)
CN_FITS(double, f64, u32, >, -1.0, 0x1p32, uint32_t, 0, UINT32_MAX)
CN_FITS(double, f64, s64, >=, -0x1p63, 0x1p63, int64_t, INT64_MIN, INT64_MAX)
CN_FITS(double, f64, u64, >, -1.0, 0x1p64, uint64_t, 0, UINT64_MAX)

#endif
