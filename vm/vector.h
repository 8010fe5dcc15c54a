/* Vectors of 128 bits as the instruction bodies see them: lanes of a type, in the compilers'
 * vector extension, so that one text serves every machine. What takes more than an expression
 * has a function here. Arithmetic that may wrap is done on unsigned lanes. */
#ifndef CN_VM_VECTOR_H
#define CN_VM_VECTOR_H

#include <stdint.h>

#include "core/platform.h"
#include "vm/numeric.h"

#define CN_VECTOR(lane, name) typedef lane name __attribute__((vector_size(16)))
CN_VECTOR(int8_t, cn_i8x16);
CN_VECTOR(uint8_t, cn_u8x16);
CN_VECTOR(int16_t, cn_i16x8);
CN_VECTOR(uint16_t, cn_u16x8);
CN_VECTOR(int32_t, cn_i32x4);
CN_VECTOR(uint32_t, cn_u32x4);
CN_VECTOR(int64_t, cn_i64x2);
CN_VECTOR(uint64_t, cn_u64x2);
CN_VECTOR(float, cn_f32x4);
CN_VECTOR(double, cn_f64x2);

typedef int8_t cn_i8x8 __attribute__((vector_size(8)));
typedef uint8_t cn_u8x8 __attribute__((vector_size(8)));
typedef int16_t cn_i16x4 __attribute__((vector_size(8)));
typedef uint16_t cn_u16x4 __attribute__((vector_size(8)));
typedef int32_t cn_i32x2 __attribute__((vector_size(8)));
typedef uint32_t cn_u32x2 __attribute__((vector_size(8)));

/* The same bits as other lanes. */
#define I8X16(v) ((cn_i8x16)(v))
#define U8X16(v) ((cn_u8x16)(v))
#define I16X8(v) ((cn_i16x8)(v))
#define U16X8(v) ((cn_u16x8)(v))
#define I32X4(v) ((cn_i32x4)(v))
#define U32X4(v) ((cn_u32x4)(v))
#define I64X2(v) ((cn_i64x2)(v))
#define U64X2(v) ((cn_u64x2)(v))
#define F32X4(v) ((cn_f32x4)(v))
#define F64X2(v) ((cn_f64x2)(v))

/* ------------------------------------------------------------------ choice and splats */

/* Bits of a where the mask has ones, of b elsewhere. */
static inline cn_u64x2 cn_pick(cn_u64x2 mask, cn_u64x2 a, cn_u64x2 b)
{
    return (a & mask) | (b & ~mask);
}

static inline int cn_is_zero(cn_u64x2 a)
{
    return (a[0] | a[1]) == 0;
}

