#include "vm/instance.h"

#include "vm/constexpr.h"
#include "vm/heap.h"
#include "vm/segment.h"
#include "vm/store.h"
#include "vm/types.h"

/* An instance and its arrays are one block. First it is measured, then the same walk over a
 * real block gives every array its place. */
struct carver {
    uint8_t *block; /* NULL while measuring */
    uint64_t used;
};

/* Counts are 32 bits and sizes below 256, so nothing here overflows. */
static void *carve(struct carver *carver, uint64_t count, uint64_t size)
{
    void *piece = carver->block != NULL ? carver->block + carver->used : NULL;

    carver->used += (count * size + 15) & ~(uint64_t)15;
    return piece;
}

struct own {
    struct cn_func *funcs;
    struct cn_table *tables;
    struct cn_memory *memories;
    struct cn_global *globals;
    struct cn_tag *tags;
};

static uint64_t lay_out(const struct cn_module *module, uint8_t *block, struct own *own)
{
    struct carver carver = {block, 0};
    struct cn_instance unused;
    struct cn_instance *made = carve(&carver, 1, sizeof *made);

    if (made == NULL)
        made = &unused;
    made->funcs = carve(&carver, module->func_count, sizeof *made->funcs);
    made->tables = carve(&carver, module->table_count, sizeof *made->tables);
    made->memories = carve(&carver, (uint64_t)module->memory_count + 1, sizeof *made->memories);
    made->globals = carve(&carver, module->global_count, sizeof *made->globals);
    made->tags = carve(&carver, module->tag_count, sizeof *made->tags);
    made->type_ids = carve(&carver, module->type_count, sizeof *made->type_ids);
    made->element_values = carve(&carver, module->element_count, sizeof *made->element_values);
    made->element_dropped = carve(&carver, module->element_count, sizeof(bool));
    made->data_dropped = carve(&carver, module->data_count, sizeof(bool));
    own->funcs = carve(&carver, module->func_count - module->imported_func_count,
                       sizeof *own->funcs);
    own->tables = carve(&carver, module->table_count - module->imported_table_count,
                        sizeof *own->tables);
    own->memories = carve(&carver, module->memory_count - module->imported_memory_count,
                          sizeof *own->memories);
    own->globals = carve(&carver, module->global_count - module->imported_global_count,
                         sizeof *own->globals);
    own->tags = carve(&carver, module->tag_count - module->imported_tag_count,
                      sizeof *own->tags);
    return carver.used;
}

static void point_at_own(struct cn_instance *instance, const struct own *own)
{
    const struct cn_module *module = instance->module;
    uint32_t i;

    for (i = module->imported_func_count; i < module->func_count; i++)
        instance->funcs[i] = &own->funcs[i - module->imported_func_count];
    for (i = module->imported_table_count; i < module->table_count; i++)
        instance->tables[i] = &own->tables[i - module->imported_table_count];
    for (i = module->imported_memory_count; i < module->memory_count; i++)
        instance->memories[i] = &own->memories[i - module->imported_memory_count];
    if (module->memory_count == 0)
        instance->memories[0] = &instance->store->no_memory;
    for (i = module->imported_global_count; i < module->global_count; i++)
        instance->globals[i] = &own->globals[i - module->imported_global_count];
    for (i = module->imported_tag_count; i < module->tag_count; i++)
        instance->tags[i] = &own->tags[i - module->imported_tag_count];
}

static enum cn_status new_instance(struct cn_store *store, struct cn_program *program,
                                   struct cn_instance **result, struct cn_error *error)
{
    struct own own;
    uint64_t size = lay_out(program->module, NULL, &own);
    uint8_t *block = cn_alloc(store->allocator, size);

    if (block == NULL)
        return cn_store_no_room(store, error, "functions, tables and globals of the module",
                                size);
    lay_out(program->module, block, &own);
    struct cn_instance *instance = (void *)block;
    instance->store = store;
    instance->module = program->module;
    instance->program = program;
    instance->block_size = size;
    point_at_own(instance, &own);
    *result = instance;
    return CN_OK;
}

