/* Structures, arrays and casts: that the types an instruction names are such as it needs, and that
 * what goes into a field or comes out of it has its size and kind. Of which type an object is,
 * and whether there is one, is looked at when the instruction is executed. */
#include "vm/types.h"
#include "vm/verifier.h"

/* What the storage of a field must be for an instruction. */
enum storage { NO_STORAGE, BYTES_1, BYTES_2, BYTES_4, BYTES_8, BYTES_16, A_REFERENCE };

static enum storage storage_of(cn_valtype type)
{
    if (cn_valtype_is_ref(type))
        return A_REFERENCE;
    switch (cn_storage_size(type)) {
    case 1:
        return BYTES_1;
    case 2:
        return BYTES_2;
    case 4:
        return BYTES_4;
    case 8:
        return BYTES_8;
    default:
        return BYTES_16;
    }
}

/* In the order of the rows: gets of signed and unsigned bytes and halves, then the others. */
static const uint8_t get_storages[] = {BYTES_1, BYTES_1, BYTES_2, BYTES_2, BYTES_4, BYTES_8,
                                       BYTES_4, BYTES_8, A_REFERENCE, BYTES_16};
static const uint8_t set_storages[] = {BYTES_1, BYTES_2, BYTES_4, BYTES_8,
                                       BYTES_4, BYTES_8, A_REFERENCE, BYTES_16};

_Static_assert(CN_INSN_STRUCT_GET_V128 - CN_INSN_STRUCT_GET8_S == 9, "rows in this order");
_Static_assert(CN_INSN_STRUCT_SET_V128 - CN_INSN_STRUCT_SET8 == 7, "rows in this order");
_Static_assert(CN_INSN_ARRAY_GET_V128 - CN_INSN_ARRAY_GET8_S == 9, "rows in this order");
_Static_assert(CN_INSN_ARRAY_SET_V128 - CN_INSN_ARRAY_SET8 == 7, "rows in this order");

/* What the row of an access says, or NO_STORAGE. */
static enum storage storage_wanted(uint32_t row, uint32_t get, uint32_t set)
{
    if (row >= get && row < get + sizeof get_storages)
        return get_storages[row - get];
    if (row >= set && row < set + sizeof set_storages)
        return set_storages[row - set];
    return NO_STORAGE;
}

static enum cn_status need_type(struct cn_verifier *v, uint32_t type, enum cn_deftype_kind kind)
{
    if (v->module->types[type].kind != kind)
        return cn_refuse(v, CN_RULE_TYPE_KIND, type);
    return CN_OK;
}

static cn_valtype element_of(const struct cn_verifier *v, uint32_t type)
{
    return v->module->types[type].fields[0].type;
}

/* A field that is read or written: its kind becomes that of the operand or result that may be
 * anything. */
static enum cn_status check_access(struct cn_verifier *v, struct insn *insn, cn_valtype field,
                                   enum storage wanted)
{
    if (storage_of(field) != wanted)
        return cn_refuse(v, CN_RULE_FIELD_KIND, insn->callee);
    if (wanted == A_REFERENCE)
        insn->kind = cn_kind_of(field);
    return CN_OK;
}

static enum cn_status check_field(struct cn_verifier *v, struct insn *insn, enum storage wanted)
{
    uint8_t *place = v->bytes + v->at + insn->field_at;
    uint32_t field = cn_load_u32(place);

    CN_TRY(need_type(v, insn->callee, CN_DEF_STRUCT));
    const struct cn_deftype *type = &v->module->types[insn->callee];
    if (field >= type->field_count)
        return cn_refuse(v, CN_RULE_STRUCT_FIELD, field);
    CN_TRY(check_access(v, insn, type->fields[field].type, wanted));
    cn_store_u32(place, v->program->offsets[v->program->first_offset[insn->callee] + field]);
    return CN_OK;
}

/* A value of a field's type in the slots from `slot` on. */
static enum cn_status check_value(struct cn_verifier *v, uint32_t *slot, cn_valtype type)
{
    for (uint32_t end = *slot + cn_valtype_slots(type); *slot < end; (*slot)++)
        CN_TRY(cn_check_kind(v, *slot, cn_kind_of(type)));
    return CN_OK;
}

static enum cn_status check_struct_new(struct cn_verifier *v, const struct insn *insn)
{
    const struct cn_deftype *type = &v->module->types[insn->callee];
    uint32_t slot = insn->first;

    CN_TRY(need_type(v, insn->callee, CN_DEF_STRUCT));
    v->state.work -= type->field_count;
    for (uint32_t i = 0; i < type->field_count; i++)
        CN_TRY(check_value(v, &slot, type->fields[i].type));
    return CN_OK;
}

static enum cn_status check_array_fixed(struct cn_verifier *v, const struct insn *insn)
{
    uint32_t slot = insn->first, end = slot + insn->count;
    cn_valtype type = element_of(v, insn->callee);

    v->state.work -= insn->count;
    if (insn->count % cn_valtype_slots(type) != 0)
        return cn_refuse(v, CN_RULE_FIELD_KIND, insn->callee);
    while (slot < end)
        CN_TRY(check_value(v, &slot, type));
    return CN_OK;
}

