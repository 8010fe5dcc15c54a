#include "vm/verify.h"

#include "vm/handlers.h"
#include "vm/verifier.h"

enum cn_status cn_refuse(struct cn_verifier *v, enum cn_rule rule, uint32_t number)
{
    v->verdict = (struct cn_verdict){CN_UNVERIFIED, rule, v->at, number};
    return CN_UNVERIFIED;
}

/* ------------------------------------------------------------------ slots and accumulators */

enum cn_status cn_check_place(struct cn_verifier *v, uint32_t slot)
{
    if (slot >= v->code->frame)
        return cn_refuse(v, CN_RULE_SLOT_FRAME, slot);
    if (cn_state_is_reserved(&v->state, slot))
        return cn_refuse(v, CN_RULE_SLOT_HEADER, slot);
    return CN_OK;
}

enum cn_status cn_check_set(struct cn_verifier *v, uint32_t slot)
{
    CN_TRY(cn_check_place(v, slot));
    if (v->state.kinds[slot] == CN_KIND_UNSET)
        return cn_refuse(v, CN_RULE_SLOT_UNSET, slot);
    return CN_OK;
}

enum cn_status cn_check_kind(struct cn_verifier *v, uint32_t slot, enum cn_kind kind)
{
    CN_TRY(cn_check_set(v, slot));
    if (v->state.kinds[slot] != kind)
        return cn_refuse(v, CN_RULE_SLOT_KIND, slot);
    return CN_OK;
}

enum cn_status cn_check_numbers(struct cn_verifier *v, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_check_kind(v, first + i, CN_KIND_NUMBER));
    return CN_OK;
}

enum cn_status cn_give_slot(struct cn_verifier *v, uint32_t slot, enum cn_kind kind)
{
    CN_TRY(cn_check_place(v, slot));
    cn_state_set(&v->state, slot, kind);
    return CN_OK;
}

static unsigned float_accumulator(uint8_t of)
{
    return of == CN_OF_F32 ? CN_HAS_G0 : CN_HAS_F0;
}

static enum cn_status check_accumulators(struct cn_verifier *v, const struct insn *insn)
{
    for (uint32_t i = 0; i < insn->row->operand_count; i++) {
        unsigned form = insn->variant->forms[i + 1];
        unsigned needs = 0;
        if (form == CN_R)
            needs = CN_HAS_R0;
        else if (form == CN_Q)
            needs = CN_HAS_R1;
        else if (form == CN_F)
            needs = float_accumulator(insn->row->operands[i]);
        if ((v->state.accumulators & needs) != needs)
            return cn_refuse(v, CN_RULE_ACCUMULATOR, (uint32_t)__builtin_ctz(needs));
    }
    return CN_OK;
}

/* ------------------------------------------------------------------ indices */

static enum cn_status check_global(struct cn_verifier *v, struct insn *insn, uint32_t index)
{
    if (index >= v->module->global_count)
        return cn_refuse(v, CN_RULE_GLOBAL, index);
    const struct cn_global_type *type = &v->module->globals[index].type;
    uint32_t which = insn->variant->insn;
    bool sets = which == CN_INSN_GLOBAL_SET || which == CN_INSN_GLOBAL_SET_V128;
    bool is_wide = which == CN_INSN_GLOBAL_GET_V128 || which == CN_INSN_GLOBAL_SET_V128;
    if (sets && !type->is_mutable)
        return cn_refuse(v, CN_RULE_CONSTANT, index);
    if (is_wide != (type->type == CN_V128))
        return cn_refuse(v, CN_RULE_GLOBAL_WIDTH, index);
    insn->kind = cn_kind_of(type->type);
    return CN_OK;
}

/* Two tables in one instruction hold the same. */
static enum cn_status check_table(struct cn_verifier *v, struct insn *insn, uint32_t index)
{
    if (index >= v->module->table_count)
        return cn_refuse(v, CN_RULE_TABLE, index);
    enum cn_kind kind = cn_kind_of(v->module->tables[index].type.element);
    if (insn->kind != CN_KIND_UNSET && insn->kind != kind)
        return cn_refuse(v, CN_RULE_ELEMENTS, index);
    insn->kind = kind;
    insn->table = index;
    return CN_OK;
}

