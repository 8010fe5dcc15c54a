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
    struct cordon_module *module = context;

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

    cause.status = cn_wasi_new(&granted, &vm->vm.wasi, &cause);
    if (cause.status == CN_OK)
        return true;
    if (cause.status == CN_TOO_LARGE)
        return cn_api_fail(error, CORDON_MISUSE, "%s", cause.text);
    if (vm->vm.account.refused[CN_QUOTA_FDS] > 0)
        return cn_api_fail_quota(error, CN_QUOTA_FDS, "%s", cause.text);
    return cn_api_fail_with(error, &cause);
}

static bool instantiate(struct cordon_vm *vm, const cordon_linker_t *linker,
                        cordon_error_t *error)
{
    const struct cn_module *module = vm->module->module;
    struct cn_error cause = {0};
    struct cn_extern *externs =
        cn_arena_alloc(&vm->arena, module->import_count * sizeof *externs);

    if (externs == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    vm->vm.externs = externs;
    bool resolved = true;
    for (uint32_t i = 0; i < module->import_count && resolved; i++)
        resolved = cn_api_resolve(linker, &vm->vm, module, i, &externs[i], error);
    if (resolved)
        cause.status = cn_instantiate(vm->vm.store, vm->module->program, externs,
                                      &vm->vm.instance, &cause);
    if (!resolved)
        return false;
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

/* The module's file and what was made of it count as the guest's too. */
static bool charge_module(struct cordon_vm *vm, cordon_error_t *error)
{
    const struct cn_module *module = vm->module->module;
    uint64_t size = cn_arena_size(&module->arena) + module->file.size;

    if (cn_account_charge(&vm->vm.account, CN_QUOTA_MEMORY, size) == CN_OK)
        return true;
    return cn_api_fail(error, CORDON_QUOTA,
                       "the module's own %llu bytes exceed the memory quota of %llu "
                       "(--memory)", (unsigned long long)size,
                       (unsigned long long)vm->vm.account.limit[CN_QUOTA_MEMORY]);
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

static bool make(struct cordon_vm *vm, const cordon_linker_t *linker,
                 const cordon_config_t *config, cordon_error_t *error)
{
    struct cn_vm *inner = &vm->vm;
    struct cn_error cause = {0};

    if (cn_account_join(&inner->account, &vm->host->pot,
                        inner->account.limit[CN_QUOTA_MEMORY_RESERVE]) != CN_OK)
        return cn_api_fail_quota(error, CN_QUOTA_MEMORY_RESERVE,
                                 "the host cannot promise that much memory (--memory-reserve)");
    if (!charge_module(vm, error) || !make_wasi(vm, config, error))
        return false;
    cause.status = cn_store_new(&inner->store, &inner->account);
    if (cause.status != CN_OK)
        return cn_api_fail_with(error, &cause);
    inner->store->move_on_grow = config->move_on_grow;
    cn_heap_collect_always(inner->store, config->collect_everywhere);
    if (!instantiate(vm, linker, error))
        return false;
    cause.status =
        cn_thread_new(inner->store, stack_size(&inner->account), &inner->first_task.thread);
    if (cause.status != CN_OK)
        return cn_api_fail(error, CORDON_QUOTA,
                           "no room for the call stack within the memory quota (--memory)");
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
    vm->vm.translate_context = module;
    vm->ctl.ops = &cn_api_vm_ctl;
    vm->host = host;
    vm->module = module;
    pthread_mutex_init(&vm->ended_lock, NULL);
    pthread_cond_init(&vm->ended_cond, NULL);
    bool made = make(vm, linker, config, error);
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
    if (vm->host->pool != NULL && vm->vm.account.used[CN_QUOTA_MEMORY] > LARGE)
        cn_api_tear_down(vm);
    cn_vm_release(&vm->vm);
    cn_arena_release(&vm->arena);
    cn_vm_take_limits(&vm->vm); /* a reservation that it has not taken note of */
    cn_account_leave(&vm->vm.account);
    pthread_cond_destroy(&vm->ended_cond);
    pthread_mutex_destroy(&vm->ended_lock);
    cn_free(cn_heap, vm, sizeof *vm);
}

/* ------------------------------------------------------------------ running */

static struct cn_func *export_func(struct cordon_vm *vm, const char *name)
{
    struct cn_extern found;

    if (!cn_instance_export(vm->vm.instance, cn_bytes_of(name), &found) ||
        found.kind != CN_EXTERN_FUNC)
        return NULL;
    return found.func;
}

/* What has to run before anything else does: the start function, and `_initialize` of a module
 * that is no command. */
static uint32_t initial_calls(struct cordon_vm *vm, bool is_command, struct cn_func **calls)
{
    uint32_t start = vm->module->module->start, count = 0;

    if (vm->is_initialized)
        return 0;
    vm->is_initialized = true;
    if (start != CN_NO_INDEX)
        calls[count++] = vm->vm.instance->funcs[start];
    struct cn_func *func = is_command ? NULL : export_func(vm, "_initialize");
    if (func != NULL && func->type->param_count == 0)
        calls[count++] = func;
    return count;
}

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

static bool initialize(struct cordon_vm *vm)
{
    struct cn_func *calls[CN_CALLS_MAX];

    return make_calls(vm, calls, initial_calls(vm, false, calls));
}

bool cn_api_program(struct cordon_vm *vm, struct cn_func **calls, uint32_t *count,
                    cordon_error_t *error)
{
    struct cn_func *main = export_func(vm, "_start");

    if (main == NULL && export_func(vm, "_initialize") == NULL &&
        vm->module->module->start == CN_NO_INDEX)
        return cn_api_fail(error, CORDON_NO_EXPORT,
                           "the module exports no _start: it is no command; call one of its "
                           "functions with --invoke NAME");
    if (main != NULL && (main->type->param_count > 0 || main->type->result_count > 0))
        return cn_api_fail(error, CORDON_LINK, "_start has a type other than () -> ()");
    *count = initial_calls(vm, main != NULL, calls);
    if (main != NULL)
        calls[(*count)++] = main;
    return true;
}

bool cordon_vm_run(cordon_vm_t *vm, cordon_result_t *result, cordon_error_t *error)
{
    struct cn_func *calls[CN_CALLS_MAX];
    uint32_t count;

    if (cn_api_is_started(vm))
        return cn_api_fail(error, CORDON_MISUSE, "the host's workers run the VM");
    if (!cn_api_program(vm, calls, &count, error))
        return false;
    make_calls(vm, calls, count);
    cn_api_result(vm, result);
    return true;
}

/* Writes the value to its slot, or two; returns how many. */
static uint32_t put_value(union cn_slot *slots, const cordon_value_t *value)
{
    union cn_slot slot = {0};

    switch (value->type) {
    case CORDON_V128:
        memcpy(slots, value->v128, sizeof value->v128);
        return 2;
    case CORDON_I32:
        slot.u64 = (uint32_t)value->i32;
        break;
    case CORDON_F32:
        slot.f32 = value->f32;
        break;
    case CORDON_FUNCREF:
    case CORDON_EXTERNREF:
    case CORDON_ANYREF:
        slot.u64 = cn_api_ref_take(value);
        break;
    default:
        slot.i64 = value->i64;
        break;
    }
    slots[0] = slot;
    return 1;
}

/* False when there is no memory for a handle. */
static bool take_value(struct cn_store *store, const union cn_slot *slots, cn_valtype type,
                       cordon_value_t *value)
{
    const union cn_slot slot = slots[0];

    *value = (cordon_value_t){.type = cn_api_type(type)};
    switch (value->type) {
    case CORDON_I32:
        value->i32 = slot.i32;
        break;
    case CORDON_F32:
        value->f32 = slot.f32;
        break;
    case CORDON_FUNCREF:
    case CORDON_EXTERNREF:
    case CORDON_ANYREF:
        return cn_api_ref_give(store, slot.u64, value);
    case CORDON_V128:
        memcpy(value->v128, slots, sizeof value->v128);
        break;
    default:
        value->i64 = slot.i64;
        break;
    }
    return true;
}

static bool argument_fits(const struct cn_store *store, const cordon_value_t *value,
                          cn_valtype type)
{
    return cn_valtype_is_ref(type) ? cn_api_ref_fits(store, value, type)
                                   : value->type == cn_api_type(type);
}

static bool arguments_fit(const struct cn_store *store, const struct cn_functype *type,
                          const char *name, const cordon_value_t *arguments, uint32_t count,
                          cordon_error_t *error)
{
    char text[160];
    bool fits = count == type->param_count;

    for (uint32_t i = 0; fits && i < count; i++)
        fits = argument_fits(store, &arguments[i], cn_functype_params(type)[i]);
    return fits || cn_api_fail(error, CORDON_MISUSE,
                               "function %s has the type %s, given were %u arguments", name,
                               cn_functype_print(type, text, sizeof text), count);
}

bool cordon_vm_invoke(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                      uint32_t argument_count, cordon_value_t *results, uint32_t result_room,
                      cordon_result_t *result, cordon_error_t *error)
{
    struct cn_func *func = export_func(vm, name);

    if (func == NULL)
        return cn_api_fail(error, CORDON_NO_EXPORT, "the module exports no function %s", name);
    const struct cn_functype *type = func->type;
    uint32_t given = type->result_count <= result_room ? argument_count : UINT32_MAX;
    if (!arguments_fit(vm->vm.store, type, name, arguments, given, error))
        return false;
    const cn_valtype *types = cn_functype_results(type);
    uint32_t room = type->param_slots + type->result_slots, at = 0;
    union cn_slot *slots = cn_alloc_array(cn_heap, room, sizeof *slots);
    if (slots == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    for (uint32_t i = 0; i < argument_count; i++)
        at += put_value(slots + at, &arguments[i]);
    if (initialize(vm))
        cn_vm_call(&vm->vm, func, slots, slots + at);
    bool taken = true;
    for (uint32_t i = 0; vm->vm.end.kind == CN_END_DONE && i < type->result_count; i++) {
        taken = take_value(vm->vm.store, slots + at, types[i], &results[i]) && taken;
        at += cn_valtype_slots(types[i]);
    }
    cn_free(cn_heap, slots, room * sizeof *slots);
    cn_api_result(vm, result);
    return taken || cn_api_fail(error, CORDON_QUOTA, "no memory left to keep a reference");
}

/* ------------------------------------------------------------------ figures and memory */

void cordon_vm_stats(const cordon_vm_t *vm, cordon_stats_t *stats)
{
    struct cn_figures now = cn_vm_figures(&vm->vm);

    cn_api_stats(&now, stats);
}

static void *view_of(const struct cn_memory *memory, uint64_t *size)
{
    *size = memory->size;
    return *size > 0 ? memory->base : NULL;
}

void *cordon_vm_memory(cordon_vm_t *vm, uint64_t *size)
{
    return view_of(vm->is_in_host ? vm->vm.thread->memory : vm->vm.instance->memories[0], size);
}

void *cordon_vm_memory_of(cordon_vm_t *vm, const char *name, uint64_t *size)
{
    struct cn_bytes bytes = {(const uint8_t *)name, strlen(name)};
    struct cn_extern found;

    *size = 0;
    if (!cn_instance_export(vm->vm.instance, bytes, &found) || found.kind != CN_EXTERN_MEMORY)
        return NULL;
    return view_of(found.memory, size);
}
