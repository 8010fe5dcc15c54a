/* Faults in how operators are lowered: what the files of the translator call in one another. */
#include "tests/mutants/fault.h"

/* The function that the translator means, and the one that it gets. */
#define SEAM(result, name, ...)                                                                    \
    result __real_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__)

static uint8_t other_kind(uint8_t type)
{
    switch (type) {
    case CN_I32:
        return CN_HEAP_ANY;
    case CN_I64:
        return CN_F64;
    case CN_F64:
        return CN_I64;
    case CN_HEAP_FUNC:
        return CN_HEAP_EXTERN;
    default:
        return CN_I32;
    }
}

SEAM(void, cn_settle, struct cn_translator *t, uint32_t position)
{
    if (!fault_strikes(FAULT_SETTLE))
        __real_cn_settle(t, position);
}

SEAM(void, cn_settle_from, struct cn_translator *t, uint32_t from)
{
    if (!fault_strikes(FAULT_SETTLE_FROM))
        __real_cn_settle_from(t, from);
}

SEAM(void, cn_settle_all, struct cn_translator *t)
{
    if (!fault_strikes(FAULT_SETTLE_ALL))
        __real_cn_settle_all(t);
}

SEAM(void, cn_carry_values, struct cn_translator *t, const struct cn_block *target)
{
    if (!fault_strikes(FAULT_CARRY))
        __real_cn_carry_values(t, target);
}

SEAM(bool, cn_is_label_in_place, const struct cn_translator *t, uint32_t depth)
{
    return __real_cn_is_label_in_place(t, depth) || fault_strikes(FAULT_CARRY_PLACE);
}

SEAM(void, cn_leave_entry, struct cn_translator *t)
{
    if (t->in_entry && fault_strikes(FAULT_LEAVE_ENTRY))
        t->in_entry = false;
    __real_cn_leave_entry(t);
}

SEAM(void, cn_place_label, struct cn_translator *t, uint32_t label, uint32_t height)
{
    bool is_lower = height > 0 && fault_strikes(FAULT_LABEL_LOWER);

    __real_cn_place_label(t, label, height - is_lower);
    if (fault_strikes(FAULT_LABEL_HIGHER))
        t->labels[label].live++;
}

SEAM(uint32_t, cn_new_label, struct cn_translator *t)
{
    if (t->label_count > 1 && fault_strikes(FAULT_LABEL_SHARED))
        return t->label_count - 1;
    return __real_cn_new_label(t);
}

SEAM(void, cn_push_home, struct cn_translator *t, uint8_t type)
{
    __real_cn_push_home(t, fault_strikes(FAULT_HOME_KIND) ? other_kind(type) : type);
}

SEAM(void, cn_push_result, struct cn_translator *t, struct cn_ir *ir, uint8_t type)
{
    __real_cn_push_result(t, ir, fault_strikes(FAULT_RESULT_KIND) ? other_kind(type) : type);
}

SEAM(uint16_t, cn_local_slot, const struct cn_translator *t, uint32_t local)
{
    return (uint16_t)(__real_cn_local_slot(t, local) + fault_strikes(FAULT_LOCAL_SLOT));
}

SEAM(void, cn_get_local, struct cn_translator *t, uint32_t local)
{
    if (t->local_count > 1 && fault_strikes(FAULT_LOCAL_GET))
        local = local > 0 ? local - 1 : 1;
    __real_cn_get_local(t, local);
}

SEAM(void, cn_set_local, struct cn_translator *t, uint32_t local, bool tee)
{
    if (t->local_count > 1 && fault_strikes(FAULT_LOCAL_SET))
        local = local > 0 ? local - 1 : 1;
    __real_cn_set_local(t, local, tee);
}

SEAM(void, cn_push_const, struct cn_translator *t, uint8_t type, uint64_t bits)
{
    __real_cn_push_const(t, type, fault_strikes(FAULT_CONSTANT) ? bits + 1 : bits);
}

SEAM(bool, cn_fits_immediate, const struct cn_value *value)
{
    return __real_cn_fits_immediate(value) || fault_strikes(FAULT_NARROW);
}

SEAM(void, cn_need_slots, struct cn_translator *t, uint64_t slots)
{
    if (!fault_strikes(FAULT_NEED_SLOTS))
        __real_cn_need_slots(t, slots);
}

uint32_t fault_next_row(uint32_t insn)
{
    const struct cn_insn_info *old = &cn_insn_infos[insn];

    for (uint32_t i = 1; i < CN_INSN_COUNT; i++) {
        uint32_t number = (insn + i) % CN_INSN_COUNT;
        const struct cn_insn_info *info = &cn_insn_infos[number];
        const struct cn_variant_info *a = &cn_variant_infos[old->first_variant];
        const struct cn_variant_info *b = &cn_variant_infos[info->first_variant];
        if (info->operand_count == old->operand_count && info->result == old->result &&
            !((info->traits ^ old->traits) & (CN_INSN_IS_BRANCH | CN_INSN_IS_CALL |
                                              CN_INSN_IS_RETURN | CN_INSN_IS_END)) &&
            a->field_count == b->field_count && a->size == b->size)
            return number;
    }
    return insn;
}

