/* Pages of the host's, for what guests may have much of: memories, large tables, large objects. So
 * many come zeroed, grow without being copied, and are given back piece by piece: none of it takes
 * longer than a turn may, however much there is. What they are charged is the caller's business. */
#ifndef CN_VM_PAGES_H
#define CN_VM_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define CN_HOST_PAGE ((uint64_t)4096)

/* So much that it is worth pages of its own. */
#define CN_PAGES_WORTH (1u << 20)

static inline uint64_t cn_whole_pages(uint64_t size)
{
    return (size + CN_HOST_PAGE - 1) & ~(CN_HOST_PAGE - 1);
}

/* Zeroed; sizes are whole pages. NULL when the host has no room. */
void *cn_pages_map(uint64_t size);
/* More of them; where they may move, perhaps elsewhere. NULL when the host has no room: then
 * nothing has changed. */
void *cn_pages_grow(void *at, uint64_t old, uint64_t size, bool may_move);
/* The same, elsewhere for certain. */
void *cn_pages_move(void *at, uint64_t old, uint64_t size);
/* Wipes and gives back up to `most` bytes of the end; returns how many are left. */
uint64_t cn_pages_shrink(void *at, uint64_t size, uint64_t most);

#endif
