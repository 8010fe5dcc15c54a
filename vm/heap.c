#define _GNU_SOURCE 1
#include "vm/heap.h"

#include <assert.h>
#include <string.h>

#include "vm/pages.h"
#include "vm/roots.h"
#include "vm/types.h"

/* Small objects live in cells of equal size, many to a block; others have a block each. Where much
 * is in use blocks are larger, and mappings: then giving many of them back takes the C library no
 * time at once. */
#define BLOCK_SIZE 16384u
#define MAPPED_BLOCK_SIZE 262144u
#define MUCH (4u << 20)
#define SMALL_MAX 2048u
#define MAPPED_MIN CN_PAGES_WORTH /* larger objects are mappings, which come zeroed for nothing */
#define FREE_PART (512u << 10) /* of one that is given back at once */
#define FREE_CELL UINT32_MAX  /* the type of a cell where no object is */
#define THRESHOLD_MIN (256u * 1024)
#define STEP_WORK 24000       /* of a step: some 20 us, 100 us where caches do not help */
#define SCAN_CHUNK 1024u
#define MARK_WORK 8           /* an object's header is rarely in a cache */
#define FREE_WORK 16          /* giving memory back, for each KiB: the host's pages have to be */
#define BARREN_PART 64        /* less than this part of what a collection costs was allocated */
#define BARREN_MAX 8
#define POISON 0xa5

static const uint16_t cell_sizes[] = {24,  32,  40,  48,  56,  64,   80,   96,   112,
                                      128, 160, 192, 224, 256, 320,  384,  448,  512,
                                      640, 768, 896, 1024, 1280, 1536, 2048};
#define CLASS_COUNT (sizeof cell_sizes / sizeof cell_sizes[0])

/* By eighths of a size, rounded up. */
static const uint8_t class_of[SMALL_MAX / 8 + 1] = {
    [0 ... 3] = 0, [4] = 1, [5] = 2, [6] = 3, [7] = 4, [8] = 5, [9 ... 10] = 6, [11 ... 12] = 7,
    [13 ... 14] = 8, [15 ... 16] = 9, [17 ... 20] = 10, [21 ... 24] = 11, [25 ... 28] = 12,
    [29 ... 32] = 13, [33 ... 40] = 14, [41 ... 48] = 15, [49 ... 56] = 16, [57 ... 64] = 17,
    [65 ... 80] = 18, [81 ... 96] = 19, [97 ... 112] = 20, [113 ... 128] = 21, [129 ... 160] = 22,
    [161 ... 192] = 23, [193 ... 256] = 24,
};

struct block {
    struct block *next;         /* of the class */
    struct block *next_partial; /* with free cells */
    struct cn_object *free;
    uint32_t used, count;       /* cells */
    uint32_t class;
    uint32_t size;
    uint64_t cells[];
};

struct large {
    struct large *next;
    uint64_t size;              /* of everything, as it was charged */
    bool is_mapped;
    uint64_t object[];
};

enum phase { IDLE, ROOTS, MARK, SWEEP_SMALL, SWEEP_LARGE };

struct cn_heap {
    struct cn_type_registry *types;
    struct block *blocks[CLASS_COUNT];
    struct block *partial[CLASS_COUNT];
    struct large *larges;

    uint64_t live, allocated, threshold;
    uint64_t objects, collections, steps;
    bool is_fresh;              /* nothing was allocated since the last collection */
    bool always;

    enum phase phase;
    struct cn_root_cursor roots;
    struct cn_object *grey;     /* found, not looked into */
    struct cn_object *scanned;  /* the one that is being looked into */
    uint32_t scanned_at;        /* reference number */
    uint32_t swept_class;
    struct block **swept;
    struct large **swept_large;
    uint64_t survivors;         /* bytes */
    uint64_t root_work;         /* spent on finding roots */
    uint32_t barren;            /* collections in a row that were soon followed by another */
};

/* The end of the grey list, so that every member's link is set. */
static const struct cn_object last_object;
#define LIST_END ((struct cn_object *)(uintptr_t)&last_object)

/* ------------------------------------------------------------------ blocks */

static struct cn_object *cell_at(struct block *block, uint32_t number)
{
    return (struct cn_object *)(void *)((uint8_t *)block->cells +
                                        (size_t)number * cell_sizes[block->class]);
}

