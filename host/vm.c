#include "host/vm.h"

#include <string.h>
#include <time.h>

#include "host/waiter.h"

/* How often the test mode preempts between two looks at the clocks. */
#define CN_TEST_ROUNDS 1000

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cn_vm_init(struct cn_vm *vm)
{
    memset(vm, 0, sizeof *vm);
    pthread_mutex_init(&vm->lock, NULL);
    cn_account_init(&vm->account);
    cn_pace_init(&vm->pace);
    vm->wall_start_ns = clock_ns(CLOCK_MONOTONIC);
    cn_vm_enter(vm);
}

void cn_vm_enter(struct cn_vm *vm)
{
    vm->cpu_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    vm->is_working = true;
}

void cn_vm_leave(struct cn_vm *vm)
{
    vm->cpu_before_ns = cn_vm_cpu_ns(vm);
    vm->is_working = false;
}

void cn_vm_release(struct cn_vm *vm)
{
    if (vm->wasi != NULL)
        cn_wasi_free(vm->wasi);
    cn_thread_free(vm->thread);
    cn_store_free(vm->store);
    atomic_store(&vm->shared_waiter, NULL);
    cn_waiter_free(vm->waiter);
    pthread_mutex_destroy(&vm->lock);
    vm->wasi = NULL;
    vm->thread = NULL;
    vm->store = NULL;
    vm->waiter = NULL;
}

uint64_t cn_vm_wall_ns(const struct cn_vm *vm)
{
    return (vm->wall_end_ns ? vm->wall_end_ns : clock_ns(CLOCK_MONOTONIC)) - vm->wall_start_ns;
}

uint64_t cn_vm_cpu_ns(const struct cn_vm *vm)
{
    return vm->is_working
               ? vm->cpu_before_ns + clock_ns(CLOCK_THREAD_CPUTIME_ID) - vm->cpu_start_ns
               : vm->cpu_before_ns;
}

/* ------------------------------------------------------------------ waiting and waking */

static struct cn_waiter *waiter_of(struct cn_vm *vm)
{
    if (vm->waiter == NULL) {
        vm->waiter = cn_waiter_new();
        atomic_store(&vm->shared_waiter, vm->waiter);
    }
    return vm->waiter;
}

struct uv_loop_s *cn_vm_loop(void *vm)
{
    struct cn_waiter *waiter = waiter_of(vm);

    return waiter ? cn_waiter_loop(waiter) : NULL;
}

void cn_vm_wake(void *context)
{
    struct cn_vm *vm = context;

    if (vm->waiter != NULL)
        cn_waiter_wake(vm->waiter);
}

/* ------------------------------------------------------------------ ends */

static void end_with(struct cn_vm *vm, enum cn_end_kind kind)
{
    vm->end.kind = kind;
}

static void end_by_quota(struct cn_vm *vm, enum cn_quota quota)
{
    vm->end.kind = CN_END_QUOTA;
    vm->end.quota = quota;
    vm->account.refused[quota]++;
}

static void end_by_error(struct cn_vm *vm, const struct cn_error *error)
{
    vm->end.error = *error;
    if (cn_status_is_trap(error->status))
        end_with(vm, CN_END_TRAP);
    else if (error->status == CN_NO_MEMORY || error->status == CN_OVER_QUOTA)
        end_by_quota(vm, CN_QUOTA_MEMORY);
    else
        end_with(vm, CN_END_FAILED);
}

/* How long the guest may still go on by the quotas that end it; 0 has ended it. */
static uint64_t time_left(struct cn_vm *vm)
{
    const uint64_t *limit = vm->account.limit;
    uint64_t wall = cn_vm_wall_ns(vm);

    vm->account.used[CN_QUOTA_TIMEOUT] = wall;
    vm->account.used[CN_QUOTA_CPU_TIME] = cn_vm_cpu_ns(vm);
    if (limit[CN_QUOTA_TIMEOUT] != CN_UNLIMITED && wall >= limit[CN_QUOTA_TIMEOUT]) {
        end_by_quota(vm, CN_QUOTA_TIMEOUT);
        return 0;
    }
    if (vm->account.used[CN_QUOTA_CPU_TIME] >= limit[CN_QUOTA_CPU_TIME]) {
        end_by_quota(vm, CN_QUOTA_CPU_TIME);
        return 0;
    }
    return limit[CN_QUOTA_TIMEOUT] == CN_UNLIMITED ? UINT64_MAX
                                                   : limit[CN_QUOTA_TIMEOUT] - wall;
}

