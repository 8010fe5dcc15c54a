/* References that cross the border: numbers of the host's are told from objects by two bits, and
 * objects are known to the embedder by handles, which keep them alive. */
#include "api/internal.h"
#include "vm/heap.h"
#include "vm/types.h"

#define HOST_VALUE_MAX ((uint64_t)1 << 62)

/* An object's own type, in the store's terms. */
static cn_valtype type_of_object(const struct cn_store *store, const struct cn_object *object)
{
    if (store->types->layouts[object->type].kind == CN_DEF_FUNC)
        return cn_ref_abstract(CN_HEAP_EXN, false);
    return cn_ref_defined(object->type, CN_HIERARCHY_ANY, false);
}

static cn_valtype type_of_func(const struct cn_func *func)
{
    return cn_ref_defined(func->type_id, CN_HIERARCHY_FUNC, false);
}

/* The most that can be said of a reference that is not null. Objects can be seen as externrefs, and
 * what is the embedder's as anyrefs (extern.convert_any and back). */
static cn_valtype type_of_reference(const struct cn_store *store, uint64_t reference,
                                    enum cn_hierarchy wanted)
{
    if (wanted == CN_HIERARCHY_FUNC)
        return type_of_func((const struct cn_func *)(uintptr_t)reference);
    const struct cn_object *object = cn_ref_object(reference);
    cn_valtype type = cn_ref_abstract(CN_HEAP_ANY, false);
    if (object != NULL)
        type = type_of_object(store, object);
    else if ((reference & CN_REF_TAG_BITS) != CN_REF_HOST_BITS)
        type = cn_ref_abstract(CN_HEAP_I31, false);
    if (wanted == CN_HIERARCHY_EXTERN && cn_ref_hierarchy(type) == CN_HIERARCHY_ANY)
        type = cn_ref_abstract(CN_HEAP_EXTERN, false);
    return type;
}

bool cn_api_ref_is(const struct cn_store *store, uint64_t reference, cn_valtype type)
{
    if (reference == 0)
        return cn_ref_is_nullable(type);
    return cn_valtype_is_subtype(store->types->types,
                                 type_of_reference(store, reference, cn_ref_hierarchy(type)),
                                 type);
}

bool cn_api_ref_fits(const struct cn_store *store, const cordon_value_t *value, cn_valtype type)
{
    bool is_func = cn_ref_hierarchy(type) == CN_HIERARCHY_FUNC;

    switch (value->type) {
    case CORDON_FUNCREF:
        if (!is_func)
            return false;
        break;
    case CORDON_EXTERNREF:
        if (is_func || (uintptr_t)value->ref >= HOST_VALUE_MAX)
            return false;
        break;
    case CORDON_ANYREF:
        if (is_func)
            return false;
        break;
    default:
        return false;
    }
    return cn_api_ref_is(store, cn_api_ref_take(value), type);
}

uint64_t cn_api_ref_take(const cordon_value_t *value)
{
    const struct cn_handle *handle = value->ref;

    if (value->ref == NULL || value->type == CORDON_FUNCREF)
        return (uintptr_t)value->ref;
    return value->type == CORDON_ANYREF ? handle->reference
                                        : (uint64_t)(uintptr_t)value->ref << 2 | CN_REF_HOST_BITS;
}

bool cn_api_ref_give(struct cn_store *store, uint64_t reference, cordon_value_t *value)
{
    if (reference == 0 || value->type == CORDON_FUNCREF) {
        value->ref = (void *)(uintptr_t)reference;
        return true;
    }
    if ((reference & CN_REF_TAG_BITS) == CN_REF_HOST_BITS) {
        value->type = CORDON_EXTERNREF;
        value->ref = (void *)(uintptr_t)(reference >> 2);
        return true;
    }
    value->type = CORDON_ANYREF;
    value->ref = cn_handle_new(store, reference);
    return value->ref != NULL;
}

void cordon_ref_release(cordon_vm_t *vm, const cordon_value_t *value)
{
    if (value->type == CORDON_ANYREF)
        cn_handle_free(vm->vm.store, value->ref);
}
