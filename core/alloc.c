#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "core/wipe.h"

/* The C library may leave a copy behind where it moves a block, so it is not left to move any. */
static void *move(void *old, size_t old_size, size_t new_size)
{
    void *block = malloc(new_size);

    if (block == NULL)
        return NULL;
    memcpy(block, old, old_size);
    cn_wipe(old, old_size);
    free(old);
    return block;
}

/* What is given back is wiped: it may have been a guest's. A block can always be made smaller: at
 * worst it stays as large as it was. */
static void *heap_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    if (old == NULL)
        return malloc(new_size);
    if (new_size > old_size)
        return move(old, old_size, new_size);
    cn_wipe((char *)old + new_size, old_size - new_size);
    if (new_size > 0) {
        void *smaller = realloc(old, new_size);
        return smaller != NULL ? smaller : old;
    }
    free(old);
    return NULL;
}

const struct cn_allocator cn_heap = {heap_resize, NULL};

void *cn_alloc(struct cn_allocator allocator, size_t size)
{
    void *block = allocator.resize(allocator.context, NULL, 0, size ? size : 1);

    if (block != NULL)
        memset(block, 0, size ? size : 1);
    return block;
}

void *cn_alloc_array(struct cn_allocator allocator, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return cn_alloc(allocator, total);
}

void *cn_resize(struct cn_allocator allocator, void *old, size_t old_size, size_t new_size)
{
    if (old != NULL && old_size == 0)
        old_size = 1;
    return allocator.resize(allocator.context, old, old_size, new_size ? new_size : 1);
}

void cn_free(struct cn_allocator allocator, void *block, size_t size)
{
    if (block != NULL)
        allocator.resize(allocator.context, block, size ? size : 1, 0);
}
