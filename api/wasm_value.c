/* Values of wasm.h, and how they stand in slots of the machine. */
#include "api/wasm_internal.h"
#include "vm/heap.h"
#include "vm/types.h"

void wasm_val_delete(wasm_val_t *value)
{
    if (value == NULL || !wasm_valkind_is_ref(value->kind))
        return;
    wasm_ref_delete(value->of.ref);
    value->of.ref = NULL;
}

void wasm_val_copy(wasm_val_t *out, const wasm_val_t *value)
{
    *out = *value;
    if (wasm_valkind_is_ref(value->kind) && value->of.ref != NULL)
        cn_wasm_ref_take(value->of.ref);
}

/* ------------------------------------------------------------------ references */

static struct wasm_ref_t *host_ref(uint64_t reference)
{
    return (struct wasm_ref_t *)(uintptr_t)(reference >> 2);
}

/* What stands for a reference of the embedder's in a slot. */
static uint64_t host_number(const struct wasm_ref_t *ref)
{
    return (uint64_t)(uintptr_t)ref << 2 | CN_REF_HOST_BITS;
}

bool cn_wasm_put_ref(wasm_store_t *store, struct wasm_ref_t *ref, cn_valtype type,
                     union cn_slot *slot)
{
    enum cn_hierarchy hierarchy = cn_ref_hierarchy(type);

    *slot = (union cn_slot){.u64 = 0};
    if (ref == NULL)
        return cn_ref_is_nullable(type);
    if (ref->store != store)
        return false;
    bool is_func = hierarchy == CN_HIERARCHY_FUNC;
    if (is_func && ref->kind != CN_WASM_FUNC)
        return false;
    bool is_object = ref->kind == CN_WASM_FOREIGN && ref->handle != NULL;
    uint64_t reference = is_func     ? (uintptr_t)ref->func
                         : is_object ? ref->handle->reference
                                     : host_number(ref);
    if (!cn_api_ref_is(store->store, reference, type))
        return false;
    if (!is_object && !is_func)
        ref->is_kept = true; /* from now on a guest may have it */
    slot->u64 = reference;
    return true;
}

/* The one foreign for an object of the guest's: NULL when memory is exhausted. */
static struct wasm_ref_t *object_ref(wasm_store_t *store, uint64_t reference)
{
    struct wasm_ref_t *ref = cn_wasm_ref_find(store, CN_WASM_FOREIGN, reference);

    if (ref == NULL || ref->handle != NULL)
        return ref;
    ref->handle = cn_handle_new(store->store, reference);
    if (ref->handle != NULL)
        return ref;
    cn_wasm_ref_drop(ref);
    return NULL;
}

bool cn_wasm_get_ref(wasm_store_t *store, const union cn_slot *slot, cn_valtype type,
                     struct wasm_ref_t **ref)
{
    *ref = NULL;
    if (slot->u64 == 0)
        return true;
    if (cn_ref_hierarchy(type) == CN_HIERARCHY_FUNC)
        *ref = cn_wasm_ref_of_func(store, slot->ref);
    else if ((slot->u64 & CN_REF_TAG_BITS) == CN_REF_HOST_BITS)
        *ref = cn_wasm_ref_take(host_ref(slot->u64));
    else
        *ref = object_ref(store, slot->u64);
    return *ref != NULL;
}

/* ------------------------------------------------------------------ all kinds */

bool cn_wasm_put(wasm_store_t *store, const wasm_val_t *value, cn_valtype type,
                 union cn_slot *slot)
{
    if (cn_valtype_is_ref(type))
        return wasm_valkind_is_ref(value->kind) &&
               cn_wasm_put_ref(store, value->of.ref, type, slot);
    if (value->kind != cn_wasm_kind(type))
        return false;
    *slot = (union cn_slot){.u64 = 0};
    switch (value->kind) {
    case WASM_I32:
        slot->i32 = value->of.i32;
        return true;
    case WASM_F32:
        slot->f32 = value->of.f32;
        return true;
    case WASM_I64:
        slot->i64 = value->of.i64;
        return true;
    case WASM_F64:
        slot->f64 = value->of.f64;
        return true;
    default:
        return false; /* a v128 */
    }
}

bool cn_wasm_get(wasm_store_t *store, const union cn_slot *slot, cn_valtype type,
                 wasm_val_t *value)
{
    *value = (wasm_val_t){.kind = cn_wasm_kind(type), .of = {.i64 = 0}};
    if (cn_valtype_is_ref(type))
        return cn_wasm_get_ref(store, slot, type, &value->of.ref);
    switch (value->kind) {
    case WASM_I32:
        value->of.i32 = slot->i32;
        break;
    case WASM_F32:
        value->of.f32 = slot->f32;
        break;
    case WASM_I64:
        value->of.i64 = slot->i64;
        break;
    case WASM_F64:
        value->of.f64 = slot->f64;
        break;
    default:
        break;
    }
    return true;
}
