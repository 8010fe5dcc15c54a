/* One turn of a VM: a slice, if nothing keeps it from running, and what it waits for afterwards.
 * Nothing here waits; so the same turns are driven by a thread of the VM's own and by workers
 * that many VMs share. */
#include "host/turn.h"

#include <string.h>

#include "core/wipe.h"
#include "host/clock.h"

/* How often the test mode preempts between two looks at the clocks. */
#define CN_TEST_ROUNDS 1000
/* A slice is run in so many parts, some 5 us each. */
#define PARTS 200
/* In steps a thread of the guest's has turns of so much fuel: the same on every machine. */
#define STEP_TURN 200000

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

void cn_vm_end_by_error(struct cn_vm *vm, const struct cn_error *error)
{
    vm->end.error = *error;
    if (cn_status_is_trap(error->status))
        end_with(vm, CN_END_TRAP);
    else if (error->status == CN_NO_MEMORY || error->status == CN_OVER_QUOTA)
        end_by_quota(vm, CN_QUOTA_MEMORY);
    else
        end_with(vm, CN_END_FAILED);
}

void cn_vm_end_by_status(struct cn_vm *vm, enum cn_status status)
{
    struct cn_error error;

    cn_fail(&error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
    cn_vm_end_by_error(vm, &error);
}

/* Whether the guest has wall time and CPU time left; if not, that has ended it. */
static bool has_time(struct cn_vm *vm)
{
    const uint64_t *limit = vm->account.limit;
    uint64_t wall = cn_vm_wall_ns(vm);

    vm->account.used[CN_QUOTA_TIMEOUT] = wall;
    vm->account.used[CN_QUOTA_CPU_TIME] = cn_vm_cpu_ns(vm);
    if (limit[CN_QUOTA_TIMEOUT] != CN_UNLIMITED && wall >= limit[CN_QUOTA_TIMEOUT]) {
        end_by_quota(vm, CN_QUOTA_TIMEOUT);
        return false;
    }
    if (vm->account.used[CN_QUOTA_CPU_TIME] >= limit[CN_QUOTA_CPU_TIME]) {
        end_by_quota(vm, CN_QUOTA_CPU_TIME);
        return false;
    }
    return true;
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

void cn_vm_set_bucket(struct cn_vm *vm)
{
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);

    cn_bucket_set_rate(&vm->bucket, vm->account.limit[CN_QUOTA_CPUS], now);
    cn_bucket_set_burst(&vm->bucket, vm->account.limit[CN_QUOTA_CPU_BURST], now);
}

/* Whether the guest may go on: it is not killed and has time. */
static bool may_go_on(struct cn_vm *vm)
{
    if (cn_vm_take_limits(vm))
        cn_vm_set_bucket(vm);
    return vm->end.kind == CN_END_NONE && !is_killed(vm) && has_time(vm);
}

/* ------------------------------------------------------------------ reasons to wait */

/* When the rate of CPU time allows more; 0 is now. Everything that the processor did for the VM
 * since the last time counts: slices, host calls, translation. */
static uint64_t rate_moment(struct cn_vm *vm)
{
    uint64_t cpu = cn_vm_cpu_ns(vm);
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);

    cn_bucket_take(&vm->bucket, cpu - vm->cpu_charged_ns);
    vm->cpu_charged_ns = cpu;
    uint64_t ns = cn_bucket_wait_ns(&vm->bucket, now);
    return ns == 0 ? 0 : cn_moment_after(now, ns);
}

/* The moment until which nothing of the VM may run, whatever else happens; 0 when it may. */
static uint64_t held_until(struct cn_vm *vm)
{
    vm->is_held = atomic_load(&vm->is_paused);
    return vm->is_held ? UINT64_MAX : rate_moment(vm);
}

/* ------------------------------------------------------------------ running */

