/* Making objects, and what works on whole arrays: the latter in chunks, as in op_memory.c.
 *
 * An allocation is paid for when it has been made. Where the heap has to be collected first the
 * guest stops at the instruction, which is then executed again: so what an instruction costs
 * does not depend on when that happens. A new object becomes visible with all its fields set.
 */
#include "handlers_made.h"
#include "vm/bulk.h"
#include "vm/segment.h"

#define CHUNK 4096u /* elements */

OP(leave_collect)
{
    SAVE(pc);
    t->stop = CN_STOP_COLLECT;
}

/* Declares `made`, of the given type number in the store, and leaves unless it can be had. */
#define MAKE(price, make)                                                                          \
    const int64_t cost = (int64_t)(price);                                                         \
    if (CN_UNLIKELY(FUEL < cost)) {                                                                \
        t->wanted = (uint64_t)cost;                                                                \
        CN_TAIL cn_op_leave_bulk(CN_ARGS(pc));                                                     \
    }                                                                                              \
    struct cn_object *made = (make);                                                               \
    if (CN_UNLIKELY(made == NULL))                                                                 \
        CN_TAIL cn_op_leave_collect(CN_ARGS(pc));                                                  \
    FUEL -= cost;

#define MAKE_STRUCT(type) MAKE(cn_heap_price(t->store, type), cn_heap_new(t->store, type))
#define MAKE_ARRAY(type, length)                                                                   \
    MAKE(cn_heap_price_of_array(t->store, type, length),                                           \
         cn_heap_new_array(t->store, type, length))

#define TYPE_ID(at) (t->type_ids[FIELD32(at)])

/* Copies a value from slots into a field or element of so many bytes. */
static inline void store_value(uint8_t *to, const union cn_slot *from, uint32_t size)
{
    switch (size) {
    case 1:
        *to = (uint8_t)from->u32;
        return;
    case 2:
        memcpy(to, from, 2);
        return;
    case 4:
        memcpy(to, from, 4);
        return;
    case 8:
        memcpy(to, from, 8);
        return;
    default:
        memcpy(to, from, 16);
        return;
    }
}

static void fill_struct(struct cn_object *object, const struct cn_layout *layout,
                        const struct cn_deftype *type, const union cn_slot *from)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        cn_valtype field = type->fields[i].type;
        store_value((uint8_t *)object + layout->offsets[i], from, cn_storage_size(field));
        from += cn_valtype_slots(field);
    }
}

OP(struct_new)
{
    const uint32_t type = TYPE_ID(CN_AT_STRUCT_NEW_type);

    MAKE_STRUCT(type)
    fill_struct(made, &t->store->types->layouts[type], &t->store->types->types[type],
                fp + FIELD16(CN_AT_STRUCT_NEW_first));
    SET_S(CN_AT_STRUCT_NEW_d, (uintptr_t)made);
    NEXT(CN_SIZE_STRUCT_NEW);
}

OP(struct_new_default)
{
    const uint32_t type = TYPE_ID(CN_AT_STRUCT_NEW_DEFAULT_type);

    MAKE_STRUCT(type)
    SET_S(CN_AT_STRUCT_NEW_DEFAULT_d, (uintptr_t)made);
    NEXT(CN_SIZE_STRUCT_NEW_DEFAULT);
}

OP(array_new_default)
{
    const uint32_t type = TYPE_ID(CN_AT_ARRAY_NEW_DEFAULT_type);
    const uint32_t length = S32(CN_AT_ARRAY_NEW_DEFAULT_a);

    MAKE_ARRAY(type, length)
    SET_S(CN_AT_ARRAY_NEW_DEFAULT_d, (uintptr_t)made);
    NEXT(CN_SIZE_ARRAY_NEW_DEFAULT);
}