static void free_cell(struct block *block, struct cn_object *cell)
{
    cell->type = FREE_CELL;
    cell->link = block->free;
    block->free = cell;
}

/* Zeroed, and charged. */
static void *map_pages(struct cn_store *store, uint64_t size)
{
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, size) != CN_OK)
        return NULL;
    void *at = cn_pages_map(size);
    if (at == NULL)
        cn_account_refund(store->account, CN_QUOTA_MEMORY, size);
    return at;
}

/* Up to `most` bytes of the end; returns what is left. */
static uint64_t unmap_pages(struct cn_store *store, void *at, uint64_t size, uint64_t most)
{
    uint64_t left = cn_pages_shrink(at, size, most);

    cn_account_refund(store->account, CN_QUOTA_MEMORY, size - left);
    return left;
}

static struct block *new_block(struct cn_store *store, uint32_t class)
{
    struct cn_heap *heap = store->heap;
    uint32_t size = heap->live + heap->allocated > MUCH ? MAPPED_BLOCK_SIZE : BLOCK_SIZE;
    struct block *block = size == MAPPED_BLOCK_SIZE
                              ? map_pages(store, size)
                              : cn_resize(store->allocator, NULL, 0, size);

    if (block == NULL)
        return NULL;
    *block = (struct block){.next = heap->blocks[class], .class = class, .size = size};
    block->count = (size - (uint32_t)sizeof *block) / cell_sizes[class];
    for (uint32_t i = block->count; i-- > 0;)
        free_cell(block, cell_at(block, i));
    heap->blocks[class] = block;
    heap->partial[class] = block;
    return block;
}

static void free_block(struct cn_store *store, struct block *block)
{
    if (block->size == MAPPED_BLOCK_SIZE)
        (void)unmap_pages(store, block, block->size, block->size);
    else
        cn_free(store->allocator, block, block->size);
}

static struct cn_object *new_small(struct cn_store *store, uint32_t size)
{
    struct cn_heap *heap = store->heap;
    uint32_t class = class_of[(size + 7) / 8];
    struct block *block = heap->partial[class];

    if (block == NULL && (block = new_block(store, class)) == NULL)
        return NULL;
    struct cn_object *object = block->free;
    block->free = object->link;
    block->used++;
    if (block->free == NULL)
        heap->partial[class] = block->next_partial;
    memset(object, 0, cell_sizes[class]);
    heap->allocated += cell_sizes[class];
    return object;
}

static struct cn_object *new_large(struct cn_store *store, uint64_t size)
{
    struct cn_heap *heap = store->heap;
    struct large *large;

    size += sizeof *large;
    bool is_mapped = size >= MAPPED_MIN;
    if (is_mapped) {
        size = cn_whole_pages(size);
        large = map_pages(store, size);
    } else {
        large = cn_alloc(store->allocator, size);
    }
    if (large == NULL)
        return NULL;
    large->size = size;
    large->is_mapped = is_mapped;
    large->next = heap->larges;
    heap->larges = large;
    heap->allocated += size;
    return (struct cn_object *)(void *)large->object;
}

/* All of it, or its end: true when nothing is left. */
static bool free_large(struct cn_store *store, struct large *large, uint64_t most)
{
    if (large->is_mapped && large->size > most) {
        large->size = unmap_pages(store, large, large->size, most);
        return false;
    }
    if (large->is_mapped)
        (void)unmap_pages(store, large, large->size, large->size);
    else
        cn_free(store->allocator, large, large->size);
    return true;
}

/* ------------------------------------------------------------------ allocation */

/* Whether it is time to collect before so much more is allocated. */
static bool is_due(const struct cn_heap *heap, uint64_t size)
{
    if (heap->is_fresh)
        return false;
    return heap->always || heap->allocated + size > heap->threshold;
}

static struct cn_object *allocate(struct cn_store *store, uint32_t type, uint64_t size,
                                  bool may_wait)
{
    struct cn_heap *heap = store->heap;

    assert(heap->phase == IDLE);
    if (may_wait && is_due(heap, size))
        return NULL;
    struct cn_object *object =
        size <= SMALL_MAX ? new_small(store, (uint32_t)size) : new_large(store, size);
    if (object == NULL)
        return NULL;
    object->type = type;
    heap->objects++;
    heap->is_fresh = false;
    return object;
}

