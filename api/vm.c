/* Virtual machines: made from a module, what the linker offers and what the config grants. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/internal.h"
#include "vm/heap.h"

_Static_assert((int)CORDON_QUOTA_COUNT == (int)CN_QUOTA_COUNT,
               "cordon.h has the rows of quota.def");

/* The layer below asks for a function's code when the guest first calls it. */
static enum cn_status translate(struct cordon_module *module, struct cn_program *program,
                                uint32_t func, struct cn_error *error)
{
    struct cn_translator *translator = cn_api_translator(module);
    struct cn_code code;

    if (translator == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left to translate");
    CN_TRY(cn_translate(translator, func, &code, error));
    return cn_program_install(program, &code, error);
}

static enum cn_status translate_one(void *context, struct cn_program *program, uint32_t func,
                                    struct cn_error *error)
{
    struct cordon_module *module = cn_api_module_of(context, program);

    if (module == NULL)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "code of no module of the VM's");
    pthread_mutex_lock(&module->lock);
    enum cn_status status =
        cn_program_has(program, func) ? CN_OK : translate(module, program, func, error);
    pthread_mutex_unlock(&module->lock);
    return status;
}

static uint64_t vm_cpu_ns(const void *context)
{
    return cn_vm_cpu_ns(context);
}

static int64_t read_stream(void *context, void *bytes, size_t room)
{
    const struct cn_stream *stream = context;

    return stream->read(stream->user, stream->vm, bytes, room);
}

static int64_t write_stream(void *context, void *bytes, size_t size)
{
    const struct cn_stream *stream = context;

    return stream->write(stream->user, stream->vm, bytes, size);
}

/* The config's functions, as this VM's. */
static void give_streams(struct cordon_vm *vm, const cordon_config_t *config,
                         struct cn_wasi_config *granted)
{
    for (int i = 0; i < 3; i++) {
        vm->streams[i] = config->streams[i];
        vm->streams[i].vm = vm;
        granted->feeds[i].context = &vm->streams[i];
        granted->feeds[i].move = config->streams[i].read != NULL    ? read_stream
                                 : config->streams[i].write != NULL ? write_stream
                                                                    : NULL;
    }
}

static bool make_wasi(struct cordon_vm *vm, const cordon_config_t *config, cordon_error_t *error)
{
    struct cn_error cause = {0};
    struct cn_wasi_config granted = {
        .args = config->args, .arg_count = config->arg_count,
        .environ = config->environ, .environ_count = config->environ_count,
        .stdio = {config->stdio[0], config->stdio[1], config->stdio[2]},
        .own_stdio = config->own_stdio,
        .dirs = config->dirs, .dir_count = config->dir_count,
        .listeners = config->listeners, .listener_count = config->listener_count,
        .account = &vm->vm.account, .ledger = config->ledger,
        .cpu_ns = vm_cpu_ns, .cpu_context = &vm->vm,
        .blocks = cn_vm_blocks, .blocks_context = &vm->vm,
    };

    give_streams(vm, config, &granted);
    cause.status = cn_wasi_new(&granted, &vm->vm.wasi, &cause);
    if (cause.status == CN_OK)
        return true;
    if (cause.status == CN_TOO_LARGE)
        return cn_api_fail(error, CORDON_MISUSE, "%s", cause.text);
    if (vm->vm.account.refused[CN_QUOTA_FDS] > 0)
        return cn_api_fail_quota(error, CN_QUOTA_FDS, "%s", cause.text);
    return cn_api_fail_with(error, &cause);
}

/* Address space for the stack: no more than could ever be charged to the memory quota. */
static size_t stack_size(const struct cn_account *account)
{
    const uint64_t most = 64ull << 30;
    uint64_t size = account->limit[CN_QUOTA_STACK];

    if (size > account->limit[CN_QUOTA_MEMORY])
        size = account->limit[CN_QUOTA_MEMORY];
    return size < most ? size : most;
}

static bool make(struct cordon_vm *vm, cordon_module_t *module, const cordon_config_t *config,
                 cordon_error_t *error)
{
    struct cn_vm *inner = &vm->vm;
    struct cn_error cause = {0};

    if (cn_account_join(&inner->account, &vm->host->pot,
                        inner->account.limit[CN_QUOTA_MEMORY_RESERVE]) != CN_OK)
        return cn_api_fail_quota(error, CN_QUOTA_MEMORY_RESERVE,
                                 "the host cannot promise that much memory (--memory-reserve)");
    if (!make_wasi(vm, config, error))
        return false;
    cause.status = cn_store_new(&inner->store, &inner->account);
    if (cause.status != CN_OK)
        return cn_api_fail_with(error, &cause);
    inner->store->stock = &vm->host->stock;
    inner->store->move_on_grow = config->move_on_grow;
    cn_heap_collect_always(inner->store, config->collect_everywhere);
    if (!cn_api_give_offers(vm, error))
        return false;
    if (module != NULL && cn_api_instance_add(vm, "main", module, error) == NULL)
        return false;
    cause.status =
        cn_thread_new(inner->store, stack_size(&inner->account), &inner->first_task.thread);
    if (cause.status != CN_OK)
        return cn_api_fail(error, CORDON_QUOTA,
                           "no room for the call stack: within the memory quota (--memory), or "
                           "what may be locked (--strict)");
    inner->thread = inner->first_task.thread;
    inner->thread->user = vm;
    return true;
}

