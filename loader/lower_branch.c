/* Conditional branches: the comparison, the load or the increment in front becomes part of
 * them. */
#include "loader/ir.h"

struct cn_ir *cn_emit_branch(struct cn_translator *t, uint32_t insn, uint32_t label)
{
    cn_leave_entry(t);
    struct cn_ir *ir = cn_emit(t, insn);
    ir->label = label;
    t->labels[label].uses++;
    return ir;
}

/* Comparisons in an order that the tables below share. */
enum comparison { EQ, NE, LT_S, LT_U, LE_S, LE_U, NOT_COMPARISON };

static enum comparison comparison_of(uint32_t insn, uint32_t first)
{
    return insn >= first && insn < first + NOT_COMPARISON ? (enum comparison)(insn - first)
                                                          : NOT_COMPARISON;
}

/* What holds when the comparison does not; LT and LE change their operands' places too. */
static const uint8_t opposite[] = {NE, EQ, LE_S, LE_U, LT_S, LT_U};

/* A comparison with its operands, taken out of the instruction list. */
struct compared {
    uint8_t forms[2];
    uint16_t s[2];
    int32_t imm[2];
};

static struct compared operands_of(const struct cn_ir *ir, bool swap)
{
    struct compared c;

    for (int i = 0; i < 2; i++) {
        int from = swap ? 1 - i : i;
        c.forms[i] = ir->forms[from + 1];
        c.s[i] = ir->s[from];
        c.imm[i] = ir->imm[from];
    }
    return c;
}

static void set_compared(struct cn_ir *ir, int at, const struct compared *c, int which)
{
    ir->forms[at + 1] = c->forms[which];
    ir->s[at] = c->s[which];
    ir->imm[at] = c->imm[which];
}

/* Whether the increment of a local may be done at the end instead: nothing in between has to do
 * with it or changes what it adds to. */
static bool may_come_last(const struct cn_translator *t, uint32_t index)
{
    const struct cn_ir *increment = &t->ir[index];

    for (uint32_t i = index + 1; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        if (ir->flags & CN_IR_DEAD)
            continue;
        if (cn_is_barrier(ir) || cn_touches(ir, increment->d, 1) ||
            cn_writes(ir, increment->s[0], 1))
            return false;
    }
    return true;
}

/* A recent instruction that adds a constant to a local, of which the comparison's operand
 * `which` is the sum. */
static struct cn_ir *increment_of(struct cn_translator *t, const struct compared *c, int which)
{
    if (c->forms[which] != CN_S || !cn_is_i32_local(t, c->s[which]) ||
        (c->forms[1 - which] == CN_S && c->s[1 - which] == c->s[which]))
        return NULL;
    for (uint32_t i = t->ir_count, steps = 0; i-- > 1 && steps < 8; steps++) {
        struct cn_ir *ir = &t->ir[i];
        if ((ir->flags & CN_IR_DEAD) || ir->result_class == CN_CLASS_NONE ||
            ir->d != c->s[which])
            continue;
        bool fits = ir->insn == CN_INSN_ADD && !(ir->flags & (CN_IR_TEMP | CN_IR_KEEP)) &&
                    ir->forms[1] == CN_S && ir->forms[2] == CN_I;
        return fits && may_come_last(t, i) ? ir : NULL;
    }
    return NULL;
}

/* The latch for sum OP b, and the one for b OP sum. */
static const uint16_t latches[2][6] = {
    {CN_INSN_LATCH_EQ, CN_INSN_LATCH_NE, CN_INSN_LATCH_LT_S, CN_INSN_LATCH_LT_U,
     CN_INSN_LATCH_LE_S, CN_INSN_LATCH_LE_U},
    {CN_INSN_LATCH_EQ, CN_INSN_LATCH_NE, CN_INSN_LATCH_GT_S, CN_INSN_LATCH_GT_U,
     CN_INSN_LATCH_GE_S, CN_INSN_LATCH_GE_U},
};

