/* Linkers: what imports are joined to, by name. */
#include <stdio.h>
#include <string.h>

#include "api/signature.h"
#include "core/suggest.h"

cordon_linker_t *cordon_linker_new(cordon_host_t *host, cordon_error_t *error)
{
    cordon_linker_t *linker = cn_alloc(cn_heap, sizeof *linker);

    (void)host;
    if (linker == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    cn_arena_init(&linker->arena, cn_heap);
    return linker;
}

void cordon_linker_free(cordon_linker_t *linker)
{
    if (linker == NULL)
        return;
    cn_arena_release(&linker->arena);
    cn_free(cn_heap, linker, sizeof *linker);
}

void cordon_linker_allow_wasi(cordon_linker_t *linker)
{
    linker->allows_wasi = true;
}

/* ------------------------------------------------------------------ binding */

static char *keep_text(struct cn_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = cn_arena_alloc(arena, size);

    if (kept != NULL)
        memcpy(kept, text, size);
    return kept;
}

static struct cn_binding *new_binding(cordon_linker_t *linker, const char *module,
                                      const char *name, const char *signature,
                                      struct cn_sign *sign, cordon_error_t *error)
{
    if (!cn_sign_parse(&linker->arena, signature, sign, error))
        return NULL;
    struct cn_binding *binding = cn_arena_alloc(&linker->arena, sizeof *binding);
    char *kept_module = keep_text(&linker->arena, module);
    char *kept_name = keep_text(&linker->arena, name);
    if (binding == NULL || kept_module == NULL || kept_name == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    *binding = (struct cn_binding){.module = kept_module, .name = kept_name, .type = sign->type};
    return binding;
}

static bool offer(cordon_linker_t *linker, struct cn_binding *binding)
{
    binding->next = linker->bindings;
    linker->bindings = binding;
    return true;
}

bool cordon_bind_with(cordon_linker_t *linker, const char *module, const char *name,
                      const char *signature, void (*function)(void), void *user,
                      cordon_error_t *error)
{
    struct cn_sign sign;

    if (function == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "%s.%s: no function is given", module, name);
    struct cn_binding *binding = new_binding(linker, module, name, signature, &sign, error);
    if (binding == NULL)
        return false;
    binding->call = cn_native_call;
    binding->native = cn_native_new(&linker->arena, binding, &sign, function, user);
    if (binding->native == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "signature \"%s\": libffi cannot call it",
                           signature);
    return offer(linker, binding);
}

bool cordon_bind(cordon_linker_t *linker, const char *module, const char *name,
                 const char *signature, void (*function)(void), cordon_error_t *error)
{
    return cordon_bind_with(linker, module, name, signature, function, NULL, error);
}

enum cn_status cn_api_host_broke(struct cordon_vm *vm, struct cn_thread *thread)
{
    /* Where the VM has ended already, beneath the function, that stands. */
    if (vm->vm.end.kind != CN_END_NONE)
        return CN_TRAP_HOST;
    thread->error = vm->broken;
    vm->is_broken = false;
    return vm->broken.status;
}

static enum cn_status call_raw(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_binding *binding = env;
    struct cordon_vm *vm = thread->user;
    struct cn_host_call call;

    if (cn_api_host_waits(thread))
        return cn_api_host_went_on(vm, thread, slots);
    cn_api_enter_host(vm, &call);
    enum cn_status status =
        binding->raw(binding->user, vm, &slots[0].u64) ? CN_OK : CN_TRAP_HOST;
    if (!cn_api_leave_host(vm, &call))
        status = cn_api_host_stopped(vm, thread, slots, status);
    vm->pending = call.pending;
    return status;
}

bool cordon_bind_raw(cordon_linker_t *linker, const char *module, const char *name,
                     const char *signature, cordon_raw_fn function, void *user,
                     cordon_error_t *error)
{
    struct cn_sign sign;
    struct cn_binding *binding = new_binding(linker, module, name, signature, &sign, error);

    if (binding == NULL)
        return false;
    binding->call = call_raw;
    binding->raw = function;
    binding->user = user;
    return offer(linker, binding);
}

void cn_api_break(struct cordon_vm *vm, enum cn_status trap, const char *text)
{
    if (!cn_api_is_in_host(vm) || vm->is_broken)
        return;
    vm->is_broken = true;
    cn_fail(&vm->broken, trap, CN_NO_OFFSET, "%s", text);
}

bool cordon_vm_trap(cordon_vm_t *vm, const char *text)
{
    cn_api_break(vm, CN_TRAP_HOST, text);
    return false;
}

/* ------------------------------------------------------------------ resolving */

#define NAME_MAX_SHOWN 64

struct nearest {
    size_t distance;
    char text[2 * NAME_MAX_SHOWN + 8];
};

static void consider(struct nearest *nearest, const char *module, const char *name,
                     const char *wanted_module, const char *wanted)
{
    size_t distance =
        cn_edit_distance(name, wanted) + (strcmp(module, wanted_module) != 0 ? 1 : 0);

    if (distance >= nearest->distance)
        return;
    nearest->distance = distance;
    snprintf(nearest->text, sizeof nearest->text, "%.63s.%.63s", module, name);
}

static void copy_name(char *text, struct cn_bytes name)
{
    size_t size = name.size < NAME_MAX_SHOWN - 1 ? name.size : NAME_MAX_SHOWN - 1;

    for (size_t i = 0; i < size; i++)
        text[i] = name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : (char)name.at[i];
    text[size] = '\0';
}

static void consider_instance(struct nearest *nearest, const struct cordon_instance *instance,
                              const char *module, const char *name)
{
    char exported[NAME_MAX_SHOWN];

    for (uint32_t i = 0; instance->instance != NULL && !instance->has_failed &&
                         i < instance->module->module->export_count; i++) {
        copy_name(exported, instance->module->module->exports[i].name);
        consider(nearest, instance->name, exported, module, name);
    }
    for (const struct cn_thing *thing = instance->things; thing != NULL; thing = thing->next)
        consider(nearest, instance->name, thing->name, module, name);
}

static void find_nearest(const struct cordon_vm *vm, const char *module, const char *name,
                         struct nearest *nearest)
{
    const struct cordon_linker *linker = vm->linker;
    const char *offered_module, *offered;

    nearest->distance = SIZE_MAX;
    for (const struct cordon_instance *i = vm->instances; i != NULL; i = i->next)
        consider_instance(nearest, i, module, name);
    for (const struct cn_binding *b = linker->bindings; b != NULL; b = b->next)
        consider(nearest, b->module, b->name, module, name);
    for (uint32_t i = 0; linker->allows_wasi && cn_wasi_name(i, &offered_module, &offered); i++)
        consider(nearest, offered_module, offered, module, name);
}

static bool fail_unknown(const struct cordon_vm *vm, const struct cn_module *module,
                         uint32_t number, cordon_error_t *error)
{
    const struct cn_import *import = &module->imports[number];
    char from[NAME_MAX_SHOWN], name[NAME_MAX_SHOWN], type[128] = "";
    struct nearest nearest;

    copy_name(from, import->module);
    copy_name(name, import->name);
    if (import->kind == CN_EXTERN_FUNC)
        cn_functype_print(cn_module_type_of(module, import->index), type, sizeof type);
    find_nearest(vm, from, name, &nearest);
    bool is_near = nearest.distance != SIZE_MAX && cn_is_near(name, nearest.distance);
    return cn_api_fail(error, CORDON_LINK,
                       "unknown import %s.%s: expected a %s%s%s, found nothing of that name%s%s",
                       from, name, cn_extern_kind_name(import->kind), type[0] ? " " : "", type,
                       is_near ? "; the nearest is " : "", is_near ? nearest.text : "");
}

static bool make_func(struct cn_vm *vm, struct cn_wasi_function from, struct cn_extern *result,
                      cordon_error_t *error)
{
    if (cn_host_func_new(vm->store, &result->func, from.type, from.call, from.env) != CN_OK)
        return cn_api_fail(error, CORDON_QUOTA, "memory quota exhausted (--memory)");
    result->kind = CN_EXTERN_FUNC;
    return true;
}

static bool equals(struct cn_bytes bytes, const char *text)
{
    return cn_bytes_equal(bytes, cn_bytes_of(text));
}

/* What wasi-threads adds: the function that spawns a thread, and the shared memory, which the VM
 * makes as the module declares it, under whatever name. */
static bool resolve_threads(struct cordon_vm *vm, const struct cn_module *module,
                            uint32_t number, struct cn_extern *result, cordon_error_t *error)
{
    static const cn_valtype i32s[] = {CN_I32, CN_I32};
    static const struct cn_functype spawn_type = {
        .types = i32s, .param_count = 1, .result_count = 1, .param_slots = 1, .result_slots = 1,
    };
    const struct cn_import *import = &module->imports[number];
    struct cn_error cause = {0};

    if (import->kind == CN_EXTERN_FUNC && equals(import->module, "wasi") &&
        equals(import->name, "thread-spawn"))
        return make_func(&vm->vm,
                         (struct cn_wasi_function){&spawn_type, cn_task_spawn, &vm->vm}, result,
                         error);
    if (import->kind != CN_EXTERN_MEMORY || !module->memories[import->index].is_shared)
        return fail_unknown(vm, module, number, error);
    result->kind = CN_EXTERN_MEMORY;
    enum cn_status status = cn_host_memory_new(vm->vm.store, &result->memory,
                                               &module->memories[import->index], &cause);
    return status == CN_OK || cn_api_fail_with(error, &cause);
}

/* A function of the linker's or of WASI's. */
static bool find_function(const struct cordon_vm *vm, const struct cn_import *import,
                          struct cn_wasi_function *found)
{
    for (struct cn_binding *b = vm->linker->bindings; b != NULL; b = b->next) {
        if (!equals(import->module, b->module) || !equals(import->name, b->name))
            continue;
        *found = (struct cn_wasi_function){b->type, b->call, b};
        return true;
    }
    return vm->linker->allows_wasi && import->kind == CN_EXTERN_FUNC &&
           cn_wasi_lookup(vm->vm.wasi, import->module, import->name, found);
}

bool cn_api_resolve(struct cordon_vm *vm, const struct cn_module *module, uint32_t number,
                    struct cn_extern *result, cordon_error_t *error)
{
    const struct cn_import *import = &module->imports[number];
    const struct cordon_instance *from = cn_api_instance_named(vm, import->module);
    struct cn_wasi_function offered;

    /* Whether its type fits is for cn_instantiate to say. */
    if (from != NULL && cn_api_instance_find(from, import->name, result))
        return true;
    if (find_function(vm, import, &offered))
        return make_func(&vm->vm, offered, result, error);
    if (vm->linker->allows_wasi)
        return resolve_threads(vm, module, number, result, error);
    return fail_unknown(vm, module, number, error);
}
