/* Calls and returns. Arguments are settled into their homes, which is where the callee's frame
 * begins: its window. */
#include "loader/ir.h"

uint16_t cn_pop_arguments(struct cn_translator *t, const struct cn_functype *type)
{
    uint32_t first = t->stack_count - type->param_slots;
    uint32_t larger =
        type->param_slots > type->result_slots ? type->param_slots : type->result_slots;

    cn_settle_from(t, first);
    cn_truncate(t, first);
    cn_need_slots(t, (uint64_t)t->temps + first + larger + CN_FRAME_HEADER);
    return cn_home(t, first);
}

void cn_push_results(struct cn_translator *t, struct cn_ir *call, const struct cn_functype *type)
{
    for (uint32_t i = 0; i < type->result_count; i++) {
        uint8_t result = cn_valtype_code(cn_functype_results(type)[i]);
        if (i > 0) {
            cn_push_home(t, result);
            continue;
        }
        cn_push_result(t, call, result);
        call->flags |= CN_IR_KEEP;
    }
}

void cn_lower_call(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t func = cn_code_u32(t);
    const struct cn_functype *type = cn_module_type_of(t->module, func);
    uint16_t window = cn_pop_arguments(t, type);
    bool is_import = func < t->module->imported_func_count;
    struct cn_ir *ir = cn_emit(t, is_import ? CN_INSN_CALL_IMPORT : CN_INSN_CALL);

    (void)how;
    ir->y[0] = window;
    ir->x[0] = func;
    cn_push_results(t, ir, type);
}

void cn_lower_call_indirect(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type_index = cn_code_u32(t);
    uint32_t table = cn_code_u32(t);
    const struct cn_functype *type = cn_module_functype(t->module, type_index);
    struct cn_value index = cn_pop_operand(t, false);
    uint16_t window = cn_pop_arguments(t, type);
    struct cn_ir *ir = cn_emit(t, t->module->tables[table].type.is_64
                                      ? CN_INSN_CALL_INDIRECT_64
                                      : CN_INSN_CALL_INDIRECT);

    (void)how;
    cn_set_operand(ir, 0, &index);
    ir->y[0] = window;
    ir->x[0] = table;
    ir->x[1] = type_index;
    cn_push_results(t, ir, type);
}

void cn_lower_return_call(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t func = cn_code_u32(t);
    const struct cn_functype *type = cn_module_type_of(t->module, func);
    uint16_t window = cn_pop_arguments(t, type);
    bool is_import = func < t->module->imported_func_count;

    (void)how;
    struct cn_ir *ir = cn_emit(t, is_import ? CN_INSN_RETURN_CALL_IMPORT : CN_INSN_RETURN_CALL);
    ir->y[0] = window;
    ir->x[0] = func;
    cn_become_unreachable(t);
}

void cn_lower_return_call_indirect(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type_index = cn_code_u32(t);
    uint32_t table = cn_code_u32(t);
    struct cn_value index = cn_pop_operand(t, false);
    uint16_t window = cn_pop_arguments(t, cn_module_functype(t->module, type_index));

    (void)how;
    struct cn_ir *ir = cn_emit(t, t->module->tables[table].type.is_64
                                      ? CN_INSN_RETURN_CALL_INDIRECT_64
                                      : CN_INSN_RETURN_CALL_INDIRECT);
    cn_set_operand(ir, 0, &index);
    ir->y[0] = window;
    ir->x[0] = table;
    ir->x[1] = type_index;
    cn_become_unreachable(t);
}

static void emit_return_of_one(struct cn_translator *t)
{
    struct cn_value value = t->stack[t->stack_count - 1];
    const bool is_float = value.type == CN_F32 || value.type == CN_F64;

    value = cn_as_operand(t, value, !is_float);
    struct cn_ir *ir = cn_emit(t, value.type == CN_F64   ? CN_INSN_RET1_F64
                                  : value.type == CN_F32 ? CN_INSN_RET1_F32
                                                         : CN_INSN_RET1);
    cn_set_operand(ir, 0, &value);
}

/* Returns the topmost values, which stay on the operand stack. */
void cn_emit_return(struct cn_translator *t)
{
    uint32_t count = t->type->result_slots;

    if (count == 0) {
        cn_emit(t, CN_INSN_RET);
    } else if (count == 1) {
        emit_return_of_one(t);
    } else {
        cn_settle_from(t, t->stack_count - count);
        struct cn_ir *ir = cn_emit(t, CN_INSN_RETN);
        ir->y[0] = cn_home(t, t->stack_count - count);
        ir->y[1] = (uint16_t)count;
    }
}
