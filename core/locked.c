#include "core/locked.h"

#include <string.h>
#include <sys/mman.h>

#include "core/wipe.h"

#define PAGE ((size_t)4096)

static size_t pages_of(size_t size)
{
    return (size + PAGE - 1) & ~(PAGE - 1);
}

static void *take(size_t size)
{
    void *at = size > SIZE_MAX / 2 ? MAP_FAILED
                                   : mmap(NULL, pages_of(size), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    (void)mlock(at, pages_of(size));
    (void)madvise(at, pages_of(size), MADV_DONTDUMP);
    return at;
}

static void give_back(void *at, size_t size)
{
    cn_wipe(at, size);
    munmap(at, pages_of(size));
}

static void *resize(void *context, void *old, size_t old_size, size_t new_size)
{
    (void)context;
    if (new_size > 0 && old != NULL && pages_of(new_size) == pages_of(old_size)) {
        if (new_size < old_size)
            cn_wipe((char *)old + new_size, old_size - new_size);
        return old;
    }
    void *block = new_size > 0 ? take(new_size) : NULL;
    if (new_size > 0 && block == NULL)
        return NULL;
    if (block != NULL && old != NULL)
        memcpy(block, old, old_size < new_size ? old_size : new_size);
    if (old != NULL)
        give_back(old, old_size);
    return block;
}

const struct cn_allocator cn_locked = {resize, NULL};
