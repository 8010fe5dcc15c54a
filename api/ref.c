/* References that cross the border: numbers of the host's are told from objects by two bits, and
 * objects are known to the embedder by handles, which keep them alive. */
#include "api/internal.h"
#include "vm/heap.h"
#include "vm/types.h"

#define HOST_VALUE_MAX ((uint64_t)1 << 62)

/* Whether an object may be given where a reference of the hierarchy is wanted: exceptions are one
 * kind of objects, all others another. */
static bool object_fits(const struct cn_store *store, uint64_t reference,
                        enum cn_hierarchy hierarchy)
{
    const struct cn_object *object = cn_ref_object(reference);
    bool is_exception =
        object != NULL && store->types->layouts[object->type].kind == CN_DEF_FUNC;

    return is_exception == (hierarchy == CN_HIERARCHY_EXN);
}

bool cn_api_ref_fits(const struct cn_store *store, const cordon_value_t *value, cn_valtype type)
{
    enum cn_hierarchy hierarchy = cn_ref_hierarchy(type);
    const struct cn_handle *handle = value->ref;

    switch (value->type) {
    case CORDON_FUNCREF:
        return hierarchy == CN_HIERARCHY_FUNC && value->ref == NULL;
    case CORDON_EXTERNREF:
        if (hierarchy == CN_HIERARCHY_EXN)
            return value->ref == NULL;
        return hierarchy != CN_HIERARCHY_FUNC && (uintptr_t)value->ref < HOST_VALUE_MAX;
    case CORDON_ANYREF:
        return hierarchy != CN_HIERARCHY_FUNC &&
               (handle == NULL || object_fits(store, handle->reference, hierarchy));
    default:
        return false;
    }
}

uint64_t cn_api_ref_take(const cordon_value_t *value)
{
    const struct cn_handle *handle = value->ref;

    if (value->ref == NULL || value->type == CORDON_FUNCREF)
        return 0;
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