/* The fuel for the next slice: about that much time's, no more than is left of the quotas. */
static int64_t next_slice(struct cn_vm *vm)
{
    uint64_t left = cn_account_left(&vm->account, CN_QUOTA_FUEL);
    uint64_t slice = (uint64_t)vm->pace.fuel_per_slice * vm->slice_ns / CN_SLICE_NS;
    uint64_t cpu_left = cn_account_left(&vm->account, CN_QUOTA_CPU_TIME);

    if (vm->step.is_under_way)
        slice = vm->step.turn_left;
    if (vm->preempt_everywhere)
        slice = cn_thread_due(vm->thread);
    else if (cpu_left < vm->slice_ns)
        slice = slice * cpu_left / vm->slice_ns + 1;
    if (slice < cn_thread_due(vm->thread))
        slice = cn_thread_due(vm->thread);
    if (vm->step.is_under_way && vm->step.left < left && vm->nest.depth == 0)
        left = vm->step.left;
    return (int64_t)(slice < left ? slice : left);
}

/* Whether the slice has not been long, and nobody wants the guest to stop. */
static bool may_stay(struct cn_vm *vm)
{
    return cn_clock_ns(CLOCK_MONOTONIC) < vm->slice_end_ns &&
           atomic_load(&vm->kill_signal) == 0 && !atomic_load(&vm->is_paused);
}

/* Ends the slice when host calls have made it long, or somebody wants the guest to stop. */
static void after_host_call(void *context, struct cn_thread *thread)
{
    struct cn_vm *vm = context;

    if (may_stay(vm))
        return;
    vm->withheld_fuel += thread->fuel;
    thread->fuel = 0;
}

/* Fuel of the step, if there is one, and of the turn within it. */
static void pay_step(struct cn_vm *vm, uint64_t spent)
{
    struct cn_step *step = &vm->step;

    if (step->left != UINT64_MAX) {
        step->owed += spent > step->left ? spent - step->left : 0;
        step->left -= spent < step->left ? spent : step->left;
    }
    step->turn_left -= spent < step->turn_left ? spent : step->turn_left;
}

/* Charges what the thread has used of its fuel since the last time. */
static uint64_t charge_fuel(struct cn_vm *vm)
{
    int64_t left = vm->thread->fuel + vm->withheld_fuel;
    uint64_t spent = (uint64_t)(vm->part_fuel - left);

    cn_account_charge_some(&vm->account, CN_QUOTA_FUEL, spent);
    pay_step(vm, spent);
    vm->part_fuel = left;
    return spent;
}

/* Runs for so much fuel at most, and charges what of it was used. */
static enum cn_stop run_part(struct cn_vm *vm, int64_t fuel, uint64_t *used)
{
    vm->part_fuel = fuel;
    vm->withheld_fuel = 0;
    enum cn_stop stop = cn_thread_run(vm->thread, fuel);

    *used += charge_fuel(vm);
    return stop;
}

/* Whether the step has fuel for what comes next. */
static bool step_can_pay(const struct cn_vm *vm)
{
    return !vm->step.is_under_way || vm->step.left >= cn_thread_due(vm->thread);
}

/* Whether nothing but used up fuel has stopped it, and there is more for what comes next. */
static bool could_go_on(const struct cn_vm *vm, enum cn_stop stop)
{
    return stop == CN_STOP_FUEL && vm->withheld_fuel == 0 && step_can_pay(vm) &&
           cn_account_left(&vm->account, CN_QUOTA_FUEL) >= cn_thread_due(vm->thread);
}

/* The task keeps its turn over the ends of steps, so that these change nothing for the guest. One
 * that has not paid for its first block yet keeps it, too, whatever that costs. */
static void note_step(struct cn_vm *vm)
{
    uint64_t turn_left = vm->step.turn_left;

    if (vm->nest.depth > 0)
        return;
    vm->step.is_used_up = !step_can_pay(vm);
    vm->step.keeps_turn = turn_left == STEP_TURN || turn_left >= cn_thread_due(vm->thread);
}

/* The task whose turn is next, or still. */
static bool find_task(struct cn_vm *vm, uint64_t *until_ns)
{
    bool keeps_turn = vm->step.keeps_turn;

    vm->step.keeps_turn = false;
    if (keeps_turn && vm->step.is_under_way)
        return true;
    vm->step.turn_left = STEP_TURN;
    return cn_task_next(vm, until_ns);
}

