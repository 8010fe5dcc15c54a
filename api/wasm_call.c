/* Functions of wasm.h: those of the embedder's, and calls in both directions. */
#include <limits.h>
#include <time.h>

#include "api/wasm_internal.h"
#include "core/limits.h"
#include "vm/types.h"

/* Address space for the guest's stack: what `cordon run` gives by default. */
#define STACK_SIZE ((size_t)8 << 20)
/* Calls of functions with more parameters and results together take memory. */
#define FEW_VALUES 16

/* ------------------------------------------------------------------ running */

static void sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};

    while (nanosleep(&left, &left) != 0)
        ;
}

/* The guest waits at an address of a shared memory, where nobody can wake it: a store has one
 * thread. So the time passes, and where there is no time limit nothing will ever happen. */
static bool let_time_pass(struct cn_thread *thread)
{
    if (thread->sleeper.timeout_ns == UINT64_MAX)
        return false;
    sleep_ns(thread->sleeper.timeout_ns);
    cn_sleep_end(&thread->sleeper, CN_OVERSLEPT);
    return true;
}

static wasm_trap_t *take_trap(wasm_store_t *store, const struct cn_thread *thread)
{
    wasm_trap_t *trap = store->pending;

    store->pending = NULL;
    if (trap == NULL)
        trap = cn_wasm_trap(store, "%s", thread->error.text);
    cn_wasm_trap_add_frames(trap, thread);
    return trap;
}

static wasm_trap_t *go(wasm_store_t *store, struct cn_thread *thread)
{
    for (;;) {
        switch (cn_thread_run(thread, INT64_MAX)) {
        case CN_STOP_DONE:
            return NULL;
        case CN_STOP_FUEL:
        case CN_STOP_YIELD:
            break;
        case CN_STOP_PARKED:
            if (let_time_pass(thread))
                break;
            cn_fail(&thread->error, CN_TRAP_HOST, CN_NO_OFFSET, "a wait that nobody can end");
            return take_trap(store, thread);
        default:
            return take_trap(store, thread);
        }
    }
}

wasm_trap_t *cn_wasm_run(wasm_store_t *store, struct cn_func *func, union cn_slot *slots)
{
    struct cn_thread *thread;
    wasm_trap_t *trap = NULL;

    if (cn_nest_enter(&store->nest, store->store, STACK_SIZE, &thread) != CN_OK)
        return cn_wasm_trap(store, "%s", cn_status_text(CN_TRAP_STACK_OVERFLOW));
    enum cn_status status = cn_thread_call(thread, func, slots);
    if (status == CN_OK)
        trap = go(store, thread);
    else
        trap = cn_wasm_trap(store, "%s", cn_status_text(status));
    cn_nest_leave(&store->nest);
    if (trap == NULL)
        memcpy(slots, thread->stack, func->type->result_slots * sizeof *slots);
    return trap;
}

/* ------------------------------------------------------------------ calls into the guest */

/* A function's type in the store's terms. */
static const struct cn_functype *type_in_store(const wasm_store_t *store,
                                               const struct cn_func *func)
{
    return &store->store->types->types[func->type_id].func;
}

static uint32_t slots_needed(const struct cn_functype *type)
{
    return type->param_slots > type->result_slots ? type->param_slots : type->result_slots;
}

static wasm_trap_t *put_arguments(wasm_store_t *store, const struct cn_functype *type,
                                  const wasm_val_vec_t *arguments, union cn_slot *slots)
{
    char text[160];
    bool fits = arguments->size == type->param_count;

    for (uint32_t i = 0; fits && i < type->param_count; i++)
        fits = cn_wasm_put(store, &arguments->data[i], cn_functype_params(type)[i], &slots[i]);
    return fits ? NULL
                : cn_wasm_trap(store, "the arguments do not fit the function's type %s",
                               cn_functype_print(type, text, sizeof text));
}

