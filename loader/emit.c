/* The translator's hands: appending instructions, the operand stack, locals, fusing. */
#include "loader/ir.h"

#include <string.h>

#include "core/alloc.h"

/* How far back an instruction may be moved down to meet its use: beyond that the scan would
 * cost more than the fusion gains, and long blocks would make it quadratic. */
#define FUSE_DISTANCE 24

bool cn_room(struct cn_translator *t, void *array, uint32_t *room, uint32_t need, size_t size)
{
    void **place = array;
    uint32_t more = *room < 32 ? 64 : *room;

    if (CN_LIKELY(need <= *room))
        return true;
    while (more < need)
        more *= 2;
    void *moved = NULL;
    if (more <= UINT32_MAX / 4)
        moved = cn_resize(t->allocator, *place, *room * size, more * size);
    if (moved == NULL) {
        t->status = t->status ? t->status : CN_NO_MEMORY;
        return false;
    }
    *place = moved;
    *room = more;
    return true;
}

enum cn_class cn_class_of(uint8_t type)
{
    switch (type) {
    case CN_F64:
        return CN_CLASS_F64;
    case CN_F32:
        return CN_CLASS_F32;
    case CN_V128:
        return CN_CLASS_PAIR;
    default:
        return CN_CLASS_INT;
    }
}

void cn_need_slots(struct cn_translator *t, uint64_t slots)
{
    if (slots > CN_FRAME_MAX)
        t->status = t->status ? t->status : CN_TOO_LARGE;
    else if (slots > t->frame)
        t->frame = (uint32_t)slots;
}

struct cn_ir *cn_emit(struct cn_translator *t, uint32_t insn)
{
    struct cn_ir *ir = &t->scratch;

    if (CN_LIKELY(cn_room(t, &t->ir, &t->ir_room, t->ir_count + 1, sizeof *t->ir)))
        ir = &t->ir[t->ir_count++];
    *ir = (struct cn_ir){.insn = (uint16_t)insn,
                         .weight = t->pending_weight,
                         .origin = t->op_start,
                         .ordinal = t->ordinal};
    t->pending_weight = 0;
    return ir;
}

/* ------------------------------------------------------------------ the operand stack */

static void push_position(struct cn_translator *t, struct cn_value value)
{
    if (!cn_room(t, &t->stack, &t->stack_room, t->stack_count + 1, sizeof *t->stack))
        return;
    t->stack[t->stack_count++] = value;
    t->has_refs |= cn_code_is_ref(value.type);
    t->stack_refs += cn_code_is_ref(value.type);
    cn_need_slots(t, (uint64_t)t->temps + t->stack_count);
}

void cn_push_value(struct cn_translator *t, struct cn_value value)
{
    push_position(t, value);
    if (CN_UNLIKELY(value.type == CN_V128))
        push_position(t, (struct cn_value){.kind = CN_VALUE_UPPER, .def = -1,
                                           .slot = cn_home(t, t->stack_count)});
}

void cn_push_result(struct cn_translator *t, struct cn_ir *ir, uint8_t type)
{
    ir->d = cn_home(t, t->stack_count);
    ir->flags |= CN_IR_TEMP;
    ir->result_class = cn_class_of(type);
    if (cn_code_is_ref(type))
        ir->flags |= CN_IR_REF;
    cn_push_value(t, (struct cn_value){.kind = CN_VALUE_TEMP, .type = type, .slot = ir->d,
                                       .def = (int32_t)t->ir_count - 1});
}

void cn_push_home(struct cn_translator *t, uint8_t type)
{
    cn_push_value(t, (struct cn_value){.kind = CN_VALUE_TEMP, .type = type,
                                       .slot = cn_home(t, t->stack_count), .def = -1});
}

void cn_push_local(struct cn_translator *t, uint16_t slot, uint8_t type)
{
    cn_push_value(t, (struct cn_value){.kind = CN_VALUE_LOCAL, .type = type, .slot = slot,
                                       .def = -1});
}