OP(array_new_fixed)
{
    const uint32_t type = TYPE_ID(CN_AT_ARRAY_NEW_FIXED_type);
    const uint32_t size = t->store->types->layouts[type].element_size;
    const uint32_t slots = size == 16 ? 2 : 1;
    const uint32_t length = FIELD16(CN_AT_ARRAY_NEW_FIXED_count) / slots;

    MAKE_ARRAY(type, length)
    const union cn_slot *from = fp + FIELD16(CN_AT_ARRAY_NEW_FIXED_first);
    uint8_t *to = cn_object_body(made);
    for (uint32_t i = 0; i < length; i++, from += slots, to += size)
        store_value(to, from, size);
    SET_S(CN_AT_ARRAY_NEW_FIXED_d, (uintptr_t)made);
    NEXT(CN_SIZE_ARRAY_NEW_FIXED);
}

/* What is left of a data segment, and of an element segment. */
static size_t data_size(const struct cn_thread *t, uint32_t segment)
{
    return t->instance->data_dropped[segment] ? 0 : t->instance->module->datas[segment].bytes.size;
}

static uint32_t element_count(const struct cn_thread *t, uint32_t segment)
{
    return t->instance->element_dropped[segment] ? 0
                                                 : t->instance->module->elements[segment].count;
}

/* The following two only make the array, and check that the segment has what it will be filled
 * with. */
OP(array_new_data)
{
    const uint32_t type = TYPE_ID(CN_AT_ARRAY_NEW_DATA_type);
    const size_t size = data_size(t, FIELD32(CN_AT_ARRAY_NEW_DATA_data));
    const uint32_t from = S32(CN_AT_ARRAY_NEW_DATA_a), n = S32(CN_AT_ARRAY_NEW_DATA_b);

    TRAP_IF((uint64_t)from + (uint64_t)n * t->store->types->layouts[type].element_size > size,
            OUT_OF_BOUNDS_MEMORY)
    MAKE_ARRAY(type, n)
    SET_S(CN_AT_ARRAY_NEW_DATA_d, (uintptr_t)made);
    NEXT(CN_SIZE_ARRAY_NEW_DATA);
}

OP(array_new_elem)
{
    const uint32_t type = TYPE_ID(CN_AT_ARRAY_NEW_ELEM_type);
    const uint32_t count = element_count(t, FIELD32(CN_AT_ARRAY_NEW_ELEM_elem));
    const uint32_t from = S32(CN_AT_ARRAY_NEW_ELEM_a), n = S32(CN_AT_ARRAY_NEW_ELEM_b);

    TRAP_IF((uint64_t)from + n > count, OUT_OF_BOUNDS_TABLE)
    MAKE_ARRAY(type, n)
    SET_S(CN_AT_ARRAY_NEW_ELEM_d, (uintptr_t)made);
    NEXT(CN_SIZE_ARRAY_NEW_ELEM);
}

/* ------------------------------------------------------------------ whole arrays */

/* Declares `name`, the array that a slot refers to, and traps unless it has n elements from `at`
 * on. */
#define ARRAY_IN(name, slot, type_at, at, n)                                                       \
    TRAP_IF((slot).u64 == 0, NULL_ARRAY)                                                           \
    TRAP_IF(!cn_is_of_type(t, (slot).u64, FIELD32(type_at)), CAST_FAILURE)                         \
    struct cn_object *name = cn_object_at((slot).u64);                                             \
    TRAP_IF((n) > name->length || (at) > name->length - (n), OUT_OF_BOUNDS_ARRAY)

#define ELEMENT_SIZE(array) ((uint32_t)t->store->types->layouts[(array)->type].element_size)
#define FUEL_OF_ELEMENTS(count) (((uint64_t)(count) * size + 63) / 64)

OP(array_fill)
{
    union cn_slot *range = fp + FIELD16(CN_AT_ARRAY_FILL_first);
    const uint32_t size = t->store->types->layouts[TYPE_ID(CN_AT_ARRAY_FILL_type)].element_size;
    union cn_slot *left = range + (size == 16 ? 4 : 3);
    const uint32_t at = range[1].u32, n = left->u32;

    ARRAY_IN(array, range[0], CN_AT_ARRAY_FILL_type, at, n)
    NEXT_CHUNK(n, CN_SIZE_ARRAY_FILL, CHUNK, FUEL_OF_ELEMENTS);
    uint8_t *to = cn_object_body(array) + (uint64_t)at * size;
    for (uint32_t i = 0; i < chunk; i++, to += size)
        store_value(to, range + 2, size);
    range[1].u64 = at + chunk;
    left->u64 = n - chunk;
    DISPATCH(pc);
}