/* As many results as there is room for. */
static wasm_trap_t *get_results(wasm_store_t *store, const struct cn_functype *type,
                                const union cn_slot *slots, wasm_val_vec_t *results)
{
    const cn_valtype *types = cn_functype_results(type);

    for (uint32_t i = 0; i < type->result_count && i < results->size; i++) {
        if (!cn_wasm_get(store, slots, types[i], &results->data[i])) {
            while (i-- > 0)
                wasm_val_delete(&results->data[i]);
            return cn_wasm_trap(store, "no memory left to keep a reference");
        }
        slots += cn_valtype_slots(types[i]);
    }
    return NULL;
}

static wasm_trap_t *call(wasm_store_t *store, struct cn_func *func,
                         const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    union cn_slot few[FEW_VALUES], *slots = few;
    const struct cn_functype *type = type_in_store(store, func);
    const size_t room = slots_needed(type);

    if (room > FEW_VALUES)
        slots = cn_alloc_array(cn_heap, room, sizeof *slots);
    if (slots == NULL)
        return cn_wasm_trap(store, "no memory left");
    wasm_trap_t *trap = put_arguments(store, type, arguments, slots);
    if (trap == NULL)
        trap = cn_wasm_run(store, func, slots);
    if (trap == NULL) /* the types may have moved meanwhile */
        trap = get_results(store, type_in_store(store, func), slots, results);
    if (slots != few)
        cn_free(cn_heap, slots, room * sizeof *slots);
    return trap;
}

wasm_trap_t *wasm_func_call(const wasm_func_t *func, const wasm_val_vec_t *arguments,
                            wasm_val_vec_t *results)
{
    static const wasm_val_vec_t no_arguments;
    wasm_val_vec_t no_results = {0, NULL};
    wasm_store_t *store = func->ref.store;

    cn_wasm_store_hold(store); /* whatever the embedder's functions delete */
    wasm_trap_t *trap = call(store, func->ref.func, arguments != NULL ? arguments : &no_arguments,
                             results != NULL ? results : &no_results);
    cn_wasm_store_release(store);
    return trap;
}

/* ------------------------------------------------------------------ calls of the embedder */

static wasm_trap_t *invoke(const struct wasm_host_func *func, const wasm_val_vec_t *arguments,
                           wasm_val_vec_t *results)
{
    return func->plain != NULL ? func->plain(arguments, results)
                               : func->with_env(func->env, arguments, results);
}

/* The trap becomes the guest's. One that the embedder keeps, or that is another store's, is told
 * again, so that the frames of this call are not added to it. */
static enum cn_status trap_with(wasm_store_t *store, wasm_trap_t *trap)
{
    const wasm_message_t *message = &trap->ref.trap->message;

    if (trap->ref.store == store && trap->ref.handles == 1) {
        store->pending = trap;
        return CN_TRAP_HOST;
    }
    store->pending = cn_wasm_trap_with(store, message->data, message->size - 1);
    wasm_trap_delete(trap);
    return CN_TRAP_HOST;
}

static enum cn_status put_results(wasm_store_t *store, const struct cn_functype *type,
                                  const wasm_val_t *results, union cn_slot *slots)
{
    for (uint32_t i = 0; i < type->result_count; i++) {
        if (cn_wasm_put(store, &results[i], cn_functype_results(type)[i], &slots[i]))
            continue;
        store->pending =
            cn_wasm_trap(store, "result %u of a host function is not of its type", i);
        return CN_TRAP_HOST;
    }
    return CN_OK;
}

/* `values` has room for the parameters and the results, all zero. */
static enum cn_status call_with(const struct wasm_host_func *func, wasm_val_t *values,
                                union cn_slot *slots)
{
    const struct cn_functype *type = &func->type;
    wasm_val_vec_t arguments = {type->param_count, values};
    wasm_val_vec_t results = {type->result_count, values + type->param_count};
    wasm_val_t *const given = results.data; /* whatever becomes of the vector */
    enum cn_status status = CN_OK;

