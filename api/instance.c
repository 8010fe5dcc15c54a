/* The instances of a VM: modules that are joined to each other by name. */
#include <string.h>

#include "api/internal.h"
#include "vm/instance.h"

#define MAIN "main"

static bool is_named(const struct cordon_instance *instance, struct cn_bytes name)
{
    return cn_bytes_equal(name, cn_bytes_of(instance->name));
}

struct cordon_instance *cn_api_instance_named(const struct cordon_vm *vm, struct cn_bytes name)
{
    for (struct cordon_instance *i = vm->instances; i != NULL; i = i->next)
        if (!i->has_failed && is_named(i, name))
            return i;
    return NULL;
}

bool cn_api_instance_find(const struct cordon_instance *instance, struct cn_bytes name,
                          struct cn_extern *result)
{
    if (instance->instance != NULL && cn_instance_export(instance->instance, name, result))
        return true;
    for (const struct cn_thing *thing = instance->things; thing != NULL; thing = thing->next)
        if (cn_bytes_equal(name, cn_bytes_of(thing->name))) {
            *result = thing->external;
            return true;
        }
    return false;
}

const struct cordon_instance *cn_api_instance_of(const struct cordon_vm *vm,
                                                 const struct cn_instance *instance)
{
    for (const struct cordon_instance *i = vm->instances; i != NULL; i = i->next)
        if (i->instance == instance)
            return i;
    /* Another thread's, or one that was not finished and has left functions in somebody's table. */
    for (const struct cordon_instance *i = vm->instances; i != NULL; i = i->next)
        if (i->module != NULL && i->module->program == instance->program)
            return i;
    return NULL;
}

struct cordon_module *cn_api_module_of(const struct cordon_vm *vm,
                                       const struct cn_program *program)
{
    for (const struct cordon_instance *i = vm->instances; i != NULL; i = i->next)
        if (i->module != NULL && i->module->program == program)
            return i->module;
    return NULL;
}

/* ------------------------------------------------------------------ adding */