static enum cn_status check_element(struct cn_verifier *v, struct insn *insn, uint32_t index)
{
    if (index >= v->module->element_count)
        return cn_refuse(v, CN_RULE_ELEMENT, index);
    enum cn_kind kind = cn_kind_of(v->module->elements[index].type);
    if (insn->kind != CN_KIND_UNSET && insn->kind != kind)
        return cn_refuse(v, CN_RULE_ELEMENTS, insn->table);
    insn->kind = kind;
    insn->element = index;
    return CN_OK;
}

static enum cn_status check_ref_type(struct cn_verifier *v, struct insn *insn, uint32_t type)
{
    if (type > UINT8_MAX || !cn_code_is_ref((uint8_t)type))
        return cn_refuse(v, CN_RULE_REF_TYPE, type);
    insn->kind = cn_kind_of_code((uint8_t)type);
    return CN_OK;
}

/* What the number of a function may name depends on the instruction. */
static enum cn_status check_func(struct cn_verifier *v, struct insn *insn, uint64_t index)
{
    bool is_import = index < v->module->imported_func_count;
    bool calls = (insn->row->traits & CN_INSN_IS_CALL) != 0;
    bool wants_import = insn->variant->insn == CN_INSN_CALL_IMPORT ||
                        insn->variant->insn == CN_INSN_RETURN_CALL_IMPORT;

    if (index >= v->module->func_count || (calls && is_import != wants_import))
        return cn_refuse(v, CN_RULE_CALLEE, (uint32_t)index);
    insn->callee = (uint32_t)index;
    return CN_OK;
}

static enum cn_status check_index(struct cn_verifier *v, enum cn_rule rule, uint32_t index,
                                  uint32_t count)
{
    return index < count ? CN_OK : cn_refuse(v, rule, index);
}

/* ------------------------------------------------------------------ fields */

/* A slot that is read. What it must hold may depend on fields that come later. */
static enum cn_status take_source(struct cn_verifier *v, struct insn *insn, uint32_t slot,
                                  uint8_t of)
{
    switch (of) {
    case CN_OF_NUMBER:
    case CN_OF_F32:
    case CN_OF_F64:
        return cn_check_kind(v, slot, CN_KIND_NUMBER);
    case CN_OF_V128:
        return cn_check_numbers(v, slot, 2);
    case CN_OF_FUNC:
        return cn_check_kind(v, slot, CN_KIND_FUNCREF);
    case CN_OF_EXTERN:
        return cn_check_kind(v, slot, CN_KIND_EXTERNREF);
    case CN_OF_OBJ:
        return cn_check_kind(v, slot, CN_KIND_ANYREF);
    case CN_OF_EXN:
        return cn_check_kind(v, slot, CN_KIND_EXNREF);
    default:
        insn->sources[insn->source_count++] = slot;
        return cn_check_set(v, slot);
    }
}

static enum cn_status take_type(struct cn_verifier *v, struct insn *insn, uint32_t type)
{
    if (insn->type_count++ == 0)
        insn->callee = type;
    else
        insn->source_type = type;
    return check_index(v, CN_RULE_TYPE, type, v->module->type_count);
}