static uint64_t array_size(const struct cn_layout *layout, uint32_t length)
{
    return layout->size + (uint64_t)length * layout->element_size;
}

static struct cn_object *allocate_array(struct cn_store *store, uint32_t type, uint32_t length,
                                        bool may_wait)
{
    const struct cn_layout *layout = &store->types->layouts[type];
    struct cn_object *object = allocate(store, type, array_size(layout, length), may_wait);

    if (object != NULL)
        object->length = length;
    return object;
}

struct cn_object *cn_heap_new(struct cn_store *store, uint32_t type)
{
    return allocate(store, type, store->types->layouts[type].size, true);
}

struct cn_object *cn_heap_new_array(struct cn_store *store, uint32_t type, uint32_t length)
{
    return allocate_array(store, type, length, true);
}

struct cn_object *cn_heap_new_now(struct cn_store *store, uint32_t type)
{
    return allocate(store, type, store->types->layouts[type].size, false);
}

struct cn_object *cn_heap_new_array_now(struct cn_store *store, uint32_t type, uint32_t length)
{
    return allocate_array(store, type, length, false);
}

/* What cannot be given in any case costs nothing: nobody should have to bring the fuel. */
static uint64_t price_of(const struct cn_store *store, uint64_t size)
{
    uint64_t limit = store->account->limit[CN_QUOTA_MEMORY];

    return size > limit ? 0 : (size + 63) / 64;
}

uint64_t cn_heap_price(const struct cn_store *store, uint32_t type)
{
    return price_of(store, store->types->layouts[type].size);
}

uint64_t cn_heap_price_of_array(const struct cn_store *store, uint32_t type, uint32_t length)
{
    return price_of(store, array_size(&store->types->layouts[type], length));
}

/* ------------------------------------------------------------------ marking */

void cn_heap_mark(struct cn_heap *heap, uint64_t reference)
{
    struct cn_object *object = cn_ref_object(reference);

    if (object == NULL || object->link != NULL)
        return;
    /* Whoever finds a freed object here has been given a wrong map. */
    assert(object->type < heap->types->count);
    object->link = heap->grey;
    heap->grey = object;
}

static uint64_t load_reference(const struct cn_object *object, uint64_t at)
{
    return *(const uint64_t *)(const void *)((const uint8_t *)object + at);
}

/* Looks into a part of an object; true when nothing is left of it. */
static bool scan_part(struct cn_heap *heap, int64_t *work)
{
    const struct cn_object *object = heap->scanned;
    const struct cn_layout *layout = &heap->types->layouts[object->type];
    bool is_array = layout->kind == CN_DEF_ARRAY;
    uint32_t count = !is_array                 ? layout->ref_count
                     : layout->has_heap_elements ? object->length
                                                 : 0;
    uint32_t end = count - heap->scanned_at;

    end = heap->scanned_at + (end < SCAN_CHUNK ? end : SCAN_CHUNK);
    *work -= MARK_WORK + (end - heap->scanned_at);
    for (uint32_t i = heap->scanned_at; i < end; i++)
        cn_heap_mark(heap, load_reference(object, is_array ? layout->size + 8 * (uint64_t)i
                                                           : layout->refs[i]));
    heap->scanned_at = end;
    return end == count;
}

/* True when everything that can be reached has been found. */
static bool mark_step(struct cn_heap *heap, int64_t *work)
{
    while (*work > 0) {
        if (heap->scanned == NULL) {
            if (heap->grey == LIST_END)
                return true;
            heap->scanned = heap->grey;
            heap->grey = heap->scanned->link;
            heap->scanned_at = 0;
        }
        if (scan_part(heap, work))
            heap->scanned = NULL;
    }
    return false;
}

/* ------------------------------------------------------------------ sweeping */

static void bury(struct cn_heap *heap, struct block *block, struct cn_object *object)
{
    if (heap->always)
        memset(object, POISON, cell_sizes[block->class]);
    free_cell(block, object);
    block->used--;
    heap->objects--;
}

