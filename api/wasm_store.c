/* Engines and stores of wasm.h: what they own and when they end. */
#include "api/wasm_internal.h"

struct wasm_config_t {
    bool is_there; /* C has no empty structures */
};

wasm_config_t *wasm_config_new(void)
{
    return cn_alloc(cn_heap, sizeof(wasm_config_t));
}

void wasm_config_delete(wasm_config_t *config)
{
    cn_free(cn_heap, config, sizeof *config);
}

/* ------------------------------------------------------------------ engines */

wasm_engine_t *wasm_engine_new(void)
{
    wasm_engine_t *engine = cn_alloc(cn_heap, sizeof *engine);
    cordon_error_t error;

    if (engine == NULL)
        return NULL;
    engine->host = cordon_host_new(&error);
    if (engine->host == NULL) {
        cn_free(cn_heap, engine, sizeof *engine);
        return NULL;
    }
    /* Several threads may run one module: so nothing is added to its code later. */
    cordon_host_translation(engine->host, CORDON_TRANSLATE_EAGER);
    engine->users = 1;
    return engine;
}

wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *config)
{
    wasm_config_delete(config);
    return wasm_engine_new();
}

void wasm_engine_delete(wasm_engine_t *engine)
{
    if (engine == NULL || atomic_fetch_sub(&engine->users, 1) > 1)
        return;
    cordon_host_free(engine->host);
    cn_free(cn_heap, engine, sizeof *engine);
}

/* ------------------------------------------------------------------ code */

struct wasm_code *cn_wasm_code_take(struct wasm_code *code)
{
    atomic_fetch_add(&code->users, 1);
    return code;
}

void cn_wasm_code_release(struct wasm_code *code)
{
    if (code == NULL || atomic_fetch_sub(&code->users, 1) > 1)
        return;
    cordon_module_free(code->module);
    cn_free(cn_heap, code, sizeof *code + code->size);
}

bool cn_wasm_store_keep(wasm_store_t *store, struct wasm_code *code)
{
    for (struct wasm_kept_code *kept = store->kept; kept != NULL; kept = kept->next)
        if (kept->code == code)
            return true;
    struct wasm_kept_code *kept = cn_arena_alloc(&store->arena, sizeof *kept);
    if (kept == NULL)
        return false;
    *kept = (struct wasm_kept_code){store->kept, cn_wasm_code_take(code)};
    store->kept = kept;
    return true;
}

/* ------------------------------------------------------------------ stores */

wasm_store_t *wasm_store_new(wasm_engine_t *engine)
{
    wasm_store_t *store = cn_alloc(cn_heap, sizeof *store);

    if (store == NULL)
        return NULL;
    cn_account_init(&store->account);
    store->account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    cn_arena_init(&store->arena, cn_heap);
    store->keys = cn_hash_keys();
    if (cn_store_new(&store->store, &store->account) != CN_OK) {
        cn_free(cn_heap, store, sizeof *store);
        return NULL;
    }
    atomic_fetch_add(&engine->users, 1);
    store->engine = engine;
    store->last_resort = cn_wasm_trap(store, "no memory left");
    if (store->last_resort == NULL) {
        wasm_store_delete(store);
        return NULL;
    }
    cn_wasm_ref_give_to_store(&store->last_resort->ref);
    return store;
}

/* Finalizers first, in the order in which the things were made, while everything else stands. They
 * may still use the store. */
static void finalize(wasm_store_t *store)
{
    while (store->first != NULL)
        cn_wasm_ref_free(store->first);
    while (store->funcs != NULL) {
        struct wasm_host_func *func = store->funcs;
        store->funcs = func->next;
        if (func->finalizer != NULL)
            func->finalizer(func->env);
    }
}

static void end_store(wasm_store_t *store)
{
    store->is_ending = true;
    while (store->first != NULL || store->funcs != NULL)
        finalize(store);
    cn_nest_free(&store->nest);
    cn_store_free(store->store);
    for (struct wasm_kept_code *kept = store->kept; kept != NULL; kept = kept->next)
        cn_wasm_code_release(kept->code);
    cn_arena_release(&store->arena);
    cn_free(cn_heap, store->buckets, store->bucket_count * sizeof *store->buckets);
    wasm_engine_delete(store->engine);
    cn_free(cn_heap, store, sizeof *store);
}

void cn_wasm_store_hold(wasm_store_t *store)
{
    store->handle_count++;
}

void cn_wasm_store_release(wasm_store_t *store)
{
    store->handle_count--;
    if (store->is_deleted && store->handle_count == 0 && !store->is_ending)
        end_store(store);
}

void wasm_store_delete(wasm_store_t *store)
{
    if (store == NULL || store->is_deleted)
        return;
    cn_wasm_store_hold(store);
    store->is_deleted = true;
    cn_wasm_store_release(store);
}
