/* From the list of instructions to the bytes of the code. */
#include "loader/ir.h"

#include <assert.h>
#include <string.h>

#include "core/bytes.h"

/* ------------------------------------------------------------------ moves in one */

static bool is_plain_move(const struct cn_ir *ir)
{
    return ir->insn == CN_INSN_MOV && ir->forms[0] == CN_TO_S && ir->forms[1] == CN_S;
}

/* Collects up to three neighbouring moves of which none reads what an earlier one writes. */
static uint32_t collect_moves(const struct cn_translator *t, uint32_t from, uint32_t found[3])
{
    uint32_t count = 0;

    for (uint32_t i = from; i < t->ir_count && count < 3; i++) {
        const struct cn_ir *ir = &t->ir[i];
        if (ir->flags & CN_IR_DEAD)
            continue;
        if (!is_plain_move(ir))
            break;
        for (uint32_t k = 0; k < count; k++)
            if (t->ir[found[k]].d == ir->s[0])
                return count;
        found[count++] = i;
    }
    return count;
}

static void merge_moves(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->ir_count; i++) {
        uint32_t found[3];
        if ((t->ir[i].flags & CN_IR_DEAD) || !is_plain_move(&t->ir[i]))
            continue;
        uint32_t count = collect_moves(t, i, found);
        if (count < 2)
            continue;
        struct cn_ir *ir = &t->ir[i];
        ir->insn = count == 2 ? CN_INSN_MOV2 : CN_INSN_MOV3;
        memset(ir->forms, 0, sizeof ir->forms);
        for (uint32_t k = 1; k < count; k++) {
            struct cn_ir *other = &t->ir[found[k]];
            ir->s[k] = other->s[0];
            ir->y[k - 1] = other->d;
            ir->weight += other->weight;
            other->flags |= CN_IR_DEAD;
            other->weight = 0;
        }
    }
}

/* ------------------------------------------------------------------ costs and places */

static bool ends_block(const struct cn_ir *ir)
{
    return ir->insn != CN_IR_LABEL && cn_is_barrier(ir);
}

static bool find_costs(struct cn_translator *t)
{
    if (!cn_room(t, &t->costs, &t->cost_room, t->ir_count + 1, sizeof *t->costs))
        return false;
    t->costs[t->ir_count] = 0;
    for (uint32_t i = t->ir_count; i-- > 0;) {
        const struct cn_ir *ir = &t->ir[i];
        bool ends = !(ir->flags & CN_IR_DEAD) && ends_block(ir);
        t->costs[i] = ir->weight + (ends ? 0 : t->costs[i + 1]);
    }
    return true;
}

void cn_swap_operands(struct cn_ir *ir)
{
    uint8_t form = ir->forms[1];
    uint16_t slot = ir->s[0];
    int32_t imm = ir->imm[0];

    ir->forms[1] = ir->forms[2];
    ir->s[0] = ir->s[1];
    ir->imm[0] = ir->imm[1];
    ir->forms[2] = form;
    ir->s[1] = slot;
    ir->imm[1] = imm;
}

static void set_commutative_order(struct cn_ir *ir)
{
    /* The order of accumulators, slots and immediates that the rows' variants have. */
    static const uint8_t rank[CN_FORM_COUNT] = {2, 0, 1, 3, 4};

    if ((cn_insn_infos[ir->insn].traits & CN_INSN_IS_COMM) &&
        rank[ir->forms[1]] > rank[ir->forms[2]])
        cn_swap_operands(ir);
}

static void choose_variant(struct cn_ir *ir)
{
    set_commutative_order(ir);
    uint32_t variant = cn_variant_of((enum cn_insn)ir->insn, ir->forms);
    assert(variant != CN_NO_VARIANT);
    ir->variant = (uint16_t)variant;
}