static enum cn_status take_field(struct cn_verifier *v, struct insn *insn,
                                 const struct cn_field *field)
{
    const uint8_t *place = v->bytes + v->at + field->at;
    const struct cn_module *module = v->module;

    switch ((enum cn_field_kind)field->kind) {
    case CN_FIELD_SOURCE:
        return take_source(v, insn, cn_load_u16(place), field->of);
    case CN_FIELD_RESULT:
        insn->result = cn_load_u16(place);
        insn->result_of = field->of;
        return CN_OK;
    case CN_FIELD_WINDOW:
        insn->window = cn_load_u16(place);
        return CN_OK;
    case CN_FIELD_HEADER:
        insn->header = cn_load_u16(place);
        return CN_OK;
    case CN_FIELD_FIRST:
        insn->first = cn_load_u16(place);
        return CN_OK;
    case CN_FIELD_SLOTS:
        insn->count = cn_load_u16(place);
        return CN_OK;
    case CN_FIELD_TARGET:
        insn->target_at = field->at;
        return CN_OK;
    case CN_FIELD_TABLE_SIZE:
        insn->count = cn_load_u32(place);
        return CN_OK;
    case CN_FIELD_AFTER:
        insn->after = cn_load_u32(place);
        return CN_OK;
    case CN_FIELD_CODE:
        return check_func(v, insn, cn_load_u64(place));
    case CN_FIELD_FUNC:
        return check_func(v, insn, cn_load_u32(place));
    case CN_FIELD_TYPE:
        return take_type(v, insn, cn_load_u32(place));
    case CN_FIELD_STRUCT_FIELD:
        insn->field_at = field->at;
        return CN_OK;
    case CN_FIELD_CAST:
        return cn_check_cast_type(v, insn, cn_load_u32(place));
    case CN_FIELD_TAG:
        insn->callee = cn_load_u32(place);
        return check_index(v, CN_RULE_TAG, insn->callee, module->tag_count);
    case CN_FIELD_GLOBAL:
        return check_global(v, insn, cn_load_u32(place));
    case CN_FIELD_MEMORY:
        return check_index(v, CN_RULE_MEMORY, cn_load_u32(place), module->memory_count);
    case CN_FIELD_TABLE:
        return check_table(v, insn, cn_load_u32(place));
    case CN_FIELD_DATA:
        return check_index(v, CN_RULE_DATA, cn_load_u32(place), module->data_count);
    case CN_FIELD_ELEMENT:
        return check_element(v, insn, cn_load_u32(place));
    case CN_FIELD_REFTYPE:
        return check_ref_type(v, insn, cn_load_u32(place));
    case CN_FIELD_BITS64:
    case CN_FIELD_BITS32:
    case CN_FIELD_IMMEDIATE:
    case CN_FIELD_OFFSET:
    case CN_FIELD_OFFSET64:
    case CN_FIELD_COST:
        return CN_OK; /* any value is fine */
    }
    return cn_refuse(v, CN_RULE_VARIANT, insn->variant->insn);
}

/* ------------------------------------------------------------------ kinds that depend on fields */

/* Gives operands and result that may be anything their kind: that of the global or table that
 * is named, else that of the operands, which must agree. Only slots hold references. */
static enum cn_status resolve_kind(struct cn_verifier *v, struct insn *insn)
{
    const struct cn_insn_info *row = insn->row;
    bool is_given = insn->kind != CN_KIND_UNSET;
    bool wants_ref = false, wants_number = false;

    for (uint32_t i = 0; i < insn->source_count; i++) {
        enum cn_kind kind = (enum cn_kind)v->state.kinds[insn->sources[i]];
        if (insn->kind == CN_KIND_UNSET)
            insn->kind = kind;
        else if (insn->kind != kind)
            return cn_refuse(v, is_given ? CN_RULE_SLOT_KIND : CN_RULE_KINDS, insn->sources[i]);
    }
    for (uint32_t i = 0; i < row->operand_count; i++) {
        wants_ref = wants_ref || row->operands[i] == CN_OF_REF;
        wants_number = wants_number ||
                       (row->operands[i] == CN_OF_ANY && insn->variant->forms[i + 1] != CN_S);
    }
    wants_number = wants_number ||
                   (row->result == CN_OF_ANY && insn->variant->forms[0] != CN_TO_S);
    if (wants_number && insn->kind == CN_KIND_UNSET)
        insn->kind = CN_KIND_NUMBER;
    if (wants_number && insn->kind != CN_KIND_NUMBER)
        return cn_refuse(v, CN_RULE_REF_PLACE, 0);
    if (wants_ref && !cn_kind_is_ref(insn->kind))
        return cn_refuse(v, CN_RULE_SLOT_KIND, insn->sources[0]);
    return CN_OK;
}