void cn_instance_free(struct cn_instance *instance)
{
    const struct cn_module *module = instance->module;
    struct cn_store *store = instance->store;

    for (uint32_t i = module->imported_memory_count; i < module->memory_count; i++)
        cn_memory_release(store, instance->memories[i]);
    for (uint32_t i = module->imported_table_count; i < module->table_count; i++)
        cn_table_release(store, instance->tables[i]);
    for (uint32_t i = 0; i < module->element_count; i++)
        cn_segment_drop(instance, i);
    cn_account_refund(store->account, CN_QUOTA_MEMORY, instance->code_charge);
    cn_free(store->allocator, instance, instance->block_size);
}

static enum cn_status join_imports(struct cn_instance *instance, const struct cn_extern *externs,
                                   struct cn_error *error)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = 0; i < module->import_count; i++) {
        uint32_t index = module->imports[i].index;
        CN_TRY(cn_import_matches(instance->store, module, instance->type_ids, i, &externs[i],
                                 error));
        switch (externs[i].kind) {
        case CN_EXTERN_FUNC:
            instance->funcs[index] = externs[i].func;
            break;
        case CN_EXTERN_TABLE:
            instance->tables[index] = externs[i].table;
            break;
        case CN_EXTERN_MEMORY:
            instance->memories[index] = externs[i].memory;
            break;
        case CN_EXTERN_GLOBAL:
            instance->globals[index] = externs[i].global;
            break;
        case CN_EXTERN_TAG:
            instance->tags[index] = externs[i].tag;
            break;
        }
    }
    return CN_OK;
}

/* Bodies are views of one file, so the sum is far from an overflow. */
static enum cn_status charge_code(struct cn_instance *instance, struct cn_error *error)
{
    const struct cn_module *module = instance->module;
    struct cn_store *store = instance->store;
    uint64_t charge = 0, per_byte = instance->program->code_per_byte;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++)
        charge += module->funcs[i].body.size * per_byte;
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, charge) != CN_OK)
        return cn_store_no_room(store, error, "code of the module", charge);
    instance->code_charge = charge;
    return CN_OK;
}

static enum cn_status number_types(struct cn_instance *instance, struct cn_error *error)
{
    const struct cn_module *module = instance->module;

    if (cn_types_add(instance->store->types, module, instance->type_ids) != CN_OK)
        return cn_store_no_room(instance->store, error, "types of the module",
                                (uint64_t)module->type_count * sizeof(struct cn_deftype));
    return CN_OK;
}

static void make_funcs(struct cn_instance *instance)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        uint32_t type = module->funcs[i].type;
        *instance->funcs[i] = (struct cn_func){
            .type_id = instance->type_ids[type],
            .index = i,
            .instance = instance,
            .code = &instance->program->funcs[i],
            .type = cn_module_functype(module, type),
        };
    }
}

static void make_tags(struct cn_instance *instance)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = module->imported_tag_count; i < module->tag_count; i++)
        *instance->tags[i] = (struct cn_tag){
            .type_id = instance->type_ids[module->tags[i]],
            .type = cn_module_functype(module, module->tags[i]),
        };
}

static enum cn_status make_storage(struct cn_instance *instance, struct cn_error *error)
{
    const struct cn_module *module = instance->module;
    struct cn_store *store = instance->store;
    uint32_t i;

    for (i = module->imported_table_count; i < module->table_count; i++) {
        struct cn_table_type type = module->tables[i].type;
        type.element = cn_types_translate(instance->type_ids, type.element);
        CN_TRY(cn_table_init(store, instance->tables[i], &type, i, error));
    }
    for (i = module->imported_memory_count; i < module->memory_count; i++)
        CN_TRY(cn_memory_init(store, instance->memories[i], &module->memories[i], i, error));
    return CN_OK;
}

