#include "host/vm.h"

#include <string.h>

#include "host/clock.h"
#include "host/step.h"
#include "host/turn.h"
#include "host/waiter.h"

/* Wiped and unmapped between two looks at the clock: some 50 us. */
#define GIVE_BACK_STEP (512u << 10)
/* How often a VM without a seat that wants to know looks at what the host has left. */
#define LOOK_NS 100000000u

void cn_vm_init(struct cn_vm *vm)
{
    memset(vm, 0, sizeof *vm);
    pthread_mutex_init(&vm->lock, NULL);
    cn_account_init(&vm->account);
    vm->task = vm->first_task.next = &vm->first_task;
    cn_pace_init(&vm->pace);
    vm->wall_start_ns = cn_clock_ns(CLOCK_MONOTONIC);
    cn_vm_enter(vm);
}

/* Fuel of short calls taken to be the time that such fuel usually costs. */
static uint64_t cpu_before(const struct cn_vm *vm)
{
    return vm->cpu_before_ns +
           vm->brief_fuel * CN_SLICE_NS / (uint64_t)vm->pace.fuel_per_slice;
}

void cn_vm_enter(struct cn_vm *vm)
{
    vm->cpu_before_ns = cpu_before(vm);
    vm->brief_fuel = 0;
    vm->cpu_start_ns = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (vm->has_thread && vm->cpu_end_ns > 0)
        vm->cpu_before_ns += vm->cpu_start_ns - vm->cpu_end_ns;
    vm->is_working = true;
}

void cn_vm_leave(struct cn_vm *vm)
{
    if (!vm->is_working)
        return;
    vm->cpu_end_ns = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    vm->cpu_before_ns += vm->cpu_end_ns - vm->cpu_start_ns;
    vm->is_working = false;
}

/* One part of it, in an order in which nobody is left that uses what goes; true when nothing is. */
static bool give_back_part(struct cn_vm *vm)
{
    cn_pend_drop_all(vm);
    if (vm->wasi != NULL) {
        if (!cn_wasi_give_back(vm->wasi))
            return false;
        cn_wasi_free(vm->wasi);
        vm->wasi = NULL;
        return false;
    }
    if (vm->store == NULL)
        return true;
    if (!cn_store_give_back(vm->store, GIVE_BACK_STEP) || cn_task_drop_one(vm))
        return false;
    cn_nest_free(&vm->nest);
    cn_thread_free(vm->first_task.thread);
    vm->first_task.thread = vm->thread = NULL;
    return true;
}

bool cn_vm_give_back(struct cn_vm *vm, uint64_t until_ns)
{
    while (!give_back_part(vm))
        if (cn_clock_ns(CLOCK_MONOTONIC) >= until_ns)
            return false;
    return true;
}

void cn_vm_release(struct cn_vm *vm)
{
    (void)cn_vm_give_back(vm, UINT64_MAX);
    cn_store_free(vm->store);
    atomic_store(&vm->shared_waiter, NULL);
    cn_watch_free(vm->watch);
    cn_waiter_free(vm->waiter);
    pthread_mutex_destroy(&vm->lock);
    vm->store = NULL;
    vm->waiter = NULL;
    vm->watch = NULL;
}

uint64_t cn_vm_wall_ns(const struct cn_vm *vm)
{
    return (vm->wall_end_ns ? vm->wall_end_ns : cn_clock_ns(CLOCK_MONOTONIC)) - vm->wall_start_ns;
}

uint64_t cn_vm_cpu_ns(const struct cn_vm *vm)
{
    return vm->is_working
               ? vm->cpu_before_ns + cn_clock_ns(CLOCK_THREAD_CPUTIME_ID) - vm->cpu_start_ns
               : cpu_before(vm);
}

/* ------------------------------------------------------------------ calls */

void cn_vm_begin_call(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments)
{
    vm->end.kind = CN_END_NONE;
    vm->wall_end_ns = 0;
    vm->parked_count -= vm->first_task.is_parked;
    vm->first_task.is_parked = false;
    vm->task = &vm->first_task;
    vm->thread = vm->first_task.thread;
    enum cn_status status = cn_thread_call(vm->thread, func, arguments);
    if (status != CN_OK)
        cn_vm_end_by_status(vm, status);
}

