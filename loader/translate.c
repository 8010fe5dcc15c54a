#include "loader/translate.h"

#include <string.h>

#include "core/alloc.h"
#include "core/bytes.h"
#include "loader/ir.h"

/* By the operator's place. */
static const struct cn_lowering lowerings[CN_WASM_PLACES] = {
#define LOWER(op, function, insn, type, result, swap)                                              \
    [CN_WASM_PLACE(CN_WASM_##op)] = {cn_lower_##function, insn, type, result, swap},
#include "spec/lower.def"
#undef LOWER
};

const struct cn_lowering *cn_lowering_of(uint32_t op)
{
    const struct cn_lowering *how = &lowerings[CN_WASM_PLACE(op)];

    return how->lower ? how : NULL;
}

/* Operators that are not counted: they have no work of their own. */
static bool is_free(uint32_t op)
{
    return op == CN_WASM_BLOCK || op == CN_WASM_LOOP || op == CN_WASM_END ||
           op == CN_WASM_ELSE || op == CN_WASM_NOP || op == CN_WASM_TRY ||
           op == CN_WASM_TRY_TABLE || op == CN_WASM_CATCH || op == CN_WASM_CATCH_ALL ||
           op == CN_WASM_DELEGATE;
}

enum cn_status cn_translator_new(const struct cn_module *module, struct cn_allocator allocator,
                                 struct cn_translator **result)
{
    struct cn_translator *t = cn_alloc(allocator, sizeof *t);

    if (t == NULL)
        return CN_NO_MEMORY;
    t->module = module;
    t->allocator = allocator;
    *result = t;
    return CN_OK;
}

void cn_translator_free(struct cn_translator *t)
{
    if (t == NULL)
        return;
    struct cn_allocator a = t->allocator;
    cn_free(a, t->ir, t->ir_room * sizeof *t->ir);
    cn_free(a, t->stack, t->stack_room * sizeof *t->stack);
    cn_free(a, t->blocks, t->block_room * sizeof *t->blocks);
    cn_free(a, t->labels, t->label_room * sizeof *t->labels);
    cn_free(a, t->targets, t->target_room * sizeof *t->targets);
    cn_free(a, t->refs, t->ref_room * sizeof *t->refs);
    cn_free(a, t->local_types, t->local_type_room * sizeof *t->local_types);
    cn_free(a, t->local_set, t->local_set_room * sizeof *t->local_set);
    cn_free(a, t->local_uses, t->local_use_room * sizeof *t->local_uses);
    cn_free(a, t->local_places, t->local_place_room * sizeof *t->local_places);
    cn_free(a, t->intervals, t->interval_room * cn_interval_size());
    cn_free(a, t->slot_def, t->slot_def_room * sizeof *t->slot_def);
    cn_free(a, t->slot_region, t->slot_room * sizeof *t->slot_region);
    cn_free(a, t->costs, t->cost_room * sizeof *t->costs);
    cn_free(a, t->bytes, t->byte_room);
    cn_free(a, t->out_labels, t->out_label_room * sizeof *t->out_labels);
    cn_free(a, t->clauses, t->clause_room * sizeof *t->clauses);
    cn_free(a, t->handlers, t->handler_room * sizeof *t->handlers);
    cn_free(a, t->pads, t->pad_room * sizeof *t->pads);
    cn_free(a, t->offsets, t->offset_room * sizeof *t->offsets);
    cn_free(a, t->out_handlers, t->out_handler_room * sizeof *t->out_handlers);
    cn_free(a, t, sizeof *t);
}

/* ------------------------------------------------------------------ a function's beginning */

/* From the first v128 on a local's place is not its number. */
static bool note_places(struct cn_translator *t, uint8_t type, uint32_t count)
{
    uint32_t need = t->local_number + count;
    uint32_t from = t->has_vector_locals ? t->local_number : 0;

    t->has_vector_locals |= type == CN_V128;
    if (t->has_vector_locals) {
        if (!cn_room(t, &t->local_places, &t->local_place_room, need, sizeof *t->local_places))
            return false;
        for (uint32_t i = from; i < need; i++)
            t->local_places[i] = i < t->local_number ? i
                                                     : t->local_count + (i - t->local_number) *
                                                                            cn_valtype_slots(type);
    }
    t->local_number = need;
    return true;
}

static bool add_locals(struct cn_translator *t, uint8_t type, uint32_t count, bool are_set)
{
    uint32_t first = t->local_count;

    if (!note_places(t, type, count))
        return false;
    count *= cn_valtype_slots(type);
    uint32_t need = first + count;

    if (!cn_room(t, &t->local_types, &t->local_type_room, need, sizeof *t->local_types) ||
        !cn_room(t, &t->local_set, &t->local_set_room, need, sizeof *t->local_set) ||
        !cn_room(t, &t->local_uses, &t->local_use_room, need, sizeof *t->local_uses))
        return false;
    memset(t->local_types + first, type, count);
    for (uint32_t i = 1; type == CN_V128 && i < count; i += 2)
        t->local_types[first + i] = 0;
    memset(t->local_set + first, are_set, count);
    memset(t->local_uses + first, 0, count * sizeof *t->local_uses);
    t->local_count = need;
    t->has_refs |= cn_code_is_ref(type);
    return true;
}

static void read_locals(struct cn_translator *t)
{
    const struct cn_functype *type = t->type;

    for (uint32_t i = 0; i < type->param_count; i++)
        if (!add_locals(t, cn_valtype_code(cn_functype_params(type)[i]), 1, true))
            return;
    uint32_t groups = cn_code_u32(t);
    for (uint32_t i = 0; i < groups; i++) {
        uint32_t count = cn_code_u32(t);
        uint8_t local = cn_code_valtype(t);
        if (count > 0 && !add_locals(t, local, count, false))
            return;
    }
}

static uint32_t read_operator(struct cn_translator *t)
{
    uint32_t op = *t->at++;

    return op < 0xfb || op > 0xfe ? op : CN_WASM_PREFIXED(op, cn_code_u32(t));
}

static bool opens_block(uint32_t op)
{
    return op == CN_WASM_BLOCK || op == CN_WASM_LOOP || op == CN_WASM_IF || op == CN_WASM_TRY ||
           op == CN_WASM_TRY_TABLE;
}

static void note_constant(struct cn_translator *t, uint64_t low, uint64_t high)
{
    if (cn_vector_constant(t, low, high) < t->constant_count)
        return;
    t->constant_bits[t->constant_count][0] = low;
    t->constant_bits[t->constant_count++][1] = high;
}

/* Reads over the body of a function that has vector locals, for constants in loops. */
static void find_constants(struct cn_translator *t)
{
    const uint8_t *start = t->at;
    uint32_t depth = 1, loop = 0; /* how deep the outermost loop is */

    t->constants = t->local_count;
    t->constant_count = 0;
    while (t->has_vector_locals && depth > 0 && t->constant_count < CN_VECTOR_CONSTANTS) {
        uint32_t op = read_operator(t);
        if (opens_block(op))
            depth++;
        if (op == CN_WASM_LOOP && loop == 0)
            loop = depth;
        if (op == CN_WASM_END || op == CN_WASM_DELEGATE) {
            loop = depth == loop ? 0 : loop;
            depth--;
        }
        if (op == CN_WASM_V128_CONST && loop > 0)
            note_constant(t, cn_load_u64(t->at), cn_load_u64(t->at + 8));
        cn_skip_immediates(t, op);
    }
    t->at = start;
    if (t->constant_count > 0)
        add_locals(t, CN_V128, t->constant_count, true);
}

static void emit_constants(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->constant_count; i++) {
        struct cn_ir *ir = cn_emit(t, CN_INSN_CONST_V128);
        ir->d = cn_local_slot(t, t->constants + 2 * i);
        ir->wide[0] = t->constant_bits[i][0];
        ir->wide[1] = t->constant_bits[i][1];
        ir->result_class = CN_CLASS_PAIR;
    }
}

/* Reference locals are null at entry; numbers are zeroed by ir[0], whose range is known in the
 * end. */
static void emit_entry(struct cn_translator *t)
{
    cn_emit(t, CN_INSN_ZERO)->flags |= CN_IR_DEAD;
    emit_constants(t);
    if (!t->has_refs)
        return;
    for (uint32_t i = t->type->param_slots; i < t->local_count; i++) {
        if (!cn_code_is_ref(t->local_types[i]))
            continue;
        struct cn_ir *ir = cn_emit(t, CN_INSN_REF_NULL);
        ir->d = cn_local_slot(t, i);
        ir->x[0] = t->local_types[i];
        ir->flags |= CN_IR_REF;
        ir->result_class = CN_CLASS_INT;
        t->local_set[i] = true;
    }
}

static void begin_function(struct cn_translator *t, uint32_t func)
{
    const struct cn_funcdecl *decl = &t->module->funcs[func];
    const struct cn_functype *type = cn_module_functype(t->module, decl->type);

    t->status = CN_OK;
    t->type = type;
    t->body = t->at = decl->body.at;
    t->end = decl->body.at + decl->body.size;
    t->header = type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
    t->frame = t->ordinal = t->pending_weight = t->op_start = t->repeated = 0;
    t->ir_count = t->stack_count = t->settled_count = t->block_count = 0;
    t->label_count = t->target_count = t->ref_count = t->local_count = 0;
    t->clause_count = t->handler_count = t->pad_count = 0;
    t->local_number = 0;
    t->ir_limit = 8 * (uint32_t)decl->body.size + 65536;
    t->stack_refs = t->scan_work = t->last_loop = 0;
    t->local_refs_first = UINT32_MAX;
    t->zero_first = UINT32_MAX;
    t->zero_end = 0;
    t->is_reachable = t->in_entry = true;
    t->has_refs = t->has_vector_locals = false;
    read_locals(t);
    find_constants(t);
    uint64_t temps = (uint64_t)t->header + CN_FRAME_HEADER + t->local_count - type->param_slots;
    cn_need_slots(t, temps);
    t->temps = (uint32_t)temps;
    if (t->status != CN_OK)
        return;
    emit_entry(t);
    cn_open_block(t, CN_WASM_BLOCK, type);
    if (t->status == CN_OK)
        t->blocks[0].height = 0;
}

static void end_function(struct cn_translator *t)
{
    struct cn_ir *zero = &t->ir[0];

    if (t->zero_first >= t->zero_end)
        return;
    zero->flags &= (uint8_t)~CN_IR_DEAD;
    zero->y[0] = (uint16_t)t->zero_first;
    zero->y[1] = (uint16_t)(t->zero_end - t->zero_first);
    if (zero->y[1] > 1)
        return;
    /* One slot is zeroed faster by a move. */
    zero->insn = CN_INSN_MOV;
    zero->forms[1] = CN_I;
    zero->d = zero->y[0];
    zero->result_class = CN_CLASS_INT;
}

/* ------------------------------------------------------------------ operator by operator */

static void refuse_operator(struct cn_translator *t, uint32_t op)
{
    t->status = CN_INVALID;
    t->refused = cn_wasm_infos[CN_WASM_PLACE(op)].text;
}

/* Code that nothing reaches is read over; blocks are still counted. */
static void skip_operator(struct cn_translator *t, uint32_t op)
{
    const struct cn_lowering *how = cn_lowering_of(op);

    if (op == CN_WASM_IF || (is_free(op) && op != CN_WASM_NOP))
        how->lower(t, how);
    else if (how == NULL)
        refuse_operator(t, op);
    else
        cn_skip_immediates(t, op);
}

static void translate_body(struct cn_translator *t)
{
    while (t->block_count > 0 && t->status == CN_OK) {
        t->op_start = (uint32_t)(t->at - t->body);
        uint32_t op = read_operator(t);
        if (CN_UNLIKELY(!t->is_reachable)) {
            skip_operator(t, op);
            continue;
        }
        if (!is_free(op)) {
            t->pending_weight++;
            t->ordinal++;
        }
        const struct cn_lowering *how = &lowerings[CN_WASM_PLACE(op)];
        if (CN_UNLIKELY(how->lower == NULL)) {
            refuse_operator(t, op);
            return;
        }
        how->lower(t, how);
        if (CN_UNLIKELY(t->ir_count > t->ir_limit))
            t->status = CN_TOO_LARGE;
    }
}

enum cn_status cn_translate(struct cn_translator *t, uint32_t func, struct cn_code *code,
                            struct cn_error *error)
{
    begin_function(t, func);
    if (t->status == CN_OK)
        translate_body(t);
    if (t->status == CN_OK) {
        end_function(t);
        cn_allocate_accumulators(t);
    }
    if (t->status == CN_OK)
        cn_encode(t, func, code);
    if (t->status == CN_OK)
        return CN_OK;
    uint64_t at = cn_module_offset(t->module, t->module->funcs[func].body.at);
    if (t->status == CN_TOO_LARGE)
        return cn_fail(error, CN_TOO_LARGE, at,
                       "function %u needs more than %u slots for locals and operands, or far more "
                       "register code than its size allows", func, CN_FRAME_MAX);
    if (t->status == CN_INVALID)
        return cn_fail(error, CN_INVALID, at, "function %u uses %s, which is not supported yet",
                       func, t->refused);
    return cn_fail(error, t->status, at, "no memory left to translate function %u", func);
}

enum cn_status cn_translate_origin(struct cn_translator *t, uint32_t func, uint32_t offset,
                                   struct cn_origin *origin)
{
    struct cn_code code;
    uint32_t at = 0;

    CN_TRY(cn_translate(t, func, &code, NULL));
    for (uint32_t i = 0; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        uint32_t size = cn_encoded_size(t, ir);
        if (size == 0 || offset - at >= size) {
            at += size;
            continue;
        }
        bool ends = cn_is_barrier(ir);
        origin->wasm_offset = cn_module_offset(t->module, t->body) + ir->origin;
        origin->unspent = ir->late + (ends ? 0 : cn_cost_from(t, i + 1));
        return CN_OK;
    }
    return CN_NOT_FOUND;
}
