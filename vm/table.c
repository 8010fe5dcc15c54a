/* Tables of references. */
#include <inttypes.h>
#include <stdio.h>

#include "vm/store.h"

enum cn_status cn_table_init(struct cn_store *store, struct cn_table *table,
                             const struct cn_table_type *type, uint32_t number,
                             struct cn_error *error)
{
    char what[80];
    uint64_t count = type->limits.min;

    table->type = type->element;
    table->max = type->limits.max;
    table->index_mask = type->is_64 ? UINT64_MAX : UINT32_MAX;
    if (count == 0)
        return CN_OK;
    snprintf(what, sizeof what, "table %u starts with %" PRIu64 " elements", number, count);
    if (count > UINT32_MAX)
        return cn_fail(error, CN_TOO_LARGE, CN_NO_OFFSET, "%s, more than %u", what, UINT32_MAX);
    table->elements = cn_alloc_array(store->allocator, count, sizeof *table->elements);
    if (table->elements == NULL)
        return cn_store_no_room(store, error, what, count * sizeof *table->elements);
    table->size = (uint32_t)count;
    return CN_OK;
}

void cn_table_release(struct cn_store *store, struct cn_table *table)
{
    cn_free(store->allocator, table->elements, table->size * sizeof *table->elements);
    table->elements = NULL;
    table->size = 0;
}

int64_t cn_table_grow(struct cn_store *store, struct cn_table *table, uint64_t count, void *value)
{
    uint32_t old = table->size;
    uint64_t max = table->max < UINT32_MAX ? table->max : UINT32_MAX;

    if (max < old || count > max - old)
        return -1;
    if (count == 0)
        return old;

    size_t size = sizeof *table->elements;
    void **elements = cn_resize(store->allocator, table->elements, old * size,
                                ((size_t)old + count) * size);
    if (elements == NULL)
        return -1;
    for (uint64_t i = 0; i < count; i++)
        elements[old + i] = value;
    table->elements = elements;
    table->size = old + (uint32_t)count;
    return old;
}