static void sweep_block(struct cn_heap *heap, struct block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        struct cn_object *object = cell_at(block, i);
        if (object->type == FREE_CELL)
            continue;
        if (object->link == NULL)
            bury(heap, block, object);
        object->link = object->type == FREE_CELL ? object->link : NULL;
    }
    heap->survivors += (uint64_t)block->used * cell_sizes[block->class];
}

/* The block's place in the lists after it has been swept; an empty one is given back. */
static void keep_or_free(struct cn_store *store, struct block *block, int64_t *work)
{
    struct cn_heap *heap = store->heap;

    if (block->used == 0) {
        *heap->swept = block->next;
        *work -= block->size / 1024 * FREE_WORK;
        free_block(store, block);
        return;
    }
    if (block->free != NULL) {
        block->next_partial = heap->partial[block->class];
        heap->partial[block->class] = block;
    }
    heap->swept = &block->next;
}

static bool sweep_small_step(struct cn_store *store, int64_t *work)
{
    struct cn_heap *heap = store->heap;

    while (*work > 0) {
        if (heap->swept == NULL) {
            if (heap->swept_class == CLASS_COUNT)
                return true;
            heap->swept = &heap->blocks[heap->swept_class];
            heap->partial[heap->swept_class] = NULL;
        }
        struct block *block = *heap->swept;
        if (block == NULL) {
            heap->swept = NULL;
            heap->swept_class++;
            continue;
        }
        *work -= block->count;
        sweep_block(heap, block);
        keep_or_free(store, block, work);
    }
    return false;
}

static bool sweep_large_step(struct cn_store *store, int64_t *work)
{
    struct cn_heap *heap = store->heap;

    while (*work > 0) {
        struct large *large = *heap->swept_large;
        if (large == NULL)
            return true;
        struct cn_object *object = (struct cn_object *)(void *)large->object;
        *work -= MARK_WORK;
        if (object->link != NULL) {
            object->link = NULL;
            heap->survivors += large->size;
            heap->swept_large = &large->next;
            continue;
        }
        struct large *next = large->next;
        uint64_t part = large->size < FREE_PART ? large->size : FREE_PART;
        *work -= (int64_t)(part / 1024 * FREE_WORK);
        if (!free_large(store, large, FREE_PART))
            continue;
        *heap->swept_large = next;
        heap->objects--;
    }
    return false;
}

/* ------------------------------------------------------------------ a collection */

static void begin(struct cn_store *store)
{
    struct cn_heap *heap = store->heap;

    heap->types = store->types;
    store->is_collecting = true;
    heap->phase = ROOTS;
    heap->grey = LIST_END;
    heap->scanned = NULL;
    heap->swept_class = 0;
    heap->swept = NULL;
    heap->swept_large = &heap->larges;
    heap->survivors = heap->root_work = 0;
    cn_roots_begin(&heap->roots, store);
}

static void end(struct cn_store *store)
{
    struct cn_heap *heap = store->heap;

    store->is_collecting = false;
    heap->phase = IDLE;
    /* What a collection costs, in objects and in roots, is paid for by what was allocated. */
    uint64_t threshold = heap->survivors + heap->root_work * sizeof(uint64_t);

    heap->live = heap->survivors;
    heap->allocated = 0;
    heap->threshold = threshold > THRESHOLD_MIN ? threshold : THRESHOLD_MIN;
    heap->is_fresh = true;
    heap->collections++;
}

static bool roots_step(struct cn_store *store, int64_t *work)
{
    struct cn_heap *heap = store->heap;
    int64_t before = *work;
    bool done = cn_roots_step(&heap->roots, store, work);

    heap->root_work += (uint64_t)(before - *work);
    return done;
}

/* True when the phase is over. */
static bool phase_step(struct cn_store *store, int64_t *work)
{
    struct cn_heap *heap = store->heap;

    switch (heap->phase) {
    case ROOTS:
        return roots_step(store, work);
    case MARK:
        return mark_step(heap, work);
    case SWEEP_SMALL:
        return sweep_small_step(store, work);
    case SWEEP_LARGE:
        return sweep_large_step(store, work);
    case IDLE:
        break;
    }
    return true;
}

