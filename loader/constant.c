/* Constant expressions (core 3.4.14). */
#include "core/limits.h"
#include "core/wasm.h"
#include "loader/decode.h"

static enum cn_status get_global(struct cn_validator *v)
{
    const struct cn_module *module = v->module;
    uint32_t index;

    CN_TRY(cn_read_u32(&v->reader, &index));
    if (index >= module->global_count)
        return cn_reject(v, CN_INVALID, "unknown global %u: there are %u before this one", index,
                         module->global_count);
    if (module->globals[index].type.is_mutable)
        return cn_reject(v, CN_INVALID, "constant expression required: global %u is mutable",
                         index);
    return cn_push(v, module->globals[index].type.type);
}

static enum cn_status reference_func(struct cn_validator *v, const struct cn_op_rule *rule)
{
    const uint8_t *start = v->reader.at;
    uint32_t index;

    CN_TRY(cn_read_number(v, "function", v->module->func_count, &index));
    v->module->funcs[index].is_referenced = true;
    v->reader.at = start;
    return cn_check_ref_func(v, rule);
}

/* The operators that a constant expression may have; global.get and ref.func apart. */
static bool is_constant(uint32_t op)
{
    switch (op) {
    case CN_WASM_I32_CONST:
    case CN_WASM_I64_CONST:
    case CN_WASM_F32_CONST:
    case CN_WASM_F64_CONST:
    case CN_WASM_V128_CONST:
    case CN_WASM_I32_ADD:
    case CN_WASM_I32_SUB:
    case CN_WASM_I32_MUL:
    case CN_WASM_I64_ADD:
    case CN_WASM_I64_SUB:
    case CN_WASM_I64_MUL:
    case CN_WASM_REF_NULL:
    case CN_WASM_REF_I31:
    case CN_WASM_STRUCT_NEW:
    case CN_WASM_STRUCT_NEW_DEFAULT:
    case CN_WASM_ARRAY_NEW:
    case CN_WASM_ARRAY_NEW_DEFAULT:
    case CN_WASM_ARRAY_NEW_FIXED:
    case CN_WASM_ANY_CONVERT_EXTERN:
    case CN_WASM_EXTERN_CONVERT_ANY:
        return true;
    default:
        return false;
    }
}

static enum cn_status apply_constant(struct cn_validator *v, const struct cn_op_rule *rule)
{
    int32_t i32;
    int64_t i64;
    uint32_t f32;
    uint64_t f64;

    switch (rule->kind) {
    case CN_OP_RULE_CHECK:
        return rule->check(v, rule);
    case CN_OP_RULE_I32:
        CN_TRY(cn_read_s32(&v->reader, &i32));
        break;
    case CN_OP_RULE_I64:
        CN_TRY(cn_read_s64(&v->reader, &i64));
        break;
    case CN_OP_RULE_F32:
        CN_TRY(cn_read_f32(&v->reader, &f32));
        break;
    case CN_OP_RULE_F64:
        CN_TRY(cn_read_f64(&v->reader, &f64));
        break;
    default:
        break;
    }
    return cn_apply(v, rule);
}

static enum cn_status check_operator(struct cn_validator *v, uint8_t byte)
{
    uint32_t number = 0, place = byte;

    if (byte >= 0xfb && byte <= 0xfe) {
        CN_TRY(cn_read_u32(&v->reader, &number));
        place = cn_wasm_place(byte, number);
    }
    const struct cn_op_rule *rule = &v->rules[place];
    if (rule->text == NULL || rule->kind == CN_OP_RULE_ILLEGAL)
        return cn_reject(v, CN_MALFORMED, "illegal opcode %02x", byte);
    uint32_t op = cn_wasm_infos[place].op;
    if (op == CN_WASM_GLOBAL_GET)
        return get_global(v);
    if (op == CN_WASM_REF_FUNC)
        return reference_func(v, rule);
    if (!is_constant(op))
        return cn_reject(v, CN_INVALID, "constant expression required: found %s", rule->text);
    return apply_constant(v, rule);
}

static enum cn_status check_operators(struct cn_validator *v, const uint8_t *start)
{
    uint8_t op;

    for (;;) {
        v->op = v->reader.at;
        if (v->reader.at - start >= CN_LIMIT_CONSTANT_BYTES)
            return cn_reject(v, CN_TOO_LARGE, "constant expression too long: at most %u bytes "
                             "are supported", CN_LIMIT_CONSTANT_BYTES);
        CN_TRY(cn_read_u8(&v->reader, &op));
        if (op == CN_WASM_END)
            return CN_OK;
        CN_TRY(check_operator(v, op));
    }
}

enum cn_status cn_validate_constant(struct cn_validator *v, struct cn_reader *reader,
                                    cn_valtype type, struct cn_constexpr *result)
{
    const uint8_t *start = reader->at;

    v->reader = *reader;
    v->sp = v->floor = v->stack;
    v->frame_count = 0;
    CN_TRY(cn_open_frame(v, CN_WASM_CALL, (struct cn_block_type){NULL, CN_TYPE_ANY}));
    CN_TRY(check_operators(v, start));
    CN_TRY(cn_pop_type(v, type, "constant expression"));
    if (v->sp != v->stack)
        return cn_reject(v, CN_INVALID, "type mismatch: constant expression expects one value, "
                         "found %zu more on the stack", (size_t)(v->sp - v->stack));
    reader->at = v->reader.at;
    result->code = (struct cn_bytes){start, (size_t)(reader->at - start)};
    return CN_OK;
}