/* In parts, between which the clock is looked at: fuel can become a hundred times dearer from one
 * moment to the next, when a guest begins to touch memory for the first time. */
static enum cn_stop run_parts(struct cn_vm *vm, uint64_t *used)
{
    int64_t left = next_slice(vm);
    const int64_t part = left / PARTS + 1;
    enum cn_stop stop;

    do {
        int64_t due = (int64_t)cn_thread_due(vm->thread);
        int64_t fuel = part > due ? part : due;
        if (fuel > left)
            fuel = left;
        left -= fuel;
        stop = run_part(vm, fuel, used);
    } while (left > 0 && left >= (int64_t)cn_thread_due(vm->thread) && could_go_on(vm, stop) &&
             may_stay(vm));
    return stop;
}

/* The test mode's slices end at the next safepoint; many are run in a row, because the clocks cost
 * more than they do. */
static enum cn_stop run_rounds(struct cn_vm *vm)
{
    int rounds = CN_TEST_ROUNDS;
    uint64_t used = 0;
    enum cn_stop stop;

    do
        stop = run_part(vm, next_slice(vm), &used);
    while (--rounds > 0 && could_go_on(vm, stop));
    return stop;
}

/* Runs until a slice is used up or something stops the guest. */
static enum cn_stop run_slice(struct cn_vm *vm)
{
    uint64_t cpu = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID), used = 0;

    vm->slice_end_ns = vm->step.is_under_way && vm->step.is_untimed
                           ? UINT64_MAX
                           : cn_clock_ns(CLOCK_MONOTONIC) + vm->slice_ns;
    vm->thread->on_host_call = after_host_call;
    vm->thread->on_host_call_context = vm;
    if (vm->preempt_everywhere)
        return run_rounds(vm);
    enum cn_stop stop = run_parts(vm, &used);
    if (stop == CN_STOP_FUEL && vm->withheld_fuel == 0 && !vm->step.is_under_way)
        cn_pace_learn(&vm->pace, used, cn_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu);
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
        cn_vm_end_by_status(vm, status);
    else
        cn_vm_end_by_error(vm, &error);
}

/* What follows a stop; vm->end is set when the run is over. */
static void after_stop(struct cn_vm *vm, enum cn_stop stop)
{
    if (vm->end.kind != CN_END_NONE)
        return; /* beneath a host function: what comes of that is not the reason */
    switch (stop) {
    case CN_STOP_DONE:
        if (!cn_task_returned(vm))
            end_with(vm, CN_END_DONE);
        return;
    case CN_STOP_FUEL:
        if (cn_account_left(&vm->account, CN_QUOTA_FUEL) < cn_thread_due(vm->thread))
            end_by_quota(vm, CN_QUOTA_FUEL);
        else
            note_step(vm);
        return;
    case CN_STOP_PARKED:
        vm->task->is_parked = vm->thread->sleeper.state == CN_AWAKE;
        vm->parked_count += vm->task->is_parked;
        return;
    case CN_STOP_YIELD:
        return;
    case CN_STOP_NEEDS_CODE:
        add_code(vm);
        vm->step.keeps_turn = true; /* it is nothing that the guest knows of */
        return;
    case CN_STOP_EXITED:
        vm->end.exit_code = vm->thread->exit_code;
        end_with(vm, CN_END_EXIT);
        return;
    default:
        cn_vm_end_by_error(vm, &vm->thread->error);
        return;
    }
}

/* What has to happen before the next turn. */
static enum cn_turn next_turn(struct cn_vm *vm, uint64_t *until_ns)
{
    if (vm->end.kind != CN_END_NONE)
        return CN_TURN_OVER;
    if (cn_task_any_ready(vm, until_ns) ||
        (vm->parked_count > 0 && (atomic_load(&vm->is_answered) || cn_wasi_has_news(vm->wasi))))
        return CN_TURN_AGAIN;
    return vm->parked_count > 0 ? CN_TURN_PARKED : CN_TURN_WAIT;
}