struct cordon_instance *cn_api_instance_new(struct cordon_vm *vm, const char *name,
                                            cordon_error_t *error)
{
    struct cordon_instance **end = &vm->instances;
    size_t size = strlen(name) + 1;
    struct cordon_instance *made = cn_arena_alloc(&vm->arena, sizeof *made);
    char *kept = cn_arena_alloc(&vm->arena, size);

    if (made == NULL || kept == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    memcpy(kept, name, size);
    *made = (struct cordon_instance){.vm = vm, .name = kept};
    while (*end != NULL)
        end = &(*end)->next;
    *end = made;
    return made;
}

/* The module's file and what was made of it count as the guest's too. */
static bool charge_module(struct cordon_vm *vm, const struct cordon_module *loaded,
                          cordon_error_t *error)
{
    const struct cn_module *module = loaded->module;
    uint64_t size = cn_arena_size(&module->arena) + module->file.size;

    if (cn_api_module_of(vm, loaded->program) != NULL ||
        cn_account_charge(&vm->vm.account, CN_QUOTA_MEMORY, size) == CN_OK)
        return true;
    return cn_api_fail(error, CORDON_QUOTA,
                       "the module's own %llu bytes exceed the memory quota of %llu "
                       "(--memory)", (unsigned long long)size,
                       (unsigned long long)vm->vm.account.limit[CN_QUOTA_MEMORY]);
}

static bool instantiate(struct cordon_vm *vm, struct cordon_instance *place,
                        cordon_error_t *error)
{
    const struct cn_module *module = place->module->module;
    struct cn_error cause = {0};
    struct cn_extern *externs = cn_arena_array(&vm->arena, module->import_count, sizeof *externs);

    if (externs == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    for (uint32_t i = 0; i < module->import_count; i++)
        if (!cn_api_resolve(vm, module, i, &externs[i], error))
            return false;
    cause.status = cn_instantiate(vm->vm.store, place->module->program, externs, &place->instance,
                                  &cause);
    if (cause.status != CN_OK)
        return cn_api_fail_with(error, &cause);
    if (strcmp(place->name, MAIN) == 0) {
        vm->main = place;
        vm->vm.instance = place->instance;
        vm->vm.externs = externs;
    }
    return true;
}

struct cordon_instance *cn_api_instance_add(struct cordon_vm *vm, const char *name,
                                            cordon_module_t *module, cordon_error_t *error)
{
    if (cn_api_instance_named(vm, cn_bytes_of(name)) != NULL) {
        cn_api_fail(error, CORDON_MISUSE, "the VM has an instance named %.60s already", name);
        return NULL;
    }
    if (!charge_module(vm, module, error))
        return NULL;
    struct cordon_instance *made = cn_api_instance_new(vm, name, error);
    if (made == NULL)
        return NULL;
    made->module = module;
    /* Instances of threads come and go, and others could keep references to their functions. */
    vm->vm.refuses_threads = vm->vm.refuses_threads || vm->module_count > 0;
    vm->module_count++;
    if (instantiate(vm, made, error))
        return made;
    made->has_failed = true;
    return NULL;
}

cordon_instance_t *cordon_vm_add(cordon_vm_t *vm, const char *name, cordon_module_t *module,
                                 cordon_error_t *error)
{
    const struct cn_vm *inner = &vm->vm;
    const char *why = NULL;

    if (atomic_load(&vm->is_busy))
        why = "the guest is running";
    else if (inner->end.kind != CN_END_NONE && inner->end.kind != CN_END_DONE)
        why = "the guest has ended";
    else if (inner->first_task.next != &inner->first_task)
        why = "the guest has threads";
    if (why != NULL) {
        cn_api_fail(error, CORDON_MISUSE, "no instance can be added: %s", why);
        return NULL;
    }
    cn_vm_enter(&vm->vm);
    struct cordon_instance *made = cn_api_instance_add(vm, name, module, error);
    cn_vm_leave(&vm->vm);
    cn_vm_publish(&vm->vm);
    return made;
}

cordon_instance_t *cordon_vm_instance(cordon_vm_t *vm, const char *name)
{
    return cn_api_instance_named(vm, cn_bytes_of(name));
}

/* ------------------------------------------------------------------ what runs before all else */

/* Often the one that was looked for last. Threads that may not use the VM get as far as this. */
static const struct cn_export *find_export(struct cordon_instance *instance, struct cn_bytes name)
{
    const struct cn_export *last = atomic_load_explicit(&instance->last, memory_order_relaxed);

    if (last != NULL && cn_bytes_equal(last->name, name))
        return last;
    last = cn_module_find_export(instance->instance->module, name);
    if (last != NULL)
        atomic_store_explicit(&instance->last, last, memory_order_relaxed);
    return last;
}

struct cn_func *cn_api_export_func(struct cordon_instance *instance, const char *name)
{
    const struct cn_bytes wanted = cn_bytes_of(name);
    struct cn_extern found;

    if (instance == NULL)
        return NULL;
    const struct cn_export *export =
        instance->instance != NULL ? find_export(instance, wanted) : NULL;
    if (export != NULL)
        return export->kind == CN_EXTERN_FUNC ? instance->instance->funcs[export->index] : NULL;
    return cn_api_instance_find(instance, wanted, &found) && found.kind == CN_EXTERN_FUNC
               ? found.func : NULL;
}

/* The start function, and `_initialize` of a module that is no command. */
static uint32_t initial_calls_of(struct cordon_instance *instance, bool is_command,
                                 struct cn_func **calls)
{
    uint32_t start = instance->module->module->start, count = 0;

    if (start != CN_NO_INDEX)
        calls[count++] = instance->instance->funcs[start];
    struct cn_func *func = is_command ? NULL : cn_api_export_func(instance, "_initialize");
    if (func != NULL && func->type->param_count == 0)
        calls[count++] = func;
    return count;
}

bool cn_api_initial_calls(struct cordon_vm *vm, bool is_command, struct cn_func ***calls,
                          uint32_t *count)
{
    uint32_t fresh = vm->module_count - vm->initialized_count, number = 0;

    *count = 0;
    *calls = vm->one_call;
    if (fresh == 0)
        return true;
    *calls = cn_arena_array(&vm->arena, 2 * (size_t)fresh + 1, sizeof **calls);
    if (*calls == NULL)
        return false;
    for (struct cordon_instance *i = vm->instances; i != NULL; i = i->next) {
        if (i->module == NULL || number++ < vm->initialized_count || i->has_failed)
            continue;
        *count += initial_calls_of(i, is_command && i == vm->main, *calls + *count);
    }
    vm->initialized_count = vm->module_count;
    return true;
}
