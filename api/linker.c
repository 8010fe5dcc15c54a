/* Linkers: what imports are joined to, by name. */
#include <stdio.h>
#include <string.h>

#include "api/internal.h"
#include "core/suggest.h"

#define PARAMS_MAX 32

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

/* ------------------------------------------------------------------ signatures */

static const struct {
    const char *name;
    cn_valtype type;
} type_words[] = {
    {"i32", CN_I32}, {"u32", CN_I32}, {"i64", CN_I64}, {"u64", CN_I64}, {"f32", CN_F32},
    {"f64", CN_F64}, {"v128", CN_V128},
};

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

/* Takes one type word; 0 when there is none. */
static cn_valtype take_type(const char **at)
{
    skip_blanks(at);
    for (size_t i = 0; i < sizeof type_words / sizeof type_words[0]; i++) {
        size_t size = strlen(type_words[i].name);
        if (strncmp(*at, type_words[i].name, size) != 0)
            continue;
        *at += size;
        skip_blanks(at);
        return type_words[i].type;
    }
    return 0;
}

static bool take(const char **at, const char *token)
{
    size_t size = strlen(token);

    skip_blanks(at);
    if (strncmp(*at, token, size) != 0)
        return false;
    *at += size;
    skip_blanks(at);
    return true;
}

/* Parameters into types, result behind them; false at a syntax error, with `at` there. */
static bool parse_signature(const char **at, cn_valtype *types, uint32_t *params,
                            uint32_t *results)
{
    cn_valtype result = take_type(at);

    *params = 0;
    *results = result != 0;
    if (result == 0 && !take(at, "void"))
        return false;
    if (!take(at, "("))
        return false;
    bool is_empty = take(at, "void");
    if (!take(at, ")")) {
        do {
            cn_valtype type = *params < PARAMS_MAX && !is_empty ? take_type(at) : 0;
            if (type == 0)
                return false;
            types[(*params)++] = type;
        } while (take(at, ","));
        if (!take(at, ")"))
            return false;
    }
    types[*params] = result;
    return **at == '\0';
}