static bool try_latch(struct cn_translator *t, enum comparison comparison,
                      const struct compared *c, uint32_t label)
{
    for (int which = 0; which < 2; which++) {
        struct cn_ir *increment = increment_of(t, c, which);
        if (increment == NULL)
            continue;
        const struct cn_ir taken = cn_take(t, increment);
        struct cn_ir *ir = cn_emit_branch(t, latches[which][comparison], label);
        ir->d = taken.d;
        ir->result_class = CN_CLASS_INT;
        ir->s[0] = taken.s[0];
        set_compared(ir, 1, c, 1 - which);
        ir->x[0] = (uint32_t)taken.imm[1];
        return true;
    }
    return false;
}

/* The load that made the temporary in a slot, when it can be done at the branch instead. */
static struct cn_ir *load_into(struct cn_translator *t, uint16_t slot)
{
    for (uint32_t i = t->ir_count, steps = 0; i-- > 1 && steps < 8; steps++) {
        struct cn_ir *ir = &t->ir[i];
        if ((ir->flags & CN_IR_DEAD) || ir->result_class == CN_CLASS_NONE || ir->d != slot)
            continue;
        if (ir->insn != CN_INSN_LOAD32_U && ir->insn != CN_INSN_LOAD8_U)
            return NULL;
        struct cn_value value = {.kind = CN_VALUE_TEMP, .slot = slot, .def = (int32_t)i};
        struct cn_ir *found = cn_fusible(t, &value);
        return found && found->forms[1] == CN_S ? found : NULL;
    }
    return NULL;
}

static bool try_load_branch(struct cn_translator *t, enum comparison comparison,
                            const struct compared *c, uint32_t label)
{
    if (comparison != EQ && comparison != NE)
        return false;
    for (int which = 0; which < 2; which++) {
        struct cn_ir *load = c->forms[which] == CN_S && c->s[which] >= t->temps
                                 ? load_into(t, c->s[which])
                                 : NULL;
        if (load == NULL)
            continue;
        const struct cn_ir taken = cn_take(t, load);
        const bool wide = taken.insn == CN_INSN_LOAD32_U;
        uint32_t insn = comparison == EQ ? (wide ? CN_INSN_LOAD32_BR_EQ : CN_INSN_LOAD8_BR_EQ)
                                         : (wide ? CN_INSN_LOAD32_BR_NE : CN_INSN_LOAD8_BR_NE);
        struct cn_ir *ir = cn_emit_branch(t, insn, label);
        ir->s[0] = taken.s[0];
        set_compared(ir, 1, c, 1 - which);
        ir->x[0] = taken.x[0];
        ir->late = t->ordinal - taken.ordinal;
        return true;
    }
    return false;
}

static void emit_compared(struct cn_translator *t, uint32_t insn, const struct compared *c,
                          uint32_t label)
{
    struct cn_ir *ir = cn_emit_branch(t, insn, label);

    set_compared(ir, 0, c, 0);
    set_compared(ir, 1, c, 1);
}

static void branch_on_32(struct cn_translator *t, struct cn_ir *compare, bool sense,
                         uint32_t label)
{
    enum comparison comparison = comparison_of(compare->insn, CN_INSN_I32_EQ);
    bool swap = !sense && comparison > NE;
    const struct cn_ir taken = cn_take(t, compare);
    const struct compared c = operands_of(&taken, swap);

    if (!sense)
        comparison = opposite[comparison];
    if (try_latch(t, comparison, &c, label) || try_load_branch(t, comparison, &c, label))
        return;
    emit_compared(t, CN_INSN_BR32_EQ + comparison, &c, label);
}

static void branch_on_64(struct cn_translator *t, struct cn_ir *compare, bool sense,
                         uint32_t label)
{
    enum comparison comparison = comparison_of(compare->insn, CN_INSN_I64_EQ);
    bool swap = !sense && comparison > NE;
    const struct cn_ir taken = cn_take(t, compare);
    const struct compared c = operands_of(&taken, swap);

    if (!sense)
        comparison = opposite[comparison];
    emit_compared(t, CN_INSN_BR64_EQ + comparison, &c, label);
}