static enum cn_kind result_kind(const struct insn *insn)
{
    static const uint8_t kinds[] = {
        [CN_OF_NONE] = CN_KIND_NUMBER, [CN_OF_NUMBER] = CN_KIND_NUMBER,
        [CN_OF_F32] = CN_KIND_NUMBER,  [CN_OF_F64] = CN_KIND_NUMBER,
        [CN_OF_V128] = CN_KIND_NUMBER, [CN_OF_FUNC] = CN_KIND_FUNCREF,
        [CN_OF_OBJ] = CN_KIND_ANYREF,  [CN_OF_EXTERN] = CN_KIND_EXTERNREF,
        [CN_OF_EXN] = CN_KIND_EXNREF,
    };
    uint8_t of = insn->row->result;

    return of == CN_OF_ANY || of == CN_OF_REF ? insn->kind : (enum cn_kind)kinds[of];
}

static enum cn_status give_result(struct cn_verifier *v, const struct insn *insn)
{
    uint8_t of = insn->row->result;
    bool is_float = of == CN_OF_F32 || of == CN_OF_F64;

    switch ((enum cn_result_form)insn->variant->forms[0]) {
    case CN_TO_R:
    case CN_TO_B:
        v->state.accumulators |= is_float ? float_accumulator(of) : (unsigned)CN_HAS_R0;
        break;
    case CN_TO_Q:
    case CN_TO_C:
        v->state.accumulators |= CN_HAS_R1;
        break;
    default:
        break;
    }
    if (insn->result == NO_SLOT)
        return CN_OK;
    CN_TRY(cn_give_slot(v, insn->result, result_kind(insn)));
    return of == CN_OF_V128 ? cn_give_slot(v, insn->result + 1, CN_KIND_NUMBER) : CN_OK;
}

/* ------------------------------------------------------------------ branches */

enum cn_status cn_check_map(struct cn_verifier *v, uint32_t index)
{
    const struct cn_label *label = &v->code->labels[index];
    uint32_t unset = cn_state_first_unset(&v->state, label->live);

    if (unset < label->live)
        return cn_refuse(v, CN_RULE_MAP_UNSET, unset);
    if (!cn_state_refs_match(&v->state, label, v->code->refs))
        return cn_refuse(v, CN_RULE_MAP_REFS, index);
    return v->state.work < 0 ? cn_refuse(v, CN_RULE_WORK, 0) : CN_OK;
}

/* A way to a label: `place` holds the label's number, which becomes a distance, and the cost. */
static enum cn_status check_branch(struct cn_verifier *v, uint8_t *place)
{
    uint32_t index = cn_load_u32(place), cost = cn_load_u32(place + 4);

    if (index >= v->code->label_count)
        return cn_refuse(v, CN_RULE_TARGET, index);
    uint32_t offset = v->code->labels[index].offset;
    if (cost == 0 && offset <= v->at)
        return cn_refuse(v, CN_RULE_FREE_LOOP, index);
    if (cost == 0)
        v->label_unpaid[index] = 1;
    CN_TRY(cn_check_map(v, index));
    cn_store_u32(place, offset - v->at);
    return CN_OK;
}

static enum cn_status check_branch_table(struct cn_verifier *v, struct insn *insn)
{
    uint32_t room = v->code->size - v->at - insn->size;

    if (insn->count == 0 || insn->count > room / 8)
        return cn_refuse(v, CN_RULE_TABLE_END, insn->count);
    uint8_t *entries = v->bytes + v->at + insn->size;
    for (uint32_t i = 0; i < insn->count; i++)
        CN_TRY(check_branch(v, entries + 8 * (size_t)i));
    insn->size += 8 * insn->count;
    return CN_OK;
}

static enum cn_status check_control(struct cn_verifier *v, struct insn *insn)
{
    uint8_t *place = v->bytes + v->at + insn->target_at;

