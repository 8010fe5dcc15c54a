/* Accumulators: which values stand in r0, r1, f0, g0 instead of, or beside, their slots.
 *
 * Within a region (no label, no call) every result is an interval from its instruction to its
 * last use as an operand. A linear scan gives each an accumulator if one is free; otherwise the
 * interval that ends last does without. A temporary that nobody reads in its slot is then
 * written to the accumulator alone. A branch that is not taken ends nothing, but a label and a
 * call forget all accumulators, so that a suspended guest is (pc, fp) there.
 */
#include "loader/ir.h"

#define NO_DEF UINT32_MAX

enum { NO_ACCUMULATOR, R0, R1, F0, G0, ACCUMULATOR_COUNT };

struct cn_interval {
    uint32_t end;          /* the last instruction that can read it from an accumulator */
    uint8_t accumulator;
    bool needs_slot;
};

struct scan {
    struct cn_translator *t;
    uint32_t region;
    uint32_t active[ACCUMULATOR_COUNT]; /* the instruction whose result stands there */
};

/* Whether the operand can be read from an accumulator that holds values of this class. */
static bool accepts(const struct cn_insn_info *info, int operand, enum cn_class class)
{
    uint8_t forms = info->operand_forms[operand];
    uint8_t of = info->operands[operand];

    if (class == CN_CLASS_INT)
        return forms & (1 << CN_R);
    return (forms & (1 << CN_F)) && of == (class == CN_CLASS_F64 ? CN_OF_F64 : CN_OF_F32);
}

/* Whether the instruction can leave its result in an accumulator of the class. */
static bool can_produce(const struct cn_ir *ir)
{
    const struct cn_insn_info *info = &cn_insn_infos[ir->insn];

    if ((ir->flags & CN_IR_REF) || ir->result_class == CN_CLASS_PAIR)
        return false;
    if (info->traits & CN_INSN_IS_CALL)
        return true;
    switch (ir->result_class) {
    case CN_CLASS_F64:
        return info->result == CN_OF_F64;
    case CN_CLASS_F32:
        return info->result == CN_OF_F32;
    default:
        return info->result_forms & (1 << CN_TO_R);
    }
}

static void begin_region(struct scan *scan)
{
    scan->region++;
    for (int i = 0; i < ACCUMULATOR_COUNT; i++)
        scan->active[i] = NO_DEF;
}

static uint32_t def_of_slot(const struct scan *scan, uint16_t slot)
{
    const struct cn_translator *t = scan->t;

    return t->slot_region[slot] == scan->region ? t->slot_def[slot] : NO_DEF;
}

static void define_slot(struct scan *scan, const struct cn_ir *ir, uint32_t index)
{
    struct cn_translator *t = scan->t;

    t->slot_region[ir->d] = scan->region;
    t->slot_def[ir->d] = can_produce(ir) ? index : NO_DEF;
    if (ir->result_class == CN_CLASS_PAIR)
        t->slot_region[ir->d + 1] = 0;
}

static bool is_call(const struct cn_ir *ir)
{
    return cn_insn_infos[ir->insn].traits & CN_INSN_IS_CALL;
}

/* What the function passes of a region have in common: labels and calls begin a new one, and an
 * instruction's result is what its slot then holds. */
static void pass_results(struct scan *scan, const struct cn_ir *ir, uint32_t index)
{
    if (is_call(ir))
        begin_region(scan);
    if (ir->result_class != CN_CLASS_NONE)
        define_slot(scan, ir, index);
}

static bool begins_region(const struct scan *scan, const struct cn_ir *ir)
{
    return ir->insn == CN_IR_LABEL && scan->t->labels[ir->label].uses > 0;
}

/* First pass: where the intervals end, and which results must be in their slots. */
static void find_intervals(struct scan *scan)
{
    struct cn_translator *t = scan->t;

    begin_region(scan);
    for (uint32_t i = 0; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        if (begins_region(scan, ir))
            begin_region(scan);
        if ((ir->flags & CN_IR_DEAD) || ir->insn == CN_IR_LABEL)
            continue;
        const struct cn_insn_info *info = &cn_insn_infos[ir->insn];
        for (int k = 0; k < info->operand_count; k++) {
            if (ir->forms[k + 1] != CN_S)
                continue;
            uint32_t def = def_of_slot(scan, ir->s[k]);
            if (def == NO_DEF)
                continue;
            if (accepts(info, k, t->ir[def].result_class))
                t->intervals[def].end = i;
            else
                t->intervals[def].needs_slot = true;
        }
        t->intervals[i] = (struct cn_interval){
            .end = i, .needs_slot = !(ir->flags & CN_IR_TEMP) || (ir->flags & CN_IR_KEEP)};
        pass_results(scan, ir, i);
    }
}

static void give(struct scan *scan, uint32_t index, int accumulator)
{
    scan->active[accumulator] = index;
    scan->t->intervals[index].accumulator = (uint8_t)accumulator;
}

/* Takes the accumulator from the one of these intervals that ends last, if it ends after this
 * one does. */
static void evict(struct scan *scan, uint32_t index, int first, int last)
{
    const struct cn_interval *intervals = scan->t->intervals;
    int victim = first;

    for (int i = first; i <= last; i++)
        if (intervals[scan->active[i]].end > intervals[scan->active[victim]].end)
            victim = i;
    uint32_t loser = scan->active[victim];
    bool worse = intervals[loser].end > intervals[index].end;
    if (!worse || is_call(&scan->t->ir[loser]))
        return;
    scan->t->intervals[loser].accumulator = NO_ACCUMULATOR;
    give(scan, index, victim);
}