void cn_push_const(struct cn_translator *t, uint8_t type, uint64_t bits)
{
    cn_push_value(t, (struct cn_value){.kind = CN_VALUE_CONST, .type = type,
                                       .slot = cn_home(t, t->stack_count), .def = -1,
                                       .bits = bits});
}

static uint32_t local_of_slot(const struct cn_translator *t, uint16_t slot)
{
    return slot < t->header ? slot : slot - CN_FRAME_HEADER - t->header + t->type->param_slots;
}

bool cn_is_i32_local(const struct cn_translator *t, uint16_t slot)
{
    return slot < t->temps && t->local_types[local_of_slot(t, slot)] == CN_I32;
}

struct cn_value cn_pop(struct cn_translator *t)
{
    struct cn_value value = t->stack[--t->stack_count];

    if (CN_UNLIKELY(value.kind == CN_VALUE_UPPER))
        value = t->stack[--t->stack_count];
    if (t->settled_count > t->stack_count)
        t->settled_count = t->stack_count;
    t->stack_refs -= cn_code_is_ref(value.type);
    if (value.kind == CN_VALUE_LOCAL)
        t->local_uses[local_of_slot(t, value.slot)]--;
    return value;
}

/* The bits of the f32 that the f64 can be made from without loss, or false. */
static bool narrow_f64(uint64_t bits, uint32_t *narrow)
{
    double wide;
    float value;

    memcpy(&wide, &bits, sizeof wide);
    value = (float)wide;
    memcpy(narrow, &value, sizeof value);
    return (double)value == wide;
}

bool cn_fits_immediate(const struct cn_value *value)
{
    uint32_t narrow;

    if (value->type == CN_I64)
        return (int64_t)value->bits == (int32_t)value->bits;
    if (value->type == CN_F64)
        return narrow_f64(value->bits, &narrow);
    return value->type == CN_I32 || value->type == CN_F32;
}

struct cn_value cn_as_operand(struct cn_translator *t, struct cn_value value, bool immediate)
{
    if (value.kind != CN_VALUE_CONST || (immediate && cn_fits_immediate(&value)))
        return value;
    struct cn_ir *ir = cn_emit_move(t, value.slot, &value);
    ir->flags |= CN_IR_TEMP;
    return (struct cn_value){.kind = CN_VALUE_TEMP, .type = value.type, .slot = value.slot,
                             .def = (int32_t)t->ir_count - 1};
}

struct cn_value cn_pop_operand(struct cn_translator *t, bool immediate)
{
    return cn_as_operand(t, cn_pop(t), immediate);
}

void cn_set_operand(struct cn_ir *ir, int i, const struct cn_value *value)
{
    if (value->kind == CN_VALUE_CONST) {
        uint32_t narrow = (uint32_t)value->bits;
        if (value->type == CN_F64)
            narrow_f64(value->bits, &narrow);
        ir->forms[i + 1] = CN_I;
        ir->imm[i] = (int32_t)narrow;
    } else {
        ir->forms[i + 1] = CN_S;
        ir->s[i] = value->slot;
    }
}

static struct cn_ir *emit_constant(struct cn_translator *t, const struct cn_value *value)
{
    struct cn_ir *ir;

    if (value->type == CN_F32) {
        ir = cn_emit(t, CN_INSN_CONST_F32);
        ir->x[0] = (uint32_t)value->bits;
    } else if (value->type == CN_F64) {
        ir = cn_emit(t, CN_INSN_CONST_F64);
        ir->wide[0] = value->bits;
    } else if (cn_fits_immediate(value)) {
        ir = cn_emit(t, CN_INSN_MOV);
        cn_set_operand(ir, 0, value);
    } else {
        ir = cn_emit(t, CN_INSN_CONST64);
        ir->wide[0] = value->bits;
    }
    return ir;
}

static uint32_t move_of(uint8_t type)
{
    switch (type) {
    case CN_F64:
        return CN_INSN_MOV_F64;
    case CN_F32:
        return CN_INSN_MOV_F32;
    case CN_V128:
        return CN_INSN_MOV_V128;
    default:
        return CN_INSN_MOV;
    }
}