static inline cn_u8x16 cn_splat8(uint8_t x)
{
    return (cn_u8x16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

static inline cn_u16x8 cn_splat16(uint16_t x)
{
    return (cn_u16x8){x, x, x, x, x, x, x, x};
}

static inline cn_u32x4 cn_splat32(uint32_t x)
{
    return (cn_u32x4){x, x, x, x};
}

static inline cn_u64x2 cn_splat64(uint64_t x)
{
    return (cn_u64x2){x, x};
}

/* The vector with another value in one lane. */
static inline cn_u64x2 cn_replace8(cn_u64x2 a, uint32_t lane, uint8_t x)
{
    const cn_u8x16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    return cn_pick(U64X2(lanes == cn_splat8((uint8_t)lane)), U64X2(cn_splat8(x)), a);
}

static inline cn_u64x2 cn_replace16(cn_u64x2 a, uint32_t lane, uint16_t x)
{
    const cn_u16x8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};

    return cn_pick(U64X2(lanes == cn_splat16((uint16_t)lane)), U64X2(cn_splat16(x)), a);
}

static inline cn_u64x2 cn_replace32(cn_u64x2 a, uint32_t lane, uint32_t x)
{
    const cn_u32x4 lanes = {0, 1, 2, 3};

    return cn_pick(U64X2(lanes == cn_splat32(lane)), U64X2(cn_splat32(x)), a);
}

static inline cn_u64x2 cn_replace64(cn_u64x2 a, uint32_t lane, uint64_t x)
{
    const cn_u64x2 lanes = {0, 1};

    return cn_pick(U64X2(lanes == cn_splat64(lane)), cn_splat64(x), a);
}

/* Bytes of a by number; 0 for numbers of 16 and more. */
static inline cn_u8x16 cn_bytes_at(cn_u8x16 a, cn_u8x16 numbers)
{
    return U8X16(CN_BYTES_AT(a, numbers));
}

/* ------------------------------------------------------------------ wider and narrower lanes */

#define CN_LOW8(v) __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
#define CN_HIGH8(v) __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)
#define CN_LOW4(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define CN_HIGH4(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)
#define CN_LOW2(v) __builtin_shufflevector(v, v, 0, 1)
#define CN_HIGH2(v) __builtin_shufflevector(v, v, 2, 3)

/* The lower and the upper half of the lanes, each lane in twice the width; the lanes of even and
 * of odd numbers likewise. */
#define CN_WIDER(narrow, wide, count, bits)                                                        \
    static inline cn_##wide cn_low_##narrow(cn_##narrow a)                                         \
    {                                                                                              \
        return __builtin_convertvector(CN_LOW##count(a), cn_##wide);                               \
    }                                                                                              \
    static inline cn_##wide cn_high_##narrow(cn_##narrow a)                                        \
    {                                                                                              \
        return __builtin_convertvector(CN_HIGH##count(a), cn_##wide);                              \
    }                                                                                              \
    static inline cn_##wide cn_even_##narrow(cn_##narrow a)                                        \
    {                                                                                              \
        return ((cn_##wide)a << (bits)) >> (bits);                                                 \
    }                                                                                              \
    static inline cn_##wide cn_odd_##narrow(cn_##narrow a)                                         \
    {                                                                                              \
        return (cn_##wide)a >> (bits);                                                             \
    }

CN_WIDER(i8x16, i16x8, 8, 8)
CN_WIDER(u8x16, u16x8, 8, 8)
CN_WIDER(i16x8, i32x4, 4, 16)
CN_WIDER(u16x8, u32x4, 4, 16)
CN_WIDER(i32x4, i64x2, 2, 32)
CN_WIDER(u32x4, u64x2, 2, 32)

#define CN_CLAMP(wide)                                                                             \
    static inline cn_##wide cn_##wide##_clamp(cn_##wide a, int least, int most)                    \
    {                                                                                              \
        const cn_##wide low = (cn_##wide)cn_##wide##_of(least);                                    \
        const cn_##wide high = (cn_##wide)cn_##wide##_of(most);                                    \
        a = (cn_##wide)cn_pick(U64X2(a < low), U64X2(low), U64X2(a));                              \
        return (cn_##wide)cn_pick(U64X2(a > high), U64X2(high), U64X2(a));                         \
    }
#define cn_i16x8_of(x) cn_splat16((uint16_t)(x))
#define cn_i32x4_of(x) cn_splat32((uint32_t)(x))

CN_CLAMP(i16x8)
CN_CLAMP(i32x4)

/* Both vectors' lanes in half the width: what is too large or too small becomes the limit. */
static inline cn_i8x16 cn_join_bytes(cn_i16x8 a, cn_i16x8 b)
{
    return __builtin_shufflevector(__builtin_convertvector(a, cn_i8x8),
                                   __builtin_convertvector(b, cn_i8x8), 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                   9, 10, 11, 12, 13, 14, 15);
}

static inline cn_i16x8 cn_join_halves(cn_i32x4 a, cn_i32x4 b)
{
    return __builtin_shufflevector(__builtin_convertvector(a, cn_i16x4),
                                   __builtin_convertvector(b, cn_i16x4), 0, 1, 2, 3, 4, 5, 6, 7);
}

static inline cn_i8x16 cn_i8x16_narrow_s(cn_i16x8 a, cn_i16x8 b)
{
    return cn_join_bytes(cn_i16x8_clamp(a, INT8_MIN, INT8_MAX),
                       cn_i16x8_clamp(b, INT8_MIN, INT8_MAX));
}

static inline cn_i8x16 cn_i8x16_narrow_u(cn_i16x8 a, cn_i16x8 b)
{
    return cn_join_bytes(cn_i16x8_clamp(a, 0, UINT8_MAX), cn_i16x8_clamp(b, 0, UINT8_MAX));
}

static inline cn_i16x8 cn_i16x8_narrow_s(cn_i32x4 a, cn_i32x4 b)
{
    return cn_join_halves(cn_i32x4_clamp(a, INT16_MIN, INT16_MAX),
                        cn_i32x4_clamp(b, INT16_MIN, INT16_MAX));
}

static inline cn_i16x8 cn_i16x8_narrow_u(cn_i32x4 a, cn_i32x4 b)
{
    return cn_join_halves(cn_i32x4_clamp(a, 0, UINT16_MAX), cn_i32x4_clamp(b, 0, UINT16_MAX));
}

static inline cn_i32x4 cn_i32x4_dot(cn_i16x8 a, cn_i16x8 b)
{
    return cn_even_i16x8(a) * cn_even_i16x8(b) + cn_odd_i16x8(a) * cn_odd_i16x8(b);
}

static inline cn_i16x8 cn_i16x8_dot(cn_i8x16 a, cn_i8x16 b)
{
    return cn_even_i8x16(a) * cn_even_i8x16(b) + cn_odd_i8x16(a) * cn_odd_i8x16(b);
}

static inline cn_i32x4 cn_i32x4_dot_add(cn_i8x16 a, cn_i8x16 b, cn_i32x4 c)
{
    const cn_i16x8 products = cn_i16x8_dot(a, b);

    return cn_even_i16x8(products) + cn_odd_i16x8(products) + c;
}

/* The upper halves of products of fractions with 15 bits behind the point, rounded. Only the
 * square of -1 is too large. */
static inline cn_i16x8 cn_i16x8_q15mulr(cn_i16x8 a, cn_i16x8 b)
{
    const cn_i32x4 low = (cn_low_i16x8(a) * cn_low_i16x8(b) + 0x4000) >> 15;
    const cn_i32x4 high = (cn_high_i16x8(a) * cn_high_i16x8(b) + 0x4000) >> 15;

    return cn_i16x8_narrow_s(low, high);
}

/* ------------------------------------------------------------------ integers */

#define CN_ABSOLUTE(signed_type, unsigned_type, bits)                                              \
    static inline cn_##unsigned_type cn_##signed_type##_abs(cn_##signed_type a)                    \
    {                                                                                              \
        const cn_##unsigned_type sign = (cn_##unsigned_type)(a >> ((bits) - 1));                   \
        return ((cn_##unsigned_type)a ^ sign) - sign;                                              \
    }

CN_ABSOLUTE(i8x16, u8x16, 8)
CN_ABSOLUTE(i16x8, u16x8, 16)
CN_ABSOLUTE(i32x4, u32x4, 32)
CN_ABSOLUTE(i64x2, u64x2, 64)

/* Sums and differences that stay at the limit. A sum of signed numbers is too large or too small
 * when its sign is neither operand's, a difference when the operands' signs differ and its own
 * is not the first one's; the limit on a's side is what a's sign bit says. */
#define CN_SATURATING(s, u, bits)                                                                  \
    static inline cn_##s cn_##s##_limit(cn_##s a, cn_##s wrong, cn_##u result)                     \
    {                                                                                              \
        const cn_##u limit = (cn_##u)(a >> ((bits) - 1)) ^ ((cn_##u)(cn_##s){0} +                  \
                                                            INT##bits##_MAX);                      \
        return (cn_##s)cn_pick(U64X2(wrong < 0), U64X2(limit), U64X2(result));                     \
    }                                                                                              \
    static inline cn_##s cn_##s##_add_sat_s(cn_##s a, cn_##s b)                                    \
    {                                                                                              \
        const cn_##u sum = (cn_##u)a + (cn_##u)b;                                                  \
        return cn_##s##_limit(a, (a ^ (cn_##s)sum) & (b ^ (cn_##s)sum), sum);                      \
    }                                                                                              \
    static inline cn_##s cn_##s##_sub_sat_s(cn_##s a, cn_##s b)                                    \
    {                                                                                              \
        const cn_##u rest = (cn_##u)a - (cn_##u)b;                                                 \
        return cn_##s##_limit(a, (a ^ b) & (a ^ (cn_##s)rest), rest);                              \
    }                                                                                              \
    static inline cn_##u cn_##s##_add_sat_u(cn_##u a, cn_##u b)                                    \
    {                                                                                              \
        const cn_##u sum = a + b;                                                                  \
        return sum | (cn_##u)(sum < a);                                                            \
    }                                                                                              \
    static inline cn_##u cn_##s##_sub_sat_u(cn_##u a, cn_##u b)                                    \
    {                                                                                              \
        return (a - b) & (cn_##u)(a > b);                                                          \
    }

CN_SATURATING(i8x16, u8x16, 8)
CN_SATURATING(i16x8, u16x8, 16)

static inline cn_u8x16 cn_i8x16_popcnt(cn_u8x16 a)
{
    a = a - ((a >> 1) & 0x55);
    a = (a & 0x33) + ((a >> 2) & 0x33);
    return (a + (a >> 4)) & 0x0f;
}

/* The lanes' sign bits. A multiplication gathers them from the lanes' lowest bits: bit i of the
 * product's top byte is the sum of one term. */
static inline uint32_t cn_i8x16_bitmask(cn_u64x2 a)
{
    const cn_u64x2 signs = (a >> 7) & 0x0101010101010101u;
    const uint64_t gather = 0x0102040810204080u;

    return (uint32_t)(signs[0] * gather >> 56 | signs[1] * gather >> 56 << 8);
}

static inline uint32_t cn_i16x8_bitmask(cn_u64x2 a)
{
    const cn_u64x2 signs = (a >> 15) & 0x0001000100010001u;
    const uint64_t gather = 0x1000200040008000u;

    return (uint32_t)(signs[0] * gather >> 60 | signs[1] * gather >> 60 << 4);
}

static inline uint32_t cn_i32x4_bitmask(cn_u64x2 a)
{
    return (uint32_t)((a[0] >> 31 & 1) | (a[0] >> 63 << 1) | (a[1] >> 31 & 1) << 2 |
                      a[1] >> 63 << 3);
}

static inline uint32_t cn_i64x2_bitmask(cn_u64x2 a)
{
    return (uint32_t)(a[0] >> 63 | a[1] >> 63 << 1);
}

/* ------------------------------------------------------------------ floats */

/* Minimum and maximum as cn_f32_min does it: where the operands are equal, zeros may differ in
 * sign, and the lesser one has the sign bit; where they are not comparable their sum is a NaN. */
#define CN_FLOAT_LANES(name, bits, count, f, ...)                                                  \
    static inline cn_u64x2 cn_##name##_ordered(cn_##name a, cn_##name b, cn_u64x2 equal,           \
                                               cn_u64x2 first)                                     \
    {                                                                                              \
        const cn_u64x2 same = U64X2(a == b), nan = U64X2(a != a) | U64X2(b != b);                  \
        const cn_u64x2 chosen = cn_pick(same, equal, cn_pick(first, U64X2(a), U64X2(b)));          \
        return cn_pick(nan, U64X2(a + b), chosen);                                                 \
    }                                                                                              \
    static inline cn_u64x2 cn_##name##_min(cn_##name a, cn_##name b)                               \
    {                                                                                              \
        return cn_##name##_ordered(a, b, U64X2(a) | U64X2(b), U64X2(a < b));                       \
    }                                                                                              \
    static inline cn_u64x2 cn_##name##_max(cn_##name a, cn_##name b)                               \
    {                                                                                              \
        return cn_##name##_ordered(a, b, U64X2(a) & U64X2(b), U64X2(a > b));                       \
    }                                                                                              \
    CN_LANE_BY_LANE(name, sqrt, count, __builtin_sqrt##f)                                          \
    CN_LANE_BY_LANE(name, ceil, count, __builtin_ceil##f)                                          \
    CN_LANE_BY_LANE(name, floor, count, __builtin_floor##f)                                        \
    CN_LANE_BY_LANE(name, trunc, count, __builtin_trunc##f)                                        \
    CN_LANE_BY_LANE(name, nearest, count, __builtin_rint##f)

#define CN_LANE_BY_LANE(type, name, count, function)                                               \
    static inline cn_##type cn_##type##_##name(cn_##type a)                                        \
    {                                                                                              \
        cn_##type result;                                                                          \
        for (int i = 0; i < (count); i++)                                                          \
            result[i] = function(a[i]);                                                            \
        return result;                                                                             \
    }

CN_FLOAT_LANES(f32x4, 32, 4, f)
CN_FLOAT_LANES(f64x2, 64, 2, )

/* Towards zero, to the nearest limit, and 0 for a NaN. Only what fits is converted. */
static inline cn_u64x2 cn_i32x4_trunc_s(cn_f32x4 a)
{
    const cn_u64x2 fits = U64X2(a >= -0x1p31f) & U64X2(a < 0x1p31f);
    const cn_u64x2 above = U64X2(a >= 0x1p31f), below = U64X2(a < -0x1p31f);
    const cn_i32x4 inside = __builtin_convertvector(F32X4(U64X2(a) & fits), cn_i32x4);

    return U64X2(inside) | (above & U64X2(cn_splat32(INT32_MAX))) |
           (below & U64X2(cn_splat32(MIN32)));
}

static inline cn_u32x4 cn_i32x4_trunc_u(cn_f32x4 a)
{
    return (cn_u32x4){cn_f32_sat_u32(a[0]), cn_f32_sat_u32(a[1]), cn_f32_sat_u32(a[2]),
                      cn_f32_sat_u32(a[3])};
}

/* ------------------------------------------------------------------ numbers of 128 bits */

static inline unsigned __int128 cn_wide_of(cn_u64x2 a)
{
    return (unsigned __int128)a[1] << 64 | a[0];
}

static inline cn_u64x2 cn_of_wide(unsigned __int128 x)
{
    return (cn_u64x2){(uint64_t)x, (uint64_t)(x >> 64)};
}

static inline cn_u64x2 cn_add128(cn_u64x2 a, cn_u64x2 b)
{
    return cn_of_wide(cn_wide_of(a) + cn_wide_of(b));
}

static inline cn_u64x2 cn_sub128(cn_u64x2 a, cn_u64x2 b)
{
    return cn_of_wide(cn_wide_of(a) - cn_wide_of(b));
}

static inline cn_u64x2 cn_mul_wide_s(int64_t a, int64_t b)
{
    return cn_of_wide((unsigned __int128)((__int128)a * b));
}

static inline cn_u64x2 cn_mul_wide_u(uint64_t a, uint64_t b)
{
    return cn_of_wide((unsigned __int128)a * b);
}

#endif