SEAM(struct cn_ir *, cn_emit, struct cn_translator *t, uint32_t insn)
{
    if (insn < CN_INSN_COUNT && fault_strikes(FAULT_ROW))
        insn = fault_next_row(insn);
    return __real_cn_emit(t, insn);
}

SEAM(struct cn_ir *, cn_emit_branch, struct cn_translator *t, uint32_t insn, uint32_t label)
{
    return __real_cn_emit_branch(t, insn, label > 0 && fault_strikes(FAULT_BRANCH_LABEL) ? label - 1
                                                                                         : label);
}

SEAM(void, cn_emit_branch_if, struct cn_translator *t, struct cn_value condition, bool sense,
     uint32_t label)
{
    __real_cn_emit_branch_if(t, condition, sense != fault_strikes(FAULT_BRANCH_SENSE), label);
}

SEAM(void, cn_set_operand, struct cn_ir *ir, int i, const struct cn_value *value)
{
    struct cn_value moved = *value;

    if (value->kind != CN_VALUE_CONST && fault_strikes(FAULT_OPERAND_SLOT))
        moved.slot++;
    if (cn_insn_infos[ir->insn].operand_count > 1 && fault_strikes(FAULT_OPERANDS))
        i = i > 0 ? i - 1 : 1;
    __real_cn_set_operand(ir, i, &moved);
}

SEAM(struct cn_ir *, cn_fusible, struct cn_translator *t, const struct cn_value *value)
{
    struct cn_ir *ir = __real_cn_fusible(t, value);

    if (ir != NULL || value->kind != CN_VALUE_TEMP || value->def < 0)
        return ir;
    ir = &t->ir[value->def];
    if ((ir->flags & CN_IR_DEAD) || !fault_strikes(FAULT_FUSE))
        return NULL;
    return ir;
}

SEAM(struct cn_ir, cn_take, struct cn_translator *t, struct cn_ir *ir)
{
    struct cn_ir taken = *ir;

    if (fault_strikes(FAULT_TAKE_TWICE))
        return taken;
    if (fault_strikes(FAULT_TAKE_FREE))
        ir->weight = 0;
    return __real_cn_take(t, ir);
}

SEAM(uint16_t, cn_pop_arguments, struct cn_translator *t, const struct cn_functype *type)
{
    uint32_t frame = t->frame;
    uint16_t window = __real_cn_pop_arguments(t, type);

    if (t->frame > frame && fault_strikes(FAULT_WINDOW_ROOM))
        t->frame = frame;
    return (uint16_t)(window + fault_strikes(FAULT_WINDOW));
}

SEAM(void, cn_push_results, struct cn_translator *t, struct cn_ir *call,
     const struct cn_functype *type)
{
    if (!fault_strikes(FAULT_RESULTS)) {
        __real_cn_push_results(t, call, type);
        return;
    }
    for (uint32_t i = 0; i < type->result_slots; i++)
        __real_cn_push_home(t, other_kind(cn_valtype_code(cn_functype_results(type)[0])));
}

SEAM(void, cn_set_far, struct cn_ir *ir, const struct cn_place *place)
{
    __real_cn_set_far(ir, place);
    ir->x[2] += fault_strikes(FAULT_FAR_MEMORY);
    if (place->memory > 0 && fault_strikes(FAULT_NEAR_MEMORY))
        ir->x[2] = 0;
}

SEAM(bool, cn_is_i32_local, const struct cn_translator *t, uint16_t slot)
{
    return __real_cn_is_i32_local(t, slot) != fault_strikes(FAULT_I32_LOCAL);
}

SEAM(void, cn_end_try, struct cn_translator *t, struct cn_block *block)
{
    bool is_try = block->opcode == CN_WASM_TRY_TABLE || block->opcode == CN_WASM_CATCH ||
                  block->opcode == CN_WASM_CATCH_ALL;

    if (!is_try || !fault_strikes(FAULT_END_TRY))
        __real_cn_end_try(t, block);
}

SEAM(void, cn_emit_pads, struct cn_translator *t)
{
    if (t->pad_count == 0 || !fault_strikes(FAULT_PADS))
        __real_cn_emit_pads(t);
}

SEAM(void, cn_become_unreachable, struct cn_translator *t)
{
    if (!fault_strikes(FAULT_UNREACHABLE))
        __real_cn_become_unreachable(t);
}

SEAM(void, cn_allocate_accumulators, struct cn_translator *t)
{
    fault_spoil_ir(t);
    __real_cn_allocate_accumulators(t);
    if (t->status == CN_OK)
        fault_spoil_forms(t);
}

SEAM(void, cn_encode, struct cn_translator *t, uint32_t func, struct cn_code *code)
{
    __real_cn_encode(t, func, code);
    if (t->status == CN_OK)
        fault_spoil_code(t, code);
}
