/* Turns: what a VM's own thread, or the workers of a pool, make it do again and again. */
#ifndef CN_HOST_TURN_H
#define CN_HOST_TURN_H

#include "host/vm.h"

enum cn_turn {
    CN_TURN_AGAIN,  /* it wants to go on */
    CN_TURN_WAIT,   /* until a moment, or until it is interrupted */
    CN_TURN_PARKED, /* so too, or until its wait set is readable (cn_wasi_wait_set) */
    CN_TURN_OVER,   /* vm->end says how the call ended */
};

/* Runs the VM for about that long, unless something holds it back, and says what has to happen
 * before the next turn: *until_ns is a moment of the monotonic clock, UINT64_MAX for none. A turn
 * may come early, whatever the VM waits for. Between cn_vm_enter and cn_vm_leave, in the middle
 * of a call that cn_vm_begin has begun. */
enum cn_turn cn_vm_turn(struct cn_vm *vm, uint64_t slice_ns, uint64_t *until_ns);

/* Makes a call that is short without a look at any clock, where nothing limits the VM's time: true
 * when that was all of it, as vm->end says. Else it has begun, or not yet, as *has_begun says, and
 * goes on in turns: before the first host call, or after some 5 us. The CPU time is taken to be
 * what such fuel usually costs, and 60 ns; after a millisecond of it a call is made in turns from
 * the beginning, so that others see the figures. */
bool cn_vm_call_briefly(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                        bool *has_begun);

/* Holds the VM to what its quotas say of the rate of CPU time now. */
void cn_vm_set_bucket(struct cn_vm *vm);

/* Ends the call in hand. */
void cn_vm_end_by_error(struct cn_vm *vm, const struct cn_error *error);
void cn_vm_end_by_status(struct cn_vm *vm, enum cn_status status);

#endif
