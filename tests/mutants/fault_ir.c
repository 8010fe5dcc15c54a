/* Faults in the list of instructions: as lowering leaves it, and with its accumulators given. */
#include "tests/mutants/fault.h"

static bool is_live(const struct cn_ir *ir)
{
    return !(ir->flags & CN_IR_DEAD) && ir->insn != CN_IR_LABEL;
}

static bool is_control(const struct cn_ir *ir)
{
    return cn_insn_infos[ir->insn].traits &
           (CN_INSN_IS_BRANCH | CN_INSN_IS_CALL | CN_INSN_IS_RETURN | CN_INSN_IS_END);
}

/* Fields of 4 bytes in front of which nothing takes words: see struct cn_ir. */
static uint32_t words_of(const struct cn_ir *ir)
{
    const struct cn_variant_info *variant =
        &cn_variant_infos[cn_insn_infos[ir->insn].first_variant];
    uint32_t count = 0;

    for (uint32_t i = 0; i < variant->field_count; i++) {
        switch ((enum cn_field_kind)variant->fields[i].kind) {
        case CN_FIELD_OFFSET64:
            count += 2;
            break;
        case CN_FIELD_CODE:
        case CN_FIELD_FUNC:
        case CN_FIELD_TYPE:
        case CN_FIELD_STRUCT_FIELD:
        case CN_FIELD_CAST:
        case CN_FIELD_TAG:
        case CN_FIELD_GLOBAL:
        case CN_FIELD_MEMORY:
        case CN_FIELD_TABLE:
        case CN_FIELD_DATA:
        case CN_FIELD_ELEMENT:
        case CN_FIELD_REFTYPE:
        case CN_FIELD_OFFSET:
            count++;
            break;
        default:
            break;
        }
    }
    return count;
}

/* ------------------------------------------------------------------ results and operands */

static void spoil_result(struct cn_translator *t, struct cn_ir *ir)
{
    if (ir->result_class == CN_CLASS_NONE)
        return;
    if (fault_strikes(FAULT_IR_RESULT_UP))
        ir->d++;
    if (fault_strikes(FAULT_IR_RESULT_DOWN))
        ir->d--;
    if (fault_strikes(FAULT_IR_RESULT_HEADER))
        ir->d = (uint16_t)t->header;
    if (ir->d > 0 && fault_strikes(FAULT_IR_RESULT_PARAM))
        ir->d = 0;
    if ((ir->flags & CN_IR_KEEP) && fault_strikes(FAULT_IR_NO_KEEP))
        ir->flags &= (uint8_t)~CN_IR_KEEP;
    if (!(ir->flags & CN_IR_TEMP) && fault_strikes(FAULT_IR_TEMP))
        ir->flags |= CN_IR_TEMP;
    if ((ir->flags & CN_IR_REF) && fault_strikes(FAULT_IR_NO_REF))
        ir->flags &= (uint8_t)~(CN_IR_REF | CN_IR_KEEP);
    if (fault_strikes(FAULT_IR_CLASS))
        ir->result_class = ir->result_class == CN_CLASS_INT ? CN_CLASS_F64 : CN_CLASS_INT;
}

static void spoil_operand(struct cn_translator *t, struct cn_ir *ir, int i)
{
    if (ir->forms[i + 1] == CN_I) {
        if (fault_strikes(FAULT_IR_IMMEDIATE))
            ir->imm[i]++;
        if (ir->imm[i] != 0 && fault_strikes(FAULT_IR_IMMEDIATE_SIGN))
            ir->imm[i] = (int32_t)(0 - (uint32_t)ir->imm[i]);
        return;
    }
    if (ir->forms[i + 1] != CN_S)
        return;
    if (fault_strikes(FAULT_IR_SOURCE_UP))
        ir->s[i]++;
    if (fault_strikes(FAULT_IR_SOURCE_DOWN))
        ir->s[i]--;
    if (fault_strikes(FAULT_IR_SOURCE_FAR))
        ir->s[i] = (uint16_t)(t->frame - 1);
    if (ir > t->ir && ir[-1].result_class != CN_CLASS_NONE && ir[-1].d != ir->s[i] &&
        fault_strikes(FAULT_IR_SOURCE_STALE))
        ir->s[i] = ir[-1].d;
}

static void spoil_operands(struct cn_translator *t, struct cn_ir *ir)
{
    const struct cn_insn_info *info = &cn_insn_infos[ir->insn];

    for (int i = 0; i < info->operand_count; i++)
        spoil_operand(t, ir, i);
    if (info->operand_count >= 2 && !(info->traits & CN_INSN_IS_COMM) &&
        fault_strikes(FAULT_IR_SWAP))
        cn_swap_operands(ir);
}

