/* Hosts, and the VMs that run on their workers. */
#include <sched.h>
#include <string.h>

#include "api/internal.h"
#include "host/clock.h"

_Static_assert((int)CORDON_OVERRUNS == (int)CN_OVERRUNS, "cordon.h has as many");

const char *cordon_version(void)
{
    return CORDON_VERSION;
}

cordon_host_t *cordon_host_new(cordon_error_t *error)
{
    cordon_host_t *host = cn_alloc(cn_heap, sizeof *host);

    if (host == NULL)
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
    if (host == NULL)
        return NULL;
    host->memory_limit = CORDON_UNLIMITED;
    atomic_init(&host->pot.size, CORDON_UNLIMITED);
    cn_pends_init(&host->pends, cn_api_answer_dropped);
    cn_closures_init(&host->closures);
    cn_stock_init(&host->stock);
    return host;
}

void cordon_host_free(cordon_host_t *host)
{
    if (host == NULL)
        return;
    cn_pool_free(host->pool);
    cn_pends_release(&host->pends);
    cn_closures_release(&host->closures);
    cn_stock_release(&host->stock);
    if (host->has_fences)
        cn_fences_close(&host->fences);
    cn_free(cn_heap, host, sizeof *host);
}

void cordon_host_translation(cordon_host_t *host, cordon_translation_t how)
{
    host->translation = how;
}

void cordon_host_memory(cordon_host_t *host, uint64_t bytes)
{
    host->memory_limit = bytes;
}

void cordon_host_total(cordon_host_t *host, uint64_t bytes)
{
    cn_pot_resize(&host->pot, bytes);
}

/* ------------------------------------------------------------------ workers */

static uint32_t usable_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

static bool has_no_workers(const cordon_host_t *host, cordon_error_t *error)
{
    if (host->pool == NULL)
        return true;
    return cn_api_fail(error, CORDON_MISUSE, cn_pool_is_stepped(host->pool)
                       ? "the host runs in steps already: cordon_host_begin"
                       : "the host has its workers already");
}

/* VMs that watch how much memory is left are told when that changes. */
static bool take_pool(cordon_host_t *host, struct cn_pool *pool, const struct cn_error *cause,
                      cordon_error_t *error)
{
    if (pool == NULL)
        return cn_api_fail_with(error, cause);
    host->pool = host->pot.turned_context = pool;
    atomic_store(&host->pot.turned, cn_pool_poke_watching);
    return true;
}

bool cordon_host_start(cordon_host_t *host, uint32_t workers, cordon_error_t *error)
{
    struct cn_error cause = {0};

    if (!has_no_workers(host, error))
        return false;
    if (workers > CN_POOL_WORKERS_MAX)
        return cn_api_fail(error, CORDON_MISUSE, "%u workers are asked for, at most %d can be had",
                           workers, CN_POOL_WORKERS_MAX);
    return take_pool(host, cn_pool_new(workers ? workers : usable_cores(), &cause), &cause, error);
}

bool cordon_host_begin(cordon_host_t *host, cordon_error_t *error)
{
    struct cn_error cause = {0};

    return has_no_workers(host, error) &&
           take_pool(host, cn_pool_new_stepped(&cause), &cause, error);
}

cordon_state_t cordon_host_step(cordon_host_t *host, uint64_t ns, uint64_t *until_ns)
{
    static const cordon_state_t states[] = {
        [CN_POOL_AGAIN] = CORDON_AGAIN, [CN_POOL_WAIT] = CORDON_WAIT,
        [CN_POOL_EMPTY] = CORDON_OVER, [CN_POOL_BUSY] = CORDON_AGAIN};
    enum cn_pool_state state = CN_POOL_EMPTY;
    uint64_t until = UINT64_MAX;

    if (host->pool != NULL && cn_pool_is_stepped(host->pool))
        state = cn_pool_step(host->pool, ns, &until);
    if (until_ns != NULL)
        *until_ns = until;
    return states[state];
}

int cordon_host_descriptor(cordon_host_t *host, cordon_error_t *error)
{
    int descriptor = -1;

    if (host->pool == NULL || !cn_pool_is_stepped(host->pool))
        cn_api_fail(error, CORDON_MISUSE, "the host does not run in steps: cordon_host_begin");
    else if ((descriptor = cn_pool_descriptor(host->pool)) < 0)
        cn_api_fail(error, CORDON_IO, "no descriptor is left to wait with");
    return descriptor;
}

bool cordon_host_fence(cordon_host_t *host, char *what, size_t what_room, cordon_error_t *error)
{
    struct cn_error cause = {0};

    if (host->has_fences)
        return cn_api_fail(error, CORDON_MISUSE, "the host has its fences already");
    if (cn_fences_open(&host->fences, CN_FENCE_MOUNTS, CN_FENCE_GROUPS, &cause) != CN_OK)
        return cn_api_fail_with(error, &cause);
    host->has_fences = true;
    if (what != NULL && what_room > 0)
        cn_fences_print(&host->fences, what, what_room);
    return true;
}

void cordon_host_stats(cordon_host_t *host, cordon_host_stats_t *stats)
{
    struct cn_pool_figures figures = {0};

    if (host->pool != NULL)
        figures = cn_pool_figures(host->pool);
    *stats = (cordon_host_stats_t){
        .workers = figures.workers, .vms = figures.seats, .runnable = figures.active,
        .reserved = figures.reserved, .busy_ns = figures.busy_ns, .turns = figures.turns,
        .memory = atomic_load(&host->pot.committed), .memory_total = atomic_load(&host->pot.size),
    };
    memcpy(stats->overruns, figures.overruns, sizeof stats->overruns);
}

