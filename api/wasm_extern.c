/* Globals, tables and memories of wasm.h, and what all externals have in common. */
#include "api/wasm_internal.h"
#include "vm/instance.h"

/* A limit of the embedder's as one of a module's. */
static bool take_limits(const wasm_limits_t *from, struct cn_limits *limits)
{
    *limits = (struct cn_limits){from->min, UINT64_MAX};
    if (from->max != wasm_limits_max_default)
        limits->max = from->max;
    return limits->min <= limits->max;
}

/* ------------------------------------------------------------------ globals */

wasm_global_t *wasm_global_new(wasm_store_t *store, const wasm_globaltype_t *type,
                               const wasm_val_t *value)
{
    struct cn_global_type wanted = {
        cn_wasm_valtype(wasm_valtype_kind(wasm_globaltype_content(type))),
        wasm_globaltype_mutability(type) == WASM_VAR};
    struct cn_extern made = {.kind = CN_EXTERN_GLOBAL};
    union cn_slot slot;

    if (!cn_wasm_put(store, value, wanted.type, &slot) ||
        cn_host_global_new(store->store, &made.global, &wanted) != CN_OK)
        return NULL;
    made.global->value = slot;
    return (wasm_global_t *)cn_wasm_ref_of_extern(store, &made);
}

wasm_globaltype_t *wasm_global_type(const wasm_global_t *global)
{
    return (wasm_globaltype_t *)cn_wasm_type_of_global(&global->ref.global->type);
}

void wasm_global_get(const wasm_global_t *global, wasm_val_t *out)
{
    const struct cn_global *from = global->ref.global;

    if (!cn_wasm_get(global->ref.store, from->values, from->type.type, out))
        out->of.ref = NULL;
}

void wasm_global_set(wasm_global_t *global, const wasm_val_t *value)
{
    struct cn_global *to = global->ref.global;
    union cn_slot slot;

    if (to->type.is_mutable && cn_wasm_put(global->ref.store, value, to->type.type, &slot))
        to->value = slot;
}

/* ------------------------------------------------------------------ tables */

wasm_table_t *wasm_table_new(wasm_store_t *store, const wasm_tabletype_t *type, wasm_ref_t *init)
{
    struct cn_table_type wanted = {
        .element = cn_wasm_valtype(wasm_valtype_kind(wasm_tabletype_element(type)))};
    struct cn_extern made = {.kind = CN_EXTERN_TABLE};
    struct cn_error error;
    union cn_slot slot;

    if (!cn_valtype_is_ref(wanted.element) ||
        !take_limits(wasm_tabletype_limits(type), &wanted.limits) ||
        !cn_wasm_put_ref(store, init, wanted.element, &slot) ||
        cn_host_table_new(store->store, &made.table, &wanted, &error) != CN_OK)
        return NULL;
    for (uint32_t i = 0; i < made.table->size && slot.ref != NULL; i++)
        made.table->elements[i] = slot.ref;
    return (wasm_table_t *)cn_wasm_ref_of_extern(store, &made);
}

static struct cn_table_type type_of_table(const struct cn_table *table)
{
    return (struct cn_table_type){
        table->type, {table->size, table->max}, cn_table_is_64(table)};
}

wasm_tabletype_t *wasm_table_type(const wasm_table_t *table)
{
    struct cn_table_type type = type_of_table(table->ref.table);

    return (wasm_tabletype_t *)cn_wasm_type_of_table(&type);
}

wasm_ref_t *wasm_table_get(const wasm_table_t *table, wasm_table_size_t index)
{
    const struct cn_table *from = table->ref.table;
    struct wasm_ref_t *ref = NULL;

    if (index >= from->size)
        return NULL;
    union cn_slot slot = {.ref = from->elements[index]};
    return cn_wasm_get_ref(table->ref.store, &slot, from->type, &ref) ? ref : NULL;
}

bool wasm_table_set(wasm_table_t *table, wasm_table_size_t index, wasm_ref_t *ref)
{
    struct cn_table *to = table->ref.table;
    union cn_slot slot;

    if (index >= to->size || !cn_wasm_put_ref(table->ref.store, ref, to->type, &slot))
        return false;
    to->elements[index] = slot.ref;
    return true;
}

wasm_table_size_t wasm_table_size(const wasm_table_t *table)
{
    return table->ref.table->size;
}

bool wasm_table_grow(wasm_table_t *table, wasm_table_size_t delta, wasm_ref_t *init)
{
    struct cn_table *to = table->ref.table;
    union cn_slot slot;

    return cn_wasm_put_ref(table->ref.store, init, to->type, &slot) &&
           cn_table_grow(table->ref.store->store, to, delta, slot.ref) >= 0;
}

/* ------------------------------------------------------------------ memories */

wasm_memory_t *wasm_memory_new(wasm_store_t *store, const wasm_memorytype_t *type)
{
    struct cn_memory_type wanted = {.page_log2 = CN_PAGE_LOG2};
    struct cn_extern made = {.kind = CN_EXTERN_MEMORY};
    struct cn_error error;

    if (!take_limits(wasm_memorytype_limits(type), &wanted.limits) ||
        cn_host_memory_new(store->store, &made.memory, &wanted, &error) != CN_OK)
        return NULL;
    return (wasm_memory_t *)cn_wasm_ref_of_extern(store, &made);
}

static struct cn_memory_type type_of_memory(const struct cn_memory *memory)
{
    return (struct cn_memory_type){.limits = {cn_memory_pages(memory), memory->pages_max}};
}

wasm_memorytype_t *wasm_memory_type(const wasm_memory_t *memory)
{
    struct cn_memory_type type = type_of_memory(memory->ref.memory);

    return (wasm_memorytype_t *)cn_wasm_type_of_memory(&type);
}

byte_t *wasm_memory_data(wasm_memory_t *memory)
{
    return (byte_t *)memory->ref.memory->base;
}

size_t wasm_memory_data_size(const wasm_memory_t *memory)
{
    return memory->ref.memory->size;
}

wasm_memory_pages_t wasm_memory_size(const wasm_memory_t *memory)
{
    uint64_t pages = cn_memory_pages(memory->ref.memory);

    return pages < UINT32_MAX ? (wasm_memory_pages_t)pages : UINT32_MAX;
}

bool wasm_memory_grow(wasm_memory_t *memory, wasm_memory_pages_t delta)
{
    return cn_memory_grow(memory->ref.store->store, memory->ref.memory, delta) >= 0;
}

/* ------------------------------------------------------------------ all of them */

wasm_externtype_t *wasm_extern_type(const wasm_extern_t *external)
{
    const struct wasm_ref_t *ref = &external->ref;
    struct cn_table_type table;
    struct cn_memory_type memory;

    switch (ref->kind) {
    case CN_WASM_FUNC:
        return cn_wasm_type_of_func(ref->func->type);
    case CN_WASM_GLOBAL:
        return cn_wasm_type_of_global(&ref->global->type);
    case CN_WASM_TABLE:
        table = type_of_table(ref->table);
        return cn_wasm_type_of_table(&table);
    case CN_WASM_MEMORY:
        memory = type_of_memory(ref->memory);
        return cn_wasm_type_of_memory(&memory);
    default:
        return cn_wasm_externtype(WASM_EXTERN_TAG);
    }
}