bool cn_heap_may_make_room(const struct cn_store *store, uint64_t bytes)
{
    const struct cn_heap *heap = store->heap;
    uint64_t left = cn_account_left(store->account, CN_QUOTA_MEMORY);

    return bytes > left && bytes - left <= heap->live + heap->allocated && heap->objects > 0 &&
           !heap->is_fresh;
}

/* A guest that always needs a little more than there is would be collected for each of its
 * objects: after a few collections in a row that gave next to nothing there is no room. */
static bool is_thrashing(struct cn_heap *heap)
{
    bool is_barren = heap->allocated < heap->threshold / BARREN_PART && !heap->always;

    heap->barren = is_barren ? heap->barren + 1 : 0;
    return heap->barren > BARREN_MAX;
}

bool cn_heap_begin(struct cn_store *store)
{
    struct cn_heap *heap = store->heap;

    if (heap->is_fresh || (heap->phase == IDLE && is_thrashing(heap)))
        return false;
    if (heap->phase == IDLE)
        begin(store);
    return true;
}

bool cn_heap_step(struct cn_store *store)
{
    struct cn_heap *heap = store->heap;
    int64_t work = STEP_WORK;

    heap->steps++;
    while (heap->phase != IDLE && work > 0) {
        if (!phase_step(store, &work))
            continue;
        if (heap->phase == SWEEP_LARGE)
            end(store);
        else
            heap->phase++;
    }
    return heap->phase == IDLE;
}

void cn_store_collect(struct cn_store *store)
{
    cn_heap_finish(store);
    begin(store);
    cn_heap_finish(store);
}

struct cn_heap_stats cn_heap_stats(const struct cn_store *store)
{
    const struct cn_heap *heap = store->heap;

    return (struct cn_heap_stats){heap->live, heap->allocated, heap->collections, heap->steps,
                                  heap->objects};
}

void cn_heap_collect_always(struct cn_store *store, bool always)
{
    store->heap->always = always;
}

/* ------------------------------------------------------------------ handles, beginning and end */

struct cn_handle *cn_handle_new(struct cn_store *store, uint64_t reference)
{
    struct cn_handle *handle = cn_alloc(store->allocator, sizeof *handle);

    if (handle == NULL)
        return NULL;
    cn_heap_finish(store);
    *handle = (struct cn_handle){store->handles, &store->handles, reference};
    if (handle->next != NULL)
        handle->next->link = &handle->next;
    store->handles = handle;
    return handle;
}

void cn_handle_free(struct cn_store *store, struct cn_handle *handle)
{
    if (handle == NULL)
        return;
    cn_heap_finish(store);
    *handle->link = handle->next;
    if (handle->next != NULL)
        handle->next->link = handle->link;
    cn_free(store->allocator, handle, sizeof *handle);
}

enum cn_status cn_heap_open(struct cn_store *store)
{
    struct cn_heap *heap = cn_alloc(store->allocator, sizeof *heap);

    if (heap == NULL)
        return CN_NO_MEMORY;
    heap->types = store->types;
    heap->threshold = THRESHOLD_MIN;
    heap->is_fresh = true;
    store->heap = heap;
    return CN_OK;
}

void cn_heap_abandon(struct cn_store *store)
{
    store->is_collecting = false;
    if (store->heap != NULL)
        store->heap->phase = IDLE;
}

bool cn_heap_give_back(struct cn_store *store, uint64_t most)
{
    struct cn_heap *heap = store->heap;

    for (uint32_t i = 0; heap != NULL && i < CLASS_COUNT; i++) {
        struct block *block = heap->blocks[i];
        if (block == NULL)
            continue;
        heap->blocks[i] = block->next;
        free_block(store, block);
        return false;
    }
    struct large *large = heap != NULL ? heap->larges : NULL;
    if (large == NULL)
        return true;
    struct large *next = large->next;
    if (free_large(store, large, most))
        heap->larges = next;
    return false;
}

void cn_heap_close(struct cn_store *store)
{
    struct cn_heap *heap = store->heap;

    if (heap == NULL)
        return;
    while (store->handles != NULL) {
        struct cn_handle *handle = store->handles;
        store->handles = handle->next;
        cn_free(store->allocator, handle, sizeof *handle);
    }
    cn_heap_abandon(store);
    while (!cn_heap_give_back(store, UINT64_MAX))
        continue;
    cn_free(store->allocator, heap, sizeof *heap);
}
