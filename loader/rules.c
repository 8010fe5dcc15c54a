/* How each operator is typed: rows of spec/wasm.def, and for those whose types depend on more
 * than themselves the function that knows. */
#include <string.h>

#include "loader/validate.h"

typedef enum cn_status check_function(struct cn_validator *v, const struct cn_op_rule *rule);

#define CHECKED_BY(op, name) [CN_WASM_PLACE(CN_WASM_##op)] = cn_check_##name

static check_function *const checks[CN_WASM_PLACES] = {
    CHECKED_BY(UNREACHABLE, unreachable),
    CHECKED_BY(BLOCK, block),
    CHECKED_BY(LOOP, loop),
    CHECKED_BY(IF, if),
    CHECKED_BY(ELSE, else),
    CHECKED_BY(END, end),
    CHECKED_BY(BR, br),
    CHECKED_BY(BR_IF, br_if),
    CHECKED_BY(BR_TABLE, br_table),
    CHECKED_BY(RETURN, return),
    CHECKED_BY(CALL, call),
    CHECKED_BY(CALL_INDIRECT, call_indirect),
    CHECKED_BY(CALL_REF, call_ref),
    CHECKED_BY(RETURN_CALL, return_call),
    CHECKED_BY(RETURN_CALL_INDIRECT, return_call_indirect),
    CHECKED_BY(RETURN_CALL_REF, return_call_ref),
    CHECKED_BY(TRY, try),
    CHECKED_BY(CATCH, catch),
    CHECKED_BY(CATCH_ALL, catch_all),
    CHECKED_BY(DELEGATE, delegate),
    CHECKED_BY(THROW, throw),
    CHECKED_BY(RETHROW, rethrow),
    CHECKED_BY(THROW_REF, throw_ref),
    CHECKED_BY(TRY_TABLE, try_table),
    CHECKED_BY(DROP, drop),
    CHECKED_BY(SELECT, select),
    CHECKED_BY(SELECT_T, select_typed),
    CHECKED_BY(GLOBAL_GET, global_get),
    CHECKED_BY(GLOBAL_SET, global_set),
    CHECKED_BY(TABLE_GET, table_get),
    CHECKED_BY(TABLE_SET, table_set),
    CHECKED_BY(TABLE_GROW, table_grow),
    CHECKED_BY(TABLE_SIZE, table_size),
    CHECKED_BY(TABLE_FILL, table_fill),
    CHECKED_BY(TABLE_COPY, table_copy),
    CHECKED_BY(TABLE_INIT, table_init),
    CHECKED_BY(ELEM_DROP, elem_drop),
    CHECKED_BY(MEMORY_SIZE, memory_op),
    CHECKED_BY(MEMORY_GROW, memory_op),
    CHECKED_BY(MEMORY_FILL, memory_op),
    CHECKED_BY(MEMORY_COPY, memory_copy),
    CHECKED_BY(MEMORY_INIT, memory_init),
    CHECKED_BY(DATA_DROP, data_drop),
    CHECKED_BY(ATOMIC_FENCE, fence),
    CHECKED_BY(REF_NULL, ref_null),
    CHECKED_BY(REF_IS_NULL, ref_is_null),
    CHECKED_BY(REF_FUNC, ref_func),
    CHECKED_BY(REF_EQ, ref_eq),
    CHECKED_BY(REF_AS_NON_NULL, ref_as_non_null),
    CHECKED_BY(BR_ON_NULL, br_on_null),
    CHECKED_BY(BR_ON_NON_NULL, br_on_non_null),
    CHECKED_BY(STRUCT_NEW, struct_new),
    CHECKED_BY(STRUCT_NEW_DEFAULT, struct_new_default),
    CHECKED_BY(STRUCT_GET, struct_get),
    CHECKED_BY(STRUCT_GET_S, struct_get),
    CHECKED_BY(STRUCT_GET_U, struct_get),
    CHECKED_BY(STRUCT_SET, struct_set),
    CHECKED_BY(ARRAY_NEW, array_new),
    CHECKED_BY(ARRAY_NEW_DEFAULT, array_new_default),
    CHECKED_BY(ARRAY_NEW_FIXED, array_new_fixed),
    CHECKED_BY(ARRAY_NEW_DATA, array_new_data),
    CHECKED_BY(ARRAY_NEW_ELEM, array_new_elem),
    CHECKED_BY(ARRAY_GET, array_get),
    CHECKED_BY(ARRAY_GET_S, array_get),
    CHECKED_BY(ARRAY_GET_U, array_get),
    CHECKED_BY(ARRAY_SET, array_set),
    CHECKED_BY(ARRAY_LEN, array_len),
    CHECKED_BY(ARRAY_FILL, array_fill),
    CHECKED_BY(ARRAY_COPY, array_copy),
    CHECKED_BY(ARRAY_INIT_DATA, array_init_data),
    CHECKED_BY(ARRAY_INIT_ELEM, array_init_elem),
    CHECKED_BY(REF_TEST, ref_test),
    CHECKED_BY(REF_TEST_NULL, ref_test),
    CHECKED_BY(REF_CAST, ref_cast),
    CHECKED_BY(REF_CAST_NULL, ref_cast),
    CHECKED_BY(BR_ON_CAST, br_on_cast),
    CHECKED_BY(BR_ON_CAST_FAIL, br_on_cast),
    CHECKED_BY(ANY_CONVERT_EXTERN, any_convert_extern),
    CHECKED_BY(EXTERN_CONVERT_ANY, extern_convert_any),
    CHECKED_BY(REF_I31, ref_i31),
    CHECKED_BY(I31_GET_S, i31_get),
    CHECKED_BY(I31_GET_U, i31_get),
    [0xfb] = cn_check_prefixed,
    [0xfc] = cn_check_prefixed,
    [0xfd] = cn_check_prefixed,
    [0xfe] = cn_check_prefixed,
};