struct cn_ir *cn_emit_move(struct cn_translator *t, uint16_t to, const struct cn_value *value)
{
    struct cn_ir *ir;

    if (value->kind == CN_VALUE_CONST) {
        ir = emit_constant(t, value);
    } else {
        ir = cn_emit(t, move_of(value->type));
        cn_set_operand(ir, 0, value);
    }
    ir->d = to;
    ir->result_class = cn_class_of(value->type);
    if (cn_code_is_ref(value->type))
        ir->flags |= CN_IR_REF;
    return ir;
}

void cn_settle(struct cn_translator *t, uint32_t position)
{
    struct cn_value *value = &t->stack[position];

    if (value->kind == CN_VALUE_UPPER)
        return;
    if (value->kind == CN_VALUE_TEMP) {
        if (value->def >= 0)
            t->ir[value->def].flags |= CN_IR_KEEP;
        value->def = -1;
        return;
    }
    if (value->kind == CN_VALUE_LOCAL)
        t->local_uses[local_of_slot(t, value->slot)]--;
    struct cn_ir *ir = cn_emit_move(t, cn_home(t, position), value);
    ir->flags |= CN_IR_TEMP | CN_IR_KEEP;
    *value = (struct cn_value){.kind = CN_VALUE_TEMP, .type = value->type,
                               .slot = cn_home(t, position), .def = -1};
}

void cn_settle_from(struct cn_translator *t, uint32_t from)
{
    for (uint32_t i = from; i < t->stack_count; i++)
        cn_settle(t, i);
}

void cn_settle_all(struct cn_translator *t)
{
    cn_settle_from(t, t->settled_count);
    t->settled_count = t->stack_count;
}

void cn_truncate(struct cn_translator *t, uint32_t height)
{
    while (t->stack_count > height)
        cn_pop(t);
}

/* ------------------------------------------------------------------ fusing */

static bool may_trap(const struct cn_ir *ir)
{
    return !(cn_insn_infos[ir->insn].traits & CN_INSN_IS_PURE);
}

static bool writes_operand_of(const struct cn_ir *writer, const struct cn_ir *reader)
{
    const struct cn_insn_info *info = &cn_insn_infos[reader->insn];

    if (writer->result_class == CN_CLASS_NONE)
        return false;
    for (int i = 0; i < info->operand_count; i++)
        if (reader->forms[i + 1] == CN_S &&
            cn_writes(writer, reader->s[i], cn_operand_slots(info, i)))
            return true;
    return false;
}

bool cn_touches(const struct cn_ir *ir, uint32_t slot, uint32_t count)
{
    const struct cn_insn_info *info = &cn_insn_infos[ir->insn];

    if (cn_writes(ir, slot, count))
        return true;
    for (int i = 0; i < info->operand_count; i++)
        if (ir->forms[i + 1] == CN_S && ir->s[i] < slot + count &&
            slot < ir->s[i] + cn_operand_slots(info, i))
            return true;
    return false;
}

/* Whether the work of instruction `at` may as well be done now: nothing since then changed its
 * operands, and a load does not pass a store, a call, or anything else that may trap. */
static bool may_sink(const struct cn_translator *t, uint32_t at)
{
    const struct cn_ir *ir = &t->ir[at];
    const uint16_t traits = cn_insn_infos[ir->insn].traits;

    if (!(traits & (CN_INSN_IS_PURE | CN_INSN_IS_LOAD)) || t->ir_count - at > FUSE_DISTANCE)
        return false;
    for (uint32_t i = at + 1; i < t->ir_count; i++) {
        const struct cn_ir *passed = &t->ir[i];
        if (passed->flags & CN_IR_DEAD)
            continue;
        if (cn_is_barrier(passed) || writes_operand_of(passed, ir))
            return false;
        if ((traits & CN_INSN_IS_LOAD) && may_trap(passed))
            return false;
    }
    return true;
}

