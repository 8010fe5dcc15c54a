/* A VM in a pool: its seat's two functions. */
#include <stddef.h>

#include "host/clock.h"
#include "host/turn.h"

static struct cn_vm *vm_of(struct cn_seat *seat)
{
    return (struct cn_vm *)((char *)seat - offsetof(struct cn_vm, seat));
}

/* Whether it has just begun to: what happened in this turn it may not have been told of. */
static bool begins_to_watch(struct cn_vm *vm)
{
    bool watches = vm->wasi != NULL && cn_wasi_watches_pressure(vm->wasi);

    return !atomic_exchange(&vm->seat.is_watching, watches) && watches;
}

static void take_turn(struct cn_seat *seat, uint64_t slice_ns, struct cn_turn_report *report)
{
    struct cn_vm *vm = vm_of(seat);
    uint64_t before = cn_vm_cpu_ns(vm);
    enum cn_turn turn = CN_TURN_OVER;

    cn_vm_enter(vm);
    if (vm->end.kind == CN_END_NONE && vm->calls_begun > 0)
        turn = cn_vm_turn(vm, slice_ns, &report->until_ns);
    report->is_over = turn == CN_TURN_OVER && !cn_vm_begin_next(vm);
    if (begins_to_watch(vm) || turn == CN_TURN_AGAIN || turn == CN_TURN_OVER)
        report->until_ns = 0;
    if (turn == CN_TURN_PARKED && vm->wasi != NULL)
        report->wait_set = cn_wasi_wait_set(vm->wasi);
    if (report->is_over)
        cn_vm_finish(vm);
    else
        cn_vm_leave(vm);
    cn_vm_publish(vm);
    report->used_ns = vm->cpu_before_ns - before;
}

static void is_over(struct cn_seat *seat)
{
    struct cn_vm *vm = vm_of(seat);

    atomic_store(&vm->pool, NULL);
    vm->ended(vm);
}

void cn_vm_blocks(void *context)
{
    struct cn_vm *vm = context;
    struct cn_pool *pool = atomic_load(&vm->pool);

    if (pool != NULL)
        cn_pool_blocks(pool, &vm->seat);
    else if (vm->blocks != NULL)
        vm->blocks(vm);
}

static void take_last_turn(struct cn_seat *seat, uint64_t slice_ns, struct cn_turn_report *report)
{
    uint64_t cpu = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID);

    report->is_over =
        cn_vm_give_back(vm_of(seat), cn_clock_ns(CLOCK_MONOTONIC) + slice_ns);
    report->used_ns = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

enum cn_status cn_vm_tear_down(struct cn_vm *vm, struct cn_pool *pool,
                               void (*ended)(struct cn_vm *vm))
{
    vm->seat.turn = take_last_turn;
    vm->seat.over = is_over;
    vm->ended = ended;
    return cn_pool_take(pool, &vm->seat, (uint32_t)vm->account.limit[CN_QUOTA_WEIGHT], 0);
}

void cn_vm_prepare(struct cn_vm *vm, struct cn_func *const *calls, uint32_t count)
{
    vm->seat.turn = take_turn;
    vm->seat.over = is_over;
    vm->calls_begun = 0;
    vm->calls = calls;
    vm->call_count = count;
    vm->last_arguments = NULL;
    cn_vm_take_limits(vm);
}

enum cn_status cn_vm_start(struct cn_vm *vm, struct cn_pool *pool, const struct cn_calls *calls,
                           void (*ended)(struct cn_vm *vm))
{
    cn_vm_prepare(vm, calls->funcs, calls->count);
    vm->last_arguments = calls->arguments;
    vm->ended = ended;
    atomic_store(&vm->pool, pool);
    enum cn_status status =
        cn_pool_take(pool, &vm->seat, (uint32_t)vm->account.limit[CN_QUOTA_WEIGHT],
                     (uint32_t)vm->account.limit[CN_QUOTA_CPU_RESERVE]);
    if (status != CN_OK)
        atomic_store(&vm->pool, NULL);
    return status;
}
