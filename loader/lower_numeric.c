/* Arithmetic, comparisons, conversions, select: pairs of operators become one instruction where
 * the instruction set has one for them. */
#include "loader/ir.h"

/* How an inner instruction and an outer one become one. */
enum fuse_kind {
    FUSE_SHIFTED,   /* inner(a, constant) OP b         -> (a, b; k) */
    FUSE_CONSTANTS, /* inner(a, constant) OP constant  -> (a; k, m) */
    FUSE_THREE,     /* inner(a, b) OP c                -> (a, b, c) */
    FUSE_LOADED,    /* a OP load(b)                    -> (a, b; offset) */
};

struct fuse_rule {
    uint16_t outer, inner, result;
    uint8_t kind;
    uint8_t type;     /* of the outer operator; 0 for any */
    bool either_side; /* the inner one may be the outer one's left or right operand */
    bool right_only;
    bool k_is_outer;  /* FUSE_CONSTANTS: k is the outer constant, m the inner one */
};

#define SHIFTED(type, outer, inner, result)                                                       \
    {CN_INSN_##outer, CN_INSN_##inner, CN_INSN_##result,                                          \
     FUSE_SHIFTED, type, true, false, false}
#define CONSTANTS(outer, inner, result, outer_k)                                                  \
    {CN_INSN_##outer, CN_INSN_##inner, CN_INSN_##result,                                          \
     FUSE_CONSTANTS, CN_I32, false, false, outer_k}
#define THREE(outer, inner, result)                                                               \
    {CN_INSN_##outer, CN_INSN_##inner, CN_INSN_##result,                                          \
     FUSE_THREE, 0, true, false, false}
#define LOADED(outer, inner, result, type)                                                        \
    {CN_INSN_##outer, CN_INSN_##inner, CN_INSN_##result,                                          \
     FUSE_LOADED, type, true, false, false}
#define LOADED_RIGHT(outer, inner, result, type)                                                  \
    {CN_INSN_##outer, CN_INSN_##inner, CN_INSN_##result,                                          \
     FUSE_LOADED, type, false, true, false}

