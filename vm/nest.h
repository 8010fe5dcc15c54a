/* Calls within calls: a function of the host's, which a guest has called, calls a guest. What runs
 * beneath it has a thread of its own for each level, made when the level is first reached and kept
 * for the next time. The host's frames are on the C stack between them, so the levels end in the
 * order in which they began.
 */
#ifndef CN_VM_NEST_H
#define CN_VM_NEST_H

#include "core/limits.h"
#include "vm/thread.h"

struct cn_nest {
    struct cn_thread *threads[CN_LIMIT_NATIVE_NESTING];
    uint32_t depth; /* levels in use */
};

/* One level more, with a call stack of that many bytes at most. CN_TRAP_NESTING when there are
 * enough; CN_TRAP_STACK_OVERFLOW when there is no memory for its stack. */
CN_CHECKED enum cn_status cn_nest_enter(struct cn_nest *nest, struct cn_store *store,
                                        size_t stack_size, struct cn_thread **thread);
void cn_nest_leave(struct cn_nest *nest);

/* Frees all threads; no level is in use. */
void cn_nest_free(struct cn_nest *nest);

#endif
