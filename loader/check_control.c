/* Typing of blocks, branches and calls. */
#include <string.h>

#include "core/limits.h"
#include "core/wasm.h"
#include "loader/validate.h"

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

/* A block's type: one byte for none or a result, or the index of a function type. */
static enum cn_status read_block_type(struct cn_validator *v, const struct cn_sig **sig)
{
    struct cn_reader *reader = &v->reader;
    uint64_t offset = cn_reader_offset(reader);
    int64_t index;

    if (reader->at < reader->end && (*reader->at & 0xc0) == 0x40) {
        uint8_t byte = *reader->at++;
        const struct cn_sig *found = cn_sig_of_result(byte == 0x40 ? CN_TYPE_ANY : byte);
        if (found == NULL)
            return cn_fail(reader->error, CN_MALFORMED, offset,
                           "malformed block type: found 0x%02x%s", byte,
                           byte == CN_V128 ? " (SIMD is not supported yet)" : "");
        *sig = found;
        return CN_OK;
    }
    CN_TRY(cn_read_s33(reader, &index));
    if (index < 0)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed block type: expected the index of a type, found %lld",
                       (long long)index);
    if (index >= v->module->type_count)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %lld: the module has %u types", (long long)index,
                       v->module->type_count);
    *sig = &v->sigs[index];
    return CN_OK;
}

static enum cn_status open_block(struct cn_validator *v, const struct cn_op_rule *rule, uint8_t op)
{
    const struct cn_sig *sig = NULL;

    CN_TRY(read_block_type(v, &sig));
    if (op == CN_WASM_IF)
        CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_all(v, sig->params, sig->param_count, rule->text));
    CN_TRY(cn_open_frame(v, op, sig));
    return cn_push_all(v, sig->params, sig->param_count);
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

/* The results of the innermost block are on the stack, and nothing else. */
static enum cn_status take_results(struct cn_validator *v)
{
    const struct cn_block_frame *frame = cn_top_frame(v);

    CN_TRY(cn_pop_all(v, frame->sig->results, frame->sig->result_count, frame_text(frame)));
    if (v->sp != v->floor)
        return cn_reject(v, CN_INVALID, "type mismatch: %s expects %u values, found %zu more "
                         "on the stack", frame_text(frame), frame->sig->result_count,
                         (size_t)(v->sp - v->floor));
    return CN_OK;
}

CN_CHECK(else)
{
    struct cn_block_frame *frame = cn_top_frame(v);

    (void)rule;
    if (frame->op != CN_WASM_IF)
        return cn_reject(v, CN_MALFORMED, "END opcode expected: else without if");
    CN_TRY(take_results(v));
    frame->op = CN_WASM_ELSE;
    frame->is_unreachable = false;
    return cn_push_all(v, frame->sig->params, frame->sig->param_count);
}

CN_CHECK(end)
{
    const struct cn_block_frame *frame = cn_top_frame(v);
    const struct cn_sig *sig = frame->sig;

    (void)rule;
    if (frame->op == CN_WASM_IF &&
        (sig->param_count != sig->result_count ||
         (sig->param_count > 0 && memcmp(sig->params, sig->results, sig->param_count) != 0)))
        return cn_reject(v, CN_INVALID, "type mismatch: an if without else expects results "
                         "equal to its parameters, found %u parameters and %u results",
                         sig->param_count, sig->result_count);
    CN_TRY(take_results(v));
    v->frame_count--;
    v->floor = v->stack + (v->frame_count ? cn_top_frame(v)->height : 0);
    return cn_push_all(v, sig->results, sig->result_count);
}

/* What a branch to a block hands over. */
struct label {
    const uint8_t *types;
    uint32_t count;
};

static enum cn_status read_label(struct cn_validator *v, struct label *label)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t depth;

    CN_TRY(cn_read_u32(&v->reader, &depth));
    if (depth >= v->frame_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown label %u: %u blocks are open here", depth, v->frame_count);
    const struct cn_block_frame *frame = &v->frames[v->frame_count - 1 - depth];
    const struct cn_sig *sig = frame->sig;
    *label = frame->op == CN_WASM_LOOP ? (struct label){sig->params, sig->param_count}
                                       : (struct label){sig->results, sig->result_count};
    return CN_OK;
}

