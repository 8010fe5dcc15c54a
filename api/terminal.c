#include "shim/terminal.h"

#include <string.h>

#include "include/cordon.h"

_Static_assert(sizeof(struct cn_terminal) <= sizeof(cordon_terminal_t), "has room for it");
_Static_assert(CN_TERMINAL_HELD + 1 <= CORDON_TERMINAL_MORE, "has room for what was held");

size_t cordon_terminal_show(cordon_terminal_t *terminal, const void *bytes, size_t size,
                            void *shown)
{
    struct cn_terminal inner;
    const uint8_t *from = bytes;
    uint8_t *to = shown;

    memcpy(&inner, terminal, sizeof inner);
    for (size_t i = 0; i < size; i++)
        to += cn_terminal_take(&inner, from[i], to);
    memcpy(terminal, &inner, sizeof inner);
    return (size_t)(to - (uint8_t *)shown);
}