static enum cn_status check_array_fill(struct cn_verifier *v, const struct insn *insn)
{
    uint32_t slot = insn->first + 2;

    CN_TRY(cn_check_kind(v, insn->first, CN_KIND_ANYREF));
    CN_TRY(cn_check_kind(v, insn->first + 1, CN_KIND_NUMBER));
    CN_TRY(check_value(v, &slot, element_of(v, insn->callee)));
    return cn_check_kind(v, slot, CN_KIND_NUMBER);
}

static enum cn_status check_array_copy(struct cn_verifier *v, const struct insn *insn)
{
    CN_TRY(need_type(v, insn->source_type, CN_DEF_ARRAY));
    cn_valtype to = element_of(v, insn->callee), from = element_of(v, insn->source_type);
    if (storage_of(to) != storage_of(from) || cn_kind_of(to) != cn_kind_of(from))
        return cn_refuse(v, CN_RULE_FIELD_KIND, insn->source_type);
    CN_TRY(cn_check_kind(v, insn->first, CN_KIND_ANYREF));
    CN_TRY(cn_check_kind(v, insn->first + 2, CN_KIND_ANYREF));
    CN_TRY(cn_check_kind(v, insn->first + 1, CN_KIND_NUMBER));
    return cn_check_numbers(v, insn->first + 3, 2);
}

/* From a data segment come no references, from an element segment those of its kind. */
static enum cn_status check_source(struct cn_verifier *v, struct insn *insn, bool is_data)
{
    cn_valtype element = element_of(v, insn->callee);
    bool fits = is_data ? !cn_valtype_is_ref(element)
                        : cn_valtype_is_ref(element) &&
                              cn_kind_of(element) ==
                                  cn_kind_of(v->module->elements[insn->element].type);

    insn->kind = CN_KIND_UNSET;
    return fits ? CN_OK : cn_refuse(v, CN_RULE_FIELD_KIND, insn->callee);
}

static enum cn_status check_array_init(struct cn_verifier *v, const struct insn *insn)
{
    CN_TRY(cn_check_kind(v, insn->first, CN_KIND_ANYREF));
    return cn_check_numbers(v, insn->first + 1, 3);
}

static enum cn_status check_array_insn(struct cn_verifier *v, struct insn *insn)
{
    uint32_t row = insn->variant->insn;

    CN_TRY(need_type(v, insn->callee, CN_DEF_ARRAY));
    switch ((enum cn_insn)row) {
    case CN_INSN_ARRAY_NEW_FIXED:
        return check_array_fixed(v, insn);
    case CN_INSN_ARRAY_NEW_DATA:
    case CN_INSN_ARRAY_NEW_ELEM:
        return check_source(v, insn, row == CN_INSN_ARRAY_NEW_DATA);
    case CN_INSN_ARRAY_FILL:
        return check_array_fill(v, insn);
    case CN_INSN_ARRAY_COPY:
        return check_array_copy(v, insn);
    case CN_INSN_ARRAY_INIT_DATA:
    case CN_INSN_ARRAY_INIT_ELEM:
        CN_TRY(check_source(v, insn, row == CN_INSN_ARRAY_INIT_DATA));
        return check_array_init(v, insn);
    default:
        return CN_OK;
    }
}

enum cn_status cn_check_object(struct cn_verifier *v, struct insn *insn)
{
    uint32_t row = insn->variant->insn;
    enum storage wanted = storage_wanted(row, CN_INSN_STRUCT_GET8_S, CN_INSN_STRUCT_SET8);

    if (wanted != NO_STORAGE)
        return check_field(v, insn, wanted);
    wanted = storage_wanted(row, CN_INSN_ARRAY_GET8_S, CN_INSN_ARRAY_SET8);
    if (wanted != NO_STORAGE) {
        CN_TRY(need_type(v, insn->callee, CN_DEF_ARRAY));
        return check_access(v, insn, element_of(v, insn->callee), wanted);
    }
    if (row == CN_INSN_STRUCT_NEW)
        return check_struct_new(v, insn);
    if (row == CN_INSN_STRUCT_NEW_DEFAULT)
        return need_type(v, insn->callee, CN_DEF_STRUCT);
    if (insn->row->traits & CN_INSN_IS_CALL)
        return need_type(v, insn->callee, CN_DEF_FUNC);
    return check_array_insn(v, insn);
}

enum cn_status cn_check_cast_type(struct cn_verifier *v, struct insn *insn,
                                  cn_valtype type)
{
    uint32_t heap = cn_ref_heap(type);
    bool is_known;

    if (cn_ref_is_defined(type))
        is_known = heap < v->module->type_count &&
                   cn_deftype_hierarchy(&v->module->types[heap]) == cn_ref_hierarchy(type);
    else
        is_known =
            cn_heap_is_abstract(heap) && cn_hierarchy_of_heap(heap) == cn_ref_hierarchy(type);
    if (!cn_valtype_is_ref(type) || !is_known)
        return cn_refuse(v, CN_RULE_CAST_TYPE, type);
    insn->kind = cn_kind_of(type);
    return CN_OK;
}
