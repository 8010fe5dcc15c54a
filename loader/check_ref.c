/* Typing of references, structures and arrays (core 3.4.6 and 3.4.7). */
#include "core/limits.h"
#include "loader/decode.h"

enum cn_status cn_read_type_of(struct cn_validator *v, enum cn_deftype_kind kind, uint32_t *index)
{
    static const char *const names[] = {"a function type", "a structure type", "an array type"};

    CN_TRY(cn_read_number(v, "type", v->module->type_count, index));
    if (v->module->types[*index].kind != kind)
        return cn_reject(v, CN_INVALID, "type mismatch: expected %s, but type %u is another",
                         names[kind], *index);
    return CN_OK;
}

static cn_valtype ref_to(const struct cn_validator *v, uint32_t index, bool nullable)
{
    const struct cn_deftype *type = &v->module->types[index];

    return cn_ref_defined(type->canonical, cn_deftype_hierarchy(type), nullable);
}

static cn_valtype unpacked(cn_valtype type)
{
    return type == CN_I8 || type == CN_I16 ? CN_I32 : type;
}

/* Whatever is taken from here is there: a short operator must not cost much work for nothing. */
static bool is_bottomless(const struct cn_validator *v)
{
    return v->sp == v->floor && cn_top_frame(v)->is_unreachable;
}

/* ------------------------------------------------------------------ any reference */

CN_CHECK(ref_null)
{
    cn_valtype type;

    (void)rule;
    CN_TRY(cn_read_heaptype(v->module, &v->reader, true, &type));
    return cn_push(v, type);
}

CN_CHECK(ref_is_null)
{
    cn_valtype type;

    CN_TRY(cn_pop_ref(v, rule->text, &type));
    return cn_push(v, CN_I32);
}

CN_CHECK(ref_func)
{
    uint32_t index;

    (void)rule;
    CN_TRY(cn_read_number(v, "function", v->module->func_count, &index));
    if (!v->module->funcs[index].is_referenced)
        return cn_reject(v, CN_INVALID, "undeclared function reference: function %u is named by "
                         "no element segment, export or global", index);
    return cn_push(v, ref_to(v, v->module->funcs[index].type, false));
}

CN_CHECK(ref_eq)
{
    cn_valtype eqref = cn_ref_abstract(CN_HEAP_EQ, true);

    CN_TRY(cn_pop_type(v, eqref, rule->text));
    CN_TRY(cn_pop_type(v, eqref, rule->text));
    return cn_push(v, CN_I32);
}

static cn_valtype without_null(cn_valtype type)
{
    return type == CN_TYPE_ANY_REF ? type : cn_ref_as_nullable(type, false);
}

CN_CHECK(ref_as_non_null)
{
    cn_valtype type;

    CN_TRY(cn_pop_ref(v, rule->text, &type));
    return cn_push(v, without_null(type));
}

CN_CHECK(br_on_null)
{
    struct cn_type_list label;
    cn_valtype type;

    CN_TRY(cn_read_label(v, &label));
    CN_TRY(cn_pop_ref(v, rule->text, &type));
    CN_TRY(cn_pop_all(v, label, rule->text));
    CN_TRY(cn_push_all(v, label));
    return cn_push(v, without_null(type));
}

/* A label whose last type is that of the reference that is handed over. */
static enum cn_status read_ref_label(struct cn_validator *v, const struct cn_op_rule *rule,
                                     struct cn_type_list *label)
{
    CN_TRY(cn_read_label(v, label));
    if (label->count == 0 || !cn_valtype_is_ref(label->types[label->count - 1]))
        return cn_reject(v, CN_INVALID, "type mismatch: %s expects a label that takes a reference",
                         rule->text);
    return CN_OK;
}

CN_CHECK(br_on_non_null)
{
    struct cn_type_list label;
    cn_valtype type;

    CN_TRY(read_ref_label(v, rule, &label));
    CN_TRY(cn_pop_ref(v, rule->text, &type));
    CN_TRY(cn_push(v, without_null(type)));
    CN_TRY(cn_pop_all(v, label, rule->text));
    label.count--;
    return cn_push_all(v, label);
}

/* ------------------------------------------------------------------ casts */

