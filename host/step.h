/* Running a VM in steps, on whatever thread: each of so much fuel, and so much time, at most.
 *
 * Fuel is exact: what a step could not use, because the next block costs more, is kept for the
 * next one, so that steps of any size come to the same end over the same path. Threads of the
 * guest take turns of a fixed fuel then, which do not end with steps either.
 */
#ifndef CN_HOST_STEP_H
#define CN_HOST_STEP_H

#include "host/turn.h"

struct cn_watch;

/* Begins the calls, of which the last one gets the arguments: both must stay until its end. */
void cn_step_begin(struct cn_vm *vm, struct cn_func *const *calls, uint32_t count,
                   const union cn_slot *arguments);

/* UINT64_MAX for `fuel` and `ns` is no bound. As cn_vm_turn; but what is waited for is watched by
 * the descriptor below, too. After CN_TURN_OVER results stand on the thread's stack. */
enum cn_turn cn_step_run(struct cn_vm *vm, uint64_t fuel, uint64_t ns, uint64_t *until_ns);

/* A descriptor that is readable when the VM should be given a step. -1 when descriptors are
 * exhausted. */
int cn_step_descriptor(struct cn_vm *vm);

/* NULL is fine. */
void cn_watch_free(struct cn_watch *watch);

#endif
