/* Linear memories. Each is a mapping of exactly its size: no address space is reserved beyond
 * it, and growing may move it. */
#define _GNU_SOURCE 1 /* mremap */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "vm/store.h"

/* NULL when the host has no room. */
static void *map_zeroed(uint64_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    /* A core dump of the host shows no guest's data. Old kernels may not know the advice. */
    (void)madvise(base, size, MADV_DONTDUMP);
    return base;
}

enum cn_status cn_memory_init(struct cn_store *store, struct cn_memory *memory,
                              const struct cn_memory_type *type, uint32_t number,
                              struct cn_error *error)
{
    char what[80];

    memory->base = (uint8_t *)&store->nothing;
    memory->pages_max = type->limits.max;
    if (type->limits.min > CN_MEMORY_PAGES_MAX)
        return cn_fail(error, CN_TOO_LARGE, CN_NO_OFFSET,
                       "memory %u starts with %" PRIu64 " pages, more than %u", number,
                       type->limits.min, CN_MEMORY_PAGES_MAX);
    if (type->limits.min == 0)
        return CN_OK;

    uint64_t size = type->limits.min * CN_PAGE_SIZE;
    snprintf(what, sizeof what, "memory %u starts with %" PRIu64 " pages of 64 KiB", number,
             type->limits.min);
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, size) != CN_OK)
        return cn_store_no_room(store, error, what, size);
    void *base = map_zeroed(size);
    if (base == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, size);
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET,
                       "%s: the host cannot map %" PRIu64 " bytes", what, size);
    }
    memory->base = base;
    memory->size = size;
    return CN_OK;
}

static void drop_grave(struct cn_memory *memory)
{
    if (memory->grave != NULL)
        munmap(memory->grave, memory->grave_size);
    memory->grave = NULL;
}

void cn_memory_release(struct cn_store *store, struct cn_memory *memory)
{
    drop_grave(memory);
    if (memory->size > 0) {
        munmap(memory->base, memory->size);
        cn_account_refund(store->account, CN_QUOTA_MEMORY, memory->size);
    }
    memory->base = (uint8_t *)&store->nothing;
    memory->size = 0;
}

/* Moves the memory for certain and makes the place that it left inaccessible until the next
 * time, so that the first use of a stale address is a crash. */
static void *move_away(struct cn_memory *memory, uint64_t size)
{
    void *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (place == MAP_FAILED)
        return NULL;
    void *moved =
        mremap(memory->base, memory->size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (moved == MAP_FAILED) {
        munmap(place, size);
        return NULL;
    }
    drop_grave(memory);
    void *grave = mmap(memory->base, memory->size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (grave != MAP_FAILED) {
        memory->grave = grave;
        memory->grave_size = memory->size;
    }
    return moved;
}

/* The mapping with its new size, or NULL: then nothing has changed. */
static void *remap(const struct cn_store *store, struct cn_memory *memory, uint64_t size)
{
    if (memory->size == 0)
        return map_zeroed(size);
    if (store->move_on_grow)
        return move_away(memory, size);

    void *base = mremap(memory->base, memory->size, size, MREMAP_MAYMOVE);
    return base != MAP_FAILED ? base : NULL;
}

int64_t cn_memory_grow(struct cn_store *store, struct cn_memory *memory, uint64_t pages)
{
    uint64_t old = memory->size / CN_PAGE_SIZE;
    uint64_t max = memory->pages_max;

    if (max > CN_MEMORY_PAGES_MAX)
        max = CN_MEMORY_PAGES_MAX;
    if (max < old || pages > max - old || memory == &store->no_memory)
        return -1;
    if (pages == 0)
        return (int64_t)old;

    uint64_t added = pages * CN_PAGE_SIZE;
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, added) != CN_OK)
        return -1;
    void *base = remap(store, memory, memory->size + added);
    if (base == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, added);
        return -1;
    }
    memory->base = base;
    memory->size += added;
    return (int64_t)old;
}
