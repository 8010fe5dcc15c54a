/* Calls of guests: from outside while nothing of the VM runs, and from within host functions,
 * beneath the C frames in between. */
#include <stdio.h>
#include <string.h>

#include "api/internal.h"

enum cn_way cn_api_begin_call(struct cordon_vm *vm)
{
    bool is_busy = false;

    if (cn_api_is_in_host(vm))
        return CN_WAY_BENEATH;
    return atomic_compare_exchange_strong_explicit(&vm->is_busy, &is_busy, true,
                                                   memory_order_acquire, memory_order_relaxed)
               ? CN_WAY_TOP
               : CN_WAY_NONE;
}

void cn_api_end_call(struct cordon_vm *vm, enum cn_way way)
{
    if (way == CN_WAY_TOP)
        atomic_store_explicit(&vm->is_busy, false, memory_order_release);
}

bool cn_api_call(struct cordon_vm *vm, enum cn_way way, struct cn_func *func,
                 const union cn_slot *arguments, union cn_slot *results)
{
    if (way == CN_WAY_BENEATH)
        return !vm->is_broken && cn_vm_call_beneath(&vm->vm, func, arguments, results);
    cn_vm_call(&vm->vm, func, arguments, results);
    return vm->vm.end.kind == CN_END_DONE;
}

/* The host function has said that the guest traps, which it will when that returns. */
static void result_of_broken(const struct cordon_vm *vm, cordon_result_t *result)
{
    memset(result, 0, sizeof *result);
    result->end = CORDON_END_TRAP;
    result->quota = CORDON_QUOTA_COUNT;
    result->exit_code = 134;
    snprintf(result->message, sizeof result->message, "%s", vm->broken.text);
}

void cn_api_call_result(struct cordon_vm *vm, bool has_returned, cordon_result_t *result)
{
    if (!has_returned && vm->vm.end.kind == CN_END_NONE)
        result_of_broken(vm, result);
    else
        cn_api_result(vm, result);
    if (has_returned)
        result->end = CORDON_END_RETURN;
}