/* Another thread may have the next turn. Calls of a function from outside are turns, too, and much
 * shorter than this takes. */
static void wipe_stack(struct cn_vm *vm)
{
    if (vm->wasi != NULL && cn_wasi_was_entered(vm->wasi))
        cn_wipe_stack();
}

enum cn_turn cn_vm_turn(struct cn_vm *vm, uint64_t slice_ns, uint64_t *until_ns)
{
    enum cn_turn turn = CN_TURN_WAIT;

    vm->slice_ns = slice_ns;
    if (!may_go_on(vm))
        return CN_TURN_OVER;
    *until_ns = held_until(vm);
    if (*until_ns == 0) {
        if (find_task(vm, until_ns)) {
            after_stop(vm, run_slice(vm));
            wipe_stack(vm);
        }
        turn = next_turn(vm, until_ns);
    }
    uint64_t timeout = vm->account.limit[CN_QUOTA_TIMEOUT];
    uint64_t deadline = timeout == CN_UNLIMITED ? UINT64_MAX
                                                : cn_moment_after(vm->wall_start_ns, timeout);
    if (*until_ns > deadline)
        *until_ns = deadline;
    return turn;
}

/* ------------------------------------------------------------------ short calls */

/* What a call costs besides its fuel: some 60 ns, as a part of a slice. */
#define BRIEF_PART 16384

static bool has_limits_of_time(const struct cn_vm *vm)
{
    const uint64_t *limit = vm->account.limit;

    return limit[CN_QUOTA_TIMEOUT] != CN_UNLIMITED || limit[CN_QUOTA_CPU_TIME] != CN_UNLIMITED ||
           limit[CN_QUOTA_CPUS] != CN_UNLIMITED;
}

/* Whether nobody wants anything else of it. */
static bool may_be_brief(struct cn_vm *vm)
{
    return vm->brief_fuel < (uint64_t)vm->pace.fuel_per_slice && !vm->preempt_everywhere &&
           !has_limits_of_time(vm) && vm->first_task.next == &vm->first_task &&
           atomic_load(&vm->asked_limits) == 0 && atomic_load(&vm->kill_signal) == 0 &&
           !atomic_load(&vm->is_paused);
}

/* As much as is run between two looks at the clocks; no less than the first block costs, and no
 * more than there is. */
static int64_t brief_part(const struct cn_vm *vm)
{
    int64_t part = vm->pace.fuel_per_slice / PARTS + 1;
    int64_t due = (int64_t)cn_thread_due(vm->thread);
    uint64_t left = cn_account_left(&vm->account, CN_QUOTA_FUEL);

    if (part < due)
        part = due;
    return (uint64_t)part < left ? part : (int64_t)left;
}

static enum cn_stop run_briefly(struct cn_vm *vm)
{
    struct cn_thread *thread = vm->thread;
    const int64_t part = brief_part(vm);

    thread->stops_at_host_call = true;
    enum cn_stop stop = cn_thread_run(thread, part);
    thread->stops_at_host_call = false;
    uint64_t used = (uint64_t)(part - thread->fuel);
    cn_account_count(&vm->account, CN_QUOTA_FUEL, used);
    vm->brief_fuel += used + (uint64_t)vm->pace.fuel_per_slice / BRIEF_PART;
    return stop;
}

bool cn_vm_call_briefly(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                        bool *has_begun)
{
    *has_begun = !vm->is_working && may_be_brief(vm);
    if (!*has_begun)
        return false;
    cn_vm_begin_call(vm, func, arguments);
    if (vm->end.kind != CN_END_NONE)
        return true;
    if (func->instance == NULL)
        return false;
    enum cn_stop stop = run_briefly(vm);
    if (stop == CN_STOP_DONE)
        end_with(vm, CN_END_DONE); /* it is the first task's, and there is no other */
    else if (stop != CN_STOP_YIELD)
        after_stop(vm, stop);
    return vm->end.kind != CN_END_NONE;
}

