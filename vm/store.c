#include "vm/store.h"

#include <inttypes.h>

#include "vm/heap.h"
#include "vm/thread.h"
#include "vm/types.h"

/* Host functions live as long as their store. */
struct cn_host_func {
    struct cn_host_func *next;
    struct cn_func func;
};

enum cn_status cn_store_no_room(const struct cn_store *store, struct cn_error *error,
                                const char *what, uint64_t bytes)
{
    return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET,
                   "%s: %" PRIu64 " bytes asked for, the memory quota leaves %" PRIu64, what,
                   bytes, cn_account_left(store->account, CN_QUOTA_MEMORY));
}

enum cn_status cn_store_new(struct cn_store **result, struct cn_account *account)
{
    struct cn_allocator allocator = cn_account_allocator(account);
    struct cn_store *store = cn_alloc(allocator, sizeof *store);

    if (store == NULL)
        return CN_NO_MEMORY;
    store->account = account;
    store->allocator = allocator;
    store->no_memory = (struct cn_memory){.base = (uint8_t *)&store->nothing,
                                          .address_mask = UINT32_MAX,
                                          .page_log2 = CN_PAGE_LOG2};
    if (cn_types_new(allocator, &store->types) != CN_OK || cn_heap_open(store) != CN_OK) {
        cn_types_free(store->types);
        cn_free(allocator, store, sizeof *store);
        return CN_NO_MEMORY;
    }
    *result = store;
    return CN_OK;
}

enum cn_status cn_host_memory_new(struct cn_store *store, struct cn_memory **result,
                                  const struct cn_memory_type *type, struct cn_error *error)
{
    struct cn_host_memory *made = cn_alloc(store->allocator, sizeof *made);

    if (made == NULL)
        return cn_store_no_room(store, error, "a memory that the module imports", sizeof *made);
    enum cn_status status = cn_memory_init(store, &made->memory, type, 0, error);
    if (status != CN_OK) {
        cn_free(store->allocator, made, sizeof *made);
        return status;
    }
    made->next = store->memories;
    store->memories = made;
    *result = &made->memory;
    return CN_OK;
}

enum cn_status cn_host_table_new(struct cn_store *store, struct cn_table **result,
                                 const struct cn_table_type *type, struct cn_error *error)
{
    struct cn_host_table *made = cn_alloc(store->allocator, sizeof *made);

    if (made == NULL)
        return cn_store_no_room(store, error, "a table that modules import", sizeof *made);
    enum cn_status status = cn_table_init(store, &made->table, type, 0, error);
    if (status != CN_OK) {
        cn_free(store->allocator, made, sizeof *made);
        return status;
    }
    cn_heap_finish(store);
    made->next = store->tables;
    store->tables = made;
    *result = &made->table;
    return CN_OK;
}

enum cn_status cn_host_global_new(struct cn_store *store, struct cn_global **result,
                                  const struct cn_global_type *type)
{
    struct cn_host_global *made = cn_alloc(store->allocator, sizeof *made);

    if (made == NULL)
        return CN_NO_MEMORY;
    cn_heap_finish(store);
    made->global.type = *type;
    made->next = store->globals;
    store->globals = made;
    *result = &made->global;
    return CN_OK;
}

static void free_host_tables_and_globals(struct cn_store *store)
{
    while (store->tables != NULL) {
        struct cn_host_table *table = store->tables;
        store->tables = table->next;
        cn_table_release(store, &table->table);
        cn_free(store->allocator, table, sizeof *table);
    }
    while (store->globals != NULL) {
        struct cn_host_global *global = store->globals;
        store->globals = global->next;
        cn_free(store->allocator, global, sizeof *global);
    }
}

static void free_host_memories(struct cn_store *store)
{
    while (store->memories != NULL) {
        struct cn_host_memory *memory = store->memories;
        store->memories = memory->next;
        cn_memory_release(store, &memory->memory);
        cn_free(store->allocator, memory, sizeof *memory);
    }
}

/* The last part of one stack, of one memory or of one table, if there is any left. */
static bool give_back_stack(struct cn_store *store, uint64_t most)
{
    for (struct cn_thread *thread = store->threads; thread != NULL; thread = thread->next)
        if (!cn_thread_give_back(thread, most))
            return false;
    return true;
}

static bool give_back_table(struct cn_store *store, uint64_t most)
{
    for (struct cn_instance *instance = store->instances; instance != NULL;
         instance = instance->next) {
        const struct cn_module *module = instance->module;
        for (uint32_t i = module->imported_table_count; i < module->table_count; i++)
            if (!cn_table_give_back(store, instance->tables[i], most))
                return false;
    }
    for (struct cn_host_table *host = store->tables; host != NULL; host = host->next)
        if (!cn_table_give_back(store, &host->table, most))
            return false;
    return true;
}

static bool give_back_memory(struct cn_store *store, uint64_t most)
{
    for (struct cn_instance *instance = store->instances; instance != NULL;
         instance = instance->next) {
        const struct cn_module *module = instance->module;
        for (uint32_t i = module->imported_memory_count; i < module->memory_count; i++)
            if (!cn_memory_give_back(store, instance->memories[i], most))
                return false;
    }
    for (struct cn_host_memory *host = store->memories; host != NULL; host = host->next)
        if (!cn_memory_give_back(store, &host->memory, most))
            return false;
    return true;
}

bool cn_store_give_back(struct cn_store *store, uint64_t most)
{
    cn_heap_abandon(store);
    return give_back_stack(store, most) && give_back_memory(store, most) &&
           give_back_table(store, most) && cn_heap_give_back(store, most);
}

void cn_store_free(struct cn_store *store)
{
    if (store == NULL)
        return;
    cn_heap_close(store);
    while (store->instances != NULL) {
        struct cn_instance *instance = store->instances;
        store->instances = instance->next;
        cn_instance_free(instance);
    }
    free_host_memories(store);
    free_host_tables_and_globals(store);
    while (store->hosts != NULL) {
        struct cn_host_func *host = store->hosts;
        store->hosts = host->next;
        cn_free(store->allocator, host, sizeof *host);
    }
    cn_types_free(store->types);
    cn_free(store->allocator, store, sizeof *store);
}

enum cn_status cn_host_func_new(struct cn_store *store, struct cn_func **result,
                                const struct cn_functype *type, cn_host_fn host, void *env)
{
    uint32_t number;
    struct cn_host_func *made = cn_alloc(store->allocator, sizeof *made);

    if (made == NULL)
        return CN_NO_MEMORY;
    if (cn_types_number(store->types, type, &number) != CN_OK) {
        cn_free(store->allocator, made, sizeof *made);
        return CN_NO_MEMORY;
    }
    made->func = (struct cn_func){
        .type_id = number, .index = CN_NO_INDEX, .type = type, .host = host, .env = env};
    made->next = store->hosts;
    store->hosts = made;
    *result = &made->func;
    return CN_OK;
}
