/* Running in steps, on the embedder's thread and by its loop. */
#include "api/internal.h"
#include "host/step.h"

_Static_assert((int)CORDON_AGAIN == (int)CN_TURN_AGAIN && (int)CORDON_WAIT == (int)CN_TURN_WAIT,
               "cordon.h has the turns of host/turn.h");

/* What is begun: in the heap, because the VM's own memory is not given back before its end. */
struct cn_begun {
    struct cn_func *func;      /* that the results are of; NULL for a program */
    struct cn_func **calls;    /* those that have to come before, and it */
    uint32_t call_count;
    union cn_slot *arguments;
    _Atomic bool is_over;
    bool is_started;           /* the host's workers make the calls, not steps */
};

void cn_api_begun_free(struct cordon_vm *vm)
{
    struct cn_begun *begun = vm->begun;

    if (begun == NULL)
        return;
    vm->begun = NULL;
    if (begun->func != NULL)
        cn_free(cn_heap, begun->arguments,
                begun->func->type->param_slots * sizeof *begun->arguments);
    cn_free(cn_heap, begun, sizeof *begun);
}

void cn_api_begun_over(struct cordon_vm *vm)
{
    if (vm->begun != NULL)
        vm->begun->is_over = true;
}

/* The calls that a function needs before it, and it. */
static bool list_calls(struct cordon_vm *vm, struct cn_begun *begun, cordon_error_t *error)
{
    if (begun->func == NULL)
        return cn_api_program(vm, &begun->calls, &begun->call_count, error);
    if (!cn_api_initial_calls(vm, false, &begun->calls, &begun->call_count))
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    begun->calls[begun->call_count++] = begun->func;
    return true;
}

static bool take_arguments(struct cn_begun *begun, const cordon_value_t *arguments,
                           uint32_t count, cordon_error_t *error)
{
    const struct cn_functype *type = begun->func->type;
    uint32_t at = 0;

    if (type->param_slots == 0)
        return true;
    begun->arguments = cn_alloc_array(cn_heap, type->param_slots, sizeof *begun->arguments);
    if (begun->arguments == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    for (uint32_t i = 0; i < count; i++)
        at += cn_api_put_value(begun->arguments + at, &arguments[i]);
    return true;
}

static bool prepare(struct cordon_vm *vm, const char *name, const cordon_value_t *arguments,
                    uint32_t count, cordon_error_t *error)
{
    struct cn_begun *begun = cn_alloc(cn_heap, sizeof *begun);

    cn_api_begun_free(vm);
    vm->begun = begun;
    if (begun == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    if (name != NULL) {
        begun->func = cn_api_export_func(vm->main, name);
        if (begun->func == NULL)
            return cn_api_fail(error, CORDON_NO_EXPORT, "the module exports no function %s", name);
        if (!cn_api_arguments_fit(vm, begun->func, name, arguments, count, error) ||
            !take_arguments(begun, arguments, count, error))
            return false;
    }
    return list_calls(vm, begun, error);
}

/* What could not be begun. */
static bool give_up(struct cordon_vm *vm, uint32_t were_initialized)
{
    cn_api_begun_free(vm);
    vm->initialized_count = were_initialized; /* nothing has run */
    cn_api_end_call(vm, CN_WAY_TOP);
    return false;
}

static bool has_main(const struct cordon_vm *vm, cordon_error_t *error)
{
    return vm->main != NULL ||
           cn_api_fail(error, CORDON_MISUSE, "the VM has no instance named main");
}

bool cordon_vm_begin(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                     uint32_t argument_count, cordon_error_t *error)
{
    uint32_t were_initialized = vm->initialized_count;

    if (!has_main(vm, error))
        return false;
    if (cn_api_begin_call(vm) != CN_WAY_TOP)
        return cn_api_fail(error, CORDON_MISUSE, "the VM runs already");
    if (!prepare(vm, name, arguments, argument_count, error))
        return give_up(vm, were_initialized);
    const struct cn_begun *begun = vm->begun;
    cn_step_begin(&vm->vm, begun->calls, begun->call_count, begun->arguments);
    return true;
}

bool cordon_vm_start_call(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                          uint32_t argument_count, cordon_done_fn done, void *user,
                          cordon_error_t *error)
{
    if (!has_main(vm, error) || !cn_api_begin_start(vm, error))
        return false;
    uint32_t were_initialized = vm->initialized_count;
    if (!prepare(vm, name, arguments, argument_count, error))
        return give_up(vm, were_initialized);
    struct cn_begun *begun = vm->begun;
    const struct cn_calls calls = {begun->calls, begun->call_count, begun->arguments};
    begun->is_started = true;
    vm->done = done;
    vm->done_user = user;
    return cn_api_start(vm, &calls, error) || give_up(vm, were_initialized);
}

cordon_state_t cordon_vm_step(cordon_vm_t *vm, uint64_t fuel, uint64_t ns, cordon_step_t *step)
{
    uint64_t until_ns = 0, before = vm->vm.account.used[CN_QUOTA_FUEL];
    cordon_state_t state = CORDON_OVER;

    if (vm->begun != NULL && !vm->begun->is_over && !vm->begun->is_started &&
        !cn_api_is_in_host(vm)) {
        enum cn_turn turn = cn_step_run(&vm->vm, fuel, ns, &until_ns);
        vm->begun->is_over = turn == CN_TURN_OVER;
        state = turn == CN_TURN_OVER    ? CORDON_OVER
                : turn == CN_TURN_AGAIN ? CORDON_AGAIN
                                        : CORDON_WAIT;
    }
    if (step != NULL)
        *step = (cordon_step_t){state, vm->vm.account.used[CN_QUOTA_FUEL] - before, until_ns};
    return state;
}

static bool take_results(struct cordon_vm *vm, cordon_value_t *results, uint32_t room,
                         cordon_error_t *error)
{
    const struct cn_func *func = vm->begun->func;
    const union cn_slot *slots = vm->vm.first_task.thread->stack;
    bool taken = true;

    if (func == NULL || vm->vm.end.kind != CN_END_DONE)
        return true;
    const cn_valtype *types = cn_functype_results(func->type);
    for (uint32_t i = 0; i < func->type->result_count && i < room; i++) {
        taken = cn_api_take_value(vm->vm.store, slots, types[i], &results[i]) && taken;
        slots += cn_valtype_slots(types[i]);
    }
    return taken || cn_api_fail(error, CORDON_QUOTA, "no memory left to keep a reference");
}

bool cordon_vm_end(cordon_vm_t *vm, cordon_value_t *results, uint32_t result_room,
                   cordon_result_t *result, cordon_error_t *error)
{
    if (vm->begun == NULL || !vm->begun->is_over)
        return cn_api_fail(error, CORDON_MISUSE, "nothing was begun that is over");
    cn_api_result(vm, result);
    bool is_done = take_results(vm, results, result_room, error);
    bool is_busy = !vm->begun->is_started; /* the host's workers give it back themselves */
    cn_api_begun_free(vm);
    if (is_busy)
        cn_api_end_call(vm, CN_WAY_TOP);
    return is_done;
}

int cordon_vm_descriptor(cordon_vm_t *vm, cordon_error_t *error)
{
    int descriptor = cn_step_descriptor(&vm->vm);

    if (descriptor < 0)
        cn_api_fail(error, CORDON_IO, "no descriptor is left to wait with");
    return descriptor;
}
