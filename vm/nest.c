#include "vm/nest.h"

enum cn_status cn_nest_enter(struct cn_nest *nest, struct cn_store *store, size_t stack_size,
                             struct cn_thread **thread)
{
    if (nest->depth == CN_LIMIT_NATIVE_NESTING)
        return CN_TRAP_NESTING;
    struct cn_thread **level = &nest->threads[nest->depth];
    if (*level == NULL && cn_thread_new(store, stack_size, level) != CN_OK)
        return CN_TRAP_STACK_OVERFLOW;
    nest->depth++;
    *thread = *level;
    return CN_OK;
}

void cn_nest_leave(struct cn_nest *nest)
{
    nest->depth--;
}

void cn_nest_free(struct cn_nest *nest)
{
    for (uint32_t i = 0; i < CN_LIMIT_NATIVE_NESTING && nest->threads[i] != NULL; i++) {
        cn_thread_free(nest->threads[i]);
        nest->threads[i] = NULL;
    }
}
