/* Tables of references. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vm/pages.h"
#include "vm/store.h"

/* From a block, or nothing, to pages. */
static bool move_to_pages(struct cn_store *store, struct cn_table *table, uint64_t room)
{
    uint64_t size = table->size * sizeof *table->elements;
    void *pages = cn_pages_map(room);

    if (pages == NULL)
        return false;
    if (size > 0)
        memcpy(pages, table->elements, size);
    cn_free(store->allocator, table->elements, size);
    table->elements = pages;
    return true;
}

/* In pages, whose end is zero, which is null. */
static bool set_room(struct cn_store *store, struct cn_table *table, uint64_t room)
{
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, room - table->room) != CN_OK)
        return false;
    void *pages = table->room > 0 ? cn_pages_grow(table->elements, table->room, room, true)
                                  : NULL;
    if (table->room == 0 ? !move_to_pages(store, table, room) : pages == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, room - table->room);
        return false;
    }
    if (table->room > 0)
        table->elements = pages;
    table->room = room;
    return true;
}

static bool set_block(struct cn_store *store, struct cn_table *table, uint32_t count)
{
    size_t size = sizeof *table->elements;
    void **elements = cn_resize(store->allocator, table->elements, table->size * size,
                                count * size);

    if (elements == NULL)
        return false;
    memset(elements + table->size, 0, (count - table->size) * size);
    table->elements = elements;
    return true;
}

/* So many elements, which are more than before; the new ones are null. */
static bool set_size(struct cn_store *store, struct cn_table *table, uint32_t count)
{
    uint64_t size = (uint64_t)count * sizeof *table->elements, room = cn_whole_pages(size);
    bool good = true;

    if (table->room == 0 && size < CN_PAGES_WORTH)
        good = set_block(store, table, count);
    else if (room > table->room)
        good = set_room(store, table, room);
    if (good)
        table->size = count;
    return good;
}

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
    if (!set_size(store, table, (uint32_t)count))
        return cn_store_no_room(store, error, what, count * sizeof *table->elements);
    return CN_OK;
}

bool cn_table_give_back(struct cn_store *store, struct cn_table *table, uint64_t most)
{
    if (table->room > most) {
        uint64_t left = cn_pages_shrink(table->elements, table->room, most);
        cn_account_refund(store->account, CN_QUOTA_MEMORY, table->room - left);
        table->room = left;
        table->size = (uint32_t)(left / sizeof *table->elements);
        return false;
    }
    if (table->room > 0) {
        (void)cn_pages_shrink(table->elements, table->room, table->room);
        cn_account_refund(store->account, CN_QUOTA_MEMORY, table->room);
    } else {
        cn_free(store->allocator, table->elements, table->size * sizeof *table->elements);
    }
    table->elements = NULL;
    table->size = 0;
    table->room = 0;
    return true;
}

void cn_table_release(struct cn_store *store, struct cn_table *table)
{
    (void)cn_table_give_back(store, table, UINT64_MAX);
}

int64_t cn_table_extend(struct cn_store *store, struct cn_table *table, uint64_t count)
{
    uint32_t old = table->size;
    uint64_t max = table->max < UINT32_MAX ? table->max : UINT32_MAX;

    if (max < old || count > max - old)
        return -1;
    if (count > 0 && !set_size(store, table, old + (uint32_t)count))
        return -1;
    return old;
}

int64_t cn_table_grow(struct cn_store *store, struct cn_table *table, uint64_t count, void *value)
{
    int64_t old = cn_table_extend(store, table, count);

    for (uint64_t i = 0; old >= 0 && value != NULL && i < count; i++)
        table->elements[(uint64_t)old + i] = value;
    return old;
}