/* Sorted by outer instruction only in so far as the first match wins. */
static const struct fuse_rule rules[] = {
    SHIFTED(CN_I32, ADD, I32_SHL, I32_SHL_ADD),
    SHIFTED(CN_I32, OR, I32_SHL, I32_SHL_OR),
    SHIFTED(CN_I32, XOR, I32_SHR_U, I32_SHR_U_XOR),
    SHIFTED(CN_I32, XOR, I32_ROTL, I32_ROTL_XOR),
    SHIFTED(CN_I32, ADD, I32_ROTL, I32_ROTL_ADD),
    SHIFTED(CN_I64, ADD, I64_SHL, I64_SHL_ADD),
    SHIFTED(CN_I64, XOR, I64_ROTL, I64_ROTL_XOR),
    SHIFTED(CN_I64, XOR, I64_SHR_U, I64_SHR_U_XOR),
    {CN_INSN_SUB, CN_INSN_I32_SHL, CN_INSN_I32_SHL_SUB, FUSE_SHIFTED, CN_I32, false, true, false},
    CONSTANTS(AND, I32_SHR_U, I32_SHR_U_AND, false),
    CONSTANTS(AND, I32_SHL, I32_SHL_AND, false),
    CONSTANTS(AND, ADD, I32_ADD_AND, false),
    CONSTANTS(I32_SHL, AND, I32_AND_SHL, true),
    CONSTANTS(ADD, MUL, I32_MUL_ADD_K, true),
    CONSTANTS(I32_SHR_S, I32_SHL, I32_SHL_SHR_S, true),
    LOADED(ADD, LOAD32_U, ADD_LOAD32, CN_I32),
    LOADED(AND, LOAD32_U, AND_LOAD32, CN_I32),
    LOADED(XOR, LOAD32_U, XOR_LOAD32, CN_I32),
    LOADED(OR, LOAD32_U, OR_LOAD32, CN_I32),
    LOADED_RIGHT(SUB, LOAD32_U, SUB_LOAD32, CN_I32),
    LOADED(ADD, LOAD64, ADD_LOAD64, CN_I64),
    LOADED(XOR, LOAD64, XOR_LOAD64, CN_I64),
    LOADED(F64_ADD, LOAD_F64, F64_ADD_LOAD, CN_F64),
    LOADED(F64_MUL, LOAD_F64, F64_MUL_LOAD, CN_F64),
    LOADED_RIGHT(F64_SUB, LOAD_F64, F64_SUB_LOAD, CN_F64),
    THREE(ADD, MUL, MUL_ADD),
    THREE(ADD, ADD, ADD_ADD),
    THREE(XOR, XOR, XOR_XOR),
    THREE(XOR, AND, AND_XOR),
    THREE(AND, XOR, XOR_AND),
    THREE(ADD, AND, AND_ADD),
    THREE(XOR, ADD, ADD_XOR),
    THREE(ADD, XOR, XOR_ADD),
    THREE(OR, AND, AND_OR),
    THREE(F64_ADD, F64_MUL, F64_MUL_ADD),
    THREE(F32_ADD, F32_MUL, F32_MUL_ADD),
    {CN_INSN_F64_SUB, CN_INSN_F64_MUL, CN_INSN_F64_SUB_MUL, FUSE_THREE, 0, false, true, false},
    {CN_INSN_F32_SUB, CN_INSN_F32_MUL, CN_INSN_F32_SUB_MUL, FUSE_THREE, 0, false, true, false},
    {CN_INSN_F64_SUB, CN_INSN_F64_MUL, CN_INSN_F64_MUL_SUB, FUSE_THREE, 0, false, false, false},
    {CN_INSN_F32_SUB, CN_INSN_F32_MUL, CN_INSN_F32_MUL_SUB, FUSE_THREE, 0, false, false, false},
};

/* The rules of each outer instruction stand together in no order; this skips the rest quickly. */
static bool has_rules(uint32_t insn)
{
    switch (insn) {
    case CN_INSN_ADD: case CN_INSN_SUB: case CN_INSN_AND: case CN_INSN_OR: case CN_INSN_XOR:
    case CN_INSN_I32_SHL: case CN_INSN_I32_SHR_S:
    case CN_INSN_F64_ADD: case CN_INSN_F64_MUL: case CN_INSN_F64_SUB:
    case CN_INSN_F32_ADD: case CN_INSN_F32_SUB:
        return true;
    default:
        return false;
    }
}

static bool is_constant(const struct cn_value *value)
{
    return value->kind == CN_VALUE_CONST;
}

/* Whether the instruction takes operands of these forms. */
static bool has_forms(uint32_t insn, const uint8_t *forms, int count)
{
    const struct cn_insn_info *info = &cn_insn_infos[insn];

    for (int i = 0; i < count; i++)
        if (!(info->operand_forms[i] & (1 << forms[i])))
            return false;
    return true;
}

/* Whether the inner instruction, feeding one side, and the other side have the forms that the
 * rule's result has. */
static bool rule_fits(const struct fuse_rule *rule, const struct cn_ir *inner,
                      const struct cn_value *other)
{
    switch (rule->kind) {
    case FUSE_SHIFTED:
        return inner->forms[1] == CN_S && inner->forms[2] == CN_I && !is_constant(other);
    case FUSE_CONSTANTS:
        return inner->forms[1] == CN_S && inner->forms[2] == CN_I && is_constant(other);
    case FUSE_THREE: {
        const uint8_t forms[3] = {inner->forms[1], inner->forms[2],
                                  is_constant(other) ? CN_I : CN_S};
        return has_forms(rule->result, forms, 3) &&
               !(inner->forms[2] == CN_I && is_constant(other));
    }
    default: {
        const uint8_t forms[2] = {is_constant(other) ? CN_I : CN_S, inner->forms[1]};
        return has_forms(rule->result, forms, 2);
    }
    }
}

