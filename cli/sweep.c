#include "cli/sweep.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK (64u << 10)
#define LARGEST (1u << 20)
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

/* Takes a block and zeroes it; false when there is none that the heap has already. */
static bool take(struct block **taken, size_t size, bool may_grow)
{
    const struct mallinfo2 before = mallinfo2();
    struct block *block = malloc(size);

    if (block == NULL)
        return false;
    const struct mallinfo2 after = mallinfo2();
    if (!may_grow && (after.arena > before.arena || after.hblks > before.hblks)) {
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
    sweep_stack();
}