static void assign(struct scan *scan, uint32_t index)
{
    const struct cn_ir *ir = &scan->t->ir[index];
    int first = ir->result_class == CN_CLASS_INT ? R0 : ir->result_class == CN_CLASS_F64 ? F0 : G0;
    int last = ir->result_class == CN_CLASS_INT && !is_call(ir) ? R1 : first;

    if (scan->t->intervals[index].end == index || !can_produce(ir))
        return;
    for (int i = first; i <= last; i++) {
        uint32_t held = scan->active[i];
        if (held == NO_DEF || scan->t->intervals[held].end <= index) {
            give(scan, index, i);
            return;
        }
    }
    evict(scan, index, first, last);
}

/* Second pass: the linear scan. */
static void assign_accumulators(struct scan *scan)
{
    struct cn_translator *t = scan->t;

    begin_region(scan);
    for (uint32_t i = 0; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        if (begins_region(scan, ir))
            begin_region(scan);
        if ((ir->flags & CN_IR_DEAD) || ir->insn == CN_IR_LABEL)
            continue;
        if (is_call(ir))
            begin_region(scan);
        if (ir->result_class != CN_CLASS_NONE)
            assign(scan, i);
    }
}

static uint8_t operand_form(uint8_t accumulator)
{
    return accumulator == R0 ? CN_R : accumulator == R1 ? CN_Q : CN_F;
}

static uint8_t result_form(const struct cn_interval *interval)
{
    switch (interval->accumulator) {
    case NO_ACCUMULATOR:
        return CN_TO_S;
    case R1:
        return interval->needs_slot ? CN_TO_C : CN_TO_Q;
    default:
        return interval->needs_slot ? CN_TO_B : CN_TO_R;
    }
}

/* A move from an accumulator to itself does nothing: what it paid for is paid for by the next
 * instruction, which is in the same block. */
static void drop_move(struct cn_translator *t, uint32_t index)
{
    struct cn_ir *ir = &t->ir[index];
    static const uint8_t same[CN_RESULT_FORM_COUNT] = {0xff, CN_R, CN_Q, 0xff, 0xff};
    bool is_move = ir->insn == CN_INSN_MOV || ir->insn == CN_INSN_MOV_F64 ||
                   ir->insn == CN_INSN_MOV_F32;

    if (!is_move || same[ir->forms[0]] == 0xff)
        return;
    if (ir->forms[1] != same[ir->forms[0]] && !(ir->forms[0] == CN_TO_R && ir->forms[1] == CN_F))
        return;
    ir->flags |= CN_IR_DEAD;
    for (uint32_t next = index + 1; next < t->ir_count; next++) {
        if (t->ir[next].flags & CN_IR_DEAD)
            continue;
        t->ir[next].weight += ir->weight;
        break;
    }
    ir->weight = 0;
}

/* Third pass: writes the decisions into the instructions. */
static void rewrite(struct scan *scan)
{
    struct cn_translator *t = scan->t;

    begin_region(scan);
    for (uint32_t i = 0; i < t->ir_count; i++) {
        struct cn_ir *ir = &t->ir[i];
        if (begins_region(scan, ir))
            begin_region(scan);
        if ((ir->flags & CN_IR_DEAD) || ir->insn == CN_IR_LABEL)
            continue;
        const struct cn_insn_info *info = &cn_insn_infos[ir->insn];
        for (int k = 0; k < info->operand_count; k++) {
            if (ir->forms[k + 1] != CN_S)
                continue;
            uint32_t def = def_of_slot(scan, ir->s[k]);
            if (def != NO_DEF && t->intervals[def].accumulator != NO_ACCUMULATOR &&
                accepts(info, k, t->ir[def].result_class))
                ir->forms[k + 1] = operand_form(t->intervals[def].accumulator);
        }
        pass_results(scan, ir, i);
        if (info->result != CN_OF_NONE) {
            ir->forms[0] = result_form(&t->intervals[i]);
            drop_move(t, i);
        }
    }
}

size_t cn_interval_size(void)
{
    return sizeof(struct cn_interval);
}

static bool make_room(struct cn_translator *t)
{
    uint32_t before = t->slot_room;

    if (!cn_room(t, &t->intervals, &t->interval_room, t->ir_count, sizeof *t->intervals) ||
        !cn_room(t, &t->slot_def, &t->slot_def_room, t->frame + 1, sizeof *t->slot_def))
        return false;
    if (!cn_room(t, &t->slot_region, &t->slot_room, t->frame + 1, sizeof *t->slot_region))
        return false;
    if (t->slot_room != before)
        t->regions_used = 0;
    return true;
}

void cn_allocate_accumulators(struct cn_translator *t)
{
    struct scan scan = {.t = t};

    if (!make_room(t))
        return;
    if (t->regions_used == 0 || t->regions_used > UINT32_MAX / 2) {
        for (uint32_t i = 0; i < t->slot_room; i++)
            t->slot_region[i] = 0;
        t->regions_used = 1;
    }
    scan.region = t->regions_used;
    find_intervals(&scan);
    assign_accumulators(&scan);
    rewrite(&scan);
    t->regions_used = scan.region;
}