OP(array_copy)
{
    union cn_slot *range = fp + FIELD16(CN_AT_ARRAY_COPY_first);
    const uint32_t at = range[1].u32, from = range[3].u32, n = range[4].u32;

    TRAP_IF(range[2].u64 == 0 || range[0].u64 == 0, NULL_ARRAY)
    ARRAY_IN(into, range[0], CN_AT_ARRAY_COPY_type, at, n)
    ARRAY_IN(out_of, range[2], CN_AT_ARRAY_COPY_type2, from, n)
    const uint32_t size = ELEMENT_SIZE(into);
    TRAP_IF(size != ELEMENT_SIZE(out_of), CAST_FAILURE)
    NEXT_CHUNK(n, CN_SIZE_ARRAY_COPY, CHUNK, FUEL_OF_ELEMENTS);
    /* Overlapping ranges are copied from the end that is not overwritten. */
    const bool is_upward = at <= from;
    const uint64_t skip = is_upward ? 0 : n - chunk;
    memmove(cn_object_body(into) + (at + skip) * size,
            cn_object_body(out_of) + (from + skip) * size, (size_t)chunk * size);
    if (is_upward) {
        range[1].u64 = at + chunk;
        range[3].u64 = from + chunk;
    }
    range[4].u64 = n - chunk;
    DISPATCH(pc);
}

OP(array_init_data)
{
    union cn_slot *range = fp + FIELD16(CN_AT_ARRAY_INIT_DATA_first);
    const uint32_t at = range[1].u32, from = range[2].u32, n = range[3].u32;
    const uint32_t segment = FIELD32(CN_AT_ARRAY_INIT_DATA_data);

    ARRAY_IN(array, range[0], CN_AT_ARRAY_INIT_DATA_type, at, n)
    const uint32_t size = ELEMENT_SIZE(array);
    TRAP_IF((uint64_t)from + (uint64_t)n * size > data_size(t, segment), OUT_OF_BOUNDS_MEMORY)
    NEXT_CHUNK(n, CN_SIZE_ARRAY_INIT_DATA, CHUNK, FUEL_OF_ELEMENTS);
    memcpy(cn_object_body(array) + (uint64_t)at * size,
           t->instance->module->datas[segment].bytes.at + from, (size_t)chunk * size);
    range[1].u64 = at + chunk;
    range[2].u64 = from + chunk * size;
    range[3].u64 = n - chunk;
    DISPATCH(pc);
}

OP(array_init_elem)
{
    union cn_slot *range = fp + FIELD16(CN_AT_ARRAY_INIT_ELEM_first);
    const uint32_t at = range[1].u32, from = range[2].u32, n = range[3].u32;
    const uint32_t segment = FIELD32(CN_AT_ARRAY_INIT_ELEM_elem), size = sizeof(uint64_t);

    ARRAY_IN(array, range[0], CN_AT_ARRAY_INIT_ELEM_type, at, n)
    TRAP_IF((uint64_t)from + n > element_count(t, segment), OUT_OF_BOUNDS_TABLE)
    NEXT_CHUNK(n, CN_SIZE_ARRAY_INIT_ELEM, CHUNK, FUEL_OF_ELEMENTS);
    void **to = (void **)(void *)cn_object_body(array) + at;
    for (uint32_t i = 0; i < chunk; i++)
        to[i] = cn_segment_element(t->instance, segment, from + i);
    range[1].u64 = at + chunk;
    range[2].u64 = from + chunk;
    range[3].u64 = n - chunk;
    DISPATCH(pc);
}