bool cn_api_signature(struct cn_arena *arena, const char *signature,
                      const struct cn_functype **type, cordon_error_t *error)
{
    cn_valtype types[PARAMS_MAX + 1];
    uint32_t params, results;
    const char *at = signature;

    if (!parse_signature(&at, types, &params, &results))
        return cn_api_fail(error, CORDON_MISUSE,
                           "signature \"%s\": expected a type at \"%s\", as in "
                           "\"f64(i32, f64)\" (i32 u32 i64 u64 f32 f64 v128, void)",
                           signature, at);
    uint32_t count = params + results;
    cn_valtype *kept = cn_arena_array(arena, count, sizeof *kept);
    struct cn_functype *result = cn_arena_alloc(arena, sizeof *result);
    if (kept == NULL || result == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    memcpy(kept, types, count * sizeof *kept);
    *result = cn_functype_of(params, results, kept);
    *type = result;
    return true;
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
                                      cordon_error_t *error)
{
    const struct cn_functype *type;

    if (!cn_api_signature(&linker->arena, signature, &type, error))
        return NULL;
    struct cn_binding *binding = cn_arena_alloc(&linker->arena, sizeof *binding);
    char *kept_module = keep_text(&linker->arena, module);
    char *kept_name = keep_text(&linker->arena, name);
    if (binding == NULL || kept_module == NULL || kept_name == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    *binding = (struct cn_binding){.module = kept_module, .name = kept_name, .type = type};
    return binding;
}

static bool offer(cordon_linker_t *linker, struct cn_binding *binding)
{
    binding->next = linker->bindings;
    linker->bindings = binding;
    return true;
}

bool cordon_bind(cordon_linker_t *linker, const char *module, const char *name,
                 const char *signature, void (*function)(void), cordon_error_t *error)
{
    if (function == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "%s.%s: no function is given", module, name);
    struct cn_binding *binding = new_binding(linker, module, name, signature, error);
    if (binding == NULL)
        return false;
    binding->call = cn_native_call;
    binding->native = cn_native_new(&linker->arena, binding->type, function);
    if (binding->native == NULL)
        return cn_api_fail(error, CORDON_MISUSE, "signature \"%s\": libffi cannot call it",
                           signature);
    return offer(linker, binding);
}

static enum cn_status call_raw(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_binding *binding = env;

    return binding->raw(binding->user, thread->user, &slots[0].u64) ? CN_OK : CN_TRAP_HOST;
}

bool cordon_bind_raw(cordon_linker_t *linker, const char *module, const char *name,
                     const char *signature, cordon_raw_fn function, void *user,
                     cordon_error_t *error)
{
    struct cn_binding *binding = new_binding(linker, module, name, signature, error);

    if (binding == NULL)
        return false;
    binding->call = call_raw;
    binding->raw = function;
    binding->user = user;
    return offer(linker, binding);
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

static void find_nearest(const struct cordon_linker *linker, const char *module,
                         const char *name, struct nearest *nearest)
{
    const char *offered_module, *offered;

    nearest->distance = SIZE_MAX;
    for (const struct cn_binding *b = linker->bindings; b != NULL; b = b->next)
        consider(nearest, b->module, b->name, module, name);
    for (uint32_t i = 0; linker->allows_wasi && cn_wasi_name(i, &offered_module, &offered); i++)
        consider(nearest, offered_module, offered, module, name);
}

static void copy_name(char *text, struct cn_bytes name)
{
    size_t size = name.size < NAME_MAX_SHOWN - 1 ? name.size : NAME_MAX_SHOWN - 1;

    for (size_t i = 0; i < size; i++)
        text[i] = name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : (char)name.at[i];
    text[size] = '\0';
}

static bool fail_unknown(const struct cordon_linker *linker, const struct cn_module *module,
                         uint32_t number, cordon_error_t *error)
{
    const struct cn_import *import = &module->imports[number];
    char from[NAME_MAX_SHOWN], name[NAME_MAX_SHOWN], type[128] = "";
    struct nearest nearest;

    copy_name(from, import->module);
    copy_name(name, import->name);
    if (import->kind != CN_EXTERN_FUNC)
        return cn_api_fail(error, CORDON_LINK,
                           "unknown import %s.%s: expected a %s, and only functions are offered",
                           from, name, cn_extern_kind_name(import->kind));
    cn_functype_print(cn_module_type_of(module, import->index), type, sizeof type);
    find_nearest(linker, from, name, &nearest);
    if (nearest.distance != SIZE_MAX && cn_is_near(name, nearest.distance))
        return cn_api_fail(error, CORDON_LINK,
                           "unknown import %s.%s: expected a function %s, found nothing of that "
                           "name; the nearest is %s", from, name, type, nearest.text);
    return cn_api_fail(error, CORDON_LINK,
                       "unknown import %s.%s: expected a function %s, found nothing of that name",
                       from, name, type);
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
static bool resolve_threads(const struct cordon_linker *linker, struct cn_vm *vm,
                            const struct cn_module *module, uint32_t number,
                            struct cn_extern *result, cordon_error_t *error)
{
    static const cn_valtype i32s[] = {CN_I32, CN_I32};
    static const struct cn_functype spawn_type = {
        .types = i32s, .param_count = 1, .result_count = 1, .param_slots = 1, .result_slots = 1,
    };
    const struct cn_import *import = &module->imports[number];
    struct cn_error cause = {0};

    if (import->kind == CN_EXTERN_FUNC && equals(import->module, "wasi") &&
        equals(import->name, "thread-spawn"))
        return make_func(vm, (struct cn_wasi_function){&spawn_type, cn_task_spawn, vm}, result,
                         error);
    if (import->kind != CN_EXTERN_MEMORY || !module->memories[import->index].is_shared)
        return fail_unknown(linker, module, number, error);
    result->kind = CN_EXTERN_MEMORY;
    enum cn_status status = cn_host_memory_new(vm->store, &result->memory,
                                               &module->memories[import->index], &cause);
    return status == CN_OK || cn_api_fail_with(error, &cause);
}

bool cn_api_resolve(const struct cordon_linker *linker, struct cn_vm *vm,
                    const struct cn_module *module, uint32_t number, struct cn_extern *result,
                    cordon_error_t *error)
{
    const struct cn_import *import = &module->imports[number];
    struct cn_wasi_function offered;
    bool found = false;

    for (struct cn_binding *b = linker->bindings; b != NULL && !found; b = b->next) {
        if (!equals(import->module, b->module) || !equals(import->name, b->name))
            continue;
        if (!make_func(vm, (struct cn_wasi_function){b->type, b->call, b}, result, error))
            return false;
        found = true;
    }
    if (!found && linker->allows_wasi && import->kind == CN_EXTERN_FUNC &&
        cn_wasi_lookup(vm->wasi, import->module, import->name, &offered)) {
        if (!make_func(vm, offered, result, error))
            return false;
        found = true;
    }
    if (!found && linker->allows_wasi)
        return resolve_threads(linker, vm, module, number, result, error);
    if (!found)
        return fail_unknown(linker, module, number, error);
    return true; /* whether its type fits is for cn_instantiate to say */
}
