/* WebAssembly's operators as an enum, from spec/wasm.def. */
#ifndef CN_CORE_WASM_H
#define CN_CORE_WASM_H

/* An operator behind a prefix byte is numbered prefix * 256 + number. */
#define CN_WASM_PREFIXED(prefix, number) ((prefix) << 8 | ((number) & 0xff))

enum cn_wasm_op {
#define OP(byte, name, text, immediates, types) CN_WASM_##name = byte,
#define OP_FC(number, name, text, immediates, types)                                               \
    CN_WASM_##name = CN_WASM_PREFIXED(0xfc, number),
#include "spec/wasm.def"
#undef OP
#undef OP_FC
};

/* What follows an operator in the binary format. */
enum cn_wasm_immediate {
    CN_IMM_NONE,
    CN_IMM_BLOCK,
    CN_IMM_LABEL,
    CN_IMM_LABELS,
    CN_IMM_FUNC,
    CN_IMM_TYPE_TABLE,
    CN_IMM_TYPES,
    CN_IMM_LOCAL,
    CN_IMM_GLOBAL,
    CN_IMM_TABLE,
    CN_IMM_MEMARG,
    CN_IMM_MEMORY,
    CN_IMM_I32,
    CN_IMM_I64,
    CN_IMM_F32,
    CN_IMM_F64,
    CN_IMM_REFTYPE,
    CN_IMM_DATA_MEMORY,
    CN_IMM_DATA,
    CN_IMM_MEMORY_MEMORY,
    CN_IMM_ELEM_TABLE,
    CN_IMM_ELEM,
    CN_IMM_TABLE_TABLE,
};

#endif
