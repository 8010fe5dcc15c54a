/* Vectors: a v128 takes two positions of the operand stack and two slots. */
#include "core/bytes.h"
#include "loader/ir.h"

uint32_t cn_vector_constant(const struct cn_translator *t, uint64_t low, uint64_t high)
{
    uint32_t i = 0;

    while (i < t->constant_count &&
           (t->constant_bits[i][0] != low || t->constant_bits[i][1] != high))
        i++;
    return i;
}

void cn_lower_v128_const(struct cn_translator *t, const struct cn_lowering *how)
{
    uint64_t low = cn_load_u64(t->at), high = cn_load_u64(t->at + 8);
    uint32_t constant = cn_vector_constant(t, low, high);

    t->at += 16;
    if (constant < t->constant_count) {
        cn_get_local(t, t->constants + 2 * constant);
        return;
    }
    struct cn_ir *ir = cn_emit(t, how->insn);
    ir->wide[0] = low;
    ir->wide[1] = high;
    cn_push_result(t, ir, how->result);
}

/* ------------------------------------------------------------------ arithmetic */

/* A product, sum or difference and what it is added to, subtracted from or compared with, in one
 * instruction: the second half need not wait until a slot has been written and read. Both halves
 * are rounded. */
static const struct {
    uint16_t outer, inner, left, right; /* by the side on which the product stands; 0: none */
} products[] = {
    {CN_INSN_F32X4_ADD, CN_INSN_F32X4_MUL_LOAD, CN_INSN_F32X4_MUL_ADD_LOAD,
     CN_INSN_F32X4_MUL_ADD_LOAD},
    {CN_INSN_F64X2_ADD, CN_INSN_F64X2_MUL_LOAD, CN_INSN_F64X2_MUL_ADD_LOAD,
     CN_INSN_F64X2_MUL_ADD_LOAD},
    {CN_INSN_F32X4_ADD, CN_INSN_F32X4_MUL, CN_INSN_F32X4_MUL_ADD, CN_INSN_F32X4_MUL_ADD},
    {CN_INSN_F32X4_SUB, CN_INSN_F32X4_MUL, 0, CN_INSN_F32X4_SUB_MUL},
    {CN_INSN_F64X2_ADD, CN_INSN_F64X2_MUL, CN_INSN_F64X2_MUL_ADD, CN_INSN_F64X2_MUL_ADD},
    {CN_INSN_F64X2_SUB, CN_INSN_F64X2_MUL, 0, CN_INSN_F64X2_SUB_MUL},
    {CN_INSN_F32X4_ADD, CN_INSN_F32X4_ADD, CN_INSN_F32X4_ADD_ADD, CN_INSN_F32X4_ADD_ADD},
    {CN_INSN_F32X4_ADD, CN_INSN_F32X4_SUB, CN_INSN_F32X4_SUB_ADD, CN_INSN_F32X4_SUB_ADD},
    {CN_INSN_F64X2_ADD, CN_INSN_F64X2_ADD, CN_INSN_F64X2_ADD_ADD, CN_INSN_F64X2_ADD_ADD},
    {CN_INSN_F64X2_ADD, CN_INSN_F64X2_SUB, CN_INSN_F64X2_SUB_ADD, CN_INSN_F64X2_SUB_ADD},
    {CN_INSN_F32X4_LT, CN_INSN_F32X4_ADD, CN_INSN_F32X4_ADD_LT, 0},
    {CN_INSN_F64X2_LT, CN_INSN_F64X2_ADD, CN_INSN_F64X2_ADD_LT, 0},
};

static bool is_load(const struct cn_ir *ir)
{
    return cn_insn_infos[ir->insn].traits & CN_INSN_IS_LOAD;
}

/* The operator of an instruction that loads comes later than the load: what trapped there traps
 * here, with so many more operators behind it. */
static void note_late(const struct cn_translator *t, struct cn_ir *ir, const struct cn_ir *taken)
{
    ir->late = taken->late + t->ordinal - taken->ordinal;
}

static struct cn_ir *fuse_product(struct cn_translator *t, uint32_t insn,
                                  const struct cn_value *values)
{
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        for (int side = 0; side < 2 && products[i].outer == insn; side++) {
            uint32_t fused = side ? products[i].right : products[i].left;
            struct cn_ir *inner = fused ? cn_fusible(t, &values[side]) : NULL;
            if (inner == NULL || inner->insn != products[i].inner ||
                (is_load(inner) && inner->forms[3] != CN_I))
                continue;
            const struct cn_ir taken = cn_take(t, inner);
            struct cn_ir *ir = cn_emit(t, fused);
            ir->s[0] = taken.s[0];
            ir->s[1] = taken.s[1];
            cn_set_operand(ir, 2, &values[1 - side]);
            ir->x[0] = taken.x[0];
            ir->x[1] = (uint32_t)taken.imm[2];
            if (is_load(&taken))
                note_late(t, ir, &taken);
            return ir;
        }
    }
    return NULL;
}

