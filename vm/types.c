#include "vm/types.h"

#include <assert.h>
#include <string.h>

#define CAPACITY_MIN 16u
/* Numbers have to fit into a value type. */
#define CAPACITY_MAX (CN_REF_HEAP_MASK + 1u)

/* A recursive group of the registry: its types and everything that they consist of are one
 * block. */
struct cn_type_group {
    uint64_t hash;
    uint32_t first, size;
    void *block;
    size_t block_size;
};

/* Open addressing with linear probing, at most half full. Groups are inserted in their order,
 * also when the table is rebuilt: so the last ones can be taken out without tombstones. */
struct cn_group_place {
    uint32_t group_plus_1; /* 0: free */
};

uint32_t cn_storage_size(cn_valtype type)
{
    switch (type) {
    case CN_I8:
        return 1;
    case CN_I16:
        return 2;
    case CN_I32:
    case CN_F32:
        return 4;
    case CN_V128:
        return 16;
    default:
        return 8;
    }
}

/* ------------------------------------------------------------------ comparing groups */

/* A group as somebody sees it: the types at [first, first + size) of `types`. References to
 * others count by the numbers that `ids` gives them; NULL: they are numbers already. */
struct view {
    const struct cn_deftype *types;
    const uint32_t *ids;
    uint32_t first, size;
};

#define INSIDE (1ull << 24)

static uint64_t place_of(const struct view *view, uint32_t index)
{
    if (index == CN_NO_INDEX)
        return index;
    if (index - view->first < view->size)
        return INSIDE | (index - view->first);
    return view->ids != NULL ? view->ids[index] : index;
}

static uint64_t word_of(const struct view *view, cn_valtype type)
{
    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type))
        return type;
    return (type & ~CN_REF_HEAP_MASK) | place_of(view, cn_ref_heap(type)) << 32;
}

static uint32_t value_count(const struct cn_deftype *type)
{
    return type->func.param_count + type->func.result_count;
}

/* A member as words, one after another, for hashing and comparing. */
static uint64_t member_word(const struct view *view, const struct cn_deftype *type, uint32_t i)
{
    if (i == 0)
        return (uint64_t)type->kind << 62 | (uint64_t)type->is_final << 61 |
               (uint64_t)type->field_count << 32 | (uint64_t)type->func.param_count << 16 |
               type->func.result_count;
    if (i == 1)
        return place_of(view, type->super);
    i -= 2;
    if (i < value_count(type))
        return word_of(view, type->func.types[i]);
    i -= value_count(type);
    return word_of(view, type->fields[i].type) * 2 + type->fields[i].is_mutable;
}

static uint32_t word_count(const struct cn_deftype *type)
{
    return 2 + value_count(type) + type->field_count;
}

static uint64_t hash_group(const struct cn_hash_keys *keys, const struct view *view)
{
    uint64_t hash = view->size;

    for (uint32_t i = 0; i < view->size; i++) {
        const struct cn_deftype *type = &view->types[view->first + i];
        for (uint32_t j = 0; j < word_count(type); j++)
            hash = cn_hash_add(keys, hash, member_word(view, type, j));
    }
    return hash;
}

