/* Reading over operators that nothing reaches. */
#include "core/wasm.h"
#include "loader/ir.h"

void cn_skip_immediates(struct cn_translator *t, uint32_t op)
{
    uint32_t count = 0;

    switch ((enum cn_wasm_immediate)cn_wasm_infos[CN_WASM_PLACE(op)].immediate) {
    case CN_IMM_NONE:
        return;
    case CN_IMM_LABELS:
        for (count = cn_code_u32(t) + 1; count > 0; count--)
            cn_code_u32(t);
        return;
    case CN_IMM_TYPES:
        count = cn_code_u32(t);
        t->at += count;
        return;
    case CN_IMM_TYPE_TABLE:
    case CN_IMM_MEMARG:
    case CN_IMM_DATA_MEMORY:
    case CN_IMM_MEMORY_MEMORY:
    case CN_IMM_ELEM_TABLE:
    case CN_IMM_TABLE_TABLE:
        cn_code_u32(t);
        cn_code_u32(t);
        return;
    case CN_IMM_F32:
        t->at += 4;
        return;
    case CN_IMM_F64:
        t->at += 8;
        return;
    case CN_IMM_V128:
    case CN_IMM_LANES:
        t->at += 16;
        return;
    case CN_IMM_LANE:
        t->at++;
        return;
    case CN_IMM_MEMARG_LANE:
        cn_code_u32(t);
        cn_code_u32(t);
        t->at++;
        return;
    default:
        cn_code_s64(t);
        return;
    }
}
