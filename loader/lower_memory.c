/* Loads and stores: an addition or a scaled index in front becomes part of the address. */
#include "loader/ir.h"

/* The forms of one access: base + offset, two addends, and base + scaled index (0: none). */
struct access {
    uint16_t plain, two, scaled;
    uint8_t shift;
};

static struct access access_of(uint32_t insn)
{
#define ACCESS(name)                                                                              \
    case CN_INSN_##name:                                                                          \
        return (struct access){CN_INSN_##name, CN_INSN_##name##_2, 0, 0}
#define SCALED(name, shift)                                                                       \
    case CN_INSN_##name:                                                                          \
        return (struct access){CN_INSN_##name, CN_INSN_##name##_2, CN_INSN_##name##_X, shift}
    switch (insn) {
    ACCESS(LOAD8_U); ACCESS(LOAD8_S); SCALED(LOAD16_U, 1); SCALED(LOAD16_S, 1);
    SCALED(LOAD32_U, 2); SCALED(LOAD32_S, 2); SCALED(LOAD64, 3); SCALED(LOAD_F32, 2);
    SCALED(LOAD_F64, 3);
    ACCESS(LOAD_V128); ACCESS(LOAD32_SPLAT); ACCESS(LOAD64_SPLAT);
    ACCESS(STORE_V128); ACCESS(STORE8); SCALED(STORE16, 1); SCALED(STORE32, 2); SCALED(STORE64, 3);
    SCALED(STORE_F32, 2); SCALED(STORE_F64, 3);
    default: return (struct access){(uint16_t)insn, 0, 0, 0};
    }
#undef ACCESS
#undef SCALED
}

/* Emits the access with the best form for its address; returns it with the address operands
 * set, and how many there are. */
static struct cn_ir *emit_access(struct cn_translator *t, uint32_t insn,
                                 const struct cn_value *address, uint32_t offset, int *operands)
{
    const struct access access = access_of(insn);
    struct cn_ir *inner = cn_fusible(t, address);
    struct cn_ir *ir;

    if (inner && inner->insn == CN_INSN_I32_SHL_ADD && access.scaled &&
        inner->x[0] == access.shift) {
        const struct cn_ir taken = cn_take(t, inner);
        ir = cn_emit(t, access.scaled);
        ir->s[0] = taken.s[1];
        ir->s[1] = taken.s[0];
        *operands = 2;
    } else if (inner && inner->insn == CN_INSN_ADD && access.two) {
        const struct cn_ir taken = cn_take(t, inner);
        ir = cn_emit(t, access.two);
        for (int i = 0; i < 2; i++) {
            ir->forms[i + 1] = taken.forms[i + 1];
            ir->s[i] = taken.s[i];
            ir->imm[i] = taken.imm[i];
        }
        *operands = 2;
    } else {
        ir = cn_emit(t, access.plain);
        cn_set_operand(ir, 0, address);
        *operands = 1;
    }
    ir->x[0] = offset;
    return ir;
}

uint32_t cn_code_offset(struct cn_translator *t)
{
    cn_code_u32(t); /* the alignment is a hint that Cordon has no use for */
    return cn_code_u32(t);
}

void cn_lower_load(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t offset = cn_code_offset(t);
    struct cn_value address = cn_pop_operand(t, true);
    int operands;
    struct cn_ir *ir = emit_access(t, how->insn, &address, offset, &operands);

    cn_push_result(t, ir, how->result);
}

void cn_lower_store(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t offset = cn_code_offset(t);
    const bool is_float = how->type == CN_F32 || how->type == CN_F64;
    struct cn_value value = cn_pop(t);
    struct cn_value address = cn_pop(t);
    int operands;

    /* Only one immediate: a constant address with a constant value puts the address in a slot. */
    address = cn_as_operand(t, address, value.kind != CN_VALUE_CONST);
    value = cn_as_operand(t, value, !is_float);
    /* The value's own instruction may still stand between the address and here: that is no
     * obstacle, because the address is computed again at the access. */
    struct cn_ir *ir = emit_access(t, how->insn, &address, offset, &operands);
    cn_set_operand(ir, operands, &value);
}
