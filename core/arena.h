/* Memory with one lifetime: allocated piece by piece, freed whole. */
#ifndef CN_CORE_ARENA_H
#define CN_CORE_ARENA_H

#include <stddef.h>

#include "core/alloc.h"

struct cn_arena_chunk;

struct cn_arena {
    struct cn_allocator allocator;
    struct cn_arena_chunk *chunks;
    size_t used; /* bytes taken from the first chunk */
};

/* Takes no memory yet. The allocator must outlive the arena. */
void cn_arena_init(struct cn_arena *arena, struct cn_allocator allocator);

/* Gives every chunk back; the arena may then be used again. A zeroed arena is fine. */
void cn_arena_release(struct cn_arena *arena);

/* Zeroed, aligned to 16 bytes, valid until the arena is released; NULL when memory is exhausted.
 * A size of 0 gives a valid pointer to nothing. */
void *cn_arena_alloc(struct cn_arena *arena, size_t size);

/* As above for count * size, checked for overflow. */
void *cn_arena_array(struct cn_arena *arena, size_t count, size_t size);

/* All bytes that the arena holds, its own bookkeeping included. */
size_t cn_arena_size(const struct cn_arena *arena);

#endif