/* Floats: not (a < b) is not (b <= a), because of NaN. */
static bool branch_on_float(struct cn_translator *t, struct cn_ir *compare, bool sense,
                            uint32_t label)
{
    static const struct {
        uint16_t compare, when, unless;
    } rows[] = {
        {CN_INSN_F64_EQ, CN_INSN_BRF64_EQ, CN_INSN_BRF64_NE},
        {CN_INSN_F64_NE, CN_INSN_BRF64_NE, CN_INSN_BRF64_EQ},
        {CN_INSN_F64_LT, CN_INSN_BRF64_LT, CN_INSN_BRF64_NLT},
        {CN_INSN_F64_LE, CN_INSN_BRF64_LE, CN_INSN_BRF64_NLE},
        {CN_INSN_F32_EQ, CN_INSN_BRF32_EQ, CN_INSN_BRF32_NE},
        {CN_INSN_F32_NE, CN_INSN_BRF32_NE, CN_INSN_BRF32_EQ},
        {CN_INSN_F32_LT, CN_INSN_BRF32_LT, CN_INSN_BRF32_NLT},
        {CN_INSN_F32_LE, CN_INSN_BRF32_LE, CN_INSN_BRF32_NLE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (compare->insn != rows[i].compare)
            continue;
        const struct cn_ir taken = cn_take(t, compare);
        const struct compared c = operands_of(&taken, false);
        emit_compared(t, sense ? rows[i].when : rows[i].unless, &c, label);
        return true;
    }
    return false;
}

/* Branches on what made the condition, when that can be part of the branch. */
static bool branch_on_maker(struct cn_translator *t, struct cn_ir *maker, bool sense,
                            uint32_t label)
{
    if (comparison_of(maker->insn, CN_INSN_I32_EQ) != NOT_COMPARISON) {
        branch_on_32(t, maker, sense, label);
        return true;
    }
    if (comparison_of(maker->insn, CN_INSN_I64_EQ) != NOT_COMPARISON) {
        branch_on_64(t, maker, sense, label);
        return true;
    }
    if (maker->insn == CN_INSN_I64_EQZ) {
        const struct cn_ir taken = cn_take(t, maker);
        cn_emit_branch(t, sense ? CN_INSN_BRZ64 : CN_INSN_BRNZ64, label)->s[0] = taken.s[0];
        return true;
    }
    if (maker->insn == CN_INSN_V128_ANY_TRUE) {
        const struct cn_ir taken = cn_take(t, maker);
        cn_emit_branch(t, sense ? CN_INSN_BRNZ_V128 : CN_INSN_BRZ_V128, label)->s[0] = taken.s[0];
        return true;
    }
    if (maker->insn == CN_INSN_AND) {
        const struct cn_ir taken = cn_take(t, maker);
        const struct compared c = operands_of(&taken, false);
        emit_compared(t, sense ? CN_INSN_BR32_TEST : CN_INSN_BR32_NTEST, &c, label);
        return true;
    }
    return branch_on_float(t, maker, sense, label);
}

void cn_emit_branch_if(struct cn_translator *t, struct cn_value condition, bool sense,
                       uint32_t label)
{
    condition = cn_as_operand(t, condition, false);
    struct cn_ir *maker = cn_fusible(t, &condition);
    while (maker != NULL && maker->insn == CN_INSN_I32_EQZ) {
        const struct cn_ir taken = cn_take(t, maker);
        condition = (struct cn_value){.kind = CN_VALUE_TEMP, .type = CN_I32,
                                      .slot = taken.s[0], .def = -1};
        sense = !sense;
        maker = NULL;
        for (uint32_t i = t->ir_count, steps = 0; i-- > 1 && steps < 8; steps++) {
            if ((t->ir[i].flags & CN_IR_DEAD) || t->ir[i].result_class == CN_CLASS_NONE ||
                t->ir[i].d != condition.slot)
                continue;
            condition.def = (int32_t)i;
            maker = cn_fusible(t, &condition);
            break;
        }
    }
    if (maker != NULL && branch_on_maker(t, maker, sense, label))
        return;
    /* The value itself: the sum of a latch, a load, or any other. */
    const struct compared c = {{CN_S, CN_I}, {condition.slot, 0}, {0, 0}};
    enum comparison comparison = sense ? NE : EQ;
    if (try_latch(t, comparison, &c, label) || try_load_branch(t, comparison, &c, label))
        return;
    cn_emit_branch(t, sense ? CN_INSN_BRNZ : CN_INSN_BRZ, label)->s[0] = condition.slot;
}
