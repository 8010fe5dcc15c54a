/* Constant expressions (core 3.3.10), sums and products of integers included. */
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
    return cn_push(v, (uint8_t)module->globals[index].type.type);
}

static enum cn_status reference_func(struct cn_validator *v)
{
    const struct cn_module *module = v->module;
    uint32_t index;

    CN_TRY(cn_read_u32(&v->reader, &index));
    if (index >= module->func_count)
        return cn_reject(v, CN_INVALID, "unknown function %u: the module has %u functions",
                         index, module->func_count);
    module->funcs[index].is_referenced = true;
    return cn_push(v, CN_HEAP_FUNC);
}

static enum cn_status reject_operator(struct cn_validator *v, uint8_t op)
{
    const struct cn_op_rule *rule = &v->rules[op];

    if (rule->kind == CN_OP_RULE_ILLEGAL)
        return cn_reject(v, CN_MALFORMED, "illegal opcode %02x", op);
    return cn_reject(v, CN_INVALID, "constant expression required: found %s",
                     rule->text ? rule->text : "an operator with a prefix");
}

static enum cn_status check_operator(struct cn_validator *v, uint8_t op)
{
    const struct cn_op_rule *rule = &v->rules[op];
    int32_t i32;
    int64_t i64;
    uint32_t f32;
    uint64_t f64;

    switch (op) {
    case CN_WASM_I32_CONST:
        CN_TRY(cn_read_s32(&v->reader, &i32));
        return cn_apply(v, rule);
    case CN_WASM_I64_CONST:
        CN_TRY(cn_read_s64(&v->reader, &i64));
        return cn_apply(v, rule);
    case CN_WASM_F32_CONST:
        CN_TRY(cn_read_f32(&v->reader, &f32));
        return cn_apply(v, rule);
    case CN_WASM_F64_CONST:
        CN_TRY(cn_read_f64(&v->reader, &f64));
        return cn_apply(v, rule);
    case CN_WASM_I32_ADD:
    case CN_WASM_I32_SUB:
    case CN_WASM_I32_MUL:
    case CN_WASM_I64_ADD:
    case CN_WASM_I64_SUB:
    case CN_WASM_I64_MUL:
        return cn_apply(v, rule);
    case CN_WASM_GLOBAL_GET:
        return get_global(v);
    case CN_WASM_REF_NULL:
        return cn_check_ref_null(v, rule);
    case CN_WASM_REF_FUNC:
        return reference_func(v);
    default:
        return reject_operator(v, op);
    }
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
    CN_TRY(cn_open_frame(v, CN_WASM_CALL, cn_sig_of_result(CN_TYPE_ANY)));
    CN_TRY(check_operators(v, start));
    CN_TRY(cn_pop_type(v, cn_valtype_code(type), "constant expression"));
    if (v->sp != v->stack)
        return cn_reject(v, CN_INVALID, "type mismatch: constant expression expects one value, "
                         "found %zu more on the stack", (size_t)(v->sp - v->stack));
    reader->at = v->reader.at;
    result->code = (struct cn_bytes){start, (size_t)(reader->at - start)};
    return CN_OK;
}
