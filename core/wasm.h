/* WebAssembly's operators as an enum, from spec/wasm.def, and what the rows say of them. */
#ifndef CN_CORE_WASM_H
#define CN_CORE_WASM_H

#include <stdint.h>

/* An operator behind a prefix byte is numbered prefix * 65536 + number. */
#define CN_WASM_PREFIXED(prefix, number) ((uint32_t)(prefix) << 16 | (number))

enum cn_wasm_op {
#define OP(byte, name, text, immediates, types) CN_WASM_##name = byte,
#define OP_FB(number, name, text, immediates, types)                                               \
    CN_WASM_##name = CN_WASM_PREFIXED(0xfb, number),
#define OP_FC(number, name, text, immediates, types)                                               \
    CN_WASM_##name = CN_WASM_PREFIXED(0xfc, number),
#define OP_FD(number, name, text, immediates, types)                                               \
    CN_WASM_##name = CN_WASM_PREFIXED(0xfd, number),
#define OP_FE(number, name, text, immediates, types)                                               \
    CN_WASM_##name = CN_WASM_PREFIXED(0xfe, number),
#include "spec/wasm.def"
#undef OP
#undef OP_FB
#undef OP_FC
#undef OP_FD
#undef OP_FE
};

/* Places of operators in tables: one-byte operators first, then those behind each prefix. */
enum {
    CN_WASM_FB_FIRST = 256,
    CN_WASM_FC_FIRST = CN_WASM_FB_FIRST + 32,
    CN_WASM_FE_FIRST = CN_WASM_FC_FIRST + 32,
    CN_WASM_FD_FIRST = CN_WASM_FE_FIRST + 80,
    CN_WASM_PLACES = CN_WASM_FD_FIRST + 288,
};

#define CN_WASM_NO_PLACE 0u

/* The operator's place as a constant; `op` is one that has a row. */
#define CN_WASM_PLACE(op)                                                                          \
    ((op) < 256                  ? (op)                                                            \
     : (op) >> 16 == 0xfb        ? CN_WASM_FB_FIRST + ((op) & 0xffff)                              \
     : (op) >> 16 == 0xfc        ? CN_WASM_FC_FIRST + ((op) & 0xffff)                              \
     : (op) >> 16 == 0xfd        ? CN_WASM_FD_FIRST + ((op) & 0xffff)                              \
                                 : CN_WASM_FE_FIRST + ((op) & 0xffff))

/* The place of whatever stands in a file: of `number` behind `prefix`, or CN_WASM_NO_PLACE where
 * there can be no row. */
static inline uint32_t cn_wasm_place(uint8_t prefix, uint32_t number)
{
    switch (prefix) {
    case 0xfb:
        return number < 32 ? CN_WASM_FB_FIRST + number : CN_WASM_NO_PLACE;
    case 0xfc:
        return number < 32 ? CN_WASM_FC_FIRST + number : CN_WASM_NO_PLACE;
    case 0xfd:
        return number < 288 ? CN_WASM_FD_FIRST + number : CN_WASM_NO_PLACE;
    case 0xfe:
        return number < 80 ? CN_WASM_FE_FIRST + number : CN_WASM_NO_PLACE;
    default:
        return CN_WASM_NO_PLACE;
    }
}

/* What follows an operator in the binary format. */
enum cn_wasm_immediate {
    CN_IMM_NONE,
    CN_IMM_BLOCK,         /* block type */
    CN_IMM_LABEL,
    CN_IMM_LABELS,        /* of br_table: a list and the default */
    CN_IMM_FUNC,
    CN_IMM_TYPE_TABLE,    /* type, table */
    CN_IMM_TYPES,         /* list of value types */
    CN_IMM_LOCAL,
    CN_IMM_GLOBAL,
    CN_IMM_TABLE,
    CN_IMM_TAG,
    CN_IMM_TYPE,
    CN_IMM_MEMARG,        /* flags with alignment, memory where bit 6 says so, offset */
    CN_IMM_MEMARG_LANE,   /* memarg, lane byte */
    CN_IMM_MEMORY,
    CN_IMM_I32,
    CN_IMM_I64,
    CN_IMM_F32,
    CN_IMM_F64,
    CN_IMM_V128,          /* 16 bytes */
    CN_IMM_LANE,          /* byte */
    CN_IMM_LANES,         /* 16 bytes */
    CN_IMM_HEAPTYPE,
    CN_IMM_CAST,          /* flags byte, label, heap type, heap type */
    CN_IMM_TRY_TABLE,     /* block type, list of catch clauses */
    CN_IMM_TYPE_FIELD,
    CN_IMM_TYPE_COUNT,
    CN_IMM_TYPE_DATA,
    CN_IMM_TYPE_ELEM,
    CN_IMM_TYPE_TYPE,
    CN_IMM_DATA_MEMORY,
    CN_IMM_DATA,
    CN_IMM_MEMORY_MEMORY,
    CN_IMM_ELEM_TABLE,
    CN_IMM_ELEM,
    CN_IMM_TABLE_TABLE,
    CN_IMM_FENCE,         /* a zero byte */
};

/* A row of spec/wasm.def. */
struct cn_wasm_info {
    const char *text;     /* NULL: there is no such operator */
    const char *types;
    uint32_t op;          /* enum cn_wasm_op */
    uint8_t immediate;    /* enum cn_wasm_immediate */
};

/* By place. */
extern const struct cn_wasm_info cn_wasm_infos[CN_WASM_PLACES];

/* Binary logarithm of the natural alignment of an operator with a memarg. */
uint32_t cn_wasm_alignment(const struct cn_wasm_info *info);

#endif