uint32_t cn_encoded_size(const struct cn_translator *t, const struct cn_ir *ir)
{
    (void)t;
    if ((ir->flags & CN_IR_DEAD) || ir->insn == CN_IR_LABEL)
        return 0;
    uint32_t entries = ir->insn == CN_INSN_BR_TABLE ? 8 * ir->x[0] : 0;
    return cn_variant_infos[ir->variant].size + entries;
}

/* Gives labels their offsets and numbers. Labels at one place become one: what is live there is
 * what all of them promise. */
static uint32_t place_labels(struct cn_translator *t, uint32_t *label_count)
{
    uint32_t offset = 0, count = 0;
    struct cn_ir_label *before = NULL;

    for (uint32_t i = 0; i < t->ir_count; i++) {
        struct cn_ir *ir = &t->ir[i];
        if (ir->insn == CN_IR_LABEL) {
            struct cn_ir_label *label = &t->labels[ir->label];
            if (label->uses == 0)
                continue;
            label->offset = offset;
            bool same = before != NULL && before->offset == offset;
            label->number = same ? count - 1 : count++;
            if (same && before->live < label->live) {
                label->live = before->live;
                label->ref_first = before->ref_first;
                label->ref_count = before->ref_count;
            }
            before = label;
            continue;
        }
        if (!(ir->flags & CN_IR_DEAD))
            choose_variant(ir);
        offset += cn_encoded_size(t, ir);
    }
    *label_count = count;
    return offset;
}

static void write_labels(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->ir_count; i++) {
        if (t->ir[i].insn != CN_IR_LABEL)
            continue;
        const struct cn_ir_label *label = &t->labels[t->ir[i].label];
        if (label->uses > 0)
            t->out_labels[label->number] = (struct cn_label){
                label->offset, label->live, label->ref_count, label->ref_first};
    }
}

/* ------------------------------------------------------------------ writing */

static uint32_t label_cost(const struct cn_translator *t, uint32_t label)
{
    return t->costs[t->labels[label].at + 1];
}

/* Which of an instruction's operands, slots and words come next in the layout. */
struct cursor {
    int operand, immediate, result, y, x, wide, cost;
};

static uint16_t next_slot(const struct cn_ir *ir, struct cursor *cursor)
{
    if (ir->insn == CN_INSN_MOV2 || ir->insn == CN_INSN_MOV3)
        return ir->s[cursor->operand++];
    while (ir->forms[cursor->operand + 1] != CN_S)
        cursor->operand++;
    return ir->s[cursor->operand++];
}

static void write_field(struct cn_translator *t, uint32_t index, uint8_t *at,
                        const struct cn_field *field, struct cursor *cursor)
{
    const struct cn_ir *ir = &t->ir[index];

    switch ((enum cn_field_kind)field->kind) {
    case CN_FIELD_RESULT:
        cn_store_u16(at, cursor->result == 0 ? ir->d : ir->y[cursor->result - 1]);
        cursor->result++;
        return;
    case CN_FIELD_SOURCE:
        cn_store_u16(at, next_slot(ir, cursor));
        return;
    case CN_FIELD_IMMEDIATE:
        while (ir->forms[cursor->immediate + 1] != CN_I)
            cursor->immediate++;
        cn_store_u32(at, (uint32_t)ir->imm[cursor->immediate++]);
        return;
    case CN_FIELD_WINDOW:
    case CN_FIELD_FIRST:
    case CN_FIELD_SLOTS:
        cn_store_u16(at, ir->y[cursor->y++]);
        return;
    case CN_FIELD_HEADER:
        cn_store_u16(at, (uint16_t)t->header);
        return;
    case CN_FIELD_BITS64:
    case CN_FIELD_OFFSET64:
        cn_store_u64(at, ir->wide[cursor->wide++]);
        cursor->x += 2;
        return;
    case CN_FIELD_CODE:
        cn_store_u64(at, ir->x[0]);
        return;
    case CN_FIELD_TARGET:
        cn_store_u32(at, t->labels[ir->label].number);
        return;
    case CN_FIELD_COST:
        cn_store_u32(at, cursor->cost++ == 0 ? label_cost(t, ir->label) : t->costs[index + 1]);
        return;
    case CN_FIELD_AFTER:
        cn_store_u32(at, t->costs[index + 1]);
        return;
    default:
        cn_store_u32(at, ir->x[cursor->x++]);
        return;
    }
}