struct cn_ir *cn_fusible(struct cn_translator *t, const struct cn_value *value)
{
    if (value->kind != CN_VALUE_TEMP || value->def < 0)
        return NULL;
    struct cn_ir *ir = &t->ir[value->def];
    if ((ir->flags & (CN_IR_DEAD | CN_IR_KEEP)) || !(ir->flags & CN_IR_TEMP) ||
        ir->d != value->slot || !may_sink(t, (uint32_t)value->def))
        return NULL;
    return ir;
}

struct cn_ir cn_take(struct cn_translator *t, struct cn_ir *ir)
{
    struct cn_ir taken = *ir;
    struct cn_ir *end = t->ir + t->ir_count;

    ir->flags |= CN_IR_DEAD;
    ir->weight = 0;
    /* What it paid for was executed before whatever stands between it and here. */
    for (ir++; ir < end; ir++) {
        if (!(ir->flags & CN_IR_DEAD)) {
            ir->weight += taken.weight;
            return taken;
        }
    }
    t->pending_weight += taken.weight;
    return taken;
}

/* ------------------------------------------------------------------ locals */

uint16_t cn_local_slot(const struct cn_translator *t, uint32_t local)
{
    uint32_t params = t->type->param_slots;

    return (uint16_t)(local < params ? local : t->header + CN_FRAME_HEADER + local - params);
}

uint32_t cn_code_local(struct cn_translator *t)
{
    uint32_t number = cn_code_u32(t);

    return CN_UNLIKELY(t->has_vector_locals) ? t->local_places[number] : number;
}

/* The slots of a v128 local are two places. */
static void zero_local(struct cn_translator *t, uint32_t local)
{
    uint32_t slot = cn_local_slot(t, local);

    t->local_set[local] = true;
    if (t->local_types[local] == CN_V128)
        zero_local(t, local + 1);
    if (cn_code_is_ref(t->local_types[local]))
        return; /* nulled at entry in any case */
    if (slot < t->zero_first)
        t->zero_first = slot;
    if (slot >= t->zero_end)
        t->zero_end = slot + 1;
}

void cn_leave_entry(struct cn_translator *t)
{
    if (!t->in_entry)
        return;
    t->in_entry = false;
    for (uint32_t i = t->type->param_slots; i < t->local_count; i++)
        if (!t->local_set[i])
            zero_local(t, i);
}

void cn_get_local(struct cn_translator *t, uint32_t local)
{
    if (t->in_entry && !t->local_set[local])
        zero_local(t, local);
    t->local_uses[local]++;
    cn_push_local(t, cn_local_slot(t, local), t->local_types[local]);
    /* A function made so that looking for its locals on the operand stack takes long gets them
     * copied at once instead. */
    if (CN_UNLIKELY(t->scan_work > t->ir_limit) && t->status == CN_OK)
        cn_settle_from(t, t->stack_count - cn_valtype_slots(t->local_types[local]));
}

/* The operand stack still holds the local's old value: it is copied before it is lost. */
static void preserve_local(struct cn_translator *t, uint32_t local)
{
    uint16_t slot = cn_local_slot(t, local);

    for (uint32_t i = t->stack_count; t->local_uses[local] > 0 && i-- > 0;) {
        struct cn_value *value = &t->stack[i];
        t->scan_work++;
        if (value->kind != CN_VALUE_LOCAL || value->slot != slot)
            continue;
        struct cn_ir *ir = cn_emit_move(t, cn_home(t, i), value);
        ir->flags |= CN_IR_TEMP;
        t->local_uses[local]--;
        *value = (struct cn_value){.kind = CN_VALUE_TEMP, .type = value->type,
                                   .slot = cn_home(t, i), .def = (int32_t)t->ir_count - 1};
    }
}

