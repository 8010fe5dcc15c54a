/* The types of one store. Equal types of different modules have one number here (core 3.1.5:
 * types are equal when their recursive groups are), so that an indirect call compares two
 * integers, and an object says of what type it is with one.
 *
 * A value type "in the store's terms" names defined types by these numbers instead of those of
 * a module.
 */
#ifndef CN_VM_TYPES_H
#define CN_VM_TYPES_H

#include "core/alloc.h"
#include "core/hash.h"
#include "core/module.h"
#include "core/status.h"

/* Bytes in front of an object's fields, elements, or what an exception carries. */
#define CN_OBJECT_HEADER 16u

/* How objects of a type are laid out: structures, arrays, and what exceptions with tags of a
 * function type carry. */
struct cn_layout {
    uint8_t kind;            /* enum cn_deftype_kind */
    uint8_t depth;           /* how many supertypes are above it */
    uint8_t element_size;    /* of an array, bytes */
    bool has_heap_elements;  /* of an array: references that are roots */
    uint32_t size;           /* bytes of an object with its header; of an empty array */
    uint32_t ref_count;
    const uint32_t *refs;    /* distances of heap references from the object's beginning */
    const uint32_t *offsets; /* of a structure: distance of each field */
    const uint32_t *display; /* the type itself stands at [depth], its supertypes below */
};

struct cn_type_group;
struct cn_group_place;

/* Only vm/types.c changes anything here. The arrays move when types are added. */
struct cn_type_registry {
    struct cn_deftype *types;  /* by number, in the store's terms */
    struct cn_layout *layouts; /* by number */
    uint32_t count;
    uint32_t capacity;

    struct cn_allocator allocator;
    struct cn_type_group *groups; /* in the order of their numbers */
    struct cn_group_place *places; /* the hash table of them */
    uint32_t group_count, group_capacity, place_capacity;
    struct cn_hash_keys keys;
};

/* CN_NO_MEMORY is the only failure of all functions here. */
CN_CHECKED enum cn_status cn_types_new(struct cn_allocator allocator,
                                       struct cn_type_registry **result);
void cn_types_free(struct cn_type_registry *registry);

/* Numbers all types of the module: ids[i] is the number of its type i. Nothing of the module is
 * kept. On failure some types may have been added: see cn_types_forget. */
CN_CHECKED enum cn_status cn_types_add(struct cn_type_registry *registry,
                                       const struct cn_module *module, uint32_t *ids);

/* The number of a function type that stands alone and names no defined types. */
CN_CHECKED enum cn_status cn_types_number(struct cn_type_registry *registry,
                                          const struct cn_functype *type, uint32_t *number);

/* Takes out the types numbered `count` and above, which cn_types_add or cn_types_number added,
 * and gives back exactly the memory that was taken for them. */
void cn_types_forget(struct cn_type_registry *registry, uint32_t count);

/* Whether type `a` is `b` or one of its subtypes. */
static inline bool cn_types_are_sub(const struct cn_type_registry *registry, uint32_t a,
                                    uint32_t b)
{
    uint32_t depth = registry->layouts[b].depth;

    return a == b || (registry->layouts[a].depth > depth &&
                      registry->layouts[a].display[depth] == b);
}

/* A module's value type in the store's terms. */
static inline cn_valtype cn_types_translate(const uint32_t *ids, cn_valtype type)
{
    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type))
        return type;
    return (type & ~CN_REF_HEAP_MASK) | ids[cn_ref_heap(type)];
}

/* Whether references of this type may refer to objects of the heap. */
static inline bool cn_valtype_is_heap_ref(cn_valtype type)
{
    return cn_valtype_is_ref(type) && cn_ref_hierarchy(type) != CN_HIERARCHY_FUNC;
}

/* Bytes that a field or an element takes. */
uint32_t cn_storage_size(cn_valtype type);

/* The distance of a structure's next field behind `end`. */
static inline uint32_t cn_field_place(uint32_t end, cn_valtype type)
{
    uint32_t size = cn_storage_size(type), align = size < 8 ? size : 8;

    return (end + align - 1) & ~(align - 1);
}

#endif
