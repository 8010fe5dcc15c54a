/* Structures and arrays. */
#include "loader/ir.h"

static const struct cn_deftype *type_at(const struct cn_translator *t, uint32_t index)
{
    return &t->module->types[index];
}

/* What a field is on the operand stack. */
static uint8_t code_of_field(cn_valtype type)
{
    return type == CN_I8 || type == CN_I16 ? CN_I32 : cn_valtype_code(type);
}

/* How far behind the first row of gets or sets that of a field stands. */
static uint32_t get_row(cn_valtype type, bool is_signed)
{
    enum { S8, U8, S16, U16, W32, W64, F32, F64, REF, V128 };

    switch (code_of_field(type)) {
    case CN_I32:
        if (type == CN_I8)
            return is_signed ? S8 : U8;
        return type == CN_I16 ? (is_signed ? S16 : U16) : W32;
    case CN_I64:
        return W64;
    case CN_F32:
        return F32;
    case CN_F64:
        return F64;
    case CN_V128:
        return V128;
    default:
        return REF;
    }
}

static uint32_t set_row(cn_valtype type)
{
    static const uint8_t rows[] = {0, 0, 1, 1, 2, 3, 4, 5, 6, 7};

    return rows[get_row(type, false)];
}

/* A value as an operand of a set: integers may be immediates. */
static struct cn_value pop_value(struct cn_translator *t)
{
    struct cn_value value = cn_pop(t);

    return cn_as_operand(t, value, value.type == CN_I32 || value.type == CN_I64);
}

static void push_object(struct cn_translator *t, struct cn_ir *ir)
{
    cn_push_result(t, ir, CN_HEAP_ANY);
}

/* Settles the topmost positions, pops them, and returns the slot of the first. */
static uint16_t pop_homes(struct cn_translator *t, uint32_t count)
{
    uint32_t first = t->stack_count - count;

    cn_settle_from(t, first);
    cn_truncate(t, first);
    return cn_home(t, first);
}

/* ---------------------------------------------------------------- structures */

static uint32_t slots_of_fields(const struct cn_deftype *type)
{
    uint32_t slots = 0;

    for (uint32_t i = 0; i < type->field_count; i++)
        slots += cn_valtype_slots(type->fields[i].type);
    return slots;
}

void cn_lower_struct_new(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t);
    uint16_t first = pop_homes(t, slots_of_fields(type_at(t, index)));
    struct cn_ir *ir = cn_emit(t, how->insn);

    ir->y[0] = first;
    ir->x[0] = index;
    push_object(t, ir);
}

void cn_lower_struct_new_default(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = cn_emit(t, how->insn);

    ir->x[0] = cn_code_u32(t);
    push_object(t, ir);
}

/* how->swap: signed. */
void cn_lower_struct_get(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t), field = cn_code_u32(t);
    cn_valtype type = type_at(t, index)->fields[field].type;
    struct cn_value object = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, CN_INSN_STRUCT_GET8_S + get_row(type, how->swap));

    cn_set_operand(ir, 0, &object);
    ir->x[0] = index;
    ir->x[1] = field;
    cn_push_result(t, ir, code_of_field(type));
}

void cn_lower_struct_set(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t), field = cn_code_u32(t);
    struct cn_value value = pop_value(t);
    struct cn_value object = cn_pop_operand(t, false);
    struct cn_ir *ir =
        cn_emit(t, CN_INSN_STRUCT_SET8 + set_row(type_at(t, index)->fields[field].type));

    (void)how;
    cn_set_operand(ir, 0, &object);
    cn_set_operand(ir, 1, &value);
    ir->x[0] = index;
    ir->x[1] = field;
}

/* ---------------------------------------------------------------- arrays */

static cn_valtype element_at(const struct cn_translator *t, uint32_t index)
{
    return type_at(t, index)->fields[0].type;
}

void cn_lower_array_new_default(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t);
    struct cn_value length = cn_pop_slot(t);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &length);
    ir->x[0] = index;
    push_object(t, ir);
}

void cn_lower_array_new_fixed(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t), count = cn_code_u32(t);
    uint32_t slots = count * cn_valtype_slots(element_at(t, index));
    uint16_t first = pop_homes(t, slots);
    struct cn_ir *ir = cn_emit(t, how->insn);

    ir->y[0] = first;
    ir->y[1] = (uint16_t)slots;
    ir->x[0] = index;
    push_object(t, ir);
}

/* Copies what stands in the home at a position on top of the operand stack. */
static void push_copy(struct cn_translator *t, uint32_t position)
{
    struct cn_value value = t->stack[position];

    struct cn_ir *ir = cn_emit_move(t, cn_home(t, t->stack_count), &value);
    ir->flags |= CN_IR_TEMP | CN_IR_KEEP;
    cn_push_home(t, value.type);
}

