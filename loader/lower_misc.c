/* Locals, globals, constants, references, and what works on whole memories and tables. */
#include "core/bytes.h"
#include "loader/ir.h"

void cn_lower_nop(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)t;
    (void)how;
}

/* The value is computed all the same, because computing it may trap; a plain copy is not made. */
void cn_lower_drop(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_pop(t);
}

void cn_lower_local_get(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_get_local(t, cn_code_local(t));
}

void cn_lower_local_set(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_set_local(t, cn_code_local(t), false);
}

void cn_lower_local_tee(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_set_local(t, cn_code_local(t), true);
}

void cn_lower_global_get(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t global = cn_code_u32(t);
    uint8_t type = cn_valtype_code(t->module->globals[global].type.type);
    struct cn_ir *ir = cn_emit(t, type == CN_V128 ? CN_INSN_GLOBAL_GET_V128 : CN_INSN_GLOBAL_GET);

    (void)how;
    ir->x[0] = global;
    cn_push_result(t, ir, type);
}

void cn_lower_global_set(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t global = cn_code_u32(t);
    struct cn_value value = cn_pop(t);

    (void)how;
    value = cn_as_operand(t, value, value.type == CN_I32 || value.type == CN_I64);
    struct cn_ir *ir =
        cn_emit(t, value.type == CN_V128 ? CN_INSN_GLOBAL_SET_V128 : CN_INSN_GLOBAL_SET);
    cn_set_operand(ir, 0, &value);
    ir->x[0] = global;
}

void cn_lower_const(struct cn_translator *t, const struct cn_lowering *how)
{
    uint64_t bits;

    if (how->type == CN_F32) {
        bits = cn_load_u32(t->at);
        t->at += 4;
    } else if (how->type == CN_F64) {
        bits = cn_load_u64(t->at);
        t->at += 8;
    } else {
        bits = (uint64_t)cn_code_s64(t);
    }
    cn_push_const(t, how->type, bits);
}

void cn_lower_ref_null(struct cn_translator *t, const struct cn_lowering *how)
{
    uint8_t type = cn_code_heaptype(t);
    struct cn_ir *ir = cn_emit(t, CN_INSN_REF_NULL);

    (void)how;
    ir->x[0] = type;
    cn_push_result(t, ir, type);
}

void cn_lower_ref_func(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = cn_emit(t, CN_INSN_REF_FUNC);

    (void)how;
    ir->x[0] = cn_code_u32(t);
    cn_push_result(t, ir, CN_HEAP_FUNC);
}

static uint8_t index_type(bool is_64)
{
    return is_64 ? CN_I64 : CN_I32;
}

/* memory.size, table.size */
void cn_lower_size(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = cn_emit(t, how->insn);
    uint32_t index = cn_code_u32(t);
    bool is_64 = how->insn == CN_INSN_TABLE_SIZE ? t->module->tables[index].type.is_64
                                                 : t->module->memories[index].is_64;

    ir->x[0] = index;
    cn_push_result(t, ir, index_type(is_64));
}

struct cn_value cn_pop_slot(struct cn_translator *t)
{
    if (t->stack[t->stack_count - 1].kind != CN_VALUE_LOCAL)
        cn_settle(t, t->stack_count - 1);
    return cn_pop(t);
}

void cn_lower_memory_grow(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t memory = cn_code_u32(t);
    struct cn_value pages = cn_pop_slot(t);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &pages);
    ir->x[0] = memory;
    cn_push_result(t, ir, index_type(t->module->memories[memory].is_64));
}

/* Bulk operations: three operands in their homes, and one or two indices. The binary format has
 * the segment before the memory or table, the instruction the other way round. */
void cn_lower_bulk(struct cn_translator *t, const struct cn_lowering *how)
{
    bool is_fill = how->insn == CN_INSN_MEMORY_FILL || how->insn == CN_INSN_TABLE_FILL;
    bool is_init = how->insn == CN_INSN_MEMORY_INIT || how->insn == CN_INSN_TABLE_INIT;
    uint32_t first = cn_code_u32(t);
    uint32_t second = is_fill ? 0 : cn_code_u32(t);

    cn_settle_from(t, t->stack_count - 3);
    cn_truncate(t, t->stack_count - 3);
    struct cn_ir *ir = cn_emit(t, how->insn);
    ir->y[0] = cn_home(t, t->stack_count);
    ir->x[0] = is_init ? second : first;
    ir->x[1] = is_init ? first : second;
}

/* data.drop, elem.drop */
void cn_lower_drop_segment(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = cn_emit(t, how->insn);

    ir->x[0] = cn_code_u32(t);
}

void cn_lower_table_get(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t table = cn_code_u32(t);
    struct cn_value index = cn_pop_slot(t);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &index);
    ir->x[0] = table;
    cn_push_result(t, ir, cn_valtype_code(t->module->tables[table].type.element));
}

void cn_lower_table_set(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t table = cn_code_u32(t);
    struct cn_value value = cn_pop_slot(t);
    struct cn_value index = cn_pop_slot(t);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &index);
    cn_set_operand(ir, 1, &value);
    ir->x[0] = table;
}

void cn_lower_table_grow(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t table = cn_code_u32(t);
    struct cn_value count = cn_pop_slot(t);
    struct cn_value value = cn_pop_slot(t);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &value);
    cn_set_operand(ir, 1, &count);
    ir->x[0] = table;
    cn_push_result(t, ir, index_type(t->module->tables[table].type.is_64));
}
