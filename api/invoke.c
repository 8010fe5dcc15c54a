/* Calls of guests' functions with public values: by name, and by reference. Most calls have a few
 * numbers and return a number: those are moved in one pass and ask for no memory. */
#include "api/internal.h"
#include "vm/types.h"

/* A type of the function's, in the store's terms. Those of the host name no defined types. */
static cn_valtype translated(const struct cn_func *func, cn_valtype type)
{
    return func->instance != NULL ? cn_types_translate(func->instance->type_ids, type) : type;
}

/* What is to be called with what, and where the answer belongs. */
struct invocation {
    struct cn_func *func;
    const char *name;
    const cordon_value_t *arguments;
    uint32_t argument_count;
    cordon_value_t *results;
    uint32_t result_room;
    cordon_result_t *result;
};

bool cn_api_arguments_fit(const struct cordon_vm *vm, const struct cn_func *func,
                          const char *name, const cordon_value_t *arguments, uint32_t count,
                          cordon_error_t *error)
{
    const struct cn_functype *type = func->type;
    char text[160];
    bool fits = count == type->param_count;

    for (uint32_t i = 0; fits && i < count; i++)
        fits = cn_api_value_fits(vm->vm.store, &arguments[i],
                                 translated(func, cn_functype_params(type)[i]));
    return fits || cn_api_fail(error, CORDON_MISUSE,
                               "function %s has the type %s, given were %u arguments", name,
                               cn_functype_print(type, text, sizeof text), count);
}

static bool no_memory(cordon_error_t *error)
{
    return cn_api_fail(error, CORDON_QUOTA, "no memory left");
}

/* False when one of them is no number, or not of the type that is wanted: then that is for
 * put_values to see. */
static bool put_numbers(const struct invocation *given, union cn_slot *slots)
{
    const struct cn_functype *type = given->func->type;
    const cn_valtype *types = cn_functype_params(type);

    if (given->argument_count != type->param_count)
        return false;
    for (uint32_t i = 0; i < type->param_count; i++) {
        const cordon_value_t *value = &given->arguments[i];
        if (!cn_valtype_is_num(types[i]) || value->type != cn_api_number_type(types[i]))
            return false;
        slots[i].u64 = cn_api_is_narrow(types[i]) ? (uint32_t)value->i32 : (uint64_t)value->i64;
    }
    return true;
}

static bool put_values(const cordon_vm_t *vm, const struct invocation *given,
                       union cn_slot *slots, cordon_error_t *error)
{
    uint32_t at = 0;

    if (!cn_api_arguments_fit(vm, given->func, given->name, given->arguments,
                              given->argument_count, error))
        return false;
    for (uint32_t i = 0; i < given->argument_count; i++)
        at += cn_api_put_value(slots + at, &given->arguments[i]);
    return true;
}

static bool take_results(cordon_vm_t *vm, const struct invocation *given,
                         const union cn_slot *slots, cordon_error_t *error)
{
    const struct cn_functype *type = given->func->type;
    const cn_valtype *types = cn_functype_results(type);
    bool taken = true;

    for (uint32_t i = 0; i < type->result_count; i++) {
        cordon_value_t *value = &given->results[i];
        if (cn_valtype_is_num(types[i])) {
            value->type = cn_api_number_type(types[i]);
            value->i64 = cn_api_is_narrow(types[i]) ? (int64_t)slots->u32 : slots->i64;
        } else {
            taken = cn_api_take_value(vm->vm.store, slots, types[i], value) && taken;
        }
        slots += cn_valtype_slots(types[i]);
    }
    return taken || cn_api_fail(error, CORDON_QUOTA, "no memory left to keep a reference");
}

/* Runs what has to be run before, and then the function. Slots have room for arguments and
 * results. */
static bool invoke_with(cordon_vm_t *vm, enum cn_way way, const struct invocation *given,
                        union cn_slot *slots, cordon_error_t *error)
{
    union cn_slot *results = slots + given->func->type->param_slots;

    if (!put_numbers(given, slots) && !put_values(vm, given, slots, error))
        return false;
    if (way == CN_WAY_TOP && !cn_api_is_initialized(vm) && !cn_api_initialize(vm))
        return no_memory(error);
    bool has_returned = cn_api_call(vm, way, given->func, slots, results);
    bool is_taken = !has_returned || take_results(vm, given, results, error);
    cn_api_call_result(vm, has_returned, given->result);
    return is_taken;
}

static bool invoke_with_many(cordon_vm_t *vm, enum cn_way way, const struct invocation *given,
                             uint32_t room, cordon_error_t *error)
{
    union cn_slot *slots = cn_alloc_array(cn_heap, room, sizeof *slots);

    if (slots == NULL)
        return no_memory(error);
    bool is_done = invoke_with(vm, way, given, slots, error);
    cn_free(cn_heap, slots, room * sizeof *slots);
    return is_done;
}

/* Of values and results, for which no memory is asked for: almost all calls have fewer. */
#define FEW_SLOTS 16

static bool invoke_in(cordon_vm_t *vm, enum cn_way way, const struct invocation *given,
                      cordon_error_t *error)
{
    const struct cn_functype *type = given->func->type;
    uint32_t room = type->param_slots + type->result_slots;
    union cn_slot few[FEW_SLOTS];

    if (type->result_count > given->result_room)
        return cn_api_fail(error, CORDON_MISUSE, "function %s has %u results, there is room for %u",
                           given->name, type->result_count, given->result_room);
    return room <= FEW_SLOTS ? invoke_with(vm, way, given, few, error)
                             : invoke_with_many(vm, way, given, room, error);
}

static bool invoke(cordon_vm_t *vm, const struct invocation *given, cordon_error_t *error)
{
    enum cn_way way = cn_api_begin_call(vm);

    if (way == CN_WAY_NONE)
        return cn_api_fail(error, CORDON_MISUSE,
                           "another thread uses the VM, or it is run in steps");
    bool is_done = invoke_in(vm, way, given, error);
    cn_api_end_call(vm, way);
    return is_done;
}

bool cordon_instance_invoke(cordon_instance_t *instance, const char *name,
                            const cordon_value_t *arguments, uint32_t argument_count,
                            cordon_value_t *results, uint32_t result_room,
                            cordon_result_t *result, cordon_error_t *error)
{
    const struct invocation given = {cn_api_export_func(instance, name), name, arguments,
                                     argument_count, results, result_room, result};

    if (given.func == NULL)
        return cn_api_fail(error, CORDON_NO_EXPORT, "the module exports no function %s", name);
    return invoke(instance->vm, &given, error);
}

bool cordon_vm_invoke(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                      uint32_t argument_count, cordon_value_t *results, uint32_t result_room,
                      cordon_result_t *result, cordon_error_t *error)
{
    if (vm->main == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "the VM has no instance named main");
    return cordon_instance_invoke(vm->main, name, arguments, argument_count, results, result_room,
                                  result, error);
}

bool cordon_vm_call(cordon_vm_t *vm, const cordon_value_t *func, const cordon_value_t *arguments,
                    uint32_t argument_count, cordon_value_t *results, uint32_t result_room,
                    cordon_result_t *result, cordon_error_t *error)
{
    const struct invocation given = {func->ref, "that is referred to", arguments, argument_count,
                                     results, result_room, result};

    if (func->type != CORDON_FUNCREF || func->ref == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "it refers to no function");
    return invoke(vm, &given, error);
}
