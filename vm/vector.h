/* Vectors of 128 bits as the instruction bodies see them: lanes of a type, in the compilers'
 * vector extension, so that one text serves every machine. */
#ifndef CN_VM_VECTOR_H
#define CN_VM_VECTOR_H

#include <stdint.h>

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

#endif
