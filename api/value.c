/* Values as they cross the border: the public form, and slots of the machine. */
#include <string.h>

#include "api/internal.h"
#include "vm/types.h"

cn_valtype cn_api_valtype(cordon_type_t type)
{
    switch (type) {
    case CORDON_I32:
        return CN_I32;
    case CORDON_I64:
        return CN_I64;
    case CORDON_F32:
        return CN_F32;
    case CORDON_F64:
        return CN_F64;
    case CORDON_FUNCREF:
        return CN_FUNCREF;
    case CORDON_EXTERNREF:
        return CN_EXTERNREF;
    case CORDON_ANYREF:
        return cn_ref_abstract(CN_HEAP_ANY, true);
    default:
        return CN_V128;
    }
}

uint32_t cn_api_put_value(union cn_slot *slots, const cordon_value_t *value)
{
    union cn_slot slot = {0};

    switch (value->type) {
    case CORDON_V128:
        memcpy(slots, value->v128, sizeof value->v128);
        return 2;
    case CORDON_I32:
        slot.u64 = (uint32_t)value->i32;
        break;
    case CORDON_F32:
        slot.f32 = value->f32;
        break;
    case CORDON_FUNCREF:
    case CORDON_EXTERNREF:
    case CORDON_ANYREF:
        slot.u64 = cn_api_ref_take(value);
        break;
    default:
        slot.i64 = value->i64;
        break;
    }
    slots[0] = slot;
    return 1;
}

bool cn_api_take_value(struct cn_store *store, const union cn_slot *slots, cn_valtype type,
                       cordon_value_t *value)
{
    const union cn_slot slot = slots[0];

    *value = (cordon_value_t){.type = cn_api_type(type)};
    switch (value->type) {
    case CORDON_I32:
        value->i32 = slot.i32;
        break;
    case CORDON_F32:
        value->f32 = slot.f32;
        break;
    case CORDON_FUNCREF:
    case CORDON_EXTERNREF:
    case CORDON_ANYREF:
        return cn_api_ref_give(store, slot.u64, value);
    case CORDON_V128:
        memcpy(value->v128, slots, sizeof value->v128);
        break;
    default:
        value->i64 = slot.i64;
        break;
    }
    return true;
}

bool cn_api_value_fits(const struct cn_store *store, const cordon_value_t *value, cn_valtype type)
{
    return cn_valtype_is_ref(type) ? cn_api_ref_fits(store, value, type)
                                   : value->type == cn_api_type(type);
}
