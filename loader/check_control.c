/* Typing of blocks, branches and calls. */
#include <string.h>

#include "core/limits.h"
#include "core/wasm.h"
#include "loader/decode.h"

static const char *frame_text(const struct cn_block_frame *frame)
{
    switch (frame->op) {
    case CN_WASM_BLOCK:
        return "end of block";
    case CN_WASM_LOOP:
        return "end of loop";
    case CN_WASM_IF:
        return "end of if";
    case CN_WASM_ELSE:
        return "end of else";
    case CN_WASM_TRY:
    case CN_WASM_TRY_TABLE:
        return "end of try";
    case CN_WASM_CATCH:
    case CN_WASM_CATCH_ALL:
        return "end of catch";
    default:
        return "end of function";
    }
}

CN_CHECK(unreachable)
{
    (void)rule;
    cn_become_dead(v);
    return CN_OK;
}

/* A block's type: none, a result, or the index of a function type (core 5.4.1). */
static enum cn_status read_block_type(struct cn_validator *v, struct cn_block_type *type)
{
    struct cn_reader *reader = &v->reader;
    uint64_t offset = cn_reader_offset(reader);
    int64_t index;

    *type = (struct cn_block_type){NULL, CN_TYPE_ANY};
    if (reader->at < reader->end && *reader->at == 0x40) {
        reader->at++;
        return CN_OK;
    }
    if (reader->at < reader->end && (*reader->at & 0xc0) == 0x40)
        return cn_read_valtype(v->module, reader, &type->result);
    CN_TRY(cn_read_s33(reader, &index));
    if (index < 0)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed block type: expected the index of a type, found %lld",
                       (long long)index);
    if (index >= v->module->type_count || v->module->types[index].kind != CN_DEF_FUNC)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %lld: no function type among the %u types", (long long)index,
                       v->module->type_count);
    type->func = cn_module_functype(v->module, (uint32_t)index);
    return CN_OK;
}

static enum cn_status open_block(struct cn_validator *v, const struct cn_op_rule *rule, uint8_t op)
{
    struct cn_block_type type;

    CN_TRY(read_block_type(v, &type));
    if (op == CN_WASM_IF)
        CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_all(v, cn_block_params(&type), rule->text));
    CN_TRY(cn_open_frame(v, op, type));
    return cn_push_all(v, cn_block_params(&type));
}

CN_CHECK(block)
{
    return open_block(v, rule, CN_WASM_BLOCK);
}

CN_CHECK(loop)
{
    return open_block(v, rule, CN_WASM_LOOP);
}

CN_CHECK(if)
{
    return open_block(v, rule, CN_WASM_IF);
}

CN_CHECK(try)
{
    return open_block(v, rule, CN_WASM_TRY);
}

/* The results of the innermost block are on the stack, and nothing else. */
static enum cn_status take_results(struct cn_validator *v)
{
    const struct cn_block_frame *frame = cn_top_frame(v);
    char text[CN_TYPE_TEXT];

    CN_TRY(cn_pop_all(v, cn_block_results(&frame->type), frame_text(frame)));
    if (v->sp != v->floor)
        return cn_reject(v, CN_INVALID, "type mismatch: block requires [] but stack has [%s] "
                         "(%s: %zu values too many)", cn_type_text(v->sp[-1], text),
                         frame_text(frame), (size_t)(v->sp - v->floor));
    return CN_OK;
}

/* What stands before else or catch is done: its results go, locals that it set are unset. */
static enum cn_status next_part(struct cn_validator *v, uint8_t op)
{
    struct cn_block_frame *frame = cn_top_frame(v);

    CN_TRY(take_results(v));
    cn_unset_locals(v, frame->init_height);
    frame->op = op;
    frame->is_unreachable = false;
    return CN_OK;
}

CN_CHECK(else)
{
    (void)rule;
    if (cn_top_frame(v)->op != CN_WASM_IF)
        return cn_reject(v, CN_MALFORMED, "END opcode expected: else without if");
    CN_TRY(next_part(v, CN_WASM_ELSE));
    return cn_push_all(v, cn_block_params(&cn_top_frame(v)->type));
}

/* Leaves the innermost block with its results on the stack. */
static enum cn_status close_block(struct cn_validator *v)
{
    struct cn_block_type type = cn_top_frame(v)->type;

    CN_TRY(take_results(v));
    cn_unset_locals(v, cn_top_frame(v)->init_height);
    v->frame_count--;
    v->floor = v->stack + (v->frame_count ? cn_top_frame(v)->height : 0);
    return cn_push_all(v, cn_block_results(&type));
}

/* An if without else hands its parameters on. */
static enum cn_status check_no_else(struct cn_validator *v)
{
    struct cn_block_type type = cn_top_frame(v)->type;
    struct cn_type_list params = cn_block_params(&type), results = cn_block_results(&type);
    bool fits = params.count == results.count;

    for (uint32_t i = 0; fits && i < params.count; i++)
        fits = cn_type_fits(v, params.types[i], results.types[i]);
    if (fits)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: an if without else expects results "
                     "equal to its parameters, found %u parameters and %u results",
                     params.count, results.count);
}

