/* Reading what follows operators in validated code; reading over what nothing reaches. */
#include "core/wasm.h"
#include "loader/ir.h"

uint8_t cn_code_heaptype(struct cn_translator *t)
{
    static const uint8_t tops[] = {CN_HEAP_FUNC, CN_HEAP_EXTERN, CN_HEAP_ANY, CN_HEAP_EXN};
    int64_t code = cn_code_s64(t);

    if (code >= 0)
        return tops[cn_deftype_hierarchy(&t->module->types[code])];
    return tops[cn_hierarchy_of_heap((uint32_t)code & 0x7f)];
}

uint8_t cn_code_valtype(struct cn_translator *t)
{
    enum { REF_NULL = 0x63, REF = 0x64 };
    uint8_t byte = *t->at;

    if (byte == REF || byte == REF_NULL) {
        t->at++;
        return cn_code_heaptype(t);
    }
    if (cn_heap_is_abstract(byte))
        return cn_code_heaptype(t);
    t->at++;
    return byte;
}

static void skip_memarg(struct cn_translator *t)
{
    enum { HAS_MEMORY = 64 };

    if (cn_code_u32(t) & HAS_MEMORY)
        cn_code_u32(t);
    cn_code_s64(t);
}

static void skip_block_type(struct cn_translator *t)
{
    if ((*t->at & 0xc0) == 0x40 && *t->at != 0x40)
        cn_code_valtype(t);
    else
        cn_code_s64(t);
}

static void skip_clauses(struct cn_translator *t)
{
    enum { IS_ALL = 2 };

    for (uint32_t count = cn_code_u32(t); count > 0; count--) {
        uint8_t kind = *t->at++;
        if (!(kind & IS_ALL))
            cn_code_u32(t);
        cn_code_u32(t);
    }
}

void cn_skip_immediates(struct cn_translator *t, uint32_t op)
{
    uint32_t count = 0;

    switch ((enum cn_wasm_immediate)cn_wasm_infos[CN_WASM_PLACE(op)].immediate) {
    case CN_IMM_NONE:
        return;
    case CN_IMM_BLOCK:
        skip_block_type(t);
        return;
    case CN_IMM_TRY_TABLE:
        skip_block_type(t);
        skip_clauses(t);
        return;
    case CN_IMM_LABELS:
        for (count = cn_code_u32(t) + 1; count > 0; count--)
            cn_code_u32(t);
        return;
    case CN_IMM_TYPES:
        for (count = cn_code_u32(t); count > 0; count--)
            cn_code_valtype(t);
        return;
    case CN_IMM_MEMARG:
        skip_memarg(t);
        return;
    case CN_IMM_MEMARG_LANE:
        skip_memarg(t);
        t->at++;
        return;
    case CN_IMM_CAST:
        t->at++;
        cn_code_u32(t);
        cn_code_s64(t);
        cn_code_s64(t);
        return;
    case CN_IMM_TYPE_TABLE:
    case CN_IMM_DATA_MEMORY:
    case CN_IMM_MEMORY_MEMORY:
    case CN_IMM_ELEM_TABLE:
    case CN_IMM_TABLE_TABLE:
    case CN_IMM_TYPE_FIELD:
    case CN_IMM_TYPE_COUNT:
    case CN_IMM_TYPE_DATA:
    case CN_IMM_TYPE_ELEM:
    case CN_IMM_TYPE_TYPE:
        cn_code_u32(t);
        cn_code_u32(t);
        return;
    case CN_IMM_F32:
        t->at += 4;
        return;
    case CN_IMM_F64:
        t->at += 8;
        return;
    case CN_IMM_LANES:
    case CN_IMM_V128:
        t->at += 16;
        return;
    case CN_IMM_LANE:
    case CN_IMM_FENCE:
        t->at++;
        return;
    default:
        cn_code_s64(t);
        return;
    }
}