    if (insn->variant->insn == CN_INSN_BR_TABLE)
        return check_branch_table(v, insn);
    CN_TRY(check_branch(v, place));
    /* target, taken, passed stand side by side. */
    if (!(insn->row->traits & CN_INSN_IS_END))
        v->paid = cn_load_u32(place + 8) > 0;
    return CN_OK;
}

/* ------------------------------------------------------------------ several slots at once */

/* Sources come first among the fields, then as many results; all are read before any is
 * written. */
static enum cn_status check_moves(struct cn_verifier *v, const struct insn *insn)
{
    const uint8_t *start = v->bytes + v->at;
    const struct cn_field *fields = insn->variant->fields;
    uint32_t count = insn->variant->field_count / 2;
    enum cn_kind kinds[CN_FIELDS_MAX / 2];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = cn_load_u16(start + fields[i].at);
        CN_TRY(cn_check_set(v, slot));
        kinds[i] = (enum cn_kind)v->state.kinds[slot];
    }
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_give_slot(v, cn_load_u16(start + fields[count + i].at), kinds[i]));
    return CN_OK;
}

static enum cn_status check_zero(struct cn_verifier *v, const struct insn *insn)
{
    v->state.work -= insn->count;
    for (uint32_t i = 0; i < insn->count; i++)
        CN_TRY(cn_give_slot(v, insn->first + i, CN_KIND_NUMBER));
    return CN_OK;
}

static enum cn_status check_payload(struct cn_verifier *v, const struct insn *insn)
{
    const struct cn_functype *type =
        cn_module_functype(v->module, v->module->tags[insn->callee]);
    uint32_t slot = insn->first;

    v->state.work -= type->param_slots;
    for (uint32_t i = 0; i < type->param_count; i++)
        for (uint32_t n = cn_valtype_slots(cn_functype_params(type)[i]); n > 0; n--)
            CN_TRY(cn_check_kind(v, slot++, cn_kind_of(cn_functype_params(type)[i])));
    return CN_OK;
}

/* Instructions with rules of their own; the fields have been taken. */
static enum cn_status check_special(struct cn_verifier *v, struct insn *insn)
{
    switch ((enum cn_insn)insn->variant->insn) {
    case CN_INSN_ZERO:
        return check_zero(v, insn);
    case CN_INSN_MEMORY_FILL:
    case CN_INSN_MEMORY_COPY:
    case CN_INSN_MEMORY_INIT:
    case CN_INSN_TABLE_COPY:
    case CN_INSN_TABLE_INIT:
        return cn_check_numbers(v, insn->first, 3);
    case CN_INSN_TABLE_FILL:
        CN_TRY(cn_check_kind(v, insn->first, CN_KIND_NUMBER));
        CN_TRY(cn_check_kind(v, insn->first + 1, insn->kind));
        return cn_check_kind(v, insn->first + 2, CN_KIND_NUMBER);
    default:
        break;
    }
    if (insn->variant->insn == CN_INSN_THROW)
        CN_TRY(check_payload(v, insn));
    if (insn->variant->insn == CN_INSN_THROW || insn->variant->insn == CN_INSN_THROW_REF)
        return cn_check_handlers(v);
    if ((insn->row->traits & (CN_INSN_IS_LOAD | CN_INSN_IS_STORE)) && !v->module->memory_count)
        return cn_refuse(v, CN_RULE_MEMORY, 0);
    if (insn->type_count > 0)
        CN_TRY(cn_check_object(v, insn));
    if (insn->row->traits & CN_INSN_IS_CALL)
        return cn_check_call_insn(v, insn);
    if (insn->row->traits & CN_INSN_IS_RETURN)
        return cn_check_return_insn(v, insn);
    return CN_OK;
}

/* ------------------------------------------------------------------ the pass */

static enum cn_status check_effects(struct cn_verifier *v, struct insn *insn)
{
    const struct cn_variant_info *variant = insn->variant;