static enum cn_status make_globals(struct cn_instance *instance, struct cn_error *error)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = module->imported_global_count; i < module->global_count; i++) {
        struct cn_global *global = instance->globals[i];
        global->type = module->globals[i].type;
        global->type.type = cn_types_translate(instance->type_ids, global->type.type);
        enum cn_status status = cn_constexpr_eval(instance, module->globals[i].init, i,
                                                  global->type.type, global->values);
        if (status != CN_OK)
            return cn_fail(error, status, CN_NO_OFFSET, "global %u: %s", i,
                           cn_status_text(status));
    }
    return CN_OK;
}

/* What the elements of the module's own tables are at first. */
static enum cn_status init_tables(struct cn_instance *instance, struct cn_error *error)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = module->imported_table_count; i < module->table_count; i++) {
        struct cn_table *table = instance->tables[i];
        union cn_slot value = {.ref = NULL};
        if (module->tables[i].init.code.size == 0)
            continue;
        enum cn_status status = cn_constexpr_eval(instance, module->tables[i].init,
                                                  module->global_count, table->type, &value);
        if (status != CN_OK)
            return cn_fail(error, status, CN_NO_OFFSET, "table %u: %s", i, cn_status_text(status));
        for (uint32_t j = 0; j < table->size; j++)
            table->elements[j] = value.ref;
    }
    return CN_OK;
}

static enum cn_status build(struct cn_instance *instance, const struct cn_extern *externs,
                            bool *escaped, struct cn_error *error)
{
    CN_TRY(number_types(instance, error));
    CN_TRY(join_imports(instance, externs, error));
    CN_TRY(charge_code(instance, error));
    make_funcs(instance);
    make_tags(instance);
    CN_TRY(make_storage(instance, error));
    CN_TRY(make_globals(instance, error));
    CN_TRY(init_tables(instance, error));
    return cn_segments_write(instance, escaped, error);
}

enum cn_status cn_instantiate(struct cn_store *store, struct cn_program *program,
                              const struct cn_extern *externs, struct cn_instance **result,
                              struct cn_error *error)
{
    struct cn_instance *instance = NULL;

    cn_heap_finish(store);
    uint32_t type_count = store->types->count;
    bool escaped = false;

    CN_TRY(new_instance(store, program, &instance, error));
    enum cn_status status = build(instance, externs, &escaped, error);
    if (status != CN_OK && !escaped) {
        cn_instance_free(instance);
        cn_types_forget(store->types, type_count);
        return status;
    }
    instance->next = store->instances;
    store->instances = instance;
    if (status == CN_OK)
        *result = instance;
    return status;
}

struct cn_extern cn_instance_extern(const struct cn_instance *instance,
                                    const struct cn_export *export)
{
    struct cn_extern found = {.kind = export->kind};

    switch (export->kind) {
    case CN_EXTERN_FUNC:
        found.func = instance->funcs[export->index];
        break;
    case CN_EXTERN_TABLE:
        found.table = instance->tables[export->index];
        break;
    case CN_EXTERN_MEMORY:
        found.memory = instance->memories[export->index];
        break;
    case CN_EXTERN_GLOBAL:
        found.global = instance->globals[export->index];
        break;
    case CN_EXTERN_TAG:
        found.tag = instance->tags[export->index];
        break;
    }
    return found;
}

bool cn_instance_export(const struct cn_instance *instance, struct cn_bytes name,
                        struct cn_extern *result)
{
    const struct cn_export *found = cn_module_find_export(instance->module, name);

    if (found != NULL)
        *result = cn_instance_extern(instance, found);
    return found != NULL;
}

enum cn_status cn_instantiate_again(struct cn_store *store, struct cn_program *program,
                                    const struct cn_extern *externs,
                                    struct cn_instance **result, struct cn_error *error)
{
    CN_TRY(cn_instantiate(store, program, externs, result, error));
    cn_account_refund(store->account, CN_QUOTA_MEMORY, (*result)->code_charge);
    (*result)->code_charge = 0;
    return CN_OK;
}

void cn_instance_drop(struct cn_instance *instance)
{
    struct cn_instance **link = &instance->store->instances;

    cn_heap_finish(instance->store);
    while (*link != instance)
        link = &(*link)->next;
    *link = instance->next;
    cn_instance_free(instance);
}
