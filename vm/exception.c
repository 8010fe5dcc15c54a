#include "vm/exception.h"

#include <string.h>

static size_t size_of(const struct cn_tag *tag)
{
    return sizeof(struct cn_exception) + tag->type->param_slots * sizeof(union cn_slot);
}

enum cn_status cn_exception_new(struct cn_store *store, const struct cn_tag *tag,
                                const union cn_slot *values, struct cn_exception **result)
{
    struct cn_exception *made = cn_resize(store->allocator, NULL, 0, size_of(tag));

    if (made == NULL)
        return CN_NO_MEMORY;
    *made = (struct cn_exception){.next = store->exceptions, .tag = tag};
    if (store->exceptions != NULL)
        store->exceptions->before = made;
    store->exceptions = made;
    if (tag->type->param_slots > 0)
        memcpy(made->values, values, tag->type->param_slots * sizeof *values);
    *result = made;
    return CN_OK;
}

static void free_one(struct cn_store *store, struct cn_exception *exception)
{
    if (exception->before != NULL)
        exception->before->next = exception->next;
    else
        store->exceptions = exception->next;
    if (exception->next != NULL)
        exception->next->before = exception->before;
    cn_free(store->allocator, exception, size_of(exception->tag));
}

void cn_exception_drop(struct cn_store *store, struct cn_exception *exception)
{
    if (!exception->is_shared)
        free_one(store, exception);
}

void cn_exceptions_free(struct cn_store *store)
{
    while (store->exceptions != NULL)
        free_one(store, store->exceptions);
}
