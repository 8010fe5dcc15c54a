/* References: tests, casts, and the branches on them; calls of what they refer to. */
#include "loader/ir.h"

/* A heap type as it stands in the code, as a reference to it. */
static cn_valtype code_heap_ref(struct cn_translator *t, bool nullable)
{
    int64_t code = cn_code_s64(t);

    if (code < 0)
        return cn_ref_abstract((uint32_t)code & 0x7f, nullable);
    const struct cn_deftype *type = &t->module->types[code];
    return cn_ref_defined(type->canonical, cn_deftype_hierarchy(type), nullable);
}

/* One operand, one result that is a reference of the same kind, or whatever the row says. */
void cn_lower_ref_unary(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value value = cn_pop_operand(t, how->type == CN_I32);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &value);
    cn_push_result(t, ir, how->result != 0 ? how->result : value.type);
}

void cn_lower_ref_eq(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value b = cn_pop_operand(t, false);
    struct cn_value a = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &a);
    cn_set_operand(ir, 1, &b);
    cn_push_result(t, ir, CN_I32);
}

/* ref.test and ref.cast; how->swap: null passes. */
void cn_lower_cast(struct cn_translator *t, const struct cn_lowering *how)
{
    cn_valtype type = code_heap_ref(t, how->swap);
    struct cn_value value = cn_pop_operand(t, false);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &value);
    ir->x[0] = type;
    cn_push_result(t, ir, how->result != 0 ? how->result : value.type);
}

/* ---------------------------------------------------------------- branches */

/* How a branch on the topmost reference goes. */
struct on_ref {
    uint32_t when, unless; /* the instruction that branches, and its opposite */
    cn_valtype cast;
    bool hands_over;       /* the reference goes along with the branch */
    bool keeps;            /* it stays where the branch is not taken */
};

/* The branch instruction on the reference that stands in its home at `position`. */
static void emit_on_ref(struct cn_translator *t, uint32_t insn, uint32_t position,
                        cn_valtype cast, uint32_t label)
{
    struct cn_ir *ir = cn_emit_branch(t, insn, label);

    ir->forms[1] = CN_S;
    ir->s[0] = cn_home(t, position);
    ir->x[0] = cast;
}

static void branch_on_ref(struct cn_translator *t, uint32_t depth, const struct on_ref *how)
{
    uint32_t position = t->stack_count - 1;
    uint8_t type = t->stack[position].type;

    cn_settle(t, position);
    if (!how->hands_over)
        cn_pop(t);
    if (cn_is_label_in_place(t, depth)) {
        uint32_t label = cn_settle_for_label(t, depth);
        emit_on_ref(t, how->when, position, how->cast, label);
    } else {
        uint32_t skip = cn_new_label(t);
        cn_settle_all(t);
        emit_on_ref(t, how->unless, position, how->cast, skip);
        cn_emit_go(t, depth);
        cn_truncate(t, position);
        if (how->keeps)
            cn_push_home(t, type);
        cn_place_label(t, skip, t->stack_count);
    }
    cn_truncate(t, position);
    if (how->keeps)
        cn_push_home(t, type);
}

void cn_lower_br_on_null(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct on_ref branch = {.when = CN_INSN_BR_NULL, .unless = CN_INSN_BR_NONNULL,
                                  .keeps = true};

    (void)how;
    branch_on_ref(t, cn_code_u32(t), &branch);
}

void cn_lower_br_on_non_null(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct on_ref branch = {.when = CN_INSN_BR_NONNULL, .unless = CN_INSN_BR_NULL,
                                  .hands_over = true};

    (void)how;
    branch_on_ref(t, cn_code_u32(t), &branch);
}

void cn_lower_br_on_cast(struct cn_translator *t, const struct cn_lowering *how)
{
    enum { TO_NULLABLE = 2 };
    bool on_fail = how->insn == CN_INSN_BR_CAST_FAIL;
    uint8_t flags = *t->at++;
    uint32_t depth = cn_code_u32(t);

    cn_code_s64(t);
    const struct on_ref branch = {
        .when = how->insn,
        .unless = on_fail ? CN_INSN_BR_CAST : CN_INSN_BR_CAST_FAIL,
        .cast = code_heap_ref(t, flags & TO_NULLABLE),
        .hands_over = true,
        .keeps = true,
    };
    branch_on_ref(t, depth, &branch);
}

/* ---------------------------------------------------------------- calls */

void cn_lower_call_ref(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t type_index = cn_code_u32(t);
    const struct cn_functype *type = cn_module_functype(t->module, type_index);
    bool is_return = how->insn == CN_INSN_RETURN_CALL_REF;
    struct cn_value func = cn_pop_operand(t, false);
    uint16_t window = cn_pop_arguments(t, type);
    struct cn_ir *ir = cn_emit(t, how->insn);

    cn_set_operand(ir, 0, &func);
    ir->y[0] = window;
    ir->x[0] = type_index;
    if (is_return)
        cn_become_unreachable(t);
    else
        cn_push_results(t, ir, type);
}