static cn_valtype type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
    case 'a': /* until the module's memory says otherwise */
        return CN_I32;
    case 'l':
        return CN_I64;
    case 'f':
        return CN_F32;
    case 'v':
        return CN_V128;
    default:
        return CN_F64;
    }
}

static uint8_t kind_of(const struct cn_wasm_info *row, bool is_typed)
{
    if (!is_typed)
        return CN_OP_RULE_ILLEGAL;
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

static check_function *check_of_immediate(uint8_t immediate)
{
    switch (immediate) {
    case CN_IMM_LANE:
        return cn_check_lane;
    case CN_IMM_LANES:
        return cn_check_shuffle;
    case CN_IMM_V128:
        return cn_check_v128_const;
    case CN_IMM_MEMARG_LANE:
        return cn_check_memarg_lane;
    default:
        return NULL;
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Operands stand at the top of the stack, the last one highest. */
static void set_types(struct cn_op_rule *rule, const char *types)
{
    const char *colon = strchr(types, ':');

    for (const char *at = types; at < colon; at++)
        rule->pops += !is_digit(*at);
    uint32_t place = CN_RULE_POPS - rule->pops;
    for (const char *at = types; at < colon; at++) {
        if (is_digit(*at))
            continue;
        rule->want[place] = type_of_letter(*at);
        rule->mask[place < 2] |= 0xffffffffull << 32 * (place % 2);
        if (*at == 'a')
            rule->addresses |= (uint8_t)(1u << place);
        place++;
    }
    for (const char *at = colon + 1; *at != '\0'; at++) {
        rule->gives_address = rule->gives_address || *at == 'a';
        rule->results[rule->pushes++] = type_of_letter(*at);
    }
}

/* "i8x16.extract_lane_s" has 16 lanes; lane accesses of memory as many as fit. */
static uint8_t lanes_of(const struct cn_wasm_info *row, uint8_t align)
{
    const char *x = strchr(row->text, 'x');

    if (row->immediate == CN_IMM_MEMARG_LANE)
        return (uint8_t)(16u >> align);
    if (row->immediate != CN_IMM_LANE || x == NULL)
        return 0;
    return (uint8_t)(x[2] == '6' ? 16 : x[1] - '0');
}

static void set_rule(struct cn_op_rule *rule, const struct cn_wasm_info *row,
                     check_function *check)
{
    const char *colon = row->text != NULL ? strchr(row->types, ':') : NULL;

    *rule = (struct cn_op_rule){.text = row->text, .immediate = row->immediate};
    rule->check = check != NULL || row->text == NULL ? check : check_of_immediate(row->immediate);
    rule->kind = rule->check != NULL ? (uint8_t)CN_OP_RULE_CHECK
                                     : kind_of(row, row->text != NULL && colon != NULL);
    if (colon == NULL)
        return;
    set_types(rule, row->types);
    rule->align = (uint8_t)cn_wasm_alignment(row);
    rule->lanes = lanes_of(row, rule->align);
    rule->is_atomic = row->op >> 16 == 0xfe;
}

void cn_rules_init(struct cn_validator *v)
{
    for (unsigned i = 0; i < CN_WASM_PLACES; i++)
        set_rule(&v->rules[i], &cn_wasm_infos[i], checks[i]);
    v->rules[CN_WASM_NOP].kind = CN_OP_RULE_PLAIN;
    v->rules[CN_WASM_LOCAL_GET].kind = CN_OP_RULE_LOCAL_GET;
    v->rules[CN_WASM_LOCAL_SET].kind = CN_OP_RULE_LOCAL_SET;
    v->rules[CN_WASM_LOCAL_TEE].kind = CN_OP_RULE_LOCAL_TEE;
}

void cn_rules_set_address(struct cn_validator *v, cn_valtype address)
{
    for (unsigned i = 0; i < CN_WASM_PLACES; i++)
        for (unsigned j = 0; j < CN_RULE_POPS; j++)
            if (v->rules[i].addresses & 1u << j)
                v->rules[i].want[j] = address;
}