CN_CHECK(br)
{
    struct label label;

    CN_TRY(read_label(v, &label));
    CN_TRY(cn_peek_all(v, label.types, label.count, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(br_if)
{
    struct label label;

    CN_TRY(read_label(v, &label));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    if (label.count == 0)
        return CN_OK;
    CN_TRY(cn_pop_all(v, label.types, label.count, rule->text));
    return cn_push_all(v, label.types, label.count);
}

CN_CHECK(br_table)
{
    struct label label, last = {NULL, 0};
    uint32_t count;

    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_read_count(&v->reader, CN_LIMIT_BRANCH_TARGETS, 1, "targets of br_table",
                         &count));
    for (uint32_t i = 0; i <= count; i++) {
        CN_TRY(read_label(v, &label));
        if (i > 0 && label.count != last.count)
            return cn_reject(v, CN_INVALID, "type mismatch: br_table expects the same number "
                             "of values for each target, found %u and %u", last.count,
                             label.count);
        if (i == 0 || label.types != last.types)
            CN_TRY(cn_peek_all(v, label.types, label.count, rule->text));
        last = label;
    }
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(return)
{
    CN_TRY(cn_peek_all(v, v->sig->results, v->sig->result_count, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

static enum cn_status read_callee(struct cn_validator *v, const struct cn_sig **sig)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t index;

    CN_TRY(cn_read_u32(&v->reader, &index));
    if (index >= v->module->func_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown function %u: the module has %u functions", index,
                       v->module->func_count);
    *sig = &v->sigs[v->module->funcs[index].type];
    return CN_OK;
}

/* Type and table of an indirect call, and the index that it takes from the stack. */
static enum cn_status read_indirect(struct cn_validator *v, const struct cn_op_rule *rule,
                                    const struct cn_sig **sig)
{
    const struct cn_module *module = v->module;
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t type, table;

    CN_TRY(cn_read_u32(&v->reader, &type));
    CN_TRY(cn_read_u32(&v->reader, &table));
    if (table >= module->table_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown table %u: the module has %u tables", table,
                       module->table_count);
    if (module->tables[table].type.element != CN_FUNCREF)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "type mismatch: %s expects a table of funcref, found %s", rule->text,
                       cn_valtype_name(module->tables[table].type.element));
    if (type >= module->type_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown type %u: the module has %u types", type, module->type_count);
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    *sig = &v->sigs[type];
    return CN_OK;
}

static enum cn_status check_tail(struct cn_validator *v, const struct cn_op_rule *rule,
                                 const struct cn_sig *sig)
{
    uint32_t count = v->sig->result_count;

    if (sig->result_count != count ||
        (count > 0 && memcmp(sig->results, v->sig->results, count) != 0))
        return cn_reject(v, CN_INVALID, "type mismatch: %s expects a callee with the results "
                         "of the caller, found other ones", rule->text);
    CN_TRY(cn_pop_all(v, sig->params, sig->param_count, rule->text));
    cn_become_dead(v);
    return CN_OK;
}

CN_CHECK(call)
{
    const struct cn_sig *sig;

    CN_TRY(read_callee(v, &sig));
    CN_TRY(cn_pop_all(v, sig->params, sig->param_count, rule->text));
    return cn_push_all(v, sig->results, sig->result_count);
}

CN_CHECK(call_indirect)
{
    const struct cn_sig *sig;

    CN_TRY(read_indirect(v, rule, &sig));
    CN_TRY(cn_pop_all(v, sig->params, sig->param_count, rule->text));
    return cn_push_all(v, sig->results, sig->result_count);
}

CN_CHECK(return_call)
{
    const struct cn_sig *sig;

    CN_TRY(read_callee(v, &sig));
    return check_tail(v, rule, sig);
}

CN_CHECK(return_call_indirect)
{
    const struct cn_sig *sig;

    CN_TRY(read_indirect(v, rule, &sig));
    return check_tail(v, rule, sig);
}