/* The reference that a cast takes: anything of the hierarchy. */
static enum cn_status read_cast(struct cn_validator *v, const struct cn_op_rule *rule,
                                cn_valtype *type)
{
    static const uint8_t tops[] = {CN_HEAP_FUNC, CN_HEAP_EXTERN, CN_HEAP_ANY, CN_HEAP_EXN};
    bool nullable = rule == &v->rules[CN_WASM_PLACE(CN_WASM_REF_TEST_NULL)] ||
                    rule == &v->rules[CN_WASM_PLACE(CN_WASM_REF_CAST_NULL)];

    CN_TRY(cn_read_heaptype(v->module, &v->reader, nullable, type));
    return cn_pop_type(v, cn_ref_abstract(tops[cn_ref_hierarchy(*type)], true), rule->text);
}

CN_CHECK(ref_test)
{
    cn_valtype type;

    CN_TRY(read_cast(v, rule, &type));
    return cn_push(v, CN_I32);
}

CN_CHECK(ref_cast)
{
    cn_valtype type;

    CN_TRY(read_cast(v, rule, &type));
    return cn_push(v, type);
}

/* What a reference of type `from` is when it is not one of type `to`. */
static cn_valtype difference(cn_valtype from, cn_valtype to)
{
    return cn_ref_is_nullable(to) ? cn_ref_as_nullable(from, false) : from;
}

CN_CHECK(br_on_cast)
{
    enum { FROM_NULLABLE = 1, TO_NULLABLE = 2 };
    bool jumps_on_fail = rule == &v->rules[CN_WASM_PLACE(CN_WASM_BR_ON_CAST_FAIL)];
    struct cn_type_list label;
    cn_valtype from, to;
    uint8_t flags;

    CN_TRY(cn_read_u8(&v->reader, &flags));
    if (flags > 3)
        return cn_reject(v, CN_MALFORMED, "malformed br_on_cast flags: found 0x%02x", flags);
    CN_TRY(read_ref_label(v, rule, &label));
    CN_TRY(cn_read_heaptype(v->module, &v->reader, flags & FROM_NULLABLE, &from));
    CN_TRY(cn_read_heaptype(v->module, &v->reader, flags & TO_NULLABLE, &to));
    if (!cn_valtype_is_subtype(v->module->types, to, from))
        return cn_reject(v, CN_INVALID, "type mismatch: %s expects to cast to a subtype",
                         rule->text);
    cn_valtype rest = difference(from, to);
    CN_TRY(cn_pop_type(v, from, rule->text));
    CN_TRY(cn_push(v, jumps_on_fail ? rest : to));
    CN_TRY(cn_pop_all(v, label, rule->text));
    label.count--;
    CN_TRY(cn_push_all(v, label));
    return cn_push(v, jumps_on_fail ? to : rest);
}

/* Between the hierarchies any and extern; null stays null. */
static enum cn_status convert(struct cn_validator *v, const struct cn_op_rule *rule,
                              uint32_t from, uint32_t to)
{
    cn_valtype type, expected = cn_ref_abstract(from, true);

    CN_TRY(cn_pop_ref(v, rule->text, &type));
    if (!cn_type_fits(v, type, expected))
        return cn_fail_type(v, rule->text, expected, &type);
    bool nullable = type != CN_TYPE_ANY_REF && cn_ref_is_nullable(type);
    return cn_push(v, cn_ref_abstract(to, nullable));
}

CN_CHECK(any_convert_extern)
{
    return convert(v, rule, CN_HEAP_EXTERN, CN_HEAP_ANY);
}

CN_CHECK(extern_convert_any)
{
    return convert(v, rule, CN_HEAP_ANY, CN_HEAP_EXTERN);
}

CN_CHECK(ref_i31)
{
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_push(v, cn_ref_abstract(CN_HEAP_I31, false));
}

CN_CHECK(i31_get)
{
    CN_TRY(cn_pop_type(v, cn_ref_abstract(CN_HEAP_I31, true), rule->text));
    return cn_push(v, CN_I32);
}

/* ------------------------------------------------------------------ structures */

