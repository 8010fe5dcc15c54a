/* The one way to memory. Everything is allocated through an allocator with known sizes, so
 * that an account can be charged before and refunded exactly after. */
#ifndef CN_CORE_ALLOC_H
#define CN_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* resize(context, NULL, 0, n) allocates, (p, old, n) moves, (p, old, 0) frees and returns NULL.
 * NULL for n > 0 means that the quota or the host's memory is exhausted; the old block then
 * stays as it was. New bytes are not cleared. Blocks are aligned to 16 bytes. On the heap, and what
 * is charged to an account, a block can always be made smaller. */
struct cn_allocator {
    void *(*resize)(void *context, void *old, size_t old_size, size_t new_size);
    void *context;
};

/* The C library's heap, charged to nobody. */
extern const struct cn_allocator cn_heap;

/* Zeroed memory, or NULL. */
void *cn_alloc(struct cn_allocator allocator, size_t size);

/* Zeroed array, or NULL; count * size is checked for overflow. */
void *cn_alloc_array(struct cn_allocator allocator, size_t count, size_t size);

/* `old` may be NULL with old_size 0; the block is grown or shrunk and new bytes are NOT cleared. */
void *cn_resize(struct cn_allocator allocator, void *old, size_t old_size, size_t new_size);

/* NULL is fine. `size` is the size that the block was last given. */
void cn_free(struct cn_allocator allocator, void *block, size_t size);

#endif