static bool groups_equal(const struct view *a, const struct view *b)
{
    if (a->size != b->size)
        return false;
    for (uint32_t i = 0; i < a->size; i++) {
        const struct cn_deftype *one = &a->types[a->first + i];
        const struct cn_deftype *other = &b->types[b->first + i];
        /* The first word says how many there are. */
        for (uint32_t j = 0; j < word_count(one); j++)
            if (member_word(a, one, j) != member_word(b, other, j))
                return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the tables */

enum cn_status cn_types_new(struct cn_allocator allocator, struct cn_type_registry **result)
{
    struct cn_type_registry *registry = cn_alloc(allocator, sizeof *registry);

    if (registry == NULL)
        return CN_NO_MEMORY;
    registry->allocator = allocator;
    registry->keys = cn_hash_keys();
    *result = registry;
    return CN_OK;
}

void cn_types_free(struct cn_type_registry *registry)
{
    if (registry == NULL)
        return;
    cn_types_forget(registry, 0);
    cn_free(registry->allocator, registry, sizeof *registry);
}

static void put(struct cn_type_registry *registry, uint32_t group)
{
    uint32_t mask = registry->place_capacity - 1;
    uint32_t at = (uint32_t)registry->groups[group].hash & mask;

    while (registry->places[at].group_plus_1 != 0)
        at = (at + 1) & mask;
    registry->places[at].group_plus_1 = group + 1;
}

static void rebuild(struct cn_type_registry *registry)
{
    memset(registry->places, 0, registry->place_capacity * sizeof *registry->places);
    for (uint32_t i = 0; i < registry->group_count; i++)
        put(registry, i);
}

/* Sets an array's room to `after` elements; 0 frees it. */
static enum cn_status resize(struct cn_type_registry *registry, void *array, uint32_t before,
                             uint32_t after, size_t size)
{
    void **place = array;

    if (after == 0) {
        cn_free(registry->allocator, *place, before * size);
        *place = NULL;
        return CN_OK;
    }
    void *moved = cn_resize(registry->allocator, *place, before * size, after * size);
    if (moved == NULL)
        return CN_NO_MEMORY;
    *place = moved;
    return CN_OK;
}

static uint32_t room_for(uint32_t count)
{
    uint32_t room = count > 0 ? CAPACITY_MIN : 0;

    while (room < count)
        room *= 2;
    return room;
}

/* The rooms are functions of the counts alone. Each is noted as soon as it has been changed, so
 * that a failure in between leaves nothing wrong. */
static enum cn_status set_types_room(struct cn_type_registry *registry, uint32_t room)
{
    uint32_t before = registry->capacity;

    if (room == before)
        return CN_OK;
    CN_TRY(resize(registry, &registry->types, before, room, sizeof *registry->types));
    if (resize(registry, &registry->layouts, before, room, sizeof *registry->layouts) != CN_OK) {
        /* Making a block smaller again cannot fail in practice. */
        CN_TRY(resize(registry, &registry->types, room, before, sizeof *registry->types));
        return CN_NO_MEMORY;
    }
    registry->capacity = room;
    return CN_OK;
}

static enum cn_status set_groups_room(struct cn_type_registry *registry, uint32_t room)
{
    if (room != registry->group_capacity) {
        CN_TRY(resize(registry, &registry->groups, registry->group_capacity, room,
                      sizeof *registry->groups));
        registry->group_capacity = room;
    }
    if (room * 2 != registry->place_capacity) {
        CN_TRY(resize(registry, &registry->places, registry->place_capacity, room * 2,
                      sizeof *registry->places));
        registry->place_capacity = room * 2;
        if (room > 0)
            rebuild(registry);
    }
    return CN_OK;
}

static bool find(const struct cn_type_registry *registry, const struct view *view, uint64_t hash,
                 uint32_t *first)
{
    uint32_t mask = registry->place_capacity - 1;

    if (registry->place_capacity == 0)
        return false;
    for (uint32_t at = (uint32_t)hash & mask; registry->places[at].group_plus_1 != 0;
         at = (at + 1) & mask) {
        const struct cn_type_group *group =
            &registry->groups[registry->places[at].group_plus_1 - 1];
        const struct view known = {registry->types, NULL, group->first, group->size};
        if (group->hash == hash && groups_equal(&known, view)) {
            *first = group->first;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ copying a group */

/* First the block is measured, then the same walk over a real one gives each array its place. */
struct carver {
    uint8_t *block;
    size_t used;
};

static void *carve(struct carver *carver, size_t count, size_t size)
{
    void *piece = carver->block != NULL ? carver->block + carver->used : NULL;

    carver->used += (count * size + 7) & ~(size_t)7;
    return piece;
}

/* What the registry keeps of a type beside its fixed parts. */
struct parts {
    cn_valtype *values;
    struct cn_field_type *fields;
    uint32_t *offsets, *refs, *display;
};

static struct parts carve_parts(struct carver *carver, const struct cn_deftype *type,
                                uint32_t depth)
{
    struct parts parts;

    parts.values = carve(carver, value_count(type), sizeof *parts.values);
    parts.fields = carve(carver, type->field_count, sizeof *parts.fields);
    parts.offsets = carve(carver, type->field_count, sizeof *parts.offsets);
    parts.refs = carve(carver, type->field_count + type->func.param_count, sizeof *parts.refs);
    parts.display = carve(carver, (size_t)depth + 1, sizeof *parts.display);
    return parts;
}

/* The number in the registry, where the group's own types stand from `base` on. */
static uint32_t number_of(const struct view *view, uint32_t base, uint32_t index)
{
    if (index - view->first < view->size)
        return base + (index - view->first);
    return view->ids != NULL ? view->ids[index] : index;
}

static cn_valtype translate(const struct view *view, uint32_t base, cn_valtype type)
{
    if (!cn_valtype_is_ref(type) || !cn_ref_is_defined(type))
        return type;
    return (type & ~CN_REF_HEAP_MASK) | number_of(view, base, cn_ref_heap(type));
}

static void note_ref(struct cn_layout *layout, uint32_t *refs, cn_valtype type, uint32_t at)
{
    if (cn_valtype_is_heap_ref(type))
        refs[layout->ref_count++] = at;
}

static void lay_out(const struct cn_deftype *type, struct cn_layout *layout,
                    const struct parts *parts)
{
    uint32_t end = CN_OBJECT_HEADER;

    layout->refs = parts->refs;
    layout->offsets = parts->offsets;
    if (type->kind == CN_DEF_ARRAY) {
        layout->element_size = (uint8_t)cn_storage_size(type->fields[0].type);
        layout->has_heap_elements = cn_valtype_is_heap_ref(type->fields[0].type);
    } else if (type->kind == CN_DEF_STRUCT) {
        for (uint32_t i = 0; i < type->field_count; i++) {
            cn_valtype field = type->fields[i].type;
            parts->offsets[i] = cn_field_place(end, field);
            note_ref(layout, parts->refs, field, parts->offsets[i]);
            end = parts->offsets[i] + cn_storage_size(field);
        }
    } else {
        end += 8; /* an exception's tag */
        for (uint32_t i = 0; i < type->func.param_count; i++) {
            note_ref(layout, parts->refs, type->func.types[i], end);
            end += 8 * cn_valtype_slots(type->func.types[i]);
        }
    }
    layout->size = (end + 7) & ~7u;
}

static void set_display(struct cn_type_registry *registry, uint32_t number, uint32_t *display)
{
    struct cn_layout *layout = &registry->layouts[number];
    uint32_t super = registry->types[number].super;

    if (super != CN_NO_INDEX)
        memcpy(display, registry->layouts[super].display,
               (registry->layouts[super].depth + 1u) * sizeof *display);
    display[layout->depth] = number;
    layout->display = display;
}

static void copy_type(struct cn_type_registry *registry, const struct view *view, uint32_t index,
                      uint32_t number, const struct parts *parts)
{
    const struct cn_deftype *from = &view->types[index];
    struct cn_deftype *type = &registry->types[number];
    uint32_t base = number - (index - view->first);

    *type = *from;
    type->group = base;
    type->canonical = number;
    if (from->super != CN_NO_INDEX)
        type->super = number_of(view, base, from->super);
    for (uint32_t i = 0; i < value_count(from); i++)
        parts->values[i] = translate(view, base, from->func.types[i]);
    for (uint32_t i = 0; i < from->field_count; i++)
        parts->fields[i] = (struct cn_field_type){translate(view, base, from->fields[i].type),
                                                  from->fields[i].is_mutable};
    type->func.types = parts->values;
    type->fields = parts->fields;
    registry->layouts[number] =
        (struct cn_layout){.kind = type->kind, .depth = type->depth};
    lay_out(type, &registry->layouts[number], parts);
    set_display(registry, number, parts->display);
}

static enum cn_status make_block(struct cn_type_registry *registry, const struct view *view,
                                 struct cn_type_group *group)
{
    struct carver carver = {NULL, 0};

    for (uint32_t i = 0; i < view->size; i++)
        carve_parts(&carver, &view->types[view->first + i], view->types[view->first + i].depth);
    group->block_size = carver.used;
    group->block = cn_alloc(registry->allocator, carver.used);
    return group->block != NULL ? CN_OK : CN_NO_MEMORY;
}

static enum cn_status add_group(struct cn_type_registry *registry, const struct view *view,
                                uint64_t hash, uint32_t *first)
{
    struct cn_type_group group = {.hash = hash, .first = registry->count, .size = view->size};

    if (view->size > CAPACITY_MAX - registry->count)
        return CN_NO_MEMORY;
    CN_TRY(set_types_room(registry, room_for(registry->count + view->size)));
    CN_TRY(set_groups_room(registry, room_for(registry->group_count + 1)));
    CN_TRY(make_block(registry, view, &group));
    struct carver carver = {group.block, 0};
    for (uint32_t i = 0; i < view->size; i++) {
        uint32_t index = view->first + i;
        const struct parts parts =
            carve_parts(&carver, &view->types[index], view->types[index].depth);
        copy_type(registry, view, index, group.first + i, &parts);
    }
    registry->groups[registry->group_count] = group;
    put(registry, registry->group_count);
    registry->group_count++;
    registry->count += view->size;
    *first = group.first;
    return CN_OK;
}

static enum cn_status find_or_add(struct cn_type_registry *registry, const struct view *view,
                                  uint32_t *first)
{
    uint64_t hash = hash_group(&registry->keys, view);

    return find(registry, view, hash, first) ? CN_OK : add_group(registry, view, hash, first);
}

/* ------------------------------------------------------------------ the interface */

enum cn_status cn_types_add(struct cn_type_registry *registry, const struct cn_module *module,
                            uint32_t *ids)
{
    for (uint32_t i = 0; i < module->type_count; i += module->types[i].group_size) {
        const struct view view = {module->types, ids, i, module->types[i].group_size};
        uint32_t first = 0;
        bool is_known = module->types[i].canonical != i;

        if (!is_known)
            CN_TRY(find_or_add(registry, &view, &first));
        for (uint32_t j = i; j < i + view.size; j++)
            ids[j] = is_known ? ids[module->types[j].canonical] : first + (j - i);
    }
    return CN_OK;
}

enum cn_status cn_types_number(struct cn_type_registry *registry, const struct cn_functype *type,
                               uint32_t *number)
{
    const struct cn_deftype alone = {
        .kind = CN_DEF_FUNC, .is_final = true, .super = CN_NO_INDEX, .group_size = 1,
        .func = *type};
    const struct view view = {&alone, NULL, 0, 1};

    return find_or_add(registry, &view, number);
}

void cn_types_forget(struct cn_type_registry *registry, uint32_t count)
{
    assert(count <= registry->count);
    while (registry->group_count > 0 &&
           registry->groups[registry->group_count - 1].first >= count) {
        struct cn_type_group *group = &registry->groups[--registry->group_count];
        cn_free(registry->allocator, group->block, group->block_size);
    }
    registry->count = count;
    /* Room may have been made for more than came. Making a block smaller cannot fail in practice;
     * if it does, the room stays as it is. */
    enum cn_status shrunk = set_types_room(registry, room_for(count));
    if (shrunk == CN_OK)
        shrunk = set_groups_room(registry, room_for(registry->group_count));
    if (registry->place_capacity > 0)
        rebuild(registry);
}