cordon_vm_t *cordon_vm_new(cordon_host_t *host, cordon_module_t *module,
                           const cordon_linker_t *linker, const cordon_config_t *config,
                           cordon_error_t *error)
{
    cordon_vm_t *vm = cn_alloc(cn_heap, sizeof *vm);

    if (vm == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    cn_vm_init(&vm->vm);
    memcpy(vm->vm.account.limit, config->limit, sizeof config->limit);
    cn_arena_init(&vm->arena, cn_account_allocator(&vm->vm.account));
    vm->vm.preempt_everywhere = config->preempt_everywhere;
    vm->vm.translate = translate_one;
    vm->vm.translate_context = vm;
    vm->ctl.ops = &cn_api_vm_ctl;
    vm->host = host;
    vm->linker = linker;
    pthread_mutex_init(&vm->ended_lock, NULL);
    pthread_cond_init(&vm->ended_cond, NULL);
    bool made = make(vm, module, config, error);
    cn_vm_leave(&vm->vm);
    cn_vm_publish(&vm->vm);
    if (made)
        return vm;
    cordon_vm_free(vm);
    return NULL;
}

/* What takes longer than a turn to give back is given back in turns. */
#define LARGE (1u << 20)

void cordon_vm_free(cordon_vm_t *vm)
{
    if (vm == NULL)
        return;
    if (cn_api_is_started(vm))
        cn_vm_kill(&vm->vm, SIGKILL);
    cn_api_vm_wait(vm);
    cn_api_drop_fns(vm);
    if (vm->host->pool != NULL && !cn_pool_is_stepped(vm->host->pool) &&
        vm->vm.account.used[CN_QUOTA_MEMORY] > LARGE)
        cn_api_tear_down(vm);
    cn_api_begun_free(vm);
    cn_vm_release(&vm->vm);
    cn_arena_release(&vm->arena);
    cn_vm_take_limits(&vm->vm); /* a reservation that it has not taken note of */
    cn_account_leave(&vm->vm.account);
    pthread_cond_destroy(&vm->ended_cond);
    pthread_mutex_destroy(&vm->ended_lock);
    cn_free(cn_heap, vm, sizeof *vm);
}

/* ------------------------------------------------------------------ running */

/* False when one of them ended otherwise than by returning. */
static bool make_calls(struct cordon_vm *vm, struct cn_func *const *calls, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cn_vm_call(&vm->vm, calls[i], NULL, NULL);
        if (vm->vm.end.kind != CN_END_DONE)
            return false;
    }
    return true;
}

bool cn_api_initialize(struct cordon_vm *vm)
{
    struct cn_func **calls;
    uint32_t count;

    if (!cn_api_initial_calls(vm, false, &calls, &count))
        return false;
    make_calls(vm, calls, count);
    return true;
}

bool cn_api_program(struct cordon_vm *vm, struct cn_func ***calls, uint32_t *count,
                    cordon_error_t *error)
{
    struct cn_func *main = cn_api_export_func(vm->main, "_start");

    if (vm->main == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "the VM has no instance named main");
    if (main == NULL && cn_api_export_func(vm->main, "_initialize") == NULL &&
        vm->main->module->module->start == CN_NO_INDEX)
        return cn_api_fail(error, CORDON_NO_EXPORT,
                           "the module exports no _start: it is no command; call one of its "
                           "functions with --invoke NAME");
    if (main != NULL && (main->type->param_count > 0 || main->type->result_count > 0))
        return cn_api_fail(error, CORDON_LINK, "_start has a type other than () -> ()");
    if (!cn_api_initial_calls(vm, main != NULL, calls, count))
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    if (main != NULL)
        (*calls)[(*count)++] = main;
    return true;
}

bool cordon_vm_run(cordon_vm_t *vm, cordon_result_t *result, cordon_error_t *error)
{
    struct cn_func **calls;
    uint32_t count;

    if (cn_api_begin_call(vm) != CN_WAY_TOP)
        return cn_api_fail(error, CORDON_MISUSE, "the VM runs already");
    bool is_program = cn_api_program(vm, &calls, &count, error);
    if (is_program) {
        make_calls(vm, calls, count);
        cn_api_result(vm, result);
    }
    cn_api_end_call(vm, CN_WAY_TOP);
    return is_program;
}

/* ------------------------------------------------------------------ figures and memory */

void cordon_vm_stats(const cordon_vm_t *vm, cordon_stats_t *stats)
{
    struct cn_figures now = cn_vm_figures(&vm->vm);

    cn_api_stats(&now, stats);
    stats->foreign_calls = atomic_load(&vm->ctl.foreign_calls);
}

void *cordon_vm_memory(cordon_vm_t *vm, uint64_t *size)
{
    const struct cn_memory *memory = cn_api_is_in_host(vm) ? vm->vm.thread->memory
                                     : vm->main != NULL ? vm->vm.instance->memories[0]
                                                        : NULL;

    *size = memory != NULL ? memory->size : 0;
    return *size > 0 ? memory->base : NULL;
}

void *cordon_vm_memory_of(cordon_vm_t *vm, const char *name, uint64_t *size)
{
    *size = 0;
    return vm->main != NULL ? cordon_instance_memory(vm->main, name, size) : NULL;
}