    if (variant->insn == CN_INSN_MOV2 || variant->insn == CN_INSN_MOV3)
        return check_moves(v, insn);
    CN_TRY(check_accumulators(v, insn));
    for (uint32_t i = 0; i < variant->field_count; i++)
        CN_TRY(take_field(v, insn, &variant->fields[i]));
    CN_TRY(check_special(v, insn));
    CN_TRY(resolve_kind(v, insn));
    CN_TRY(give_result(v, insn));
    if (insn->row->traits & CN_INSN_IS_BRANCH)
        return check_control(v, insn);
    return CN_OK;
}

/* What verified code holds in place of numbers. Labels have been replaced already. */
static void thread_insn(struct cn_verifier *v, const struct insn *insn, uint32_t number)
{
    uint8_t *start = v->bytes + v->at;

    for (uint32_t i = 0; i < insn->variant->field_count; i++)
        if (insn->variant->fields[i].kind == CN_FIELD_CODE)
            cn_store_u64(start + insn->variant->fields[i].at,
                         (uintptr_t)&v->program->funcs[insn->callee]);
    cn_store_u64(start, cn_handler_of(number, v->at / 8));
}

static bool is_edge(uint32_t insn)
{
    return insn == CN_INSN_EXIT || insn == CN_INSN_SWITCH_BACK || insn == CN_INSN_NEEDS_CODE;
}

/* Whether a thread can be stopped at the instruction itself. */
static bool is_stop(uint32_t insn, const struct cn_insn_info *row)
{
    return (row->traits & CN_INSN_IS_HAND) && insn != CN_INSN_MOV2 && insn != CN_INSN_MOV3 &&
           insn != CN_INSN_ZERO;
}

static enum cn_status check_insn(struct cn_verifier *v)
{
    uint32_t room = v->code->size - v->at;
    uint64_t number = cn_load_u64(v->bytes + v->at);

    if (number >= CN_VARIANT_COUNT)
        return cn_refuse(v, CN_RULE_VARIANT, (uint32_t)number);
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    struct insn insn = {
        .variant = variant,
        .row = &cn_insn_infos[variant->insn],
        .size = variant->size,
        .result = NO_SLOT,
    };
    if (is_edge(variant->insn))
        return cn_refuse(v, CN_RULE_EDGE, (uint32_t)number);
    if (insn.size > room)
        return cn_refuse(v, CN_RULE_CUT, insn.size);
    if (v->may_stop || is_stop(variant->insn, insn.row))
        cn_maps_note_point(v->maps, &v->state, v->at, v->code->size);
    CN_TRY(check_effects(v, &insn));
    if (v->state.work < 0)
        return cn_refuse(v, CN_RULE_WORK, 0);
    thread_insn(v, &insn, (uint32_t)number);
    v->reachable = !(insn.row->traits & CN_INSN_IS_END);
    v->may_stop = (insn.row->traits & (CN_INSN_IS_BRANCH | CN_INSN_IS_CALL)) != 0;
    v->at += insn.size;
    return CN_OK;
}

/* Where a label stands, what came here must fit its map, and then nothing but the map is
 * known. */
static enum cn_status arrive(struct cn_verifier *v)
{
    const struct cn_label *label = NULL;

    if (v->next_label < v->code->label_count)
        label = &v->code->labels[v->next_label];
    if (label != NULL && label->offset < v->at)
        return cn_refuse(v, CN_RULE_LABEL_PLACE, v->next_label);
    if (label == NULL || label->offset > v->at)
        return v->reachable ? CN_OK : cn_refuse(v, CN_RULE_DEAD, 0);

    if (v->reachable)
        CN_TRY(cn_check_map(v, v->next_label));
    cn_state_become(&v->state, label, v->code->refs);
    v->paid = (v->paid || !v->reachable) && !v->label_unpaid[v->next_label];
    v->reachable = v->may_stop = true;
    v->next_label++;
    return CN_OK;
}