    for (uint32_t i = 0; i < type->result_count; i++)
        given[i].kind = cn_wasm_kind(cn_functype_results(type)[i]);
    for (uint32_t i = 0; status == CN_OK && i < type->param_count; i++)
        if (!cn_wasm_get(func->store, &slots[i], cn_functype_params(type)[i], &values[i]))
            status = CN_NO_MEMORY;
    if (status == CN_OK) {
        wasm_trap_t *trap = invoke(func, &arguments, &results);
        status = trap != NULL ? trap_with(func->store, trap)
                              : put_results(func->store, type, given, slots);
    }
    for (uint32_t i = 0; i < type->param_count + type->result_count; i++)
        wasm_val_delete(&values[i]);
    return status;
}

static enum cn_status call_out(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct wasm_host_func *func = env;
    const size_t count = func->type.param_count + func->type.result_count;
    wasm_val_t few[FEW_VALUES] = {0}, *values = few;

    (void)thread;
    if (count > FEW_VALUES)
        values = cn_alloc_array(cn_heap, count, sizeof *values);
    if (values == NULL)
        return CN_NO_MEMORY;
    enum cn_status status = call_with(func, values, slots);
    if (values != few)
        cn_free(cn_heap, values, count * sizeof *values);
    return status;
}

/* ------------------------------------------------------------------ making them */

/* The type in the store's arena; false when memory is exhausted or values of it cannot be passed:
 * those of v128. */
static bool take_type(wasm_store_t *store, const wasm_functype_t *from, struct cn_functype *type)
{
    const wasm_valtype_vec_t *vectors[2] = {wasm_functype_params(from),
                                            wasm_functype_results(from)};
    const size_t count = vectors[0]->size + vectors[1]->size;
    cn_valtype *types = cn_arena_array(&store->arena, count, sizeof *types);
    uint32_t at = 0;

    if (types == NULL || vectors[0]->size > CN_LIMIT_PARAMS ||
        vectors[1]->size > CN_LIMIT_RESULTS)
        return false;
    for (int v = 0; v < 2; v++) {
        for (size_t i = 0; i < vectors[v]->size; i++) {
            const wasm_valtype_t *one = vectors[v]->data[i];
            if (one == NULL || wasm_valtype_kind(one) == WASM_V128)
                return false;
            types[at++] = cn_wasm_valtype(wasm_valtype_kind(one));
        }
    }
    *type = cn_functype_of((uint32_t)vectors[0]->size, (uint32_t)vectors[1]->size, types);
    return true;
}

static wasm_func_t *new_func(wasm_store_t *store, const wasm_functype_t *type,
                             const struct wasm_host_func *how)
{
    struct wasm_host_func *func = cn_arena_alloc(&store->arena, sizeof *func);
    struct cn_func *made;

    if (func == NULL)
        return NULL;
    *func = *how;
    func->store = store;
    if (!take_type(store, type, &func->type) ||
        cn_host_func_new(store->store, &made, &func->type, call_out, func) != CN_OK)
        return NULL;
    struct wasm_ref_t *ref = cn_wasm_ref_of_func(store, made);
    if (ref == NULL)
        return NULL;
    func->next = store->funcs;
    store->funcs = func;
    return (wasm_func_t *)ref;
}

wasm_func_t *wasm_func_new(wasm_store_t *store, const wasm_functype_t *type,
                           wasm_func_callback_t callback)
{
    return new_func(store, type, &(struct wasm_host_func){.plain = callback});
}

wasm_func_t *wasm_func_new_with_env(wasm_store_t *store, const wasm_functype_t *type,
                                    wasm_func_callback_with_env_t callback, void *env,
                                    void (*finalizer)(void *))
{
    return new_func(store, type, &(struct wasm_host_func){.with_env = callback, .env = env,
                                                          .finalizer = finalizer});
}

wasm_functype_t *wasm_func_type(const wasm_func_t *func)
{
    return (wasm_functype_t *)cn_wasm_type_of_func(func->ref.func->type);
}

size_t wasm_func_param_arity(const wasm_func_t *func)
{
    return func->ref.func->type->param_count;
}

size_t wasm_func_result_arity(const wasm_func_t *func)
{
    return func->ref.func->type->result_count;
}
