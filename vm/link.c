/* Does what is given fit what a module imports? (core 3.4.4 and 4.5.9) */
#include <inttypes.h>
#include <stdio.h>

#include "core/name.h"
#include "vm/instance.h"
#include "vm/types.h"

#define NAME_ROOM 40
#define TYPE_ROOM 80

static void print_limits(const char *kind, uint64_t min, uint64_t max, char *text)
{
    if (max == UINT64_MAX)
        snprintf(text, TYPE_ROOM, "%s of %" PRIu64 " without a maximum", kind, min);
    else
        snprintf(text, TYPE_ROOM, "%s of %" PRIu64 " to %" PRIu64, kind, min, max);
}

static void print_global(const struct cn_global_type *type, char *text)
{
    snprintf(text, TYPE_ROOM, "%s global of %s", type->is_mutable ? "mutable" : "constant",
             cn_valtype_name(type->type));
}

static void print_func(const struct cn_functype *type, char *text)
{
    int used = snprintf(text, TYPE_ROOM, "function ");

    cn_functype_print(type, text + used, (size_t)(TYPE_ROOM - used));
}

static void print_tag(const struct cn_functype *type, char *text)
{
    char printed[TYPE_ROOM - 8];

    snprintf(text, TYPE_ROOM, "tag %s", cn_functype_print(type, printed, sizeof printed));
}

static void print_table(const struct cn_table_type *type, char *text)
{
    char kind[40];

    snprintf(kind, sizeof kind, "%stable of %s, size", type->is_64 ? "64-bit " : "",
             cn_valtype_name(type->element));
    print_limits(kind, type->limits.min, type->limits.max, text);
}

static void print_memory(const struct cn_memory_type *type, char *text)
{
    char kind[40];

    snprintf(kind, sizeof kind, "%s%smemory, %spages", type->is_shared ? "shared " : "",
             type->is_64 ? "64-bit " : "", type->page_log2 == 0 ? "1-byte " : "");
    print_limits(kind, type->limits.min, type->limits.max, text);
}

/* What they are now, as types: their size is the least that they promise. */
static struct cn_table_type type_of_table(const struct cn_table *table)
{
    return (struct cn_table_type){
        table->type, {table->size, table->max}, cn_table_is_64(table)};
}

static struct cn_memory_type type_of_memory(const struct cn_memory *memory)
{
    return (struct cn_memory_type){.limits = {cn_memory_pages(memory), memory->pages_max},
                                   .page_log2 = memory->page_log2,
                                   .is_64 = cn_memory_is_64(memory),
                                   .is_shared = memory->is_shared};
}

static void print_expected(const struct cn_module *module, const struct cn_import *import,
                           char *text)
{
    switch (import->kind) {
    case CN_EXTERN_FUNC:
        print_func(cn_module_type_of(module, import->index), text);
        break;
    case CN_EXTERN_TABLE:
        print_table(&module->tables[import->index].type, text);
        break;
    case CN_EXTERN_MEMORY:
        print_memory(&module->memories[import->index], text);
        break;
    case CN_EXTERN_GLOBAL:
        print_global(&module->globals[import->index].type, text);
        break;
    case CN_EXTERN_TAG:
        print_tag(cn_module_functype(module, module->tags[import->index]), text);
        break;
    }
}

static void print_given(const struct cn_extern *given, char *text)
{
    struct cn_table_type table;
    struct cn_memory_type memory;

    switch (given->kind) {
    case CN_EXTERN_FUNC:
        print_func(given->func->type, text);
        break;
    case CN_EXTERN_TABLE:
        table = type_of_table(given->table);
        print_table(&table, text);
        break;
    case CN_EXTERN_MEMORY:
        memory = type_of_memory(given->memory);
        print_memory(&memory, text);
        break;
    case CN_EXTERN_GLOBAL:
        print_global(&given->global->type, text);
        break;
    case CN_EXTERN_TAG:
        print_tag(given->tag->type, text);
        break;
    }
}

/* A maximum that is not stated is UINT64_MAX, so an import that states none takes all. */
static bool limits_match(const struct cn_limits *wanted, const struct cn_limits *given)
{
    return given->min >= wanted->min && given->max <= wanted->max;
}

static bool memories_match(const struct cn_memory_type *wanted,
                           const struct cn_memory_type *given)
{
    return given->is_64 == wanted->is_64 && given->is_shared == wanted->is_shared &&
           given->page_log2 == wanted->page_log2 &&
           limits_match(&wanted->limits, &given->limits);
}

/* What is wanted, in the store's terms. */
static bool tables_match(const uint32_t *ids, const struct cn_table_type *wanted,
                         const struct cn_table_type *given)
{
    return given->element == cn_types_translate(ids, wanted->element) &&
           given->is_64 == wanted->is_64 && limits_match(&wanted->limits, &given->limits);
}

/* What can be written must be the same; what is only read may be a subtype. */
static bool globals_match(const struct cn_store *store, const uint32_t *ids,
                          const struct cn_global_type *wanted, const struct cn_global_type *given)
{
    cn_valtype type = cn_types_translate(ids, wanted->type);

    if (given->is_mutable != wanted->is_mutable)
        return false;
    return given->type == type ||
           (!wanted->is_mutable &&
            cn_valtype_is_subtype(store->types->types, given->type, type));
}

static bool matches(const struct cn_store *store, const struct cn_module *module,
                    const uint32_t *ids, const struct cn_import *import,
                    const struct cn_extern *given)
{
    uint32_t index = import->index;
    struct cn_table_type table;
    struct cn_memory_type memory;

    if (given->kind != import->kind)
        return false;
    switch (import->kind) {
    case CN_EXTERN_FUNC:
        return cn_types_are_sub(store->types, given->func->type_id,
                                ids[module->funcs[index].type]);
    case CN_EXTERN_TABLE:
        table = type_of_table(given->table);
        return tables_match(ids, &module->tables[index].type, &table);
    case CN_EXTERN_MEMORY:
        memory = type_of_memory(given->memory);
        return memories_match(&module->memories[index], &memory);
    case CN_EXTERN_GLOBAL:
        return globals_match(store, ids, &module->globals[index].type, &given->global->type);
    case CN_EXTERN_TAG:
        return given->tag->type_id == ids[module->tags[index]];
    }
    return false;
}

enum cn_status cn_import_matches(const struct cn_store *store, const struct cn_module *module,
                                 const uint32_t *type_ids, uint32_t import,
                                 const struct cn_extern *given, struct cn_error *error)
{
    const struct cn_import *wanted = &module->imports[import];
    char from[NAME_ROOM], name[NAME_ROOM], expected[TYPE_ROOM], found[TYPE_ROOM];

    if (matches(store, module, type_ids, wanted, given))
        return CN_OK;
    print_expected(module, wanted, expected);
    print_given(given, found);
    return cn_fail(error, CN_UNLINKABLE, CN_NO_OFFSET,
                   "incompatible import type: \"%s\".\"%s\": expected %s, found %s",
                   cn_name_print(wanted->module, from, sizeof from),
                   cn_name_print(wanted->name, name, sizeof name), expected, found);
}