static enum cn_status check_label(struct cn_verifier *v, uint32_t index)
{
    const struct cn_code *code = v->code;
    const struct cn_label *label = &code->labels[index];

    if (index > 0 && label->offset <= code->labels[index - 1].offset)
        return cn_refuse(v, CN_RULE_LABEL_ORDER, index);
    if (label->live > code->frame)
        return cn_refuse(v, CN_RULE_LABEL_LIVE, index);
    if (label->ref_first > code->ref_count ||
        label->ref_count > code->ref_count - label->ref_first)
        return cn_refuse(v, CN_RULE_LABEL_REFS, index);
    v->state.work -= label->ref_count;
    for (uint32_t i = 0; i < label->ref_count; i++) {
        const struct cn_ref_slot *ref = &code->refs[label->ref_first + i];
        if (ref->slot >= label->live || cn_state_is_reserved(&v->state, ref->slot) ||
            !cn_code_is_ref(ref->type) || (i > 0 && ref->slot <= ref[-1].slot))
            return cn_refuse(v, CN_RULE_LABEL_REFS, index);
    }
    return v->state.work < 0 ? cn_refuse(v, CN_RULE_WORK, 0) : CN_OK;
}

static enum cn_status check_frame(struct cn_verifier *v)
{
    const struct cn_code *code = v->code;
    uint32_t params = v->type->param_slots, results = v->type->result_slots;

    if (code->size == 0 || code->size % 8 != 0 || code->size > INT32_MAX)
        return cn_refuse(v, CN_RULE_SIZE, code->size);
    if (code->header != (params > results ? params : results))
        return cn_refuse(v, CN_RULE_HEADER, code->header);
    if (code->frame > CN_FRAME_MAX || code->frame < CN_FRAME_HEADER ||
        code->frame - CN_FRAME_HEADER < code->header)
        return cn_refuse(v, CN_RULE_FRAME, code->frame);
    if (code->label_count > code->size / 8)
        return cn_refuse(v, CN_RULE_LABEL_PLACE, code->size / 8);
    return CN_OK;
}

static enum cn_status check_code(struct cn_verifier *v, uint8_t *scratch)
{
    const struct cn_code *code = v->code;

    CN_TRY(check_frame(v));
    cn_state_enter(&v->state, scratch, code, v->type);
    v->label_unpaid = scratch + code->frame;
    v->reachable = v->may_stop = true;
    v->paid = code->entry_cost > 0;
    for (uint32_t i = 0; i < code->label_count; i++) {
        v->label_unpaid[i] = 0;
        CN_TRY(check_label(v, i));
    }
    CN_TRY(cn_check_handler_list(v));
    while (v->at < code->size) {
        CN_TRY(arrive(v));
        CN_TRY(check_insn(v));
    }
    if (v->reachable)
        return cn_refuse(v, CN_RULE_FALLS_OFF, code->size);
    if (v->next_label < code->label_count)
        return cn_refuse(v, CN_RULE_LABEL_PLACE, v->next_label);
    return CN_OK;
}

/* What is larger than this is refused before the scratch memory is touched. */
size_t cn_verify_scratch(const struct cn_code *code)
{
    size_t slots = code->frame < CN_FRAME_MAX ? code->frame : CN_FRAME_MAX;
    size_t labels = code->label_count < code->size / 8 ? code->label_count : code->size / 8;

    return slots + labels;
}

struct cn_verdict cn_verify(struct cn_program *program, const struct cn_code *code,
                            uint8_t *bytes, uint8_t *scratch, struct cn_maps *maps)
{
    const struct cn_module *module = program->module;
    struct cn_verifier v = {.module = module, .program = program, .code = code, .bytes = bytes,
                            .maps = maps};

    if (code->func >= module->func_count || code->func < module->imported_func_count) {
        (void)cn_refuse(&v, CN_RULE_FUNCTION, code->func);
        return v.verdict;
    }
    v.type = cn_module_type_of(module, code->func);
    v.verdict.status = check_code(&v, scratch);
    return v.verdict;
}