/* ------------------------------------------------------------------ fields */

static uint32_t other_label(const struct cn_translator *t, uint32_t label)
{
    for (uint32_t i = 1; i < t->label_count; i++) {
        uint32_t other = (label + i) % t->label_count;
        if (t->labels[other].at >= 0 && t->labels[other].uses > 0)
            return other;
    }
    return label;
}

static void retarget(struct cn_translator *t, uint32_t *label)
{
    t->labels[*label].uses--;
    *label = other_label(t, *label);
    t->labels[*label].uses++;
}

static void spoil_table(struct cn_translator *t, struct cn_ir *ir)
{
    for (uint32_t i = 0; i < ir->x[0]; i++)
        if (fault_strikes(FAULT_IR_TABLE_LABEL))
            retarget(t, &t->targets[ir->label + i]);
    if (ir->x[0] > 0 && fault_strikes(FAULT_IR_TABLE_SHORT))
        ir->x[0]--;
    if (ir->label + ir->x[0] < t->target_count && fault_strikes(FAULT_IR_TABLE_LONG))
        ir->x[0]++;
}

static void spoil_fields(struct cn_translator *t, struct cn_ir *ir)
{
    const uint32_t words = words_of(ir);
    const uint16_t traits = cn_insn_infos[ir->insn].traits;

    if (words > 0 && ir->insn != CN_INSN_BR_TABLE) {
        if (fault_strikes(FAULT_IR_WORD_UP))
            ir->x[0]++;
        if (fault_strikes(FAULT_IR_WORD_DOWN))
            ir->x[0]--;
        if (ir->x[0] != 0 && fault_strikes(FAULT_IR_WORD_ZERO))
            ir->x[0] = 0;
    }
    if (words > 1 && fault_strikes(FAULT_IR_WORD2_UP))
        ir->x[words - 1]++;
    if (words > 1 && ir->x[words - 1] != 0 && fault_strikes(FAULT_IR_WORD2_ZERO))
        ir->x[words - 1] = 0;
    if (ir->y[0] != 0 && ir > t->ir) {
        if (fault_strikes(FAULT_IR_BLOCK_UP))
            ir->y[0]++;
        if (fault_strikes(FAULT_IR_BLOCK_DOWN))
            ir->y[0]--;
    }
    if (ir->insn == CN_INSN_BR_TABLE)
        spoil_table(t, ir);
    else if ((traits & CN_INSN_IS_BRANCH) && fault_strikes(FAULT_IR_LABEL))
        retarget(t, &ir->label);
}

/* ------------------------------------------------------------------ whole instructions */

static void exchange(struct cn_ir *a, struct cn_ir *b)
{
    struct cn_ir kept = *a;

    *a = *b;
    *b = kept;
}

static void drop(struct cn_translator *t, uint32_t i)
{
    struct cn_ir *ir = &t->ir[i];
    bool is_target = (cn_insn_infos[ir->insn].traits & CN_INSN_IS_BRANCH) &&
                     ir->insn != CN_INSN_BR_TABLE;

    ir->flags |= CN_IR_DEAD;
    if (is_target)
        t->labels[ir->label].uses--;
    if (i + 1 < t->ir_count)
        t->ir[i + 1].weight += ir->weight;
    ir->weight = 0;
}

static void spoil_place(struct cn_translator *t, uint32_t i)
{
    struct cn_ir *ir = &t->ir[i];

    if (fault_strikes(is_control(ir) ? FAULT_IR_DROP_CONTROL : FAULT_IR_DROP))
        drop(t, i);
    if (ir->weight > 0 && fault_strikes(FAULT_IR_WEIGHT))
        ir->weight--;
    if (fault_strikes(FAULT_IR_ROW))
        ir->insn = (uint16_t)fault_next_row(ir->insn);
    if (i + 1 < t->ir_count && is_live(ir + 1) && !is_control(ir) && !is_control(ir + 1) &&
        fault_strikes(FAULT_IR_ORDER))
        exchange(ir, ir + 1);
}

static void spoil_label_place(struct cn_translator *t, uint32_t i)
{
    uint32_t label = t->ir[i].label;

    if (t->labels[label].uses == 0)
        return;
    if (i + 1 < t->ir_count && is_live(&t->ir[i + 1]) && fault_strikes(FAULT_IR_LABEL_LATE)) {
        exchange(&t->ir[i], &t->ir[i + 1]);
        t->labels[label].at++;
    } else if (i > 1 && is_live(&t->ir[i - 1]) && fault_strikes(FAULT_IR_LABEL_EARLY)) {
        exchange(&t->ir[i], &t->ir[i - 1]);
        t->labels[label].at--;
    }
}