/* ------------------------------------------------------------------ beneath host functions */

/* A part of a slice, as between two looks at the clocks. */
static int64_t next_part(struct cn_vm *vm)
{
    int64_t slice = next_slice(vm), part = slice / PARTS + 1;
    int64_t due = (int64_t)cn_thread_due(vm->thread);

    if (part < due)
        part = due;
    return part < slice ? part : slice;
}

/* A look at the clocks before many short calls cost much more than they seem to: each counts as
 * a sixteenth of a part besides what it uses. */
static bool may_begin(struct cn_vm *vm)
{
    if (vm->unseen_fuel > 0)
        return !is_killed(vm);
    if (!may_go_on(vm))
        return false;
    vm->unseen_fuel = vm->pace.fuel_per_slice / PARTS + 1;
    return true;
}

static void run_to_end(struct cn_vm *vm)
{
    uint64_t used = 0;
    enum cn_stop stop;

    do {
        stop = run_part(vm, next_part(vm), &used);
        if (stop == CN_STOP_PARKED && vm->end.kind == CN_END_NONE)
            cn_vm_end_by_status(vm, CN_TRAP_SUSPEND);
        else if (stop != CN_STOP_DONE)
            after_stop(vm, stop);
    } while (stop != CN_STOP_DONE && may_go_on(vm));
    vm->unseen_fuel -= (int64_t)used + vm->pace.fuel_per_slice / PARTS / 16 + 1;
}

/* Takes from the thread what of its slice the calls beneath have left nothing for. */
static void withhold_excess(struct cn_vm *vm)
{
    uint64_t left = cn_account_left(&vm->account, CN_QUOTA_FUEL);

    if (vm->step.is_under_way && vm->step.left < left)
        left = vm->step.left;
    if ((uint64_t)vm->thread->fuel <= left)
        return;
    vm->withheld_fuel += vm->thread->fuel - (int64_t)left;
    vm->thread->fuel = (int64_t)left;
}

/* The innermost level in which the VM has ended: those around it end after it. */
static void note_depth(struct cn_vm *vm)
{
    if (vm->end.kind != CN_END_NONE && vm->end_depth == 0)
        vm->end_depth = vm->nest.depth;
}

static void call_nested(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                        union cn_slot *results)
{
    struct cn_thread *inner, *outer = vm->thread;
    enum cn_status status =
        cn_nest_enter(&vm->nest, vm->store, vm->first_task.thread->stack_size, &inner);

    if (status != CN_OK) {
        cn_vm_end_by_status(vm, status);
        note_depth(vm);
        return;
    }
    inner->user = outer->user;
    inner->on_host_call = after_host_call;
    inner->on_host_call_context = vm;
    vm->thread = inner;
    status = cn_thread_call(inner, func, arguments);
    if (status == CN_OK)
        run_to_end(vm);
    else
        cn_vm_end_by_status(vm, status);
    if (vm->end.kind == CN_END_NONE && results != NULL)
        memcpy(results, inner->stack, func->type->result_slots * sizeof *results);
    note_depth(vm);
    cn_nest_leave(&vm->nest);
    vm->thread = outer;
}

bool cn_vm_call_beneath(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                        union cn_slot *results)
{
    if (vm->end.kind != CN_END_NONE)
        return false;
    if (!may_begin(vm)) {
        note_depth(vm);
        return false;
    }
    charge_fuel(vm);
    const int64_t part_fuel = vm->part_fuel, withheld_fuel = vm->withheld_fuel;
    call_nested(vm, func, arguments, results);
    vm->part_fuel = part_fuel;
    vm->withheld_fuel = withheld_fuel;
    withhold_excess(vm);
    return vm->end.kind == CN_END_NONE;
}

const struct cn_thread *cn_vm_end_thread(const struct cn_vm *vm, uint32_t level)
{
    if (level < vm->end_depth)
        return vm->nest.threads[vm->end_depth - 1 - level];
    return level == vm->end_depth ? vm->thread : NULL;
}
