#include "host/task.h"

#include "host/clock.h"
#include "host/turn.h"

#define ENTRY "wasi_thread_start"
/* The largest number that the interface allows a thread (wasi-threads, "thread IDs"). */
#define TID_MAX 0x1fffffff
#define REFUSED (-6)
#define NOT_MADE_FOR (-52)

/* ------------------------------------------------------------------ spawning */

static struct cn_func *find_entry(const struct cn_instance *instance)
{
    struct cn_extern found;

    if (!cn_instance_export(instance, cn_bytes_of(ENTRY), &found) ||
        found.kind != CN_EXTERN_FUNC)
        return NULL;
    const struct cn_functype *type = found.func->type;
    const cn_valtype *params = cn_functype_params(type);
    bool fits = type->param_count == 2 && type->result_count == 0 && params[0] == CN_I32 &&
                params[1] == CN_I32;
    return fits ? found.func : NULL;
}

static void link_task(struct cn_vm *vm, struct cn_task *task)
{
    task->next = vm->first_task.next;
    vm->first_task.next = task;
}

static void free_task(struct cn_vm *vm, struct cn_task *task)
{
    struct cn_task *before = &vm->first_task;

    while (before->next != task)
        before = before->next;
    before->next = task->next;
    if (vm->task == task)
        vm->task = before; /* the next turn is the one's after it */
    cn_thread_free(task->thread);
    cn_instance_drop(task->instance);
    cn_free(vm->store->allocator, task, sizeof *task);
    cn_account_refund(&vm->account, CN_QUOTA_THREADS, 1);
}

/* Its first call: the start function of its instance, where there is one. */
static enum cn_status begin(struct cn_task *task)
{
    uint32_t start = task->instance->module->start;

    if (start != CN_NO_INDEX)
        return cn_thread_call(task->thread, task->instance->funcs[start], NULL);
    struct cn_func *entry = task->entry;
    task->entry = NULL;
    return cn_thread_call(task->thread, entry, task->arguments);
}

/* The thread and its instance; they are given back when one of them cannot be had. */
static enum cn_status equip(struct cn_vm *vm, struct cn_task *task)
{
    struct cn_error error;
    size_t stack_size = vm->first_task.thread->stack_size;

    CN_TRY(cn_instantiate_again(vm->store, vm->instance->program, vm->externs, &task->instance,
                                &error));
    enum cn_status status = cn_thread_new(vm->store, stack_size, &task->thread);
    if (status == CN_OK) {
        task->thread->user = vm->first_task.thread->user;
        task->entry = find_entry(task->instance);
        status = begin(task);
        if (status != CN_OK)
            cn_thread_free(task->thread);
    }
    if (status != CN_OK)
        cn_instance_drop(task->instance);
    return status;
}

static enum cn_status add_task(struct cn_vm *vm, uint32_t argument)
{
    struct cn_task *task = cn_alloc(vm->store->allocator, sizeof *task);

    if (task == NULL)
        return CN_NO_MEMORY;
    *task = (struct cn_task){.arguments = {{.u64 = vm->last_tid + 1}, {.u64 = argument}}};
    enum cn_status status = equip(vm, task);
    if (status != CN_OK) {
        cn_free(vm->store->allocator, task, sizeof *task);
        return status;
    }
    link_task(vm, task);
    return CN_OK;
}

enum cn_status cn_task_spawn(struct cn_thread *thread, void *context, union cn_slot *slots)
{
    struct cn_vm *vm = context;
    int32_t result = REFUSED;

    (void)thread;
    if (find_entry(vm->instance) == NULL) {
        result = NOT_MADE_FOR;
    } else if (!vm->refuses_threads && vm->last_tid < TID_MAX &&
               cn_account_charge(&vm->account, CN_QUOTA_THREADS, 1) == CN_OK) {
        if (add_task(vm, slots[0].u32) == CN_OK)
            result = (int32_t)++vm->last_tid;
        else
            cn_account_refund(&vm->account, CN_QUOTA_THREADS, 1);
    }
    slots[0].u64 = (uint32_t)result;
    return CN_OK;
}

bool cn_task_returned(struct cn_vm *vm)
{
    struct cn_task *task = vm->task;

    if (task == &vm->first_task)
        return false;
    struct cn_func *entry = task->entry;
    task->entry = NULL;
    if (entry == NULL) {
        free_task(vm, task);
        return true;
    }
    enum cn_status status = cn_thread_call(task->thread, entry, task->arguments);
    if (status != CN_OK)
        cn_vm_end_by_status(vm, status);
    return true;
}

bool cn_task_drop_one(struct cn_vm *vm)
{
    if (vm->first_task.next == &vm->first_task)
        return false;
    free_task(vm, vm->first_task.next);
    return true;
}

/* ------------------------------------------------------------------ whose turn it is */

/* When a task, which sleeps at an address of the memory, has slept long enough; 0 when it does
 * not sleep (any more). */
static uint64_t sleep_moment(struct cn_task *task)
{
    struct cn_sleeper *sleeper = &task->thread->sleeper;

    if (sleeper->state != CN_ASLEEP)
        return 0;
    if (sleeper->timeout_ns == UINT64_MAX)
        return UINT64_MAX;
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);
    if (sleeper->deadline_ns == 0)
        sleeper->deadline_ns = cn_moment_after(now, sleeper->timeout_ns);
    if (now < sleeper->deadline_ns)
        return sleeper->deadline_ns;
    cn_sleep_end(sleeper, CN_OVERSLEPT);
    return 0;
}

/* All parked ones make their calls again. */
static void unpark_all(struct cn_vm *vm)
{
    struct cn_task *task = &vm->first_task;

    atomic_store(&vm->is_answered, false); /* before they look */
    cn_wasi_resume(vm->wasi);
    do
        task->is_parked = false;
    while ((task = task->next) != &vm->first_task);
    vm->parked_count = 0;
}

/* The first one after that in hand which could run, or NULL. */
static struct cn_task *find_ready(struct cn_vm *vm, uint64_t *until_ns)
{
    struct cn_task *task = vm->task;

    *until_ns = UINT64_MAX;
    do {
        task = task->next;
        uint64_t moment = task->is_parked ? UINT64_MAX : sleep_moment(task);
        if (moment == 0)
            return task;
        if (moment < *until_ns)
            *until_ns = moment;
    } while (task != vm->task);
    return NULL;
}

bool cn_task_any_ready(struct cn_vm *vm, uint64_t *until_ns)
{
    return find_ready(vm, until_ns) != NULL;
}

bool cn_task_next(struct cn_vm *vm, uint64_t *until_ns)
{
    if (vm->parked_count > 0 &&
        (atomic_load(&vm->is_answered) || cn_wasi_has_events(vm->wasi) ||
         cn_wasi_has_news(vm->wasi)))
        unpark_all(vm);
    struct cn_task *task = find_ready(vm, until_ns);
    if (task == NULL && vm->parked_count > 0) {
        /* The turn has another reason; a limit may have changed that a call waits for. */
        unpark_all(vm);
        task = find_ready(vm, until_ns);
    }
    if (task == NULL)
        return false;
    vm->task = task;
    vm->thread = task->thread;
    return true;
}