/* ------------------------------------------------------------------ labels, handlers, frame */

/* A list of the label's own, since labels share them. */
static struct cn_ref_slot *own_refs(struct cn_translator *t, struct cn_ir_label *label,
                                    uint32_t more)
{
    uint32_t count = label->ref_count + more;

    if (!cn_room(t, &t->refs, &t->ref_room, t->ref_count + count, sizeof *t->refs))
        return NULL;
    struct cn_ref_slot *refs = &t->refs[t->ref_count];
    for (uint32_t i = 0; i < label->ref_count; i++)
        refs[i] = t->refs[label->ref_first + i];
    label->ref_first = t->ref_count;
    label->ref_count = (uint16_t)count;
    t->ref_count += count;
    return refs;
}

static void spoil_map(struct cn_translator *t, struct cn_ir_label *label)
{
    struct cn_ref_slot *refs;

    if (label->live > t->header + CN_FRAME_HEADER && fault_strikes(FAULT_IR_MAP_MORE) &&
        (refs = own_refs(t, label, 1)) != NULL)
        refs[label->ref_count - 1] =
            (struct cn_ref_slot){(uint16_t)(label->live - 1), CN_HEAP_ANY};
    if (label->ref_count == 0)
        return;
    if (fault_strikes(FAULT_IR_MAP_NONE))
        label->ref_count = 0;
    if (fault_strikes(FAULT_IR_MAP_LESS))
        label->ref_count--;
    if (fault_strikes(FAULT_IR_MAP_KIND) && (refs = own_refs(t, label, 0)) != NULL)
        refs[0].type = refs[0].type == CN_HEAP_ANY ? CN_HEAP_FUNC : CN_HEAP_ANY;
    if (fault_strikes(FAULT_IR_MAP_SLOT) && (refs = own_refs(t, label, 0)) != NULL)
        refs[0].slot++;
}

static void spoil_label(struct cn_translator *t, struct cn_ir_label *label)
{
    if (label->uses == 0 || label->at < 0)
        return;
    if (fault_strikes(FAULT_IR_LIVE_UP))
        label->live++;
    if (fault_strikes(FAULT_IR_LIVE_DOWN))
        label->live--;
    spoil_map(t, label);
}

static void spoil_range(struct cn_translator *t, struct cn_ir_handler *handler)
{
    if (fault_strikes(FAULT_IR_TRY_LATE))
        handler->start++;
    if (fault_strikes(FAULT_IR_TRY_SHORT))
        handler->end--;
    if (handler->end < t->ir_count && fault_strikes(FAULT_IR_TRY_LONG))
        handler->end++;
    if (fault_strikes(FAULT_IR_TRY_LEVEL))
        handler->level ^= 1;
    if (fault_strikes(FAULT_IR_TRY_NONE))
        handler->end = handler->start;
}

static void spoil_handler(struct cn_translator *t, struct cn_ir_handler *handler)
{
    spoil_range(t, handler);
    if (handler->label == CN_NO_LABEL)
        return;
    if (fault_strikes(FAULT_IR_TRY_SLOT_UP))
        handler->slot++;
    if (fault_strikes(FAULT_IR_TRY_SLOT_DOWN))
        handler->slot--;
    if (fault_strikes(FAULT_IR_TRY_LABEL))
        retarget(t, &handler->label);
    if (handler->tag != CN_ANY_TAG && fault_strikes(FAULT_IR_TRY_TAG))
        handler->tag++;
    if (handler->tag != CN_ANY_TAG && fault_strikes(FAULT_IR_TRY_ANY))
        handler->tag = CN_ANY_TAG;
    if (fault_strikes(FAULT_IR_TRY_VALUES))
        handler->gives ^= CN_GIVES_VALUES;
    if (fault_strikes(FAULT_IR_TRY_REF))
        handler->gives ^= CN_GIVES_REF_LAST;
}

static void spoil_zeroing(struct cn_translator *t)
{
    struct cn_ir *zero = &t->ir[0];

    if (zero->flags & CN_IR_DEAD)
        return;
    if (fault_strikes(FAULT_IR_ZERO_NONE))
        zero->flags |= CN_IR_DEAD;
    if (zero->insn != CN_INSN_ZERO)
        return;
    if (fault_strikes(FAULT_IR_ZERO_SHORT))
        zero->y[1]--;
    if (fault_strikes(FAULT_IR_ZERO_LONG))
        zero->y[1] = (uint16_t)(t->frame + 1 - zero->y[0]);
    if (fault_strikes(FAULT_IR_ZERO_LATE)) {
        zero->y[0]++;
        zero->y[1]--;
    }
}

