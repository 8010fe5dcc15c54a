/* How each operator is typed: rows of spec/wasm.def, and for those whose types depend on more
 * than themselves the function that knows. */
#include <string.h>

#include "core/wasm.h"
#include "loader/validate.h"

typedef enum cn_status check_function(struct cn_validator *v, const struct cn_op_rule *rule);

static check_function *const checks[256] = {
    [CN_WASM_UNREACHABLE] = cn_check_unreachable,
    [CN_WASM_BLOCK] = cn_check_block,
    [CN_WASM_LOOP] = cn_check_loop,
    [CN_WASM_IF] = cn_check_if,
    [CN_WASM_ELSE] = cn_check_else,
    [CN_WASM_END] = cn_check_end,
    [CN_WASM_BR] = cn_check_br,
    [CN_WASM_BR_IF] = cn_check_br_if,
    [CN_WASM_BR_TABLE] = cn_check_br_table,
    [CN_WASM_RETURN] = cn_check_return,
    [CN_WASM_CALL] = cn_check_call,
    [CN_WASM_CALL_INDIRECT] = cn_check_call_indirect,
    [CN_WASM_RETURN_CALL] = cn_check_return_call,
    [CN_WASM_RETURN_CALL_INDIRECT] = cn_check_return_call_indirect,
    [CN_WASM_DROP] = cn_check_drop,
    [CN_WASM_SELECT] = cn_check_select,
    [CN_WASM_SELECT_T] = cn_check_select_typed,
    [CN_WASM_GLOBAL_GET] = cn_check_global_get,
    [CN_WASM_GLOBAL_SET] = cn_check_global_set,
    [CN_WASM_TABLE_GET] = cn_check_table_get,
    [CN_WASM_TABLE_SET] = cn_check_table_set,
    [CN_WASM_MEMORY_SIZE] = cn_check_memory_op,
    [CN_WASM_MEMORY_GROW] = cn_check_memory_op,
    [CN_WASM_REF_NULL] = cn_check_ref_null,
    [CN_WASM_REF_IS_NULL] = cn_check_ref_is_null,
    [CN_WASM_REF_FUNC] = cn_check_ref_func,
    [0xfc] = cn_check_prefixed,
    [0xfd] = cn_check_simd,
};

#define PREFIXED(name) [CN_WASM_##name & 0xffff]

static check_function *const prefixed_checks[CN_PREFIXED_RULES] = {
    PREFIXED(MEMORY_INIT) = cn_check_memory_init,
    PREFIXED(DATA_DROP) = cn_check_data_drop,
    PREFIXED(MEMORY_COPY) = cn_check_memory_copy,
    PREFIXED(MEMORY_FILL) = cn_check_memory_op,
    PREFIXED(TABLE_INIT) = cn_check_table_init,
    PREFIXED(ELEM_DROP) = cn_check_elem_drop,
    PREFIXED(TABLE_COPY) = cn_check_table_copy,
    PREFIXED(TABLE_GROW) = cn_check_table_grow,
    PREFIXED(TABLE_SIZE) = cn_check_table_size,
    PREFIXED(TABLE_FILL) = cn_check_table_fill,
};

static uint8_t type_of_letter(char letter)
{
    switch (letter) {
    case 'a':
    case 'i':
        return CN_I32;
    case 'l':
        return CN_I64;
    case 'f':
        return CN_F32;
    default:
        return CN_F64;
    }
}

static uint8_t kind_of(const struct cn_wasm_info *row)
{
    switch (row->immediate) {
    case CN_IMM_NONE:
        return CN_OP_RULE_PLAIN;
    case CN_IMM_MEMARG:
        return CN_OP_RULE_MEMARG;
    case CN_IMM_I32:
        return CN_OP_RULE_I32;
    case CN_IMM_I64:
        return CN_OP_RULE_I64;
    case CN_IMM_F32:
        return CN_OP_RULE_F32;
    case CN_IMM_F64:
        return CN_OP_RULE_F64;
    default:
        return CN_OP_RULE_ILLEGAL;
    }
}

/* Operands stand at the top of the stack, the last one highest: in the highest byte. */
static void set_types(struct cn_op_rule *rule, const char *types)
{
    const char *colon = strchr(types, ':');

    for (const char *at = types; at < colon; at++)
        rule->pops += *at < '0' || *at > '9';
    unsigned shift = 8 * (4u - rule->pops);
    for (const char *at = types; at < colon; at++) {
        if (*at >= '0' && *at <= '9')
            continue;
        rule->want |= (uint32_t)type_of_letter(*at) << shift;
        rule->mask |= (uint32_t)0xff << shift;
        shift += 8;
    }
    if (colon[1] != '\0') {
        rule->pushes = 1;
        rule->result = type_of_letter(colon[1]);
    }
}

static void set_rule(struct cn_op_rule *rule, const struct cn_wasm_info *row,
                     check_function *check)
{
    *rule = (struct cn_op_rule){.text = row->text, .check = check};
    if (check != NULL)
        rule->kind = CN_OP_RULE_CHECK;
    else if (row->text != NULL)
        rule->kind = kind_of(row);
    const char *colon = row->text != NULL ? strchr(row->types, ':') : NULL;
    if (check == NULL && (colon == NULL || strlen(colon) > 2))
        rule->kind = CN_OP_RULE_ILLEGAL;
    if (colon != NULL)
        set_types(rule, row->types);
    if (rule->kind == CN_OP_RULE_MEMARG)
        rule->align = (uint8_t)cn_wasm_alignment(row);
}

void cn_rules_init(struct cn_validator *v)
{
    for (unsigned i = 0; i < 256; i++)
        set_rule(&v->rules[i], &cn_wasm_infos[i], checks[i]);
    for (unsigned i = 0; i < CN_PREFIXED_RULES; i++)
        set_rule(&v->prefixed[i], &cn_wasm_infos[CN_WASM_FC_FIRST + i], prefixed_checks[i]);
    v->rules[CN_WASM_NOP].kind = CN_OP_RULE_PLAIN;
    v->rules[CN_WASM_LOCAL_GET].kind = CN_OP_RULE_LOCAL_GET;
    v->rules[CN_WASM_LOCAL_SET].kind = CN_OP_RULE_LOCAL_SET;
    v->rules[CN_WASM_LOCAL_TEE].kind = CN_OP_RULE_LOCAL_TEE;
}