CN_CHECK(end)
{
    (void)rule;
    if (cn_top_frame(v)->op == CN_WASM_IF)
        CN_TRY(check_no_else(v));
    return close_block(v);
}

/* Reads how many blocks out a label is, and gives that block. */
static enum cn_status read_depth(struct cn_validator *v, const struct cn_block_frame **frame)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t depth;

    CN_TRY(cn_read_u32(&v->reader, &depth));
    if (depth >= v->frame_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown label %u: %u blocks are open here", depth, v->frame_count);
    *frame = &v->frames[v->frame_count - 1 - depth];
    return CN_OK;
}

enum cn_status cn_read_label(struct cn_validator *v, struct cn_type_list *label)
{
    const struct cn_block_frame *frame;

    CN_TRY(read_depth(v, &frame));
    *label = frame->op == CN_WASM_LOOP ? cn_block_params(&frame->type)
                                       : cn_block_results(&frame->type);
    return CN_OK;
}

CN_CHECK(br)
{
    struct cn_type_list label;

    CN_TRY(cn_read_label(v, &label));
    CN_TRY(cn_peek_all(v, label, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(br_if)
{
    struct cn_type_list label;

    CN_TRY(cn_read_label(v, &label));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    if (label.count == 0)
        return CN_OK;
    CN_TRY(cn_pop_all(v, label, rule->text));
    return cn_push_all(v, label);
}

CN_CHECK(br_table)
{
    struct cn_type_list label, last = {NULL, 0};
    uint32_t count;

    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_read_count(&v->reader, CN_LIMIT_BRANCH_TARGETS, 1, "targets of br_table",
                         &count));
    for (uint32_t i = 0; i <= count; i++) {
        CN_TRY(cn_read_label(v, &label));
        if (i > 0 && label.count != last.count)
            return cn_reject(v, CN_INVALID, "type mismatch: br_table expects the same number "
                             "of values for each target, found %u and %u", last.count,
                             label.count);
        if (i == 0 || label.types != last.types)
            CN_TRY(cn_peek_all(v, label, rule->text));
        last = label;
    }
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(return)
{
    CN_TRY(cn_peek_all(v, cn_results_of(v->type), rule->text));
    cn_become_dead(v);
    return CN_OK;
}

/* ------------------------------------------------------------------ calls */

static enum cn_status read_callee(struct cn_validator *v, const struct cn_functype **type)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t index;

    CN_TRY(cn_read_u32(&v->reader, &index));
    if (index >= v->module->func_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown function %u: the module has %u functions", index,
                       v->module->func_count);
    *type = cn_module_type_of(v->module, index);
    return CN_OK;
}

/* Type and table of an indirect call, and the index that it takes from the stack. */
static enum cn_status read_indirect(struct cn_validator *v, const struct cn_op_rule *rule,
                                    const struct cn_functype **type)
{
    const struct cn_module *module = v->module;
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t index, number;
    char text[CN_TYPE_TEXT];

    CN_TRY(cn_read_u32(&v->reader, &index));
    CN_TRY(cn_read_u32(&v->reader, &number));
    if (number >= module->table_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown table %u: the module has %u tables", number,
                       module->table_count);
    const struct cn_table_type *table = &module->tables[number].type;
    if (!cn_valtype_is_subtype(module->types, table->element, CN_FUNCREF))
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "type mismatch: %s expects a table of funcref, found %s", rule->text,
                       cn_type_text(table->element, text));
    if (index >= module->type_count || module->types[index].kind != CN_DEF_FUNC)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown type %u: no function type among the %u types", index,
                       module->type_count);
    CN_TRY(cn_pop_type(v, table->is_64 ? CN_I64 : CN_I32, rule->text));
    *type = cn_module_functype(module, index);
    return CN_OK;
}

/* The type of a call_ref, and the reference that it takes from the stack. */
static enum cn_status read_ref_callee(struct cn_validator *v, const struct cn_op_rule *rule,
                                      const struct cn_functype **type)
{
    uint32_t index;

    CN_TRY(cn_read_type_of(v, CN_DEF_FUNC, &index));
    *type = cn_module_functype(v->module, index);
    return cn_pop_type(v, cn_ref_defined(v->module->types[index].canonical, CN_HIERARCHY_FUNC,
                                         true), rule->text);
}

static enum cn_status check_call(struct cn_validator *v, const struct cn_op_rule *rule,
                                 const struct cn_functype *type)
{
    CN_TRY(cn_pop_all(v, cn_params_of(type), rule->text));
    return cn_push_all(v, cn_results_of(type));
}

