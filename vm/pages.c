#define _GNU_SOURCE 1 /* mremap */
#include "vm/pages.h"

#include <stddef.h>
#include <sys/mman.h>

#include "core/wipe.h"

/* The kernel moves 2 MiB or 1 GiB in one step where both places begin at a multiple of that: 4 GiB
 * within 0.1 ms, instead of 10 ms page by page. */
#define MIDDLE ((uint64_t)2 << 20)
#define UPPER ((uint64_t)1 << 30)

static uint64_t alignment_of(uint64_t size)
{
    return size >= UPPER ? UPPER : size >= MIDDLE ? MIDDLE : CN_HOST_PAGE;
}

/* A place of that size at a multiple of its alignment, which nothing may be done with yet. */
static void *find_place(uint64_t size)
{
    uint64_t more = alignment_of(size) - CN_HOST_PAGE;
    uint8_t *area = mmap(NULL, size + more, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED)
        return NULL;
    uint64_t before = -(uint64_t)(uintptr_t)area & (alignment_of(size) - 1);
    if (before > 0)
        munmap(area, before);
    if (before < more)
        munmap(area + before + size, more - before);
    return area + before;
}

void *cn_pages_map(uint64_t size)
{
    void *place = find_place(size);

    if (place == NULL)
        return NULL;
    if (mprotect(place, size, PROT_READ | PROT_WRITE) != 0) {
        munmap(place, size);
        return NULL;
    }
    /* A core dump of the host shows no guest's data. Old kernels may not know the advice. */
    (void)madvise(place, size, MADV_DONTDUMP);
    return place;
}

/* What is to grow large stands where it can be moved quickly from, as long as that is cheap. */
static bool may_stay(const void *at, uint64_t size)
{
    return size < MIDDLE || ((uintptr_t)at & (MIDDLE - 1)) == 0;
}

void *cn_pages_move(void *at, uint64_t old, uint64_t size)
{
    void *place = find_place(size);

    if (place == NULL)
        return NULL;
    void *moved = mremap(at, old, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (moved != MAP_FAILED)
        return moved;
    munmap(place, size);
    return NULL;
}

void *cn_pages_grow(void *at, uint64_t old, uint64_t size, bool may_move)
{
    void *base = !may_move || may_stay(at, size) ? mremap(at, old, size, 0) : MAP_FAILED;

    if (base != MAP_FAILED)
        return base;
    return may_move ? cn_pages_move(at, old, size) : NULL;
}

uint64_t cn_pages_shrink(void *at, uint64_t size, uint64_t most)
{
    uint64_t part = size < most ? size : most;
    uint8_t *end = (uint8_t *)at + (size - part);

    if (part == 0)
        return 0;
    cn_wipe_pages(end, part);
    munmap(end, part);
    return size - part;
}