static uint32_t write_instruction(struct cn_translator *t, uint32_t index, uint8_t *at)
{
    const struct cn_ir *ir = &t->ir[index];
    const struct cn_variant_info *info = &cn_variant_infos[ir->variant];
    struct cursor cursor = {0};

    memset(at, 0, info->size);
    cn_store_u64(at, ir->variant);
    for (int i = 0; i < info->field_count; i++) {
        const struct cn_field *field = &info->fields[i];
        write_field(t, index, at + field->at, field, &cursor);
    }
    if (ir->insn != CN_INSN_BR_TABLE)
        return info->size;
    for (uint32_t i = 0; i < ir->x[0]; i++) {
        uint32_t label = t->targets[ir->label + i];
        cn_store_u32(at + info->size + 8 * i, t->labels[label].number);
        cn_store_u32(at + info->size + 8 * i + 4, label_cost(t, label));
    }
    return info->size + 8 * ir->x[0];
}

/* Where every instruction begins, for the ranges of handlers. */
static bool note_offsets(struct cn_translator *t)
{
    uint32_t at = 0;

    if (t->handler_count == 0)
        return true;
    if (!cn_room(t, &t->offsets, &t->offset_room, t->ir_count + 1, sizeof *t->offsets) ||
        !cn_room(t, &t->out_handlers, &t->out_handler_room, t->handler_count,
                 sizeof *t->out_handlers))
        return false;
    for (uint32_t i = 0; i < t->ir_count; i++) {
        t->offsets[i] = at;
        at += cn_encoded_size(t, &t->ir[i]);
    }
    t->offsets[t->ir_count] = at;
    return true;
}

/* Handlers of a try without any code have nothing to do. */
static uint32_t write_handlers(struct cn_translator *t)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->handler_count; i++) {
        const struct cn_ir_handler *handler = &t->handlers[i];
        uint32_t start = t->offsets[handler->start], end = t->offsets[handler->end];
        bool delegates = handler->label == CN_NO_LABEL;
        if (start == end)
            continue;
        t->out_handlers[count++] = (struct cn_handler_entry){
            .start = start, .end = end, .tag = handler->tag,
            .label = delegates ? CN_NO_LABEL : t->labels[handler->label].number,
            .cost = delegates ? 0 : label_cost(t, handler->label),
            .level = handler->level, .slot = handler->slot, .gives = handler->gives};
    }
    return count;
}

void cn_encode(struct cn_translator *t, uint32_t func, struct cn_code *code)
{
    uint32_t label_count, at = 0;

    merge_moves(t);
    if (!find_costs(t))
        return;
    uint32_t size = place_labels(t, &label_count);
    if (!cn_room(t, &t->bytes, &t->byte_room, size + 8, 1) ||
        !cn_room(t, &t->out_labels, &t->out_label_room, label_count + 1, sizeof *t->out_labels) ||
        !note_offsets(t))
        return;
    write_labels(t);
    for (uint32_t i = 0; i < t->ir_count; i++)
        if (!(t->ir[i].flags & CN_IR_DEAD) && t->ir[i].insn != CN_IR_LABEL)
            at += write_instruction(t, i, t->bytes + at);
    *code = (struct cn_code){
        .func = func, .size = size, .bytes = t->bytes, .entry_cost = t->costs[0],
        .frame = t->frame, .header = t->header, .label_count = label_count,
        .ref_count = t->ref_count, .labels = t->out_labels, .refs = t->refs,
        .handler_count = write_handlers(t), .handlers = t->out_handlers};
}