static void push_zero(struct cn_translator *t)
{
    cn_push_const(t, CN_I32, 0);
    cn_settle(t, t->stack_count - 1);
}

/* Ends what the next two begin: the new array and what it is to be filled with stand behind its
 * operands; it takes their place. */
static void fill_new(struct cn_translator *t, struct cn_ir *ir, uint32_t array, uint32_t operands)
{
    ir->y[0] = cn_home(t, array);
    cn_truncate(t, array + 1);
    struct cn_value made = t->stack[array];
    cn_truncate(t, operands);
    ir = cn_emit_move(t, cn_home(t, operands), &made);
    ir->flags |= CN_IR_TEMP;
    cn_push_value(t, (struct cn_value){.kind = CN_VALUE_TEMP, .type = made.type,
                                       .slot = cn_home(t, operands),
                                       .def = (int32_t)t->ir_count - 1});
}

/* Makes an array on top of the operand stack; the operands are settled. */
static uint32_t make_array(struct cn_translator *t, struct cn_ir *ir, uint32_t index)
{
    ir->x[0] = index;
    push_object(t, ir);
    cn_settle(t, t->stack_count - 1);
    return t->stack_count - 1;
}

/* An array of nothing, then a fill: which can stop on its way. */
void cn_lower_array_new(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t);
    uint32_t operands = t->stack_count - 1 - cn_valtype_slots(element_at(t, index));

    (void)how;
    cn_settle_from(t, operands);
    uint32_t length = t->stack_count - 1;
    struct cn_ir *ir = cn_emit(t, CN_INSN_ARRAY_NEW_DEFAULT);
    cn_set_operand(ir, 0, &t->stack[length]);
    uint32_t array = make_array(t, ir, index);
    push_zero(t);
    push_copy(t, operands);
    push_copy(t, length);
    ir = cn_emit(t, CN_INSN_ARRAY_FILL);
    ir->x[0] = index;
    fill_new(t, ir, array, operands);
}

/* array.new_data, array.new_elem: the same from a segment. */
void cn_lower_array_new_segment(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t index = cn_code_u32(t), segment = cn_code_u32(t);
    uint32_t operands = t->stack_count - 2;
    bool is_data = how->insn == CN_INSN_ARRAY_NEW_DATA;

    cn_settle_from(t, operands);
    struct cn_ir *ir = cn_emit(t, how->insn);
    cn_set_operand(ir, 0, &t->stack[operands]);
    cn_set_operand(ir, 1, &t->stack[operands + 1]);
    ir->x[1] = segment;
    uint32_t array = make_array(t, ir, index);
    push_zero(t);
    push_copy(t, operands);
    push_copy(t, operands + 1);
    ir = cn_emit(t, is_data ? CN_INSN_ARRAY_INIT_DATA : CN_INSN_ARRAY_INIT_ELEM);
    ir->x[0] = index;
    ir->x[1] = segment;
    fill_new(t, ir, array, operands);
}

/* how->swap: signed. */
void cn_lower_array_get(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type = cn_code_u32(t);
    struct cn_value index = cn_pop_operand(t, true);
    struct cn_value array = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, CN_INSN_ARRAY_GET8_S + get_row(element_at(t, type), how->swap));

    cn_set_operand(ir, 0, &array);
    cn_set_operand(ir, 1, &index);
    ir->x[0] = type;
    cn_push_result(t, ir, code_of_field(element_at(t, type)));
}

void cn_lower_array_set(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type = cn_code_u32(t);
    struct cn_value value = pop_value(t);
    struct cn_value index = cn_pop_operand(t, true);
    struct cn_value array = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, CN_INSN_ARRAY_SET8 + set_row(element_at(t, type)));

    (void)how;
    cn_set_operand(ir, 0, &array);
    cn_set_operand(ir, 1, &index);
    cn_set_operand(ir, 2, &value);
    ir->x[0] = type;
}

/* array.fill, array.copy, array.init_data, array.init_elem: everything in its home. */
void cn_lower_array_bulk(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type = cn_code_u32(t);
    bool is_fill = how->insn == CN_INSN_ARRAY_FILL;
    uint32_t second = is_fill ? 0 : cn_code_u32(t);
    uint32_t count = how->insn == CN_INSN_ARRAY_COPY ? 5 : 4;

    if (is_fill)
        count = 3 + cn_valtype_slots(element_at(t, type));
    uint16_t first = pop_homes(t, count);
    struct cn_ir *ir = cn_emit(t, how->insn);
    ir->y[0] = first;
    ir->x[0] = type;
    ir->x[1] = second;
}
