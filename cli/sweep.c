#include "cli/sweep.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK (64u << 10)
#define LARGEST (64u << 10) /* larger ones would be mappings of their own when there is no room */
#define TOP_PAD (128 << 10) /* the C library's own */
#define SMALL 1040u      /* up to here the C library keeps blocks of each size, 16 bytes apart */
#define KEPT_OF_A_SIZE 8 /* by each thread, and one more */

/* A block that is taken, so that the next one is another. */
struct block {
    struct block *next;
};

void cli_stay_out_of_dumps(void)
{
    int file = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

    if (file < 0)
        return;
    ssize_t done = write(file, "0", 1);
    (void)done; /* this is one of several layers */
    close(file);
}

/* Takes a block and zeroes it; false when there is none that the heap has already: then its end
 * moves. (To ask mallinfo2 each time would be a walk through all that is free for each block.) */
static bool take(struct block **taken, size_t size, bool may_grow)
{
    const void *end = sbrk(0);
    struct block *block = malloc(size);

    if (block == NULL)
        return false;
    if (!may_grow && sbrk(0) != end) {
        free(block);
        return false;
    }
    explicit_bzero(block, malloc_usable_size(block));
    block->next = *taken;
    *taken = block;
    return true;
}

__attribute__((noinline)) static void sweep_stack(void)
{
    uint8_t below[STACK];

    explicit_bzero(below, sizeof below);
}

/* All that is free is taken, from the largest pieces to the smallest. */
void cli_sweep(void)
{
    struct block *taken = NULL;

    mallopt(M_TOP_PAD, 0); /* what is taken too much shall be little */
    for (size_t size = LARGEST; size > SMALL; size /= 2)
        for (size_t left = mallinfo2().fordblks; left > size && take(&taken, size, false);)
            left -= size;
    for (size_t size = SMALL - 16; size >= 24; size -= 16) {
        for (int i = 0; i < KEPT_OF_A_SIZE; i++)
            take(&taken, size, true);
        for (size_t left = mallinfo2().fordblks; left > size && take(&taken, size, false);)
            left -= size;
    }
    while (taken != NULL) {
        struct block *next = taken->next;
        free(taken);
        taken = next;
    }
    mallopt(M_TOP_PAD, TOP_PAD);
    sweep_stack();
}