CN_CHECK(struct_new)
{
    uint32_t index;

    CN_TRY(cn_read_type_of(v, CN_DEF_STRUCT, &index));
    const struct cn_deftype *type = &v->module->types[index];
    for (uint32_t i = type->field_count; i-- > 0 && !is_bottomless(v);)
        CN_TRY(cn_pop_type(v, unpacked(type->fields[i].type), rule->text));
    return cn_push(v, ref_to(v, index, false));
}

static enum cn_status need_defaults(struct cn_validator *v, const struct cn_op_rule *rule,
                                    const struct cn_deftype *type)
{
    for (uint32_t i = 0; i < type->field_count; i++)
        if (!cn_valtype_has_default(type->fields[i].type))
            return cn_reject(v, CN_INVALID, "type mismatch: %s expects fields with default "
                             "values, but field %u has none", rule->text, i);
    return CN_OK;
}

CN_CHECK(struct_new_default)
{
    uint32_t index;

    CN_TRY(cn_read_type_of(v, CN_DEF_STRUCT, &index));
    CN_TRY(need_defaults(v, rule, &v->module->types[index]));
    return cn_push(v, ref_to(v, index, false));
}

/* Plain gets are for what is not packed, signed and unsigned ones for what is. */
static enum cn_status check_packing(struct cn_validator *v, const struct cn_op_rule *rule,
                                    cn_valtype type)
{
    bool is_plain = rule == &v->rules[CN_WASM_PLACE(CN_WASM_STRUCT_GET)] ||
                    rule == &v->rules[CN_WASM_PLACE(CN_WASM_ARRAY_GET)];

    if ((unpacked(type) == type) == is_plain)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: %s expects %s, found %s", rule->text,
                     is_plain ? "a field that is not packed" : "a packed field",
                     cn_valtype_name(type));
}

static enum cn_status read_field(struct cn_validator *v, uint32_t *index,
                                 const struct cn_field_type **field)
{
    uint32_t number;

    CN_TRY(cn_read_type_of(v, CN_DEF_STRUCT, index));
    CN_TRY(cn_read_number(v, "field", v->module->types[*index].field_count, &number));
    *field = &v->module->types[*index].fields[number];
    return CN_OK;
}

CN_CHECK(struct_get)
{
    const struct cn_field_type *field;
    uint32_t index;

    CN_TRY(read_field(v, &index, &field));
    CN_TRY(check_packing(v, rule, field->type));
    CN_TRY(cn_pop_type(v, ref_to(v, index, true), rule->text));
    return cn_push(v, unpacked(field->type));
}

CN_CHECK(struct_set)
{
    const struct cn_field_type *field;
    uint32_t index;

    CN_TRY(read_field(v, &index, &field));
    if (!field->is_mutable)
        return cn_reject(v, CN_INVALID, "immutable field: struct.set expects a mutable one of "
                         "type %u", index);
    CN_TRY(cn_pop_type(v, unpacked(field->type), rule->text));
    return cn_pop_type(v, ref_to(v, index, true), rule->text);
}

/* ------------------------------------------------------------------ arrays */

/* Reads an array's type and gives that of its elements. */
static enum cn_status read_array(struct cn_validator *v, uint32_t *index,
                                 const struct cn_field_type **element)
{
    CN_TRY(cn_read_type_of(v, CN_DEF_ARRAY, index));
    *element = v->module->types[*index].fields;
    return CN_OK;
}

static enum cn_status read_mutable_array(struct cn_validator *v, const struct cn_op_rule *rule,
                                         uint32_t *index, const struct cn_field_type **element)
{
    CN_TRY(read_array(v, index, element));
    if ((*element)->is_mutable)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "immutable array: %s expects a mutable one, found type %u",
                     rule->text, *index);
}

CN_CHECK(array_new)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_array(v, &index, &element));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, unpacked(element->type), rule->text));
    return cn_push(v, ref_to(v, index, false));
}

CN_CHECK(array_new_default)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_array(v, &index, &element));
    CN_TRY(need_defaults(v, rule, &v->module->types[index]));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_push(v, ref_to(v, index, false));
}

