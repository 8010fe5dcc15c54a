#include "core/arena.h"

#include <stdint.h>

/* A chunk is twice as large as the one before, up to this. */
#define CHUNK_SIZE (32u * 1024)
#define CHUNK_FIRST 1024u
#define ALIGNMENT ((size_t)16)

struct cn_arena_chunk {
    struct cn_arena_chunk *next;
    size_t size; /* of the whole chunk, this header included */
} __attribute__((aligned(16)));

void cn_arena_init(struct cn_arena *arena, struct cn_allocator allocator)
{
    *arena = (struct cn_arena){.allocator = allocator};
}

void cn_arena_release(struct cn_arena *arena)
{
    struct cn_arena_chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct cn_arena_chunk *next = chunk->next;
        cn_free(arena->allocator, chunk, chunk->size);
        chunk = next;
    }
    arena->chunks = NULL;
    arena->used = 0;
}

static struct cn_arena_chunk *new_chunk(struct cn_arena *arena, size_t size)
{
    struct cn_arena_chunk *chunk = cn_alloc(arena->allocator, size);

    if (chunk != NULL)
        chunk->size = size;
    return chunk;
}

/* A large piece gets a chunk of its own behind the first one, so that the room left in the
 * first one is not lost. */
static void *alloc_apart(struct cn_arena *arena, size_t size)
{
    struct cn_arena_chunk *chunk = new_chunk(arena, size + sizeof *chunk);

    if (chunk == NULL)
        return NULL;
    if (arena->chunks == NULL) {
        arena->chunks = chunk;
        arena->used = chunk->size;
    } else {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    return chunk + 1;
}

/* With room for a piece of that size, which is none that is put apart. */
static size_t next_size(const struct cn_arena *arena, size_t size)
{
    size_t next = arena->chunks != NULL ? 2 * arena->chunks->size : CHUNK_FIRST;

    while (next < size + sizeof(struct cn_arena_chunk))
        next *= 2;
    return next < CHUNK_SIZE ? next : CHUNK_SIZE;
}

void *cn_arena_alloc(struct cn_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (size > CHUNK_SIZE / 4)
        return alloc_apart(arena, size);

    if (arena->chunks == NULL || arena->chunks->size - arena->used < size) {
        struct cn_arena_chunk *chunk = new_chunk(arena, next_size(arena, size));
        if (chunk == NULL)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used = sizeof *chunk;
    }
    void *piece = (char *)arena->chunks + arena->used;
    arena->used += size;
    return piece;
}

void *cn_arena_array(struct cn_arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return cn_arena_alloc(arena, total);
}

size_t cn_arena_size(const struct cn_arena *arena)
{
    size_t total = 0;

    for (const struct cn_arena_chunk *chunk = arena->chunks; chunk != NULL; chunk = chunk->next)
        total += chunk->size;
    return total;
}
