/* Recursive groups of types: which are equal, and whether their members are the subtypes that
 * they say they are (core 3.1.5, 3.2.11, 3.3.7 to 3.3.9).
 *
 * Two groups are equal when their members are, where references inside a group count by their
 * place in it. Every group is looked up in a hash table of the different ones so far; all work
 * is linear in the size of the section.
 */
#include "core/hash.h"
#include "core/limits.h"
#include "loader/decode.h"

/* ---------------------------------------------------------------- references of a type */

/* Applies `change` to every value type that a type consists of. */
static void change_types(struct cn_deftype *type, cn_valtype (*change)(cn_valtype, const void *),
                         const void *context)
{
    /* They are the section's own; only readers see them as constant. */
    cn_valtype *types = (cn_valtype *)(uintptr_t)type->func.types;
    struct cn_field_type *fields = (struct cn_field_type *)(uintptr_t)type->fields;

    for (uint32_t i = 0; i < type->func.param_count + type->func.result_count; i++)
        types[i] = change(types[i], context);
    for (uint32_t i = 0; i < type->field_count; i++)
        fields[i].type = change(fields[i].type, context);
}

/* A group in the making: [first, end). */
struct group {
    struct cn_deftype *types;
    uint32_t first, end;
};

static bool is_inside(const struct group *group, uint32_t index)
{
    return index >= group->first && index < group->end;
}

/* While members were being read nobody knew what those behind them are. */
static cn_valtype with_hierarchy(cn_valtype type, const void *context)
{
    const struct group *group = context;

    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type) ||
        !is_inside(group, cn_ref_heap(type)))
        return type;
    return cn_ref_defined(cn_ref_heap(type), cn_deftype_hierarchy(&group->types[cn_ref_heap(type)]),
                          cn_ref_is_nullable(type));
}

static cn_valtype with_canonical(cn_valtype type, const void *context)
{
    const struct group *group = context;

    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type) ||
        !is_inside(group, cn_ref_heap(type)))
        return type;
    return (type & ~CN_REF_HEAP_MASK) | group->types[cn_ref_heap(type)].canonical;
}

/* ---------------------------------------------------------------- equality */

#define INSIDE (1ull << 40)

/* A number of a type as seen from inside the group. */
static uint64_t place_of(const struct group *group, uint32_t index)
{
    return is_inside(group, index) ? INSIDE | (index - group->first) : index;
}

static uint64_t word_of(const struct group *group, cn_valtype type)
{
    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type))
        return type;
    return (type & ~CN_REF_HEAP_MASK) | place_of(group, cn_ref_heap(type));
}

/* What a type consists of, as words: one after another, for hashing and comparing. */
static uint64_t header_word(const struct cn_deftype *type)
{
    return (uint64_t)type->kind << 62 | (uint64_t)type->is_final << 61 |
           (uint64_t)type->field_count << 32 | (uint64_t)type->func.param_count << 16 |
           type->func.result_count;
}

static uint64_t super_word(const struct group *group, const struct cn_deftype *type)
{
    return place_of(group, type->super);
}

static uint64_t hash_group(const struct cn_hash_keys *keys, const struct group *group)
{
    uint64_t hash = group->end - group->first;

    for (uint32_t i = group->first; i < group->end; i++) {
        const struct cn_deftype *type = &group->types[i];
        hash = cn_hash_add(keys, hash, header_word(type));
        hash = cn_hash_add(keys, hash, super_word(group, type));
        for (uint32_t j = 0; j < type->func.param_count + type->func.result_count; j++)
            hash = cn_hash_add(keys, hash, word_of(group, type->func.types[j]));
        for (uint32_t j = 0; j < type->field_count; j++)
            hash = cn_hash_add(keys, hash, word_of(group, type->fields[j].type) * 2 +
                                               type->fields[j].is_mutable);
    }
    return hash;
}

static bool types_equal(const struct group *a, const struct cn_deftype *one,
                        const struct group *b, const struct cn_deftype *other)
{
    if (header_word(one) != header_word(other) || super_word(a, one) != super_word(b, other))
        return false;
    for (uint32_t i = 0; i < one->func.param_count + one->func.result_count; i++)
        if (word_of(a, one->func.types[i]) != word_of(b, other->func.types[i]))
            return false;
    for (uint32_t i = 0; i < one->field_count; i++)
        if (word_of(a, one->fields[i].type) != word_of(b, other->fields[i].type) ||
            one->fields[i].is_mutable != other->fields[i].is_mutable)
            return false;
    return true;
}

static bool groups_equal(const struct group *a, const struct group *b)
{
    if (a->end - a->first != b->end - b->first)
        return false;
    for (uint32_t i = 0; i < a->end - a->first; i++)
        if (!types_equal(a, &a->types[a->first + i], b, &b->types[b->first + i]))
            return false;
    return true;
}

/* ---------------------------------------------------------------- the table */

struct cn_group_slot {
    uint64_t hash;
    uint32_t first_plus_1; /* 0: empty */
};

static size_t table_size(uint32_t capacity)
{
    return capacity * sizeof(struct cn_group_slot);
}

void cn_group_table_free(struct cn_loading *loading, struct cn_group_table *table)
{
    cn_free(loading->allocator, table->slots, table_size(table->capacity));
    *table = (struct cn_group_table){0};
}

