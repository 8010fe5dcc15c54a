/* What a linker has for imports besides functions: memories, tables, globals, of which each VM gets
 * its own, and modules, of which each VM gets an instance. */
#include <string.h>

#include "api/internal.h"
#include "vm/instance.h"

static bool no_memory(cordon_error_t *error)
{
    return cn_api_fail(error, CORDON_QUOTA, "no memory left");
}

static char *keep(struct cn_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = cn_arena_alloc(arena, size);

    return kept != NULL ? memcpy(kept, text, size) : NULL;
}

/* ------------------------------------------------------------------ offering */

static bool offer(cordon_linker_t *linker, const char *module, const char *name,
                  struct cn_offer offer, cordon_error_t *error)
{
    struct cn_offer **end = &linker->offers;
    struct cn_offer *made = cn_arena_alloc(&linker->arena, sizeof *made);

    if (made == NULL)
        return no_memory(error);
    *made = offer;
    made->module = keep(&linker->arena, module);
    made->name = keep(&linker->arena, name);
    if (made->module == NULL || made->name == NULL)
        return no_memory(error);
    while (*end != NULL)
        end = &(*end)->next;
    *end = made;
    return true;
}

static bool take_limits(uint64_t min, uint64_t max, struct cn_limits *limits,
                        cordon_error_t *error)
{
    *limits = (struct cn_limits){min, max};
    return min <= max || cn_api_fail(error, CORDON_MISUSE,
                                     "a size of at least %llu and at most %llu",
                                     (unsigned long long)min, (unsigned long long)max);
}

bool cordon_linker_memory(cordon_linker_t *linker, const char *module, const char *name,
                          uint64_t min_pages, uint64_t max_pages, cordon_error_t *error)
{
    struct cn_offer made = {.kind = CN_EXTERN_MEMORY, .memory = {.page_log2 = CN_PAGE_LOG2}};

    return take_limits(min_pages, max_pages, &made.memory.limits, error) &&
           offer(linker, module, name, made, error);
}

bool cordon_linker_table(cordon_linker_t *linker, const char *module, const char *name,
                         cordon_type_t type, uint64_t min, uint64_t max, cordon_error_t *error)
{
    struct cn_offer made = {.kind = CN_EXTERN_TABLE, .table = {.element = cn_api_valtype(type)}};

    if (!cn_valtype_is_ref(made.table.element))
        return cn_api_fail(error, CORDON_MISUSE, "%s.%s: tables hold references", module, name);
    return take_limits(min, max, &made.table.limits, error) &&
           offer(linker, module, name, made, error);
}

bool cordon_linker_global(cordon_linker_t *linker, const char *module, const char *name,
                          const cordon_value_t *value, bool is_mutable, cordon_error_t *error)
{
    struct cn_offer made = {.kind = CN_EXTERN_GLOBAL, .value = *value,
                            .global = {cn_api_valtype(value->type), is_mutable}};
    bool is_foreign = (value->type == CORDON_FUNCREF || value->type == CORDON_ANYREF) &&
                      value->ref != NULL;

    if (is_foreign)
        return cn_api_fail(error, CORDON_MISUSE, "%s.%s: it refers to something of one VM's",
                           module, name);
    return offer(linker, module, name, made, error);
}

bool cordon_linker_module(cordon_linker_t *linker, const char *name, cordon_module_t *module,
                          cordon_error_t *error)
{
    struct cn_companion **end = &linker->companions;
    struct cn_companion *made = cn_arena_alloc(&linker->arena, sizeof *made);
    char *kept = keep(&linker->arena, name);

    if (made == NULL || kept == NULL)
        return no_memory(error);
    *made = (struct cn_companion){.name = kept, .module = module};
    while (*end != NULL)
        end = &(*end)->next;
    *end = made;
    return true;
}

/* ------------------------------------------------------------------ giving a VM its own */

static enum cn_status make(struct cn_store *store, const struct cn_offer *offer,
                           struct cn_extern *made, struct cn_error *error)
{
    made->kind = offer->kind;
    switch (offer->kind) {
    case CN_EXTERN_MEMORY:
        return cn_host_memory_new(store, &made->memory, &offer->memory, error);
    case CN_EXTERN_TABLE:
        return cn_host_table_new(store, &made->table, &offer->table, error);
    default:
        CN_TRY(cn_host_global_new(store, &made->global, &offer->global));
        cn_api_put_value(made->global->values, &offer->value);
        return CN_OK;
    }
}

static bool give(struct cordon_vm *vm, const struct cn_offer *offer, cordon_error_t *error)
{
    struct cordon_instance *place = cn_api_instance_named(vm, cn_bytes_of(offer->module));
    struct cn_error cause = {0};

    if (place == NULL)
        place = cn_api_instance_new(vm, offer->module, error);
    if (place == NULL)
        return false;
    struct cn_thing *thing = cn_arena_alloc(&vm->arena, sizeof *thing);
    if (thing == NULL)
        return no_memory(error);
    cause.status = make(vm->vm.store, offer, &thing->external, &cause);
    if (cause.status != CN_OK)
        return cn_api_fail_with(error, &cause);
    thing->name = offer->name;
    thing->next = place->things; /* of two with the same name the later one counts */
    place->things = thing;
    /* A thread's instance, which comes and goes, could leave a reference there. */
    if (offer->kind == CN_EXTERN_TABLE ||
        (offer->kind == CN_EXTERN_GLOBAL && cn_valtype_is_ref(offer->global.type)))
        vm->vm.refuses_threads = true;
    return true;
}

bool cn_api_give_offers(struct cordon_vm *vm, cordon_error_t *error)
{
    for (const struct cn_offer *o = vm->linker->offers; o != NULL; o = o->next)
        if (!give(vm, o, error))
            return false;
    for (const struct cn_companion *c = vm->linker->companions; c != NULL; c = c->next)
        if (cn_api_instance_add(vm, c->name, c->module, error) == NULL)
            return false;
    return true;
}
