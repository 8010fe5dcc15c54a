/* Tables. Bulk operations work as those on memories do (op_memory.c), element by element. */
#include "handlers_made.h"
#include "vm/bulk.h"
#include "vm/segment.h"

#define CHUNK 1024u
#define FUEL_OF_ELEMENTS(count) (count)

#define TABLE_AT(at) (t->tables[FIELD32(at)])

OP(table_get)
{
    const struct cn_table *table = TABLE_AT(CN_AT_TABLE_GET_tab);
    const uint64_t index = S64(CN_AT_TABLE_GET_a) & table->index_mask;

    TRAP_IF(index >= table->size, OUT_OF_BOUNDS_TABLE)
    SET_S(CN_AT_TABLE_GET_d, (uintptr_t)table->elements[index]);
    NEXT(CN_SIZE_TABLE_GET);
}

OP(table_set)
{
    const struct cn_table *table = TABLE_AT(CN_AT_TABLE_SET_tab);
    const uint64_t index = S64(CN_AT_TABLE_SET_a) & table->index_mask;

    TRAP_IF(index >= table->size, OUT_OF_BOUNDS_TABLE)
    table->elements[index] = (void *)(uintptr_t)S64(CN_AT_TABLE_SET_b);
    NEXT(CN_SIZE_TABLE_SET);
}

OP(table_size)
{
    SET_S(CN_AT_TABLE_SIZE_d, TABLE_AT(CN_AT_TABLE_SIZE_tab)->size);
    NEXT(CN_SIZE_TABLE_SIZE);
}

/* Whether a growth by so many is refused whatever is freed: then it costs nothing. */
static bool is_hopeless(const struct cn_thread *t, const struct cn_table *table, uint64_t count)
{
    return count > table->max - table->size ||
           count > cn_account_left(t->store->account, CN_QUOTA_MEMORY) / sizeof(void *);
}

/* The new elements are there at once, as nulls; then they are filled and paid for in chunks, and
 * t->growing says that this is under way where the thread has to stop between them. */
OP(table_grow)
{
    struct cn_table *table = TABLE_AT(CN_AT_TABLE_GROW_tab);
    const uint64_t count = S64(CN_AT_TABLE_GROW_b) & table->index_mask;

    if (t->growing == NULL) {
        if (count <= table->max - table->size && count <= UINT32_MAX &&
            CN_UNLIKELY(cn_heap_may_make_room(t->store, count * sizeof(void *))))
            CN_TAIL cn_op_leave_collect(CN_ARGS(pc));
        int64_t before = is_hopeless(t, table, count) ? -1
                                                      : cn_table_extend(t->store, table, count);
        if (before < 0 || count == 0) {
            SET_S(CN_AT_TABLE_GROW_d, before);
            NEXT(CN_SIZE_TABLE_GROW);
        }
        t->growing = table;
        t->grown_to = (uint32_t)before;
    }
    const uint32_t n = table->size - t->grown_to, chunk = n < CHUNK ? n : CHUNK;
    if (CN_UNLIKELY(FUEL < (int64_t)chunk)) {
        t->wanted = chunk;
        CN_TAIL cn_op_leave_bulk(CN_ARGS(pc));
    }
    FUEL -= (int64_t)chunk;
    void *value = (void *)(uintptr_t)S64(CN_AT_TABLE_GROW_a);
    for (uint32_t i = 0; value != NULL && i < chunk; i++)
        table->elements[t->grown_to + i] = value;
    t->grown_to += chunk;
    if (chunk < n)
        DISPATCH(pc);
    t->growing = NULL;
    SET_S(CN_AT_TABLE_GROW_d, (int64_t)table->size - (int64_t)count);
    NEXT(CN_SIZE_TABLE_GROW);
}

OP(table_fill)
{
    const struct cn_table *table = TABLE_AT(CN_AT_TABLE_FILL_tab);
    union cn_slot *range = fp + FIELD16(CN_AT_TABLE_FILL_first);
    const uint64_t mask = table->index_mask;
    const uint64_t to = range[0].u64 & mask, n = range[2].u64 & mask;

    TRAP_IF(n > table->size || to > table->size - n, OUT_OF_BOUNDS_TABLE)
    NEXT_CHUNK(n, CN_SIZE_TABLE_FILL, CHUNK, FUEL_OF_ELEMENTS);
    for (uint32_t i = 0; i < chunk; i++)
        table->elements[to + i] = range[1].ref;
    range[0].u64 = to + chunk;
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(table_copy)
{
    const struct cn_table *into = TABLE_AT(CN_AT_TABLE_COPY_tab);
    const struct cn_table *out_of = TABLE_AT(CN_AT_TABLE_COPY_tab2);
    union cn_slot *range = fp + FIELD16(CN_AT_TABLE_COPY_first);
    const uint64_t to = range[0].u64 & into->index_mask;
    const uint64_t from = range[1].u64 & out_of->index_mask;
    const uint64_t n = range[2].u64 & into->index_mask & out_of->index_mask;

    TRAP_IF(n > into->size || to > into->size - n, OUT_OF_BOUNDS_TABLE)
    TRAP_IF(n > out_of->size || from > out_of->size - n, OUT_OF_BOUNDS_TABLE)
    NEXT_CHUNK(n, CN_SIZE_TABLE_COPY, CHUNK, FUEL_OF_ELEMENTS);
    if (to <= from) {
        memmove(into->elements + to, out_of->elements + from, chunk * sizeof(void *));
        range[0].u64 = to + chunk;
        range[1].u64 = from + chunk;
    } else {
        memmove(into->elements + to + (n - chunk), out_of->elements + from + (n - chunk),
                chunk * sizeof(void *));
    }
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(table_init)
{
    const uint32_t segment = FIELD32(CN_AT_TABLE_INIT_elem);
    const struct cn_table *table = TABLE_AT(CN_AT_TABLE_INIT_tab);
    union cn_slot *range = fp + FIELD16(CN_AT_TABLE_INIT_first);
    const uint64_t to = range[0].u64 & table->index_mask;
    const uint32_t from = range[1].u32, n = range[2].u32;
    const uint32_t size =
        t->instance->element_dropped[segment] ? 0 : t->instance->module->elements[segment].count;

    TRAP_IF(n > table->size || to > table->size - n, OUT_OF_BOUNDS_TABLE)
    TRAP_IF(n > size || from > size - n, OUT_OF_BOUNDS_TABLE)
    NEXT_CHUNK(n, CN_SIZE_TABLE_INIT, CHUNK, FUEL_OF_ELEMENTS);
    for (uint32_t i = 0; i < chunk; i++)
        table->elements[to + i] = cn_segment_element(t->instance, segment, from + i);
    range[0].u64 = to + chunk;
    range[1].u64 = from + chunk;
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(elem_drop)
{
    cn_segment_drop(t->instance, FIELD32(CN_AT_ELEM_DROP_elem));
    NEXT(CN_SIZE_ELEM_DROP);
}