/* ------------------------------------------------------------------ started VMs */

static void set_started(struct cordon_vm *vm, bool is_started, bool is_busy)
{
    pthread_mutex_lock(&vm->ended_lock);
    vm->is_started = is_started;
    atomic_store(&vm->is_busy, is_busy);
    pthread_cond_broadcast(&vm->ended_cond);
    pthread_mutex_unlock(&vm->ended_lock);
}

/* On the worker that gave the VM its last turn. */
static void ended(struct cn_vm *inner)
{
    struct cordon_vm *vm = (struct cordon_vm *)inner;
    cordon_result_t result;

    cn_api_begun_over(vm);
    cn_api_result(vm, &result);
    if (vm->done != NULL)
        vm->done(vm->done_user, vm, &result);
    set_started(vm, false, false);
}

bool cn_api_begin_start(struct cordon_vm *vm, cordon_error_t *error)
{
    if (vm->host->pool == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "the host has no workers: cordon_host_start, or "
                                                 "cordon_host_begin");
    return cn_api_begin_call(vm) == CN_WAY_TOP ||
           cn_api_fail(error, CORDON_MISUSE, "the VM runs already");
}

bool cn_api_start(struct cordon_vm *vm, const struct cn_calls *calls, cordon_error_t *error)
{
    set_started(vm, true, true);
    enum cn_status status = cn_vm_start(&vm->vm, vm->host->pool, calls, ended);
    if (status == CN_OK)
        return true;
    set_started(vm, false, true);
    if (status == CN_OVER_QUOTA)
        return cn_api_fail_quota(error, CN_QUOTA_CPU_RESERVE,
                                 "the host cannot promise that reservation beside the others "
                                 "(--cpu-reserve): nine tenths of its workers can be reserved");
    return cn_api_fail(error, CORDON_QUOTA, "no memory left to start the VM");
}

bool cordon_vm_start(cordon_vm_t *vm, cordon_done_fn done, void *user, cordon_error_t *error)
{
    struct cn_func **calls;
    uint32_t count = 0;

    if (!cn_api_begin_start(vm, error))
        return false;
    uint32_t were_initialized = vm->initialized_count;
    cn_api_begun_free(vm);
    vm->done = done;
    vm->done_user = user;
    if (cn_api_program(vm, &calls, &count, error) &&
        cn_api_start(vm, &(struct cn_calls){calls, count, NULL}, error))
        return true;
    vm->initialized_count = were_initialized; /* nothing has run */
    cn_api_end_call(vm, CN_WAY_TOP);
    return false;
}

static void torn_down(struct cn_vm *inner)
{
    set_started((struct cordon_vm *)inner, false, false);
}

void cn_api_tear_down(struct cordon_vm *vm)
{
    set_started(vm, true, true);
    if (cn_vm_tear_down(&vm->vm, vm->host->pool, torn_down) != CN_OK)
        set_started(vm, false, false); /* then whoever frees it does it all */
    cn_api_vm_wait(vm);
}

bool cn_api_is_started(struct cordon_vm *vm)
{
    pthread_mutex_lock(&vm->ended_lock);
    bool is_started = vm->is_started;
    pthread_mutex_unlock(&vm->ended_lock);
    return is_started;
}

/* The most that a thread which waits for a VM sleeps before it looks whether it should give turns
 * itself: whoever did may have stopped. */
#define LOOK_NS 10000000
#define NANOSECONDS 1000000000u

/* While another thread gives the turns. */
static void wait_a_moment(struct cordon_vm *vm)
{
    uint64_t moment = cn_clock_ns(CLOCK_MONOTONIC) + LOOK_NS;
    const struct timespec until = {(time_t)(moment / NANOSECONDS), (long)(moment % NANOSECONDS)};

    pthread_mutex_lock(&vm->ended_lock);
    if (vm->is_started)
        pthread_cond_clockwait(&vm->ended_cond, &vm->ended_lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&vm->ended_lock);
}

/* Gives turns until the VM has ended; and while another thread does, or nobody is ready, waits. */
static void wait_in_steps(struct cordon_vm *vm)
{
    struct cn_pool *pool = vm->host->pool;

    while (cn_api_is_started(vm)) {
        uint64_t until_ns, now = cn_clock_ns(CLOCK_MONOTONIC);
        enum cn_pool_state state = cn_pool_step(pool, CN_SLICE_LONG_NS, &until_ns);
        if (state == CN_POOL_AGAIN || !cn_api_is_started(vm))
            continue;
        uint64_t ns = until_ns > now ? until_ns - now : 0;
        if (state == CN_POOL_BUSY)
            wait_a_moment(vm);
        else
            cn_pool_wait(pool, ns < LOOK_NS ? ns : LOOK_NS);
    }
}

void cn_api_vm_wait(struct cordon_vm *vm)
{
    if (vm->host->pool != NULL && cn_pool_is_stepped(vm->host->pool))
        wait_in_steps(vm);
    pthread_mutex_lock(&vm->ended_lock);
    while (vm->is_started)
        pthread_cond_wait(&vm->ended_cond, &vm->ended_lock);
    pthread_mutex_unlock(&vm->ended_lock);
}

void cordon_vm_wait(cordon_vm_t *vm, cordon_result_t *result)
{
    cn_api_vm_wait(vm);
    cn_api_result(vm, result);
}
