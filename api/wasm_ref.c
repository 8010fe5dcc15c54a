/* References of wasm.h: one for everything that is referred to, found again by what that is. */
#include "api/wasm_internal.h"
#include "vm/heap.h"

/* ------------------------------------------------------------------ by what they stand for */

static struct wasm_ref_t **bucket_of(const wasm_store_t *store, uint64_t key)
{
    return &store->buckets[cn_hash_add(&store->keys, 0, key) & (store->bucket_count - 1)];
}

static bool grow_buckets(wasm_store_t *store)
{
    uint32_t old = store->bucket_count, count = old > 0 ? old * 2 : 64;
    struct wasm_ref_t **before = store->buckets;
    struct wasm_ref_t **buckets = cn_alloc_array(cn_heap, count, sizeof(struct wasm_ref_t *));

    if (buckets == NULL)
        return old > 0; /* longer chains */
    store->buckets = buckets;
    store->bucket_count = count;
    for (uint32_t i = 0; i < old; i++) {
        while (before[i] != NULL) {
            struct wasm_ref_t *ref = before[i], **bucket = bucket_of(store, ref->key);
            before[i] = ref->next_in_bucket;
            ref->next_in_bucket = *bucket;
            *bucket = ref;
        }
    }
    cn_free(cn_heap, before, old * sizeof *before);
    return true;
}

static bool place(struct wasm_ref_t *ref, uint64_t key)
{
    wasm_store_t *store = ref->store;

    if (store->placed_count >= store->bucket_count && !grow_buckets(store))
        return false;
    struct wasm_ref_t **bucket = bucket_of(store, key);
    ref->key = key;
    ref->next_in_bucket = *bucket;
    *bucket = ref;
    store->placed_count++;
    return true;
}

static void take_out(struct wasm_ref_t *ref)
{
    struct wasm_ref_t **link = bucket_of(ref->store, ref->key);

    while (*link != ref)
        link = &(*link)->next_in_bucket;
    *link = ref->next_in_bucket;
    ref->store->placed_count--;
}

/* ------------------------------------------------------------------ beginning and end */

struct wasm_ref_t *cn_wasm_ref_new(wasm_store_t *store, enum wasm_ref_kind kind)
{
    struct wasm_ref_t *ref = cn_alloc(cn_heap, sizeof *ref);

    if (ref == NULL)
        return NULL;
    ref->kind = kind;
    ref->store = store;
    ref->handles = 1;
    cn_wasm_store_hold(store);
    ref->previous = store->last;
    *(store->last != NULL ? &store->last->next : &store->first) = ref;
    store->last = ref;
    return ref;
}

static void finalize(struct wasm_ref_t *ref)
{
    void (*finalizer)(void *) = ref->finalizer;
    void *info = ref->host_info;

    ref->finalizer = NULL;
    ref->host_info = NULL;
    if (finalizer != NULL)
        finalizer(info);
}

void cn_wasm_ref_free(struct wasm_ref_t *ref)
{
    wasm_store_t *store = ref->store;

    finalize(ref);
    if (ref->key != 0)
        take_out(ref);
    *(ref->previous != NULL ? &ref->previous->next : &store->first) = ref->next;
    *(ref->next != NULL ? &ref->next->previous : &store->last) = ref->previous;
    if (ref->kind == CN_WASM_MODULE)
        cn_wasm_code_release(ref->code);
    if (ref->kind == CN_WASM_FOREIGN && ref->handle != NULL)
        cn_handle_free(store->store, ref->handle);
    if (ref->kind == CN_WASM_TRAP && ref->trap != NULL) {
        wasm_name_delete(&ref->trap->message);
        cn_free(cn_heap, ref->trap, sizeof *ref->trap);
    }
    cn_free(cn_heap, ref, sizeof *ref);
}

struct wasm_ref_t *cn_wasm_ref_take(struct wasm_ref_t *ref)
{
    ref->handles++;
    cn_wasm_store_hold(ref->store);
    return ref;
}

void cn_wasm_ref_drop(struct wasm_ref_t *ref)
{
    if (ref == NULL)
        return;
    wasm_store_t *store = ref->store;
    if (--ref->handles == 0 && !ref->is_kept)
        cn_wasm_ref_free(ref);
    cn_wasm_store_release(store); /* last: a finalizer may have used the store */
}

void cn_wasm_ref_give_to_store(struct wasm_ref_t *ref)
{
    ref->is_kept = true;
    ref->handles--;
    ref->store->handle_count--;
}

struct wasm_ref_t *cn_wasm_ref_find(wasm_store_t *store, enum wasm_ref_kind kind, uint64_t key)
{
    struct wasm_ref_t *ref = store->bucket_count > 0 ? *bucket_of(store, key) : NULL;

    while (ref != NULL && ref->key != key)
        ref = ref->next_in_bucket;
    if (ref != NULL)
        return cn_wasm_ref_take(ref);
    ref = cn_wasm_ref_new(store, kind);
    if (ref != NULL && !place(ref, key)) {
        cn_wasm_ref_drop(ref);
        return NULL;
    }
    return ref;
}

struct wasm_ref_t *cn_wasm_ref_of_func(wasm_store_t *store, struct cn_func *func)
{
    struct wasm_ref_t *ref = cn_wasm_ref_find(store, CN_WASM_FUNC, (uintptr_t)func);

    if (ref != NULL)
        ref->func = func;
    return ref;
}

