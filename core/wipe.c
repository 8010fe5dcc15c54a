#include "core/wipe.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
#define LOOK_AT 256u /* pages at once */
#define STACK (64u << 10) /* more than a system call uses, with what it calls in libraries */

void cn_wipe(void *at, size_t size)
{
    explicit_bzero(at, size);
}

/* Where the kernel does not say which pages are there, all of them are taken to be. */
static void wipe_some(uint8_t *at, size_t pages)
{
    unsigned char is_there[LOOK_AT];

    if (mincore(at, pages * PAGE, is_there) != 0)
        memset(is_there, 1, sizeof is_there);
    for (size_t i = 0; i < pages; i++)
        if (is_there[i] & 1)
            cn_wipe(at + i * PAGE, PAGE);
}

void cn_wipe_pages(void *at, size_t size)
{
    uint8_t *from = at;

    for (size_t left = size / PAGE, some; left > 0; left -= some, from += some * PAGE) {
        some = left < LOOK_AT ? left : LOOK_AT;
        wipe_some(from, some);
    }
}

/* Not a part of its caller, whose own frame would become as large. */
__attribute__((noinline)) void cn_wipe_stack(void)
{
    uint8_t below[STACK];

    cn_wipe(below, sizeof below);
}
