/* memory.grow and the bulk operations on memories.
 *
 * A bulk operation works in chunks and keeps its progress in its three operand slots. Each
 * chunk is paid for before it is done; where the fuel does not suffice the thread stops at the
 * instruction itself, which then simply goes on with what is left (CVE-2026-104855 was a half
 * done copy that became visible). Bounds are checked for the whole range at first, and again
 * for what is left after every stop.
 */
#include "handlers_made.h"
#include "vm/bulk.h"

#define CHUNK 65536u
#define FUEL_OF_BYTES(bytes) (((bytes) + 63) / 64)

#define RELOAD_MEMORY()                                                                            \
    do {                                                                                           \
        mem = t->memory->base;                                                                     \
        t->memory_size = t->memory->size;                                                          \
        CN_SPARE(memlen = t->memory->size;)                                                        \
    } while (0)

#define MEMORY_AT(at) (t->instance->memories[FIELD32(at)])

OP(memory_grow)
{
    struct cn_memory *memory = MEMORY_AT(CN_AT_MEMORY_GROW_mem);
    const uint64_t pages = S64(CN_AT_MEMORY_GROW_a) & memory->address_mask;

    /* Where only the quota stands against it, what is dead on the heap is freed first. */
    if (pages <= UINT32_MAX && pages <= memory->pages_max - cn_memory_pages(memory) &&
        CN_UNLIKELY(cn_heap_may_make_room(t->store, pages << memory->page_log2)))
        CN_TAIL cn_op_leave_collect(CN_ARGS(pc));
    int64_t before = cn_memory_grow(t->store, memory, pages);

    RELOAD_MEMORY();
    SET_S(CN_AT_MEMORY_GROW_d, before);
    NEXT(CN_SIZE_MEMORY_GROW);
}

/* Stops before a chunk that the slice does not cover. */
OP(leave_bulk)
{
    SAVE(pc);
    t->stop = CN_STOP_FUEL;
}

OP(memory_fill)
{
    const struct cn_memory *memory = MEMORY_AT(CN_AT_MEMORY_FILL_mem);
    union cn_slot *range = fp + FIELD16(CN_AT_MEMORY_FILL_first);
    const uint64_t mask = memory->address_mask;
    const uint64_t to = range[0].u64 & mask, n = range[2].u64 & mask;

    TRAP_IF(n > memory->size || to > memory->size - n, OUT_OF_BOUNDS_MEMORY)
    NEXT_CHUNK(n, CN_SIZE_MEMORY_FILL, CHUNK, FUEL_OF_BYTES);
    memset(memory->base + to, (int)(range[1].u32 & 0xff), chunk);
    range[0].u64 = to + chunk;
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(memory_copy)
{
    const struct cn_memory *into = MEMORY_AT(CN_AT_MEMORY_COPY_mem);
    const struct cn_memory *out_of = MEMORY_AT(CN_AT_MEMORY_COPY_mem2);
    union cn_slot *range = fp + FIELD16(CN_AT_MEMORY_COPY_first);
    const uint64_t to = range[0].u64 & into->address_mask;
    const uint64_t from = range[1].u64 & out_of->address_mask;
    const uint64_t n = range[2].u64 & into->address_mask & out_of->address_mask;

    TRAP_IF(n > into->size || to > into->size - n, OUT_OF_BOUNDS_MEMORY)
    TRAP_IF(n > out_of->size || from > out_of->size - n, OUT_OF_BOUNDS_MEMORY)
    NEXT_CHUNK(n, CN_SIZE_MEMORY_COPY, CHUNK, FUEL_OF_BYTES);
    /* Overlapping ranges are copied from the end that is not overwritten; what the direction
     * depends on does not change from chunk to chunk. */
    if (to <= from) {
        memmove(into->base + to, out_of->base + from, chunk);
        range[0].u64 = to + chunk;
        range[1].u64 = from + chunk;
    } else {
        memmove(into->base + to + (n - chunk), out_of->base + from + (n - chunk), chunk);
    }
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(memory_init)
{
    const uint32_t segment = FIELD32(CN_AT_MEMORY_INIT_data);
    const struct cn_memory *memory = MEMORY_AT(CN_AT_MEMORY_INIT_mem);
    union cn_slot *range = fp + FIELD16(CN_AT_MEMORY_INIT_first);
    const uint64_t to = range[0].u64 & memory->address_mask;
    const uint32_t from = range[1].u32, n = range[2].u32;
    const struct cn_bytes bytes = t->instance->module->datas[segment].bytes;
    const size_t size = t->instance->data_dropped[segment] ? 0 : bytes.size;

    TRAP_IF(n > memory->size || to > memory->size - n, OUT_OF_BOUNDS_MEMORY)
    TRAP_IF(n > size || from > size - n, OUT_OF_BOUNDS_MEMORY)
    NEXT_CHUNK(n, CN_SIZE_MEMORY_INIT, CHUNK, FUEL_OF_BYTES);
    memcpy(memory->base + to, bytes.at + from, chunk);
    range[0].u64 = to + chunk;
    range[1].u64 = from + chunk;
    range[2].u64 = n - chunk;
    DISPATCH(pc);
}

OP(data_drop)
{
    t->instance->data_dropped[FIELD32(CN_AT_DATA_DROP_data)] = true;
    NEXT(CN_SIZE_DATA_DROP);
}