/* Whether the instruction that made the value can write the local instead of its temporary. */
static bool may_write_local(const struct cn_translator *t, const struct cn_value *value,
                            uint16_t slot)
{
    if (value->kind != CN_VALUE_TEMP || value->def < 0 ||
        t->ir_count - (uint32_t)value->def > FUSE_DISTANCE)
        return false;
    const struct cn_ir *made_by = &t->ir[value->def];
    if ((made_by->flags & (CN_IR_DEAD | CN_IR_KEEP)) || !(made_by->flags & CN_IR_TEMP) ||
        made_by->d != value->slot ||
        (cn_insn_infos[made_by->insn].traits & CN_INSN_IS_CALL))
        return false;
    for (uint32_t i = (uint32_t)value->def + 1; i < t->ir_count; i++) {
        const struct cn_ir *ir = &t->ir[i];
        if (ir->flags & CN_IR_DEAD)
            continue;
        if (cn_is_barrier(ir) || cn_touches(ir, slot, cn_valtype_slots(value->type)))
            return false;
    }
    return true;
}

void cn_set_local(struct cn_translator *t, uint32_t local, bool tee)
{
    uint16_t slot = cn_local_slot(t, local);
    struct cn_value value = cn_pop(t);

    t->local_set[local] = true;
    if (value.type == CN_V128)
        t->local_set[local + 1] = true;
    if (value.kind == CN_VALUE_LOCAL && value.slot == slot) {
        if (tee)
            cn_get_local(t, local);
        return;
    }
    if (t->local_uses[local] == 0 && may_write_local(t, &value, slot)) {
        struct cn_ir *made_by = &t->ir[value.def];
        made_by->d = slot;
        made_by->flags &= (uint8_t)~CN_IR_TEMP;
    } else {
        preserve_local(t, local);
        cn_emit_move(t, slot, &value);
    }
    if (tee)
        cn_get_local(t, local);
}

/* ------------------------------------------------------------------ labels */

uint32_t cn_new_label(struct cn_translator *t)
{
    if (!cn_room(t, &t->labels, &t->label_room, t->label_count + 1, sizeof *t->labels))
        return 0;
    t->labels[t->label_count] = (struct cn_ir_label){.at = -1};
    return t->label_count++;
}

static void note_ref(struct cn_translator *t, uint16_t slot, uint8_t type)
{
    if (!cn_code_is_ref(type) || t->status != CN_OK)
        return;
    /* Labels with references on the operand stack have a list each: a bound keeps a hostile
     * function from making that quadratic. */
    if (t->ref_count > t->ir_limit) {
        t->status = CN_TOO_LARGE;
        return;
    }
    if (cn_room(t, &t->refs, &t->ref_room, t->ref_count + 1, sizeof *t->refs))
        t->refs[t->ref_count++] = (struct cn_ref_slot){slot, type};
}

static void note_local_refs(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->local_count && t->has_refs; i++)
        note_ref(t, cn_local_slot(t, i), t->local_types[i]);
}

/* Notes which slots hold references at a label. Most labels have none but the locals, and share
 * one list of those. */
static void note_refs(struct cn_translator *t, struct cn_ir_label *place, uint32_t height)
{
    if (t->stack_refs == 0) {
        if (t->local_refs_first == UINT32_MAX) {
            t->local_refs_first = t->ref_count;
            note_local_refs(t);
            t->local_refs_count = t->ref_count - t->local_refs_first;
        }
        place->ref_first = t->local_refs_first;
        place->ref_count = (uint16_t)t->local_refs_count;
        return;
    }
    place->ref_first = t->ref_count;
    note_local_refs(t);
    t->scan_work += height;
    if (t->scan_work / 16 > t->ir_limit)
        t->status = t->status ? t->status : CN_TOO_LARGE;
    for (uint32_t i = 0; i < height; i++)
        note_ref(t, t->stack[i].slot, t->stack[i].type);
    place->ref_count = (uint16_t)(t->ref_count - place->ref_first);
}

void cn_place_label(struct cn_translator *t, uint32_t label, uint32_t height)
{
    cn_leave_entry(t);
    struct cn_ir *ir = cn_emit(t, CN_IR_LABEL);
    struct cn_ir_label *place = &t->labels[label];

    ir->label = label;
    place->at = (int32_t)t->ir_count - 1;
    place->live = (uint16_t)(t->temps + height);
    note_refs(t, place, height);
}