/* An operator whose right operand, or either where it may change places, is loaded. */
static const struct {
    uint16_t outer, fused;
    bool either_side;
} loaded[] = {
    {CN_INSN_F32X4_ADD, CN_INSN_F32X4_ADD_LOAD, true},
    {CN_INSN_F32X4_SUB, CN_INSN_F32X4_SUB_LOAD, false},
    {CN_INSN_F32X4_MUL, CN_INSN_F32X4_MUL_LOAD, true},
    {CN_INSN_F64X2_ADD, CN_INSN_F64X2_ADD_LOAD, true},
    {CN_INSN_F64X2_SUB, CN_INSN_F64X2_SUB_LOAD, false},
    {CN_INSN_F64X2_MUL, CN_INSN_F64X2_MUL_LOAD, true},
    {CN_INSN_I8X16_ADD, CN_INSN_I8X16_ADD_LOAD, true},
    {CN_INSN_I8X16_EQ, CN_INSN_I8X16_EQ_LOAD, true},
    {CN_INSN_I16X8_ADD, CN_INSN_I16X8_ADD_LOAD, true},
    {CN_INSN_I32X4_ADD, CN_INSN_I32X4_ADD_LOAD, true},
    {CN_INSN_I64X2_ADD, CN_INSN_I64X2_ADD_LOAD, true},
    {CN_INSN_I16X8_MUL, CN_INSN_I16X8_MUL_LOAD, true},
    {CN_INSN_I32X4_MUL, CN_INSN_I32X4_MUL_LOAD, true},
    {CN_INSN_I32X4_MAX_S, CN_INSN_I32X4_MAX_S_LOAD, true},
    {CN_INSN_I32X4_MIN_S, CN_INSN_I32X4_MIN_S_LOAD, true},
    {CN_INSN_V128_AND, CN_INSN_V128_AND_LOAD, true},
    {CN_INSN_V128_OR, CN_INSN_V128_OR_LOAD, true},
    {CN_INSN_V128_XOR, CN_INSN_V128_XOR_LOAD, true},
};

/* The load that made the value, when its address is a slot with or without a second addend. */
static struct cn_ir *load_of(struct cn_translator *t, const struct cn_value *value)
{
    struct cn_ir *inner = cn_fusible(t, value);

    if (inner == NULL || inner->forms[1] != CN_S)
        return NULL;
    return inner->insn == CN_INSN_LOAD_V128 || inner->insn == CN_INSN_LOAD_V128_2 ? inner : NULL;
}

static struct cn_ir *fuse_load(struct cn_translator *t, uint32_t insn,
                               const struct cn_value *values)
{
    for (size_t i = 0; i < sizeof loaded / sizeof loaded[0]; i++) {
        if (loaded[i].outer != insn)
            continue;
        int side = 1;
        struct cn_ir *inner = load_of(t, &values[side]);
        if (inner == NULL && loaded[i].either_side)
            inner = load_of(t, &values[side = 0]);
        if (inner == NULL)
            return NULL;
        const struct cn_ir taken = cn_take(t, inner);
        bool has_two = taken.insn == CN_INSN_LOAD_V128_2;
        struct cn_ir *ir = cn_emit(t, loaded[i].fused);
        cn_set_operand(ir, 0, &values[1 - side]);
        ir->s[1] = taken.s[0];
        ir->forms[3] = has_two ? taken.forms[2] : CN_I;
        ir->s[2] = taken.s[1];
        ir->imm[2] = has_two ? taken.imm[1] : 0;
        ir->x[0] = taken.x[0];
        note_late(t, ir, &taken);
        return ir;
    }
    return NULL;
}

/* Pops the operands and appends the instruction. */
static struct cn_ir *emit_vector(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_insn_info *info = &cn_insn_infos[how->insn];
    struct cn_value values[3];

    for (int i = info->operand_count; i-- > 0;)
        values[i] = cn_pop_operand(t, info->operand_forms[i] & (1 << CN_I));
    if (how->swap) {
        struct cn_value swapped = values[0];
        values[0] = values[1];
        values[1] = swapped;
    }
    struct cn_ir *ir = fuse_load(t, how->insn, values);
    if (ir == NULL)
        ir = fuse_product(t, how->insn, values);
    if (ir != NULL)
        return ir;
    ir = cn_emit(t, how->insn);
    for (int i = 0; i < info->operand_count; i++)
        cn_set_operand(ir, i, &values[i]);
    return ir;
}

