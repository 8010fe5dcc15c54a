#include "vm/types.h"

#include <assert.h>
#include <string.h>
#include <sys/auxv.h>

#include "core/bytes.h"

#define CAPACITY_MIN 16u
#define CAPACITY_MAX (1u << 30)
#define SLOTS_PER_ENTRY 2u /* the hash table is at most half full */

struct entry {
    const struct cn_functype *type;
    uint64_t hash;
};

/* Open addressing with linear probing. Entries are inserted in the order of their numbers, also
 * when the table is rebuilt: so the last one can be taken out again without a tombstone. */
struct cn_type_registry {
    struct cn_allocator allocator;
    struct entry *entries; /* by number */
    uint32_t *slots;       /* number + 1; 0 is free */
    uint32_t count;
    uint32_t capacity;     /* a power of two; a function of count alone */
    uint64_t keys[2];      /* unknown to the guest, who could choose colliding types else */
};

static size_t entries_size(uint32_t capacity)
{
    return (size_t)capacity * sizeof(struct entry);
}

static size_t slots_size(uint32_t capacity)
{
    return (size_t)capacity * SLOTS_PER_ENTRY * sizeof(uint32_t);
}

enum cn_status cn_types_new(struct cn_allocator allocator, struct cn_type_registry **result)
{
    struct cn_type_registry *types = cn_alloc(allocator, sizeof *types);

    if (types == NULL)
        return CN_NO_MEMORY;
    types->allocator = allocator;
    types->capacity = CAPACITY_MIN;
    types->entries = cn_alloc(allocator, entries_size(CAPACITY_MIN));
    types->slots = cn_alloc(allocator, slots_size(CAPACITY_MIN));
    /* 16 random bytes that the kernel gives every process. */
    const void *seed = (const void *)getauxval(AT_RANDOM);
    if (seed != NULL)
        memcpy(types->keys, seed, sizeof types->keys);
    if (types->entries == NULL || types->slots == NULL) {
        cn_types_free(types);
        return CN_NO_MEMORY;
    }
    *result = types;
    return CN_OK;
}

void cn_types_free(struct cn_type_registry *types)
{
    if (types == NULL)
        return;
    cn_free(types->allocator, types->entries, entries_size(types->capacity));
    cn_free(types->allocator, types->slots, slots_size(types->capacity));
    cn_free(types->allocator, types, sizeof *types);
}

static uint64_t mix(uint64_t hash, uint64_t word, uint64_t key)
{
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * (key | 1);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_type(const struct cn_type_registry *types, const struct cn_functype *type)
{
    uint64_t counts = (uint64_t)type->param_count << 32 | type->result_count;
    uint64_t hash = mix(types->keys[0], counts, types->keys[1]);
    size_t total = (size_t)type->param_count + type->result_count;

    for (size_t i = 0; i < total; i++)
        hash = mix(hash + types->keys[0], type->types[i], types->keys[1]);
    return hash;
}

static void insert(struct cn_type_registry *types, uint32_t number)
{
    uint32_t mask = types->capacity * SLOTS_PER_ENTRY - 1;
    uint32_t at = (uint32_t)types->entries[number].hash & mask;

    while (types->slots[at] != 0)
        at = (at + 1) & mask;
    types->slots[at] = number + 1;
}

static void rebuild(struct cn_type_registry *types)
{
    memset(types->slots, 0, slots_size(types->capacity));
    for (uint32_t i = 0; i < types->count; i++)
        insert(types, i);
}

/* On failure the old room stays, and everything in it. */
static enum cn_status set_capacity(struct cn_type_registry *types, uint32_t capacity)
{
    uint32_t old = types->capacity;
    struct entry *entries =
        cn_resize(types->allocator, types->entries, entries_size(old), entries_size(capacity));

    if (entries == NULL)
        return CN_NO_MEMORY;
    types->entries = entries;
    uint32_t *slots =
        cn_resize(types->allocator, types->slots, slots_size(old), slots_size(capacity));
    if (slots == NULL) {
        entries = cn_resize(types->allocator, entries, entries_size(capacity), entries_size(old));
        types->entries = entries != NULL ? entries : types->entries;
        return CN_NO_MEMORY;
    }
    types->slots = slots;
    types->capacity = capacity;
    rebuild(types);
    return CN_OK;
}

static bool find(const struct cn_type_registry *types, const struct cn_functype *type,
                 uint64_t hash, uint32_t *number)
{
    uint32_t mask = types->capacity * SLOTS_PER_ENTRY - 1;

    for (uint32_t at = (uint32_t)hash & mask; types->slots[at] != 0; at = (at + 1) & mask) {
        const struct entry *entry = &types->entries[types->slots[at] - 1];
        if (entry->hash == hash && cn_functype_equal(entry->type, type)) {
            *number = types->slots[at] - 1;
            return true;
        }
    }
    return false;
}

enum cn_status cn_types_number(struct cn_type_registry *types, const struct cn_functype *type,
                               uint32_t *number)
{
    uint64_t hash = hash_type(types, type);

    if (find(types, type, hash, number))
        return CN_OK;
    if (types->count == types->capacity) {
        if (types->capacity >= CAPACITY_MAX)
            return CN_NO_MEMORY;
        CN_TRY(set_capacity(types, types->capacity * 2));
    }
    types->entries[types->count] = (struct entry){type, hash};
    insert(types, types->count);
    *number = types->count++;
    return CN_OK;
}

uint32_t cn_types_count(const struct cn_type_registry *types)
{
    return types->count;
}

void cn_types_forget(struct cn_type_registry *types, uint32_t count)
{
    uint32_t capacity = types->capacity;

    assert(count <= types->count);
    if (count == types->count)
        return;
    while (capacity > CAPACITY_MIN && capacity / 2 >= count)
        capacity /= 2;
    types->count = count;
    /* Making a block smaller cannot fail in practice; if it does, the room stays as it is. */
    if (capacity == types->capacity || set_capacity(types, capacity) != CN_OK)
        rebuild(types);
}
