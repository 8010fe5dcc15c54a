/* What other threads may do to a VM while it runs: everything here goes through atomics or the
 * lock, and the VM's own thread takes note between slices. */
#include "host/vm.h"
#include "host/waiter.h"

static void interrupt(struct cn_vm *vm)
{
    struct cn_waiter *waiter = atomic_load(&vm->shared_waiter);

    if (waiter != NULL)
        cn_waiter_interrupt(waiter);
    struct cn_pool *pool = atomic_load(&vm->pool);
    if (pool != NULL)
        cn_pool_poke(pool, &vm->seat);
}

void cn_vm_go_on(struct cn_vm *vm)
{
    struct cn_waiter *waiter = atomic_load(&vm->shared_waiter);

    atomic_store(&vm->is_answered, true);
    if (waiter != NULL)
        cn_waiter_interrupt(waiter);
    struct cn_pool *pool = atomic_load(&vm->pool);
    if (pool != NULL)
        cn_pool_wake(pool, &vm->seat); /* in its turn: it is no reason to hurry */
}

void cn_vm_kill(struct cn_vm *vm, int signal)
{
    int nobody = 0;

    /* The first reason is the one that is reported. */
    atomic_compare_exchange_strong(&vm->kill_signal, &nobody, signal);
    interrupt(vm);
}

void cn_vm_pause(struct cn_vm *vm, bool paused)
{
    atomic_store(&vm->is_paused, paused);
    interrupt(vm);
}

/* What was asked for last, or what holds: as others may know it. */
static uint64_t limit_known(struct cn_vm *vm, enum cn_quota quota)
{
    return atomic_load(&vm->asked_limits) & 1u << quota ? atomic_load(&vm->asked_limit[quota])
                                                        : cn_vm_published(vm).account.limit[quota];
}

/* What a reservation of memory grows by is taken now, so that it can be refused; what of it the VM
 * has in use already goes back when the VM takes note of it. */
static enum cn_status reserve(struct cn_vm *vm, uint64_t value)
{
    struct cn_pot *pot = vm->account.pot;
    uint64_t before = limit_known(vm, CN_QUOTA_MEMORY_RESERVE);

    if (pot == NULL || value <= before)
        return CN_OK;
    if (!cn_pot_take(pot, value - before))
        return CN_OVER_QUOTA;
    atomic_fetch_add(&vm->reserve_taken, value - before);
    return CN_OK;
}

/* The queue does not wait for the VM's next turn. */
static enum cn_status set_share(struct cn_vm *vm, enum cn_quota quota, uint64_t value)
{
    struct cn_pool *pool = atomic_load(&vm->pool);
    bool is_weight = quota == CN_QUOTA_WEIGHT;

    if (pool == NULL)
        return CN_OK;
    return cn_pool_set(pool, &vm->seat,
                       (uint32_t)(is_weight ? value : limit_known(vm, CN_QUOTA_WEIGHT)),
                       (uint32_t)(is_weight ? limit_known(vm, CN_QUOTA_CPU_RESERVE) : value));
}

void cn_vm_told(struct cn_vm *vm, enum cn_quota quota, uint64_t value)
{
    atomic_store(&vm->asked_limit[quota], value);
    atomic_fetch_or(&vm->asked_limits, 1u << quota);
    interrupt(vm);
}

enum cn_status cn_vm_limit(struct cn_vm *vm, enum cn_quota quota, uint64_t value)
{
    enum cn_status status = CN_OK;

    if (quota == CN_QUOTA_WEIGHT || quota == CN_QUOTA_CPU_RESERVE)
        status = set_share(vm, quota, value);
    if (quota == CN_QUOTA_MEMORY_RESERVE)
        status = reserve(vm, value);
    if (status == CN_OK)
        cn_vm_told(vm, quota, value);
    return status;
}

bool cn_vm_take_limits(struct cn_vm *vm)
{
    if (atomic_load(&vm->asked_limits) == 0)
        return false;
    uint32_t asked = atomic_exchange(&vm->asked_limits, 0);

    for (int i = 0; i < CN_QUOTA_COUNT; i++)
        if (asked & (1u << i))
            vm->account.limit[i] = atomic_load(&vm->asked_limit[i]);
    for (struct cn_thread *thread = vm->store != NULL ? vm->store->threads : NULL;
         thread != NULL && asked & (1u << CN_QUOTA_STACK); thread = thread->next)
        cn_thread_limit_stack(thread, vm->account.limit[CN_QUOTA_STACK]);
    if (asked & (1u << CN_QUOTA_MEMORY_RESERVE))
        cn_account_reserve(&vm->account, vm->account.limit[CN_QUOTA_MEMORY_RESERVE],
                           atomic_exchange(&vm->reserve_taken, 0));
    return true;
}

struct cn_figures cn_vm_figures(const struct cn_vm *vm)
{
    struct cn_figures now = {
        .account = vm->account,
        .wall_ns = cn_vm_wall_ns(vm),
        .cpu_ns = cn_vm_cpu_ns(vm),
        .is_held = vm->is_held,
    };

    now.account.used[CN_QUOTA_TIMEOUT] = now.account.peak[CN_QUOTA_TIMEOUT] = now.wall_ns;
    now.account.used[CN_QUOTA_CPU_TIME] = now.account.peak[CN_QUOTA_CPU_TIME] = now.cpu_ns;
    if (vm->wasi != NULL)
        now.wasi = cn_wasi_stats(vm->wasi);
    return now;
}

void cn_vm_publish(struct cn_vm *vm)
{
    struct cn_figures now = cn_vm_figures(vm);

    pthread_mutex_lock(&vm->lock);
    vm->published = now;
    pthread_mutex_unlock(&vm->lock);
}

struct cn_figures cn_vm_published(struct cn_vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    struct cn_figures seen = vm->published;
    pthread_mutex_unlock(&vm->lock);
    return seen;
}