static void fuse(struct cn_translator *t, const struct fuse_rule *rule, struct cn_ir *inner,
                 const struct cn_value *other)
{
    const struct cn_ir taken = cn_take(t, inner);
    struct cn_ir *ir = cn_emit(t, rule->result);

    switch (rule->kind) {
    case FUSE_SHIFTED:
        ir->s[0] = taken.s[0];
        cn_set_operand(ir, 1, other);
        ir->x[0] = (uint32_t)taken.imm[1];
        break;
    case FUSE_CONSTANTS:
        ir->s[0] = taken.s[0];
        ir->x[rule->k_is_outer ? 0 : 1] = (uint32_t)other->bits;
        ir->x[rule->k_is_outer ? 1 : 0] = (uint32_t)taken.imm[1];
        break;
    case FUSE_THREE:
        for (int i = 0; i < 2; i++) {
            ir->forms[i + 1] = taken.forms[i + 1];
            ir->s[i] = taken.s[i];
            ir->imm[i] = taken.imm[i];
        }
        cn_set_operand(ir, 2, other);
        break;
    default:
        cn_set_operand(ir, 0, other);
        ir->s[1] = taken.s[0];
        ir->x[0] = taken.x[0];
        ir->late = t->ordinal - taken.ordinal;
        break;
    }
}

/* Emits the two operators as one and pushes the result, or does nothing. */
static bool try_fuse(struct cn_translator *t, const struct cn_lowering *how,
                     const struct cn_value *a, const struct cn_value *b)
{
    if (!has_rules(how->insn))
        return false;
    struct cn_ir *inner[2] = {cn_fusible(t, a), cn_fusible(t, b)};
    if (inner[0] == NULL && inner[1] == NULL)
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct fuse_rule *rule = &rules[i];
        if (rule->outer != how->insn || (rule->type && rule->type != how->type))
            continue;
        for (int side = 0; side < 2; side++) {
            if (!rule->either_side && side != rule->right_only)
                continue;
            const struct cn_value *other = side ? a : b;
            if (inner[side] == NULL || inner[side]->insn != rule->inner ||
                !rule_fits(rule, inner[side], other))
                continue;
            fuse(t, rule, inner[side], other);
            cn_push_result(t, &t->ir[t->ir_count - 1], how->result);
            return true;
        }
    }
    return false;
}

/* a - c is a + -c, for which there are more instructions. */
static bool is_subtraction_of_constant(const struct cn_lowering *how, struct cn_value *b)
{
    if (how->insn != CN_INSN_SUB || b->kind != CN_VALUE_CONST || !cn_fits_immediate(b) ||
        (int32_t)b->bits == INT32_MIN)
        return false;
    b->bits = (uint64_t)-(int64_t)(int32_t)b->bits;
    return true;
}

void cn_lower_binary(struct cn_translator *t, const struct cn_lowering *how)
{
    if (is_subtraction_of_constant(how, &t->stack[t->stack_count - 1])) {
        cn_lower_binary(t, how->type == CN_I32 ? cn_lowering_of(CN_WASM_I32_ADD)
                                               : cn_lowering_of(CN_WASM_I64_ADD));
        return;
    }
    const struct cn_insn_info *info = &cn_insn_infos[how->insn];
    struct cn_value b = cn_pop(t);
    struct cn_value a = cn_pop(t);

    if (how->swap || (is_constant(&a) && (info->traits & CN_INSN_IS_COMM))) {
        struct cn_value swapped = a;
        a = b;
        b = swapped;
    }
    a = cn_as_operand(t, a, (info->operand_forms[0] & (1 << CN_I)) && !is_constant(&b));
    b = cn_as_operand(t, b, info->operand_forms[1] & (1 << CN_I));
    if (try_fuse(t, how, &a, &b))
        return;
    struct cn_ir *ir = cn_emit(t, how->insn);
    cn_set_operand(ir, 0, &a);
    cn_set_operand(ir, 1, &b);
    cn_push_result(t, ir, how->result);
}

