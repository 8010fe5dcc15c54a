/* Linear memories. Each is a mapping of its size, rounded up to the host's pages: no address
 * space is reserved beyond it, whatever maximum is declared, and growing may move it. */
#define _GNU_SOURCE 1 /* mremap */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/pages.h"
#include "vm/stock.h"
#include "vm/store.h"

#define DONTNEED_LOCKED 24 /* of Linux 5.18: what is locked, too */

/* What a memory of that many bytes takes of the host, and is charged: whole pages of the host's,
 * which may be more than the guest's. */
static uint64_t footprint(uint64_t size)
{
    return cn_whole_pages(size);
}

static uint64_t most_pages(const struct cn_memory *memory)
{
    if (cn_memory_is_64(memory))
        return CN_MEMORY_BYTES_MAX >> memory->page_log2;
    /* The number of pages is an i32 too. */
    return memory->page_log2 == 0 ? UINT32_MAX : (uint64_t)1 << (32 - memory->page_log2);
}

enum cn_status cn_memory_init(struct cn_store *store, struct cn_memory *memory,
                              const struct cn_memory_type *type, uint32_t number,
                              struct cn_error *error)
{
    char what[80];

    memory->base = (uint8_t *)&store->nothing;
    memory->address_mask = type->is_64 ? UINT64_MAX : UINT32_MAX;
    memory->pages_max = type->limits.max;
    memory->page_log2 = type->page_log2;
    memory->is_shared = type->is_shared;
    snprintf(what, sizeof what, "memory %u starts with %" PRIu64 " pages of %u bytes", number,
             type->limits.min, 1u << type->page_log2);
    if (type->limits.min > most_pages(memory))
        return cn_fail(error, CN_TOO_LARGE, CN_NO_OFFSET, "%s, more than %" PRIu64, what,
                       most_pages(memory));
    if (type->limits.min == 0)
        return CN_OK;

    uint64_t size = type->limits.min << type->page_log2, room = footprint(size);
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, room) != CN_OK)
        return cn_store_no_room(store, error, what, room);
    void *base = cn_stock_take(store->stock, room);
    if (base == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, room);
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET,
                       "%s: the host cannot map %" PRIu64 " bytes", what, room);
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

bool cn_memory_give_back(struct cn_store *store, struct cn_memory *memory, uint64_t most)
{
    uint64_t room = footprint(memory->size);
    uint64_t left = room > most ? cn_pages_shrink(memory->base, room, most) : 0;

    if (left == 0 && room > 0)
        cn_stock_give(store->stock, memory->base, room);

    cn_account_refund(store->account, CN_QUOTA_MEMORY, room - left);
    memory->size = left;
    return left == 0;
}

void cn_memory_release(struct cn_store *store, struct cn_memory *memory)
{
    drop_grave(memory);
    cn_sleep_forget(&memory->sleepers);
    (void)cn_memory_give_back(store, memory, UINT64_MAX);
    memory->base = (uint8_t *)&store->nothing;
    memory->size = 0;
}

/* Moves the memory for certain and makes the place that it left inaccessible until the next
 * time, so that the first use of a stale address is a crash. */
static void *move_away(struct cn_memory *memory, uint64_t size)
{
    uint64_t old = footprint(memory->size);
    void *moved = cn_pages_move(memory->base, old, size);

    if (moved == NULL)
        return NULL;
    drop_grave(memory);
    void *grave = mmap(memory->base, old, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (grave != MAP_FAILED) {
        memory->grave = grave;
        memory->grave_size = old;
    }
    return moved;
}

/* The mapping with its new footprint, or NULL: then nothing has changed. */
static void *remap(const struct cn_store *store, struct cn_memory *memory, uint64_t size)
{
    if (memory->size == 0)
        return cn_stock_take(store->stock, size);
    bool may_move = store->pins == 0;
    if (store->move_on_grow && may_move)
        return move_away(memory, size);
    if (footprint(memory->size) == size)
        return memory->base;
    return cn_pages_grow(memory->base, footprint(memory->size), size, may_move);
}

int64_t cn_memory_grow(struct cn_store *store, struct cn_memory *memory, uint64_t pages)
{
    uint64_t old = cn_memory_pages(memory);
    uint64_t max = memory->pages_max;

    if (max > most_pages(memory))
        max = most_pages(memory);
    if (max < old || pages > max - old || memory == &store->no_memory)
        return -1;
    if (pages == 0)
        return (int64_t)old;

    uint64_t size = memory->size + (pages << memory->page_log2), room = footprint(size);
    uint64_t added = room - footprint(memory->size);
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, added) != CN_OK)
        return -1;
    void *base = remap(store, memory, room);
    if (base == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, added);
        return -1;
    }
    memory->base = base;
    memory->size = size;
    return (int64_t)old;
}

void cn_memory_discard(uint8_t *at, uint64_t size)
{
    uint64_t before = -(uint64_t)(uintptr_t)at & (CN_HOST_PAGE - 1);

    if (before > size)
        before = size;
    uint64_t whole = (size - before) & ~(CN_HOST_PAGE - 1);
    memset(at, 0, before);
    /* The mapping is private and anonymous: what comes back are zeros. */
    if (whole > 0 && madvise(at + before, whole, MADV_DONTNEED) != 0 &&
        madvise(at + before, whole, DONTNEED_LOCKED) != 0)
        memset(at + before, 0, whole);
    memset(at + before + whole, 0, size - before - whole);
}
