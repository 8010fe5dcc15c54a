/* The machine without the layers above, for test programs: they end on a broken environment. */
#ifndef CN_TESTS_MACHINE_H
#define CN_TESTS_MACHINE_H

#include "vm/thread.h"

/* The whole file; exits with 2 when it cannot be read. */
uint8_t *machine_read(const char *path, size_t *size);

/* Calls a function and runs it to its end, stopping at every safepoint when `preempt` says so;
 * CN_OK with results, or what it ended with. CN_OVER_QUOTA after 50 million units of fuel. */
CN_CHECKED enum cn_status machine_call(struct cn_store *store, struct cn_func *func, int preempt,
                                       const union cn_slot *arguments, union cn_slot *results);

#endif