static bool is_killed(struct cn_vm *vm)
{
    int signal = atomic_load(&vm->kill_signal);

    if (signal == 0)
        return false;
    vm->end.kind = CN_END_KILLED;
    vm->end.signal = signal;
    return true;
}

/* Whether the guest may go on: it is not killed and has time. */
static bool may_go_on(struct cn_vm *vm)
{
    if (cn_vm_take_limits(vm))
        cn_bucket_set_rate(&vm->bucket, vm->account.limit[CN_QUOTA_CPUS],
                           clock_ns(CLOCK_MONOTONIC));
    return vm->end.kind == CN_END_NONE && !is_killed(vm) && time_left(vm) > 0;
}

/* Waits for an event or the end of `ns`, whichever is first, but not past the deadline. */
static void wait_for(struct cn_vm *vm, uint64_t ns)
{
    struct cn_waiter *waiter = waiter_of(vm);
    uint64_t left = time_left(vm);

    if (waiter == NULL) {
        struct cn_error error;
        cn_fail(&error, CN_IO, CN_NO_OFFSET, "the event loop could not be made");
        end_by_error(vm, &error);
        return;
    }
    if (left == 0 || is_killed(vm))
        return;
    cn_waiter_wait(waiter, ns < left ? ns : left);
}

/* Waits for what parked the thread: a host call's event, or, when the guest itself sleeps at an
 * address, a notification or the end of its time. Nobody may ever notify it, but to be killed,
 * paused or out of time ends the wait all the same. */
static void wait_parked(struct cn_vm *vm)
{
    struct cn_sleeper *sleeper = &vm->thread->sleeper;

    if (sleeper->state != CN_ASLEEP || sleeper->timeout_ns == UINT64_MAX) {
        wait_for(vm, UINT64_MAX);
        return;
    }
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (sleeper->deadline_ns == 0 &&
        __builtin_add_overflow(now, sleeper->timeout_ns, &sleeper->deadline_ns))
        sleeper->deadline_ns = UINT64_MAX;
    if (now < sleeper->deadline_ns)
        wait_for(vm, sleeper->deadline_ns - now);
    if (clock_ns(CLOCK_MONOTONIC) >= sleeper->deadline_ns)
        cn_sleep_end(sleeper, CN_OVERSLEPT);
}

static void wait_while_paused(struct cn_vm *vm)
{
    while (atomic_load(&vm->is_paused) && may_go_on(vm))
        wait_for(vm, UINT64_MAX);
}

/* Everything that this thread's processor did for the VM since the last time counts: slices,
 * host calls, translation, and waiting itself. */
static void charge_cpu(struct cn_vm *vm)
{
    uint64_t cpu = cn_vm_cpu_ns(vm);

    cn_bucket_take(&vm->bucket, cpu - vm->cpu_charged_ns);
    vm->cpu_charged_ns = cpu;
}

static void wait_for_rate(struct cn_vm *vm)
{
    while (may_go_on(vm)) {
        charge_cpu(vm);
        uint64_t ns = cn_bucket_wait_ns(&vm->bucket, clock_ns(CLOCK_MONOTONIC));
        if (ns == 0)
            return;
        wait_for(vm, ns);
    }
}

/* ------------------------------------------------------------------ running */

/* The fuel for the next slice: about a millisecond's, no more than is left of the quotas. */
static int64_t next_slice(struct cn_vm *vm)
{
    uint64_t left = cn_account_left(&vm->account, CN_QUOTA_FUEL);
    uint64_t slice = (uint64_t)vm->pace.fuel_per_slice;
    uint64_t cpu_left = cn_account_left(&vm->account, CN_QUOTA_CPU_TIME);

    if (vm->preempt_everywhere)
        slice = cn_thread_due(vm->thread);
    else if (cpu_left < CN_SLICE_NS)
        slice = slice * cpu_left / CN_SLICE_NS + 1;
    if (slice < cn_thread_due(vm->thread))
        slice = cn_thread_due(vm->thread);
    return (int64_t)(slice < left ? slice : left);
}

/* Runs until a slice is used up or something stops the guest. The test mode's slices end at the
 * next safepoint; many are run in a row, because the clocks cost more than they do. */
