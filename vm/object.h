/* Looking at references and objects, for handlers: what AS_STRUCT and the like in spec/insn.def
 * stand for. The verifier proves of which hierarchy a reference is; of which type an object is
 * is looked at here, where it is used. */
#ifndef CN_VM_OBJECT_H
#define CN_VM_OBJECT_H

#include "vm/heap.h"
#include "vm/thread.h"
#include "vm/types.h"

static inline struct cn_object *cn_object_at(uint64_t reference)
{
    return (struct cn_object *)(uintptr_t)reference;
}

/* Whether a reference of the hierarchy any that is not null refers to an object of this type of
 * the instance, or of a subtype. */
static inline bool cn_is_of_type(const struct cn_thread *t, uint64_t reference, uint32_t type)
{
    uint32_t wanted = t->type_ids[type];

    if (reference & CN_REF_TAG_BITS)
        return false;
    return cn_object_at(reference)->type == wanted ||
           cn_types_are_sub(t->store->types, cn_object_at(reference)->type, wanted);
}

static inline bool cn_is_object_of_kind(const struct cn_thread *t, uint64_t reference,
                                        enum cn_deftype_kind kind)
{
    return !(reference & CN_REF_TAG_BITS) &&
           t->store->types->layouts[cn_object_at(reference)->type].kind == kind;
}

/* The same for abstract heap types; what is not null of the hierarchies' top types is of them. */
static inline bool cn_is_of_heap_type(const struct cn_thread *t, uint64_t reference,
                                      uint32_t heap)
{
    switch (heap) {
    case CN_HEAP_FUNC:
    case CN_HEAP_EXTERN:
    case CN_HEAP_ANY:
    case CN_HEAP_EXN:
        return true;
    case CN_HEAP_EQ:
        return (reference & CN_REF_TAG_BITS) != CN_REF_HOST_BITS;
    case CN_HEAP_I31:
        return reference & CN_REF_I31_BIT;
    case CN_HEAP_STRUCT:
        return cn_is_object_of_kind(t, reference, CN_DEF_STRUCT);
    case CN_HEAP_ARRAY:
        return cn_is_object_of_kind(t, reference, CN_DEF_ARRAY);
    default:
        return false; /* the bottoms */
    }
}

/* Whether the reference, which is of the type's hierarchy, is of the type. */
static inline bool cn_ref_is(const struct cn_thread *t, uint64_t reference, cn_valtype type)
{
    if (reference == 0)
        return cn_ref_is_nullable(type);
    if (!cn_ref_is_defined(type))
        return cn_is_of_heap_type(t, reference, cn_ref_heap(type));
    if (cn_ref_hierarchy(type) != CN_HIERARCHY_FUNC)
        return cn_is_of_type(t, reference, cn_ref_heap(type));
    const struct cn_func *func = (const struct cn_func *)(uintptr_t)reference;
    return cn_types_are_sub(t->store->types, func->type_id, t->type_ids[cn_ref_heap(type)]);
}

/* The following end in a trap, or declare `object` or `array`. */
#define AS_STRUCT(type_at, reference)                                                              \
    TRAP_IF((reference) == 0, NULL_STRUCT)                                                         \
    TRAP_IF(!cn_is_of_type(t, reference, FIELD32(type_at)), CAST_FAILURE)                          \
    uint8_t *object = (uint8_t *)cn_object_at(reference);

#define AS_ARRAY(type_at, reference, index)                                                        \
    TRAP_IF((reference) == 0, NULL_ARRAY)                                                          \
    TRAP_IF(!cn_is_of_type(t, reference, FIELD32(type_at)), CAST_FAILURE)                          \
    struct cn_object *array = cn_object_at(reference);                                             \
    TRAP_IF((index) >= array->length, OUT_OF_BOUNDS_ARRAY)

#define AS_ANY_ARRAY(reference)                                                                    \
    TRAP_IF((reference) == 0, NULL_ARRAY)                                                          \
    TRAP_IF(!cn_is_object_of_kind(t, reference, CN_DEF_ARRAY), CAST_FAILURE)                       \
    const struct cn_object *array = cn_object_at(reference);

#define AS_I31(reference)                                                                          \
    TRAP_IF((reference) == 0, NULL_I31)                                                            \
    TRAP_IF(!((reference) & CN_REF_I31_BIT), CAST_FAILURE)

#define FIELD_OF(field_at, type)                                                                   \
    (((struct cn_unaligned_##type *)(object + FIELD32(field_at)))->value)
#define ELEMENT_OF(type, index)                                                                    \
    (((struct cn_unaligned_##type *)(cn_object_body(array) + (uint64_t)(index) * sizeof(type)))    \
         ->value)

#endif
