/* Identifiers: a hash table from space, scope and name to a number. */
#include "loader/text_parse.h"

void cn_names_init(struct cn_names *names, struct cn_allocator allocator)
{
    *names = (struct cn_names){.allocator = allocator, .keys = cn_hash_keys()};
}

void cn_names_release(struct cn_names *names)
{
    cn_free(names->allocator, names->entries, names->capacity * sizeof *names->entries);
    names->entries = NULL;
    names->count = names->capacity = 0;
}

static uint64_t key_of(enum cn_space space, uint32_t scope)
{
    return (uint64_t)space << 32 | scope;
}

static uint64_t hash_name(const struct cn_names *names, uint64_t space, struct cn_bytes name)
{
    uint64_t hash = cn_hash_add(&names->keys, space, name.size);

    for (size_t i = 0; i < name.size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, name.at + i, name.size - i < 8 ? name.size - i : 8);
        hash = cn_hash_add(&names->keys, hash, word);
    }
    return hash;
}

/* The entry of that name, or the empty one where it would stand. */
static struct cn_name_entry *entry_of(const struct cn_names *names, uint64_t space,
                                      struct cn_bytes name, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (names->capacity - 1);

    for (;; at = (at + 1) & (names->capacity - 1)) {
        struct cn_name_entry *entry = &names->entries[at];
        if (entry->name.at == NULL ||
            (entry->hash == hash && entry->space == space && cn_bytes_equal(entry->name, name)))
            return entry;
    }
}

uint32_t cn_names_find(const struct cn_names *names, enum cn_space space, uint32_t scope,
                       struct cn_bytes name)
{
    uint64_t key = key_of(space, scope);

    if (names->capacity == 0)
        return CN_NO_VALUE;
    const struct cn_name_entry *entry = entry_of(names, key, name, hash_name(names, key, name));
    return entry->name.at != NULL ? entry->value : CN_NO_VALUE;
}

static enum cn_status grow(struct cn_names *names)
{
    struct cn_names larger = *names;

    larger.capacity = names->capacity ? names->capacity * 2 : 1024;
    larger.entries = cn_alloc_array(names->allocator, larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL)
        return CN_NO_MEMORY;
    for (uint32_t i = 0; i < names->capacity; i++) {
        const struct cn_name_entry *old = &names->entries[i];
        if (old->name.at != NULL)
            *entry_of(&larger, old->space, old->name, old->hash) = *old;
    }
    cn_free(names->allocator, names->entries, names->capacity * sizeof *names->entries);
    *names = larger;
    return CN_OK;
}

enum cn_status cn_names_set(struct cn_names *names, enum cn_space space, uint32_t scope,
                            struct cn_bytes name, uint32_t value)
{
    uint64_t key = key_of(space, scope);
    uint64_t hash = hash_name(names, key, name);

    if (names->count * 2 >= names->capacity)
        CN_TRY(grow(names));
    struct cn_name_entry *entry = entry_of(names, key, name, hash);
    names->before = entry->name.at != NULL ? entry->value : CN_NO_VALUE;
    names->count += entry->name.at == NULL;
    *entry = (struct cn_name_entry){name, key, hash, value};
    return CN_OK;
}