void cn_lower_unary(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value a = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &a);
    cn_push_result(t, ir, how->result);
}

/* Whether the 64 bits that the instruction writes are the zero-extension, or sign-extension, of
 * its low half. */
static bool extends_already(const struct cn_ir *ir, bool is_signed)
{
    switch (ir->insn) {
    case CN_INSN_LOAD8_U: case CN_INSN_LOAD16_U: case CN_INSN_LOAD8_U_2: case CN_INSN_LOAD16_U_2:
    case CN_INSN_LOAD16_U_X:
    case CN_INSN_I32_EQZ: case CN_INSN_I32_EQ: case CN_INSN_I32_NE: case CN_INSN_I32_LT_S:
    case CN_INSN_I32_LT_U: case CN_INSN_I32_LE_S: case CN_INSN_I32_LE_U:
        return true;
    case CN_INSN_LOAD32_U: case CN_INSN_LOAD32_U_2: case CN_INSN_LOAD32_U_X:
    case CN_INSN_I32_SHL: case CN_INSN_I32_SHR_U: case CN_INSN_I32_ROTL: case CN_INSN_I32_ROTR:
    case CN_INSN_I32_SHL_ADD: case CN_INSN_I32_SHL_AND: case CN_INSN_I32_SHR_U_AND:
        return !is_signed;
    case CN_INSN_LOAD8_S: case CN_INSN_LOAD16_S: case CN_INSN_LOAD8_S_2: case CN_INSN_LOAD16_S_2:
    case CN_INSN_LOAD16_S_X: case CN_INSN_I32_SHR_S:
        return is_signed;
    default:
        return false;
    }
}

/* i64.extend_i32_s and _u. Many values stand extended already. */
void cn_lower_extend(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value *top = &t->stack[t->stack_count - 1];
    const bool is_signed = how->insn == CN_INSN_EXTEND32_S;

    if (is_constant(top)) {
        struct cn_value value = cn_pop(t);
        cn_push_const(t, CN_I64, is_signed ? (uint64_t)(int64_t)(int32_t)value.bits
                                           : (uint32_t)value.bits);
        return;
    }
    if (top->kind == CN_VALUE_TEMP && top->def >= 0) {
        const struct cn_ir *ir = &t->ir[top->def];
        if (!(ir->flags & CN_IR_DEAD) && ir->d == top->slot && extends_already(ir, is_signed)) {
            top->type = CN_I64;
            return;
        }
    }
    cn_lower_unary(t, how);
}

/* i32.wrap_i64: the upper half of an i32 is unspecified anyway. */
void cn_lower_retype(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value *top = &t->stack[t->stack_count - 1];

    if (is_constant(top))
        top->bits = (uint32_t)top->bits;
    top->type = how->result;
}

/* select: two values of one type and a condition. */
void cn_lower_select(struct cn_translator *t, const struct cn_lowering *how)
{
    if (how->type) { /* the typed form states what is known already */
        cn_code_u32(t);
        cn_code_valtype(t);
    }
    struct cn_value condition = cn_pop(t);
    struct cn_value b = cn_pop(t);
    struct cn_value a = cn_pop(t);
    const uint8_t type = a.type;
    const bool is_float = type == CN_F32 || type == CN_F64;

    a = cn_as_operand(t, a, !is_float);
    b = cn_as_operand(t, b, !is_float);
    condition = cn_as_operand(t, condition, false);
    struct cn_ir *ir = cn_emit(t, type == CN_F64    ? CN_INSN_SELECT_F64
                                  : type == CN_F32  ? CN_INSN_SELECT_F32
                                  : type == CN_V128 ? CN_INSN_SELECT_V128
                                                    : CN_INSN_SELECT);
    cn_set_operand(ir, 0, &a);
    cn_set_operand(ir, 1, &b);
    cn_set_operand(ir, 2, &condition);
    cn_push_result(t, ir, type);
}