void cn_lower_vector(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = emit_vector(t, how);

    cn_push_result(t, ir, how->result);
}

void cn_lower_shuffle(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = emit_vector(t, how);

    ir->wide[0] = cn_load_u64(t->at);
    ir->wide[1] = cn_load_u64(t->at + 8);
    t->at += 16;
    cn_push_result(t, ir, how->result);
}

/* ------------------------------------------------------------------ lanes */

void cn_lower_replace_lane(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = emit_vector(t, how);

    ir->x[0] = *t->at++;
    cn_push_result(t, ir, how->result);
}

static uint32_t lane_bits(uint32_t insn)
{
    switch (insn) {
    case CN_INSN_LANE8_S:
    case CN_INSN_LANE8_U:
    case CN_INSN_STORE8_LANE:
        return 8;
    case CN_INSN_LANE16_S:
    case CN_INSN_LANE16_U:
    case CN_INSN_STORE16_LANE:
        return 16;
    case CN_INSN_LANE_F32:
    case CN_INSN_I64_SHR_U:
    case CN_INSN_STORE32_LANE:
        return 32;
    default:
        return 64;
    }
}

/* A lane is some bits of one of the vector's two slots. */
void cn_lower_extract_lane(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t first_bit = *t->at++ * lane_bits(how->insn);
    uint32_t insn = how->insn == CN_INSN_I64_SHR_U && first_bit % 64 == 0 ? CN_INSN_MOV
                                                                           : how->insn;
    struct cn_value vector = cn_pop(t);
    uint16_t slot = (uint16_t)(vector.slot + first_bit / 64);
    bool is_move = insn == CN_INSN_MOV || insn == CN_INSN_MOV_F64;

    if (is_move && slot == cn_home(t, t->stack_count)) {
        cn_push_home(t, how->result);
        return;
    }
    struct cn_ir *ir = cn_emit(t, insn);
    ir->s[0] = slot;
    if (insn == CN_INSN_I64_SHR_U) {
        ir->forms[2] = CN_I;
        ir->imm[1] = (int32_t)(first_bit % 64);
    } else if (!is_move) {
        ir->x[0] = first_bit % 64;
    }
    cn_push_result(t, ir, how->result);
}

static void set_lane(struct cn_ir *ir, const struct cn_place *place, uint32_t lane)
{
    if (cn_place_is_near(place)) {
        ir->x[0] = (uint32_t)place->offset;
        ir->x[1] = lane;
        return;
    }
    cn_set_far(ir, place);
    ir->x[3] = lane;
}

/* One lane is loaded, the others stay. */
void cn_lower_load_lane(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_place place = cn_code_place(t);
    const bool is_near = cn_place_is_near(&place);
    const struct cn_lowering access = {
        .insn = (uint16_t)(is_near ? how->insn : cn_far_access(how->insn))};
    struct cn_ir *ir = emit_vector(t, &access);

    set_lane(ir, &place, *t->at++);
    cn_push_result(t, ir, how->result);
}

void cn_lower_store_lane(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_place place = cn_code_place(t);
    uint32_t first_bit = *t->at++ * lane_bits(how->insn);
    struct cn_value vector = cn_pop(t);
    struct cn_value address = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, cn_place_is_near(&place) ? how->insn : cn_far_access(how->insn));

    cn_set_operand(ir, 0, &address);
    ir->s[1] = (uint16_t)(vector.slot + first_bit / 64);
    set_lane(ir, &place, first_bit % 64);
}

/* ------------------------------------------------------------------ wide arithmetic */

/* Two numbers become a pair of slots: sums of such pairs, where they stand on the operand stack,
 * or the product of two numbers. */
void cn_lower_wide(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_insn_info *info = &cn_insn_infos[how->insn];
    struct cn_ir *ir;

    if (info->operands[0] == CN_OF_V128) {
        uint32_t first = t->stack_count - 4;
        cn_settle_from(t, first);
        cn_truncate(t, first);
        ir = cn_emit(t, how->insn);
        ir->s[0] = cn_home(t, first);
        ir->s[1] = cn_home(t, first + 2);
    } else {
        struct cn_value b = cn_pop_operand(t, true);
        struct cn_value a = cn_pop_operand(t, b.kind != CN_VALUE_CONST);
        ir = cn_emit(t, how->insn);
        cn_set_operand(ir, 0, &a);
        cn_set_operand(ir, 1, &b);
    }
    ir->d = cn_home(t, t->stack_count);
    ir->result_class = CN_CLASS_PAIR;
    ir->flags |= CN_IR_TEMP | CN_IR_KEEP;
    cn_push_home(t, how->result);
    cn_push_home(t, how->result);
}
