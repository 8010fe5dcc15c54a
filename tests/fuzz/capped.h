/* An allocator for fuzz targets: gives at most so much, and knows whether all came back. */
#ifndef CN_TESTS_FUZZ_CAPPED_H
#define CN_TESTS_FUZZ_CAPPED_H

#include <stdlib.h>

#include "core/alloc.h"

struct capped {
    size_t used;
    size_t cap;
};

static inline void *capped_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct capped *capped = context;

    if (old_size > capped->used)
        abort(); /* given back with another size than it was taken with */
    if (new_size == 0) {
        free(old);
        capped->used -= old_size;
        return NULL;
    }
    if (new_size > capped->cap - (capped->used - old_size))
        return NULL;
    void *block = realloc(old, new_size);
    if (block != NULL)
        capped->used += new_size - old_size;
    return block;
}

static inline struct cn_allocator capped_allocator(struct capped *capped)
{
    return (struct cn_allocator){capped_resize, capped};
}

#endif