void cn_vm_begin(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments)
{
    if (vm->end.kind != CN_END_NONE && vm->end.kind != CN_END_DONE)
        return;
    cn_vm_set_bucket(vm);
    cn_vm_begin_call(vm, func, arguments);
}

bool cn_vm_begin_next(struct cn_vm *vm)
{
    if (vm->end.kind > CN_END_DONE || vm->calls_begun == vm->call_count)
        return false;
    struct cn_func *func = vm->calls[vm->calls_begun++];
    cn_vm_begin(vm, func, vm->calls_begun == vm->call_count ? vm->last_arguments : NULL);
    return true;
}

void cn_vm_finish(struct cn_vm *vm)
{
    cn_pend_drop_all(vm);
    vm->wall_end_ns = cn_clock_ns(CLOCK_MONOTONIC);
    cn_vm_leave(vm);
}

struct cn_waiter *cn_vm_waiter(struct cn_vm *vm)
{
    if (vm->waiter == NULL) {
        vm->waiter = cn_waiter_new();
        atomic_store(&vm->shared_waiter, vm->waiter);
    }
    return vm->waiter;
}

/* Whether others can leave it little memory: nobody pokes a VM without a seat for that. */
static bool shares_pot(const struct cn_vm *vm)
{
    return vm->wasi != NULL && vm->account.pot != NULL &&
           atomic_load(&vm->account.pot->size) != CN_UNLIMITED;
}

uint64_t cn_vm_look_moment(const struct cn_vm *vm, uint64_t until_ns)
{
    uint64_t moment = cn_clock_ns(CLOCK_MONOTONIC) + LOOK_NS;

    return until_ns > moment && shares_pot(vm) && cn_wasi_watches_pressure(vm->wasi) ? moment
                                                                                      : until_ns;
}

static void wait_until(struct cn_vm *vm, enum cn_turn turn, uint64_t until_ns)
{
    bool is_new = vm->waiter == NULL;
    struct cn_waiter *waiter = cn_vm_waiter(vm);

    if (waiter == NULL) {
        struct cn_error error;
        cn_fail(&error, CN_IO, CN_NO_OFFSET, "no descriptor is left to wait with");
        cn_vm_end_by_error(vm, &error);
        return;
    }
    if (is_new)
        return; /* who had news before there was a waiter has interrupted nobody: look again */
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);
    until_ns = cn_vm_look_moment(vm, until_ns);
    int fd = turn == CN_TURN_PARKED && vm->wasi != NULL ? cn_wasi_wait_set(vm->wasi) : -1;
    if (until_ns > now)
        cn_waiter_wait(waiter, fd, until_ns == UINT64_MAX ? UINT64_MAX : until_ns - now);
}

/* The whole of it, or what is left of what was begun without a look at the clocks. */
static void call_in_turns(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                          bool has_begun)
{
    if (!vm->is_working)
        cn_vm_enter(vm);
    if (!has_begun)
        cn_vm_begin(vm, func, arguments);
    else
        cn_vm_set_bucket(vm);
    while (vm->end.kind == CN_END_NONE) {
        uint64_t until_ns;
        enum cn_turn turn = cn_vm_turn(vm, CN_SLICE_NS, &until_ns);
        cn_vm_publish(vm);
        if (turn == CN_TURN_WAIT || turn == CN_TURN_PARKED)
            wait_until(vm, turn, until_ns);
    }
}

void cn_vm_call(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                union cn_slot *results)
{
    if (vm->end.kind != CN_END_NONE && vm->end.kind != CN_END_DONE)
        return;
    bool has_begun, was_brief = cn_vm_call_briefly(vm, func, arguments, &has_begun);
    if (!was_brief)
        call_in_turns(vm, func, arguments, has_begun);
    if (vm->end.kind == CN_END_DONE && results != NULL)
        for (uint32_t i = 0; i < func->type->result_slots; i++)
            results[i] = vm->thread->stack[i];
    if (!was_brief || vm->end.kind != CN_END_DONE)
        cn_vm_finish(vm);
}