CN_CHECK(array_new_fixed)
{
    const struct cn_field_type *element;
    uint64_t offset;
    uint32_t index, count;

    CN_TRY(read_array(v, &index, &element));
    offset = cn_reader_offset(&v->reader);
    CN_TRY(cn_read_u32(&v->reader, &count));
    if (count > CN_LIMIT_ARRAY_FIXED)
        return cn_fail(v->reader.error, CN_TOO_LARGE, offset,
                       "too many operands of array.new_fixed: found %u, at most %u are supported",
                       count, CN_LIMIT_ARRAY_FIXED);
    for (uint32_t i = 0; i < count && !is_bottomless(v); i++)
        CN_TRY(cn_pop_type(v, unpacked(element->type), rule->text));
    return cn_push(v, ref_to(v, index, false));
}

static enum cn_status read_data_for(struct cn_validator *v, const struct cn_op_rule *rule,
                                    const struct cn_field_type *element)
{
    if (cn_valtype_is_ref(element->type))
        return cn_reject(v, CN_INVALID, "array type is not numeric or vector: %s makes no "
                         "references", rule->text);
    return cn_read_data_index(v, rule);
}

static enum cn_status read_elements_for(struct cn_validator *v, const struct cn_op_rule *rule,
                                        const struct cn_field_type *element)
{
    char text[CN_TYPE_TEXT], other[CN_TYPE_TEXT];
    uint32_t segment;

    CN_TRY(cn_read_number(v, "elem segment", v->module->element_count, &segment));
    cn_valtype found = v->module->elements[segment].type;
    if (cn_type_fits(v, found, element->type))
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: %s expects elements of %s, found %s",
                     rule->text, cn_type_text(element->type, text), cn_type_text(found, other));
}

CN_CHECK(array_new_data)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_array(v, &index, &element));
    CN_TRY(read_data_for(v, rule, element));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_push(v, ref_to(v, index, false));
}

CN_CHECK(array_new_elem)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_array(v, &index, &element));
    CN_TRY(read_elements_for(v, rule, element));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_push(v, ref_to(v, index, false));
}

CN_CHECK(array_get)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_array(v, &index, &element));
    CN_TRY(check_packing(v, rule, element->type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, ref_to(v, index, true), rule->text));
    return cn_push(v, unpacked(element->type));
}

CN_CHECK(array_set)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_mutable_array(v, rule, &index, &element));
    CN_TRY(cn_pop_type(v, unpacked(element->type), rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_pop_type(v, ref_to(v, index, true), rule->text);
}

CN_CHECK(array_len)
{
    CN_TRY(cn_pop_type(v, cn_ref_abstract(CN_HEAP_ARRAY, true), rule->text));
    return cn_push(v, CN_I32);
}

CN_CHECK(array_fill)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_mutable_array(v, rule, &index, &element));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, unpacked(element->type), rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_pop_type(v, ref_to(v, index, true), rule->text);
}

CN_CHECK(array_copy)
{
    const struct cn_field_type *to, *from;
    uint32_t into, out_of;

    CN_TRY(read_mutable_array(v, rule, &into, &to));
    CN_TRY(read_array(v, &out_of, &from));
    if (!cn_type_fits(v, from->type, to->type))
        return cn_reject(v, CN_INVALID, "array types do not match: %s of %s into %s", rule->text,
                         cn_valtype_name(from->type), cn_valtype_name(to->type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, ref_to(v, out_of, true), rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_pop_type(v, ref_to(v, into, true), rule->text);
}

/* Array, place in it, place in the segment, length. */
static enum cn_status pop_array_init(struct cn_validator *v, const struct cn_op_rule *rule,
                                     uint32_t index)
{
    for (int i = 0; i < 3; i++)
        CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_pop_type(v, ref_to(v, index, true), rule->text);
}

CN_CHECK(array_init_data)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_mutable_array(v, rule, &index, &element));
    CN_TRY(read_data_for(v, rule, element));
    return pop_array_init(v, rule, index);
}

CN_CHECK(array_init_elem)
{
    const struct cn_field_type *element;
    uint32_t index;

    CN_TRY(read_mutable_array(v, rule, &index, &element));
    CN_TRY(read_elements_for(v, rule, element));
    return pop_array_init(v, rule, index);
}
