/* Handlers that move several slots, and the small ones around references. */
#include "handlers_made.h"

OP(mov2)
{
    uint64_t first = S64(CN_AT_MOV2_from0);
    uint64_t second = S64(CN_AT_MOV2_from1);

    SET_S(CN_AT_MOV2_to0, first);
    SET_S(CN_AT_MOV2_to1, second);
    NEXT(CN_SIZE_MOV2);
}

OP(mov3)
{
    uint64_t first = S64(CN_AT_MOV3_from0);
    uint64_t second = S64(CN_AT_MOV3_from1);
    uint64_t third = S64(CN_AT_MOV3_from2);

    SET_S(CN_AT_MOV3_to0, first);
    SET_S(CN_AT_MOV3_to1, second);
    SET_S(CN_AT_MOV3_to2, third);
    NEXT(CN_SIZE_MOV3);
}

OP(zero)
{
    union cn_slot *slot = fp + FIELD16(CN_AT_ZERO_first);
    const union cn_slot *end = slot + FIELD16(CN_AT_ZERO_count);

    while (slot < end)
        (slot++)->u64 = 0;
    NEXT(CN_SIZE_ZERO);
}

OP(ref_null)
{
    SET_S(CN_AT_REF_NULL_d, 0);
    NEXT(CN_SIZE_REF_NULL);
}

OP(ref_func)
{
    SET_S(CN_AT_REF_FUNC_d, (uintptr_t)t->funcs[FIELD32(CN_AT_REF_FUNC_func)]);
    NEXT(CN_SIZE_REF_FUNC);
}