static void put(struct cn_group_table *table, struct cn_group_slot slot)
{
    uint32_t at = (uint32_t)slot.hash & (table->capacity - 1);

    while (table->slots[at].first_plus_1 != 0)
        at = (at + 1) & (table->capacity - 1);
    table->slots[at] = slot;
    table->count++;
}

static enum cn_status reserve(struct cn_loading *loading, struct cn_group_table *table)
{
    struct cn_group_table larger = {0};

    if (table->count * 2 < table->capacity)
        return CN_OK;
    larger.capacity = table->capacity ? table->capacity * 2 : 64;
    larger.slots = cn_alloc_array(loading->allocator, larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return cn_fail_memory(loading->error);
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->slots[i].first_plus_1 != 0)
            put(&larger, table->slots[i]);
    cn_free(loading->allocator, table->slots, table_size(table->capacity));
    *table = larger;
    return CN_OK;
}

/* The first type of an equal group, or CN_NO_INDEX; then the group is in the table. */
static enum cn_status find_or_add(struct cn_loading *loading, struct cn_group_table *table,
                                  const struct group *group, uint32_t *found)
{
    struct cn_hash_keys keys = cn_hash_keys();
    uint64_t hash = hash_group(&keys, group);

    CN_TRY(reserve(loading, table));
    *found = CN_NO_INDEX;
    for (uint32_t at = (uint32_t)hash & (table->capacity - 1);
         table->slots[at].first_plus_1 != 0; at = (at + 1) & (table->capacity - 1)) {
        uint32_t first = table->slots[at].first_plus_1 - 1;
        struct group other = {group->types, first, first + group->types[first].group_size};
        if (table->slots[at].hash == hash && groups_equal(&other, group)) {
            *found = first;
            return CN_OK;
        }
    }
    put(table, (struct cn_group_slot){hash, group->first + 1});
    return CN_OK;
}

/* ---------------------------------------------------------------- subtypes */

static bool field_fits(const struct cn_deftype *types, const struct cn_field_type *field,
                       const struct cn_field_type *super)
{
    if (field->is_mutable != super->is_mutable)
        return false;
    return field->type == super->type ||
           (!field->is_mutable && cn_valtype_is_subtype(types, field->type, super->type));
}

static bool func_fits(const struct cn_deftype *types, const struct cn_functype *func,
                      const struct cn_functype *super)
{
    if (func->param_count != super->param_count || func->result_count != super->result_count)
        return false;
    for (uint32_t i = 0; i < func->param_count; i++)
        if (!cn_valtype_is_subtype(types, cn_functype_params(super)[i],
                                   cn_functype_params(func)[i]))
            return false;
    for (uint32_t i = 0; i < func->result_count; i++)
        if (!cn_valtype_is_subtype(types, cn_functype_results(func)[i],
                                   cn_functype_results(super)[i]))
            return false;
    return true;
}

static bool type_fits(const struct cn_deftype *types, const struct cn_deftype *type,
                      const struct cn_deftype *super)
{
    if (super->is_final || type->kind != super->kind || type->field_count < super->field_count)
        return false;
    for (uint32_t i = 0; i < super->field_count; i++)
        if (!field_fits(types, &type->fields[i], &super->fields[i]))
            return false;
    return func_fits(types, &type->func, &super->func);
}

static enum cn_status check_supertype(struct cn_loading *loading, uint32_t index)
{
    struct cn_deftype *types = loading->module->types;
    uint32_t super = types[index].super;

    if (super == CN_NO_INDEX)
        return CN_OK;
    if (types[super].depth >= CN_LIMIT_SUPERTYPES)
        return cn_fail(loading->error, CN_TOO_LARGE, CN_NO_OFFSET,
                       "sub type %u has too many supertypes: at most %u are supported", index,
                       CN_LIMIT_SUPERTYPES);
    if (!type_fits(types, &types[index], &types[super]))
        return cn_fail(loading->error, CN_INVALID, CN_NO_OFFSET,
                       "sub type %u does not match its supertype", index);
    types[index].depth = (uint8_t)(types[super].depth + 1);
    return CN_OK;
}

enum cn_status cn_close_group(struct cn_loading *loading, struct cn_group_table *table,
                              uint32_t first)
{
    struct cn_deftype *types = loading->module->types;
    struct group group = {types, first, loading->module->type_count};
    uint32_t equal;

    for (uint32_t i = first; i < group.end; i++) {
        change_types(&types[i], with_hierarchy, &group);
        if (types[i].super != CN_NO_INDEX && types[i].super < first)
            types[i].super = types[types[i].super].canonical;
    }
    CN_TRY(find_or_add(loading, table, &group, &equal));
    if (equal != CN_NO_INDEX) {
        for (uint32_t i = first; i < group.end; i++)
            types[i].canonical = equal + (i - first);
        for (uint32_t i = first; i < group.end; i++) {
            change_types(&types[i], with_canonical, &group);
            if (types[i].super != CN_NO_INDEX && types[i].super >= first)
                types[i].super = types[types[i].super].canonical;
        }
    }
    for (uint32_t i = first; i < group.end; i++)
        CN_TRY(check_supertype(loading, i));
    return CN_OK;
}
