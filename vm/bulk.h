/* How bulk operations go on in chunks; for the handlers of vm/op_memory.c and vm/op_table.c. */
#ifndef CN_VM_BULK_H
#define CN_VM_BULK_H

#include "vm/dispatch.h"

/* Takes the price of the next chunk of at most `most` out of the `n` that are left, or leaves
 * where the slice does not cover it; on to the next instruction when nothing is left. Declares
 * `chunk`. `price_of` is a macro: the fuel for so many bytes or elements. */
#define NEXT_CHUNK(n, size, most, price_of)                                                        \
    if ((n) == 0)                                                                                  \
        NEXT(size);                                                                                \
    const uint32_t chunk = (uint32_t)((n) < (most) ? (n) : (most));                                \
    if (CN_UNLIKELY(FUEL < (int64_t)price_of(chunk))) {                                            \
        t->wanted = price_of(chunk);                                                               \
        CN_TAIL cn_op_leave_bulk(CN_ARGS(pc));                                                     \
    }                                                                                              \
    FUEL -= (int64_t)price_of(chunk)

#endif