struct wasm_ref_t *cn_wasm_ref_of_extern(wasm_store_t *store, const struct cn_extern *external)
{
    static const enum wasm_ref_kind kinds[] = {[CN_EXTERN_FUNC] = CN_WASM_FUNC,
                                               [CN_EXTERN_TABLE] = CN_WASM_TABLE,
                                               [CN_EXTERN_MEMORY] = CN_WASM_MEMORY,
                                               [CN_EXTERN_GLOBAL] = CN_WASM_GLOBAL,
                                               [CN_EXTERN_TAG] = CN_WASM_TAG};
    /* All members of the union are pointers. */
    struct wasm_ref_t *ref =
        cn_wasm_ref_find(store, kinds[external->kind], (uintptr_t)external->func);

    if (ref != NULL)
        ref->func = external->func;
    return ref;
}

struct wasm_ref_t *cn_wasm_ref_of_instance(wasm_store_t *store, struct cn_instance *instance,
                                           struct wasm_code *code)
{
    struct wasm_ref_t *ref = cn_wasm_ref_find(store, CN_WASM_INSTANCE, (uintptr_t)instance);

    if (ref == NULL)
        return NULL;
    ref->instance = instance;
    ref->code = code;
    ref->is_kept = true;
    return ref;
}

/* ------------------------------------------------------------------ what all of them can do */

/* The header's copies take what is const: the same reference, with one handle more. */
static struct wasm_ref_t *taken(const struct wasm_ref_t *ref)
{
    return ref != NULL ? cn_wasm_ref_take((struct wasm_ref_t *)(uintptr_t)ref) : NULL;
}

static void set_info(struct wasm_ref_t *ref, void *info, void (*finalizer)(void *))
{
    finalize(ref);
    ref->host_info = info;
    ref->finalizer = finalizer;
    /* Of what stands for something of the store's; others end with their last handle. */
    if (ref->kind < CN_WASM_MODULE)
        ref->is_kept = true;
}

#define BASE(name, ref_of)                                                                         \
    void wasm_##name##_delete(wasm_##name##_t *one)                                                \
    {                                                                                              \
        cn_wasm_ref_drop((struct wasm_ref_t *)one);                                                \
    }                                                                                              \
    wasm_##name##_t *wasm_##name##_copy(const wasm_##name##_t *one)                                \
    {                                                                                              \
        return (wasm_##name##_t *)taken((const struct wasm_ref_t *)one);                           \
    }                                                                                              \
    bool wasm_##name##_same(const wasm_##name##_t *one, const wasm_##name##_t *other)              \
    {                                                                                              \
        return one == other;                                                                       \
    }                                                                                              \
    void *wasm_##name##_get_host_info(const wasm_##name##_t *one)                                  \
    {                                                                                              \
        return (ref_of)->host_info;                                                                \
    }                                                                                              \
    void wasm_##name##_set_host_info(wasm_##name##_t *one, void *info)                             \
    {                                                                                              \
        set_info(ref_of, info, NULL);                                                              \
    }                                                                                              \
    void wasm_##name##_set_host_info_with_finalizer(wasm_##name##_t *one, void *info,              \
                                                    void (*finalizer)(void *))                     \
    {                                                                                              \
        set_info(ref_of, info, finalizer);                                                         \
    }

#define REFERENCE(name, is_one)                                                                    \
    BASE(name, &one->ref)                                                                          \
    wasm_ref_t *wasm_##name##_as_ref(wasm_##name##_t *one)                                         \
    {                                                                                              \
        return (wasm_ref_t *)one;                                                                  \
    }                                                                                              \
    const wasm_ref_t *wasm_##name##_as_ref_const(const wasm_##name##_t *one)                       \
    {                                                                                              \
        return (const wasm_ref_t *)one;                                                            \
    }                                                                                              \
    wasm_##name##_t *wasm_ref_as_##name(wasm_ref_t *ref)                                           \
    {                                                                                              \
        return ref != NULL && ref->is_one ? (wasm_##name##_t *)ref : NULL;                         \
    }                                                                                              \
    const wasm_##name##_t *wasm_ref_as_##name##_const(const wasm_ref_t *ref)                       \
    {                                                                                              \
        return ref != NULL && ref->is_one ? (const wasm_##name##_t *)ref : NULL;                   \
    }

BASE(ref, one)
CN_WASM_REFS(REFERENCE)

/* ------------------------------------------------------------------ externals */

#define EXTERNAL(name, kind_of)                                                                    \
    wasm_extern_t *wasm_##name##_as_extern(wasm_##name##_t *one)                                   \
    {                                                                                              \
        return (wasm_extern_t *)one;                                                               \
    }                                                                                              \
    const wasm_extern_t *wasm_##name##_as_extern_const(const wasm_##name##_t *one)                 \
    {                                                                                              \
        return (const wasm_extern_t *)one;                                                         \
    }                                                                                              \
    wasm_##name##_t *wasm_extern_as_##name(wasm_extern_t *external)                                \
    {                                                                                              \
        return external != NULL && external->ref.kind == kind_of ? (wasm_##name##_t *)external     \
                                                                 : NULL;                           \
    }                                                                                              \
    const wasm_##name##_t *wasm_extern_as_##name##_const(const wasm_extern_t *external)            \
    {                                                                                              \
        return external != NULL && external->ref.kind == kind_of                                   \
                   ? (const wasm_##name##_t *)external                                             \
                   : NULL;                                                                         \
    }

EXTERNAL(func, CN_WASM_FUNC)
EXTERNAL(global, CN_WASM_GLOBAL)
EXTERNAL(table, CN_WASM_TABLE)
EXTERNAL(memory, CN_WASM_MEMORY)

wasm_externkind_t wasm_extern_kind(const wasm_extern_t *external)
{
    return (wasm_externkind_t)external->ref.kind;
}

wasm_foreign_t *wasm_foreign_new(wasm_store_t *store)
{
    return (wasm_foreign_t *)cn_wasm_ref_new(store, CN_WASM_FOREIGN);
}
