/* What instances export, read and written from outside. */
#include "api/internal.h"
#include "vm/heap.h"
#include "vm/instance.h"

static bool find(const struct cordon_instance *instance, const char *name,
                 enum cn_extern_kind kind, struct cn_extern *found, cordon_error_t *error)
{
    if (cn_api_is_started(instance->vm))
        return cn_api_fail(error, CORDON_MISUSE, "the host's workers run the VM");
    if (cn_api_instance_find(instance, cn_bytes_of(name), found) && found->kind == kind)
        return true;
    return cn_api_fail(error, CORDON_NO_EXPORT, "%.60s exports no %s named %.200s", instance->name,
                       cn_extern_kind_name(kind), name);
}

static bool kept(bool is_kept, cordon_error_t *error)
{
    return is_kept || cn_api_fail(error, CORDON_QUOTA, "no memory left to keep a reference");
}

static bool misfit(const char *name, cn_valtype type, cordon_error_t *error)
{
    return cn_api_fail(error, CORDON_MISUSE, "%.200s holds values of type %s", name,
                       cn_valtype_name(type));
}

void *cordon_instance_memory(cordon_instance_t *instance, const char *name, uint64_t *size)
{
    struct cn_extern found;

    *size = 0;
    if (!cn_api_instance_find(instance, cn_bytes_of(name), &found) ||
        found.kind != CN_EXTERN_MEMORY || found.memory->size == 0)
        return NULL;
    *size = found.memory->size;
    return found.memory->base;
}

bool cordon_instance_memory_grow(cordon_instance_t *instance, const char *name, uint64_t pages,
                                 cordon_error_t *error)
{
    struct cn_extern found;

    if (!find(instance, name, CN_EXTERN_MEMORY, &found, error))
        return false;
    uint64_t most = found.memory->pages_max - cn_memory_pages(found.memory);
    if (pages > most)
        return cn_api_fail(error, CORDON_MISUSE, "memory %.200s may have %llu pages more at most",
                           name, (unsigned long long)most);
    return cn_memory_grow(instance->vm->vm.store, found.memory, pages) >= 0 ||
           cn_api_fail(error, CORDON_QUOTA, "no room for %llu pages more within the memory quota",
                       (unsigned long long)pages);
}

bool cordon_instance_func(cordon_instance_t *instance, const char *name, cordon_value_t *function,
                          cordon_error_t *error)
{
    struct cn_extern found;

    if (!find(instance, name, CN_EXTERN_FUNC, &found, error))
        return false;
    *function = (cordon_value_t){.type = CORDON_FUNCREF, .ref = found.func};
    return true;
}

/* ------------------------------------------------------------------ globals */

bool cordon_instance_global(cordon_instance_t *instance, const char *name, cordon_value_t *value,
                            cordon_error_t *error)
{
    struct cn_extern found;

    return find(instance, name, CN_EXTERN_GLOBAL, &found, error) &&
           kept(cn_api_take_value(instance->vm->vm.store, found.global->values,
                                  found.global->type.type, value), error);
}

bool cordon_instance_set_global(cordon_instance_t *instance, const char *name,
                                const cordon_value_t *value, cordon_error_t *error)
{
    struct cn_store *store = instance->vm->vm.store;
    struct cn_extern found;

    if (!find(instance, name, CN_EXTERN_GLOBAL, &found, error))
        return false;
    if (!found.global->type.is_mutable)
        return cn_api_fail(error, CORDON_MISUSE, "global %.200s is a constant", name);
    if (!cn_api_value_fits(store, value, found.global->type.type))
        return misfit(name, found.global->type.type, error);
    cn_heap_finish(store);
    cn_api_put_value(found.global->values, value);
    return true;
}

/* ------------------------------------------------------------------ tables */

bool cordon_instance_table_size(cordon_instance_t *instance, const char *name, uint64_t *size,
                                cordon_error_t *error)
{
    struct cn_extern found;

    if (!find(instance, name, CN_EXTERN_TABLE, &found, error))
        return false;
    *size = found.table->size;
    return true;
}

/* The table, when it has an element of that number. */
static struct cn_table *find_element(const struct cordon_instance *instance, const char *name,
                                     uint64_t index, cordon_error_t *error)
{
    struct cn_extern found;

    if (!find(instance, name, CN_EXTERN_TABLE, &found, error))
        return NULL;
    if (index < found.table->size)
        return found.table;
    cn_api_fail(error, CORDON_MISUSE, "table %.200s has %u elements, and no number %llu", name,
                found.table->size, (unsigned long long)index);
    return NULL;
}

bool cordon_instance_table_get(cordon_instance_t *instance, const char *name, uint64_t index,
                               cordon_value_t *value, cordon_error_t *error)
{
    const struct cn_table *table = find_element(instance, name, index, error);

    if (table == NULL)
        return false;
    union cn_slot slot = {.ref = table->elements[index]};
    return kept(cn_api_take_value(instance->vm->vm.store, &slot, table->type, value), error);
}

bool cordon_instance_table_grow(cordon_instance_t *instance, const char *name, uint64_t count,
                                const cordon_value_t *value, cordon_error_t *error)
{
    struct cn_store *store = instance->vm->vm.store;
    struct cn_extern found;
    union cn_slot slots[2];

    if (!find(instance, name, CN_EXTERN_TABLE, &found, error))
        return false;
    if (!cn_api_value_fits(store, value, found.table->type))
        return misfit(name, found.table->type, error);
    if (count > found.table->max - found.table->size)
        return cn_api_fail(error, CORDON_MISUSE, "table %.200s may have %llu elements at most",
                           name, (unsigned long long)found.table->max);
    cn_heap_finish(store);
    cn_api_put_value(slots, value);
    return cn_table_grow(store, found.table, count, slots[0].ref) >= 0 ||
           cn_api_fail(error, CORDON_QUOTA, "no room for %llu elements more within the memory "
                       "quota", (unsigned long long)count);
}

bool cordon_instance_table_set(cordon_instance_t *instance, const char *name, uint64_t index,
                               const cordon_value_t *value, cordon_error_t *error)
{
    struct cn_store *store = instance->vm->vm.store;
    struct cn_table *table = find_element(instance, name, index, error);
    union cn_slot slots[2];

    if (table == NULL)
        return false;
    if (!cn_api_value_fits(store, value, table->type))
        return misfit(name, table->type, error);
    cn_heap_finish(store);
    cn_api_put_value(slots, value);
    table->elements[index] = slots[0].ref;
    return true;
}