/* Ends the slice when host calls have made it long, or somebody wants the guest to stop. */
static void after_host_call(void *context, struct cn_thread *thread)
{
    struct cn_vm *vm = context;

    if (clock_ns(CLOCK_MONOTONIC) < vm->slice_end_ns && atomic_load(&vm->kill_signal) == 0 &&
        !atomic_load(&vm->is_paused))
        return;
    vm->withheld_fuel += thread->fuel;
    thread->fuel = 0;
}

static enum cn_stop run_slice(struct cn_vm *vm)
{
    int rounds = vm->preempt_everywhere ? CN_TEST_ROUNDS : 1;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    enum cn_stop stop;
    uint64_t used;

    vm->slice_end_ns = clock_ns(CLOCK_MONOTONIC) + CN_SLICE_NS;
    vm->thread->on_host_call = after_host_call;
    vm->thread->on_host_call_context = vm;
    do {
        int64_t slice = next_slice(vm);
        vm->withheld_fuel = 0;
        stop = cn_thread_run(vm->thread, slice);
        used = (uint64_t)(slice - vm->thread->fuel - vm->withheld_fuel);
        cn_account_charge_some(&vm->account, CN_QUOTA_FUEL, used);
    } while (--rounds > 0 && stop == CN_STOP_FUEL && vm->withheld_fuel == 0 &&
             cn_account_left(&vm->account, CN_QUOTA_FUEL) >= cn_thread_due(vm->thread));
    if (stop == CN_STOP_FUEL && vm->withheld_fuel == 0 && !vm->preempt_everywhere)
        cn_pace_learn(&vm->pace, used, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
    return stop;
}

static void add_code(struct cn_vm *vm)
{
    struct cn_error error = {0};
    struct cn_program *program = vm->thread->instance->program;
    enum cn_status status = CN_UNVERIFIED;

    if (vm->translate != NULL)
        status = vm->translate(vm->translate_context, program, vm->thread->needs->func, &error);
    if (status == CN_OK)
        return;
    if (error.status == CN_OK)
        cn_fail(&error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
    end_by_error(vm, &error);
}

/* What follows a stop; vm->end is set when the run is over. */
static void after_stop(struct cn_vm *vm, enum cn_stop stop)
{
    switch (stop) {
    case CN_STOP_DONE:
        end_with(vm, CN_END_DONE);
        return;
    case CN_STOP_FUEL:
        if (cn_account_left(&vm->account, CN_QUOTA_FUEL) < cn_thread_due(vm->thread))
            end_by_quota(vm, CN_QUOTA_FUEL);
        return;
    case CN_STOP_PARKED:
        wait_parked(vm);
        return;
    case CN_STOP_YIELD:
        if (vm->waiter != NULL)
            cn_waiter_wait(vm->waiter, 0);
        return;
    case CN_STOP_NEEDS_CODE:
        add_code(vm);
        return;
    case CN_STOP_EXITED:
        vm->end.exit_code = vm->thread->exit_code;
        end_with(vm, CN_END_EXIT);
        return;
    default:
        end_by_error(vm, &vm->thread->error);
        return;
    }
}

void cn_vm_call(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                union cn_slot *results)
{
    const struct cn_functype *type = func->type;

    if (vm->end.kind != CN_END_NONE && vm->end.kind != CN_END_DONE)
        return;
    vm->end = (struct cn_end){0};
    vm->wall_end_ns = 0;
    if (!vm->is_working)
        cn_vm_enter(vm);
    cn_bucket_set_rate(&vm->bucket, vm->account.limit[CN_QUOTA_CPUS],
                       clock_ns(CLOCK_MONOTONIC));
    enum cn_status status = cn_thread_call(vm->thread, func, arguments);
    if (status != CN_OK) {
        struct cn_error error;
        cn_fail(&error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
        end_by_error(vm, &error);
    }
    while (vm->end.kind == CN_END_NONE) {
        wait_while_paused(vm);
        wait_for_rate(vm);
        if (may_go_on(vm))
            after_stop(vm, run_slice(vm));
        cn_vm_publish(vm);
    }
    if (vm->end.kind == CN_END_DONE && results != NULL)
        memcpy(results, vm->thread->stack, type->result_slots * sizeof *results);
    vm->wall_end_ns = clock_ns(CLOCK_MONOTONIC);
    cn_vm_leave(vm);
}