static enum cn_status check_tail(struct cn_validator *v, const struct cn_op_rule *rule,
                                 const struct cn_functype *type)
{
    bool fits = type->result_count == v->type->result_count;

    for (uint32_t i = 0; fits && i < type->result_count; i++)
        fits = cn_type_fits(v, cn_functype_results(type)[i], cn_functype_results(v->type)[i]);
    if (!fits)
        return cn_reject(v, CN_INVALID, "type mismatch: %s expects a callee with the results "
                         "of the caller, found other ones", rule->text);
    CN_TRY(cn_pop_all(v, cn_params_of(type), rule->text));
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(call)
{
    const struct cn_functype *type;

    CN_TRY(read_callee(v, &type));
    return check_call(v, rule, type);
}

CN_CHECK(call_indirect)
{
    const struct cn_functype *type;

    CN_TRY(read_indirect(v, rule, &type));
    return check_call(v, rule, type);
}

CN_CHECK(call_ref)
{
    const struct cn_functype *type;

    CN_TRY(read_ref_callee(v, rule, &type));
    return check_call(v, rule, type);
}

CN_CHECK(return_call)
{
    const struct cn_functype *type;

    CN_TRY(read_callee(v, &type));
    return check_tail(v, rule, type);
}

CN_CHECK(return_call_indirect)
{
    const struct cn_functype *type;

    CN_TRY(read_indirect(v, rule, &type));
    return check_tail(v, rule, type);
}

CN_CHECK(return_call_ref)
{
    const struct cn_functype *type;

    CN_TRY(read_ref_callee(v, rule, &type));
    return check_tail(v, rule, type);
}

/* ------------------------------------------------------------------ exceptions */

static enum cn_status read_tag(struct cn_validator *v, struct cn_type_list *payload)
{
    uint32_t index;

    CN_TRY(cn_read_number(v, "tag", v->module->tag_count, &index));
    *payload = cn_params_of(cn_module_functype(v->module, v->module->tags[index]));
    return CN_OK;
}

CN_CHECK(throw)
{
    struct cn_type_list payload;

    CN_TRY(read_tag(v, &payload));
    CN_TRY(cn_pop_all(v, payload, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(throw_ref)
{
    CN_TRY(cn_pop_type(v, CN_EXNREF, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

/* What a clause of try_table hands over must be what its label takes: the payload, then the
 * exception itself. */
static enum cn_status check_clause(struct cn_validator *v, const struct cn_op_rule *rule)
{
    enum { HAS_REF = 1, IS_ALL = 2 };
    uint64_t offset = cn_reader_offset(&v->reader);
    struct cn_type_list payload = {NULL, 0}, label;
    cn_valtype exception = cn_ref_abstract(CN_HEAP_EXN, false);
    uint8_t kind;

    CN_TRY(cn_read_u8(&v->reader, &kind));
    if (kind > 3)
        return cn_fail(v->reader.error, CN_MALFORMED, offset,
                       "malformed catch clause: expected 0 to 3, found 0x%02x", kind);
    if (!(kind & IS_ALL))
        CN_TRY(read_tag(v, &payload));
    CN_TRY(cn_read_label(v, &label));
    bool fits = label.count == payload.count + (kind & HAS_REF);
    for (uint32_t i = 0; fits && i < payload.count; i++)
        fits = cn_type_fits(v, payload.types[i], label.types[i]);
    if (fits && (kind & HAS_REF))
        fits = cn_type_fits(v, exception, label.types[payload.count]);
    if (fits)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: a catch clause of %s hands over other values "
                     "than its label takes", rule->text);
}

CN_CHECK(try_table)
{
    struct cn_block_type type;
    uint32_t count;

    CN_TRY(read_block_type(v, &type));
    CN_TRY(cn_pop_all(v, cn_block_params(&type), rule->text));
    CN_TRY(cn_read_count(&v->reader, UINT32_MAX, 2, "catch clauses", &count));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(check_clause(v, rule));
    CN_TRY(cn_open_frame(v, CN_WASM_TRY_TABLE, type));
    return cn_push_all(v, cn_block_params(&type));
}

CN_CHECK(catch)
{
    struct cn_type_list payload;

    (void)rule;
    if (cn_top_frame(v)->op != CN_WASM_TRY && cn_top_frame(v)->op != CN_WASM_CATCH)
        return cn_reject(v, CN_MALFORMED, "END opcode expected: catch without try");
    CN_TRY(next_part(v, CN_WASM_CATCH));
    CN_TRY(read_tag(v, &payload));
    return cn_push_all(v, payload);
}

CN_CHECK(catch_all)
{
    (void)rule;
    if (cn_top_frame(v)->op != CN_WASM_TRY && cn_top_frame(v)->op != CN_WASM_CATCH)
        return cn_reject(v, CN_MALFORMED, "END opcode expected: catch_all without try");
    return next_part(v, CN_WASM_CATCH_ALL);
}

CN_CHECK(delegate)
{
    const struct cn_block_frame *frame;

    (void)rule;
    if (cn_top_frame(v)->op != CN_WASM_TRY)
        return cn_reject(v, CN_MALFORMED, "END opcode expected: delegate without try");
    CN_TRY(close_block(v));
    return read_depth(v, &frame);
}

CN_CHECK(rethrow)
{
    const struct cn_block_frame *frame;

    (void)rule;
    CN_TRY(read_depth(v, &frame));
    if (frame->op != CN_WASM_CATCH && frame->op != CN_WASM_CATCH_ALL)
        return cn_reject(v, CN_INVALID, "invalid rethrow label: the block is not a catch");
    cn_become_dead(v);
    return CN_OK;
}