static void spoil_frame(struct cn_translator *t)
{
    if (fault_strikes(FAULT_IR_FRAME_LESS))
        t->frame--;
    if (fault_strikes(FAULT_IR_FRAME_HALF))
        t->frame /= 2;
    if (fault_strikes(FAULT_IR_HEADER))
        t->header++;
}

void fault_spoil_ir(struct cn_translator *t)
{
    uint32_t frame = t->frame;

    spoil_zeroing(t);
    for (uint32_t i = 1; i < t->ir_count; i++) {
        struct cn_ir *ir = &t->ir[i];
        if (ir->insn == CN_IR_LABEL)
            spoil_label_place(t, i);
        if (!is_live(ir))
            continue;
        spoil_result(t, ir);
        spoil_operands(t, ir);
        spoil_fields(t, ir);
        spoil_place(t, i);
        if (ir->result_class != CN_CLASS_NONE && ir->d + 2u > frame)
            frame = ir->d + 2u;
        for (int k = 0; k < 3; k++)
            if (ir->s[k] + 2u > frame)
                frame = ir->s[k] + 2u;
    }
    for (uint32_t i = 0; i < t->label_count; i++)
        spoil_label(t, &t->labels[i]);
    for (uint32_t i = 0; i < t->handler_count; i++)
        spoil_handler(t, &t->handlers[i]);
    spoil_frame(t);
    /* Room for what accumulators are given by, whatever slots have come into being: not a fault
     * that is looked for here. */
    if (!cn_room(t, &t->slot_def, &t->slot_def_room, frame + 1, sizeof *t->slot_def) ||
        !cn_room(t, &t->slot_region, &t->slot_room, frame + 1, sizeof *t->slot_region))
        t->status = CN_NO_MEMORY;
    t->regions_used = 0;
}

/* ------------------------------------------------------------------ accumulators */

static void try_form(struct cn_ir *ir, int which, uint8_t form, enum fault fault)
{
    uint8_t old = ir->forms[which];

    ir->forms[which] = form;
    if (cn_variant_of((enum cn_insn)ir->insn, ir->forms) == CN_NO_VARIANT || !fault_strikes(fault))
        ir->forms[which] = old;
}

static void spoil_operand_form(struct cn_ir *ir, int i)
{
    bool is_float = cn_insn_infos[ir->insn].operands[i] == CN_OF_F32 ||
                    cn_insn_infos[ir->insn].operands[i] == CN_OF_F64;

    switch (ir->forms[i + 1]) {
    case CN_S:
        try_form(ir, i + 1, is_float ? CN_F : CN_R, FAULT_FORM_SLOT_ACCUMULATOR);
        break;
    case CN_R:
    case CN_Q:
        try_form(ir, i + 1, ir->forms[i + 1] == CN_R ? CN_Q : CN_R, FAULT_FORM_OTHER_ACCUMULATOR);
        try_form(ir, i + 1, CN_S, FAULT_FORM_SLOT);
        try_form(ir, i + 1, CN_I, FAULT_FORM_IMMEDIATE);
        break;
    case CN_F:
        try_form(ir, i + 1, CN_S, FAULT_FORM_SLOT);
        break;
    default:
        break;
    }
}

static void spoil_result_form(struct cn_ir *ir)
{
    static const uint8_t others[CN_RESULT_FORM_COUNT] = {CN_TO_R, CN_TO_Q, CN_TO_R, CN_TO_C,
                                                         CN_TO_B};

    if (cn_insn_infos[ir->insn].result == CN_OF_NONE)
        return;
    if (ir->forms[0] != CN_TO_S) {
        try_form(ir, 0, CN_TO_S, FAULT_FORM_RESULT_SLOT);
        try_form(ir, 0, others[ir->forms[0]], FAULT_FORM_RESULT_OTHER);
    }
    if (ir->forms[0] != CN_TO_R && ir->forms[0] != CN_TO_Q)
        try_form(ir, 0, ir->forms[0] == CN_TO_C ? CN_TO_Q : CN_TO_R,
                 FAULT_FORM_RESULT_ACCUMULATOR);
}

void fault_spoil_forms(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->ir_count; i++) {
        struct cn_ir *ir = &t->ir[i];
        if (!is_live(ir))
            continue;
        for (int k = 0; k < cn_insn_infos[ir->insn].operand_count; k++)
            spoil_operand_form(ir, k);
        spoil_result_form(ir);
    }
}
