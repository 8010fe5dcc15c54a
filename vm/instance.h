/* What an instantiated module owns: functions, memories, tables, globals (core 4.2).
 *
 * Everything here belongs to a store, which is one VM: it is allocated through the store's
 * allocator, so every byte is charged to the VM's account, and it dies with the store.
 */
#ifndef CN_VM_INSTANCE_H
#define CN_VM_INSTANCE_H

#include <stdbool.h>

#include "core/code.h"
#include "core/error.h"
#include "core/module.h"
#include "governor/account.h"
#include "vm/program.h"
#include "vm/sleeper.h"

#define CN_PAGE_SIZE 65536u
/* No memory grows beyond: more than a process can map, so that no sum of bytes wraps. */
#define CN_MEMORY_BYTES_MAX ((uint64_t)1 << 47)

struct cn_thread;
struct cn_instance;
struct cn_heap;
struct cn_handle;
struct cn_stock;

/* A function of the host. The arguments stand in slots[0...], one slot each (an i32 in the low
 * half, the upper half zero), a v128 in two; results are written to slots[0...] in the same form.
 *   CN_OK         the results stand
 *   CN_PARKED     nothing has happened yet: the guest is suspended, and after cn_thread_wake
 *                 the same call is made again with the same arguments (so a call first tries
 *                 without blocking, and parks when it would have to wait). Only
 *                 thread->call_state survives between the tries; it is zeroed for a new call.
 *   CN_YIELD      like CN_PARKED, but ready to be called again at once: long work in pieces
 *   CN_EXITED     the guest ends; thread->exit_code says how
 *   other         a trap or an end by quota; thread->error.text says more where it was set */
typedef enum cn_status (*cn_host_fn)(struct cn_thread *thread, void *env, union cn_slot *slots);

/* A function instance; a funcref is a pointer to one. */
struct cn_func {
    uint32_t type_id;            /* equal ids are equal types, within the store */
    uint32_t index;              /* in its module, or CN_NO_INDEX for a host function */
    struct cn_instance *instance; /* NULL for a host function */
    const struct cn_funcode *code; /* NULL for a host function */
    const struct cn_functype *type;
    cn_host_fn host;
    void *env;
};

struct cn_memory {
    uint8_t *base;      /* never NULL, also when there is nothing to read */
    uint64_t size;      /* bytes, always whole pages */
    uint64_t address_mask; /* what counts of an address: its low 32 bits, or all 64 */
    uint64_t pages_max; /* as declared; UINT64_MAX when nothing is stated */
    uint8_t page_log2;
    bool is_shared;
    struct cn_sleep_queue sleepers; /* threads that wait at one of its addresses */
    void *grave;        /* test mode: where it was before it moved, made inaccessible */
    uint64_t grave_size;
};

static inline bool cn_memory_is_64(const struct cn_memory *memory)
{
    return memory->address_mask == UINT64_MAX;
}

static inline uint64_t cn_memory_pages(const struct cn_memory *memory)
{
    return memory->size >> memory->page_log2;
}

struct cn_table {
    void **elements; /* struct cn_func * or an externref; NULL is the null reference */
    uint32_t size;
    uint64_t room;   /* bytes of the pages that they stand in; 0: in a block of the allocator's */
    uint64_t index_mask; /* what counts of an index: its low 32 bits, or all 64 */
    uint64_t max;    /* as declared; UINT64_MAX when nothing is stated */
    cn_valtype type; /* in the store's terms */
};

static inline bool cn_table_is_64(const struct cn_table *table)
{
    return table->index_mask == UINT64_MAX;
}

struct cn_global {
    union {
        union cn_slot value;
        union cn_slot values[2]; /* of a v128 */
    };
    struct cn_global_type type; /* in the store's terms */
};

/* What an exception is thrown with; tags are equal when they are the same one. */
struct cn_tag {
    uint32_t type_id;
    const struct cn_functype *type; /* what it carries: the parameters */
};

/* One thing that an import can be joined to or an export gives. */
struct cn_extern {
    enum cn_extern_kind kind;
    union {
        struct cn_func *func;
        struct cn_table *table;
        struct cn_memory *memory;
        struct cn_global *global;
        struct cn_tag *tag;
    };
};

struct cn_instance {
    struct cn_store *store;
    struct cn_instance *next; /* in the store */
    const struct cn_module *module;
    struct cn_program *program;
    struct cn_func **funcs;     /* all, imports first */
    struct cn_table **tables;
    struct cn_memory **memories; /* [0] is an empty one when the module has none */
    struct cn_global **globals;
    struct cn_tag **tags;
    uint32_t *type_ids;         /* per type index of the module */
    void ***element_values;     /* per segment: what its expressions gave, where that is kept */
    bool *element_dropped;      /* per segment */
    bool *data_dropped;
    uint64_t code_charge;       /* what the account pays for the bodies of its functions */
    uint64_t block_size;        /* of this structure and the arrays that stand behind it */
};

/* One VM's universe. */
struct cn_store {
    struct cn_account *account;
    struct cn_allocator allocator; /* charged to the account */
    struct cn_stock *stock;     /* where its mappings come from, or NULL */
    struct cn_instance *instances;
    struct cn_type_registry *types;
    struct cn_host_func *hosts;
    struct cn_host_memory *memories; /* that no instance owns, as are the next two */
    struct cn_host_table *tables;
    struct cn_host_global *globals;
    struct cn_heap *heap;
    bool is_collecting;         /* a collection of it is under way */
    struct cn_thread *threads;  /* all of the store's */
    struct cn_handle *handles;  /* references that the host keeps: vm/heap.h */
    struct cn_memory no_memory; /* memory 0 of instances that have none: size 0, never grows */
    uint64_t nothing;           /* where memories of size 0 begin */
    uint32_t pins;     /* while it is above 0 no memory moves: memory.grow gives -1 instead */
    bool move_on_grow; /* test mode: every memory.grow moves the memory */
};

CN_CHECKED enum cn_status cn_store_new(struct cn_store **result, struct cn_account *account);

/* Frees every instance, memory and table in it. NULL is fine. */
void cn_store_free(struct cn_store *store);
/* Wipes and gives back a part of what it and its threads hold, at most about so much; true when
 * nothing large is left. From the first time on it, and they, can only be freed. */
bool cn_store_give_back(struct cn_store *store, uint64_t most);

/* A host function that modules of this store can import. `type` must outlive the store. */
CN_CHECKED enum cn_status cn_host_func_new(struct cn_store *store, struct cn_func **result,
                                           const struct cn_functype *type, cn_host_fn host,
                                           void *env);

/* A memory that modules of this store can import; it lives as long as the store. */
CN_CHECKED enum cn_status cn_host_memory_new(struct cn_store *store, struct cn_memory **result,
                                             const struct cn_memory_type *type,
                                             struct cn_error *error);

/* The same of a table, whose elements are null at first, and a global, which is zero or null. Their
 * types are in the store's terms. */
CN_CHECKED enum cn_status cn_host_table_new(struct cn_store *store, struct cn_table **result,
                                            const struct cn_table_type *type,
                                            struct cn_error *error);
CN_CHECKED enum cn_status cn_host_global_new(struct cn_store *store, struct cn_global **result,
                                             const struct cn_global_type *type);

/* Makes an instance of the program's module: imports joined (externs[i] for import i; kinds and
 * types are checked here again, CN_UNLINKABLE), memories and tables allocated, globals
 * evaluated, active segments written (a trap when out of bounds). All function bodies are
 * charged to the account by their upper bound. The start function is not run: see
 * cn_module.start.
 *
 * On failure everything is given back and *result is untouched. What active segments wrote to
 * imported tables and memories before a trap stays, as the specification says; and where
 * functions of the module may stand in an imported table, its remains live on in the store. So
 * the program and its module must outlive the store even then. */
CN_CHECKED enum cn_status cn_instantiate(struct cn_store *store, struct cn_program *program,
                                         const struct cn_extern *externs,
                                         struct cn_instance **result, struct cn_error *error);

/* Another instance of the same program in the same store, for a thread of the guest's own: joined
 * to the same imports, and its code is paid for already. */
CN_CHECKED enum cn_status cn_instantiate_again(struct cn_store *store, struct cn_program *program,
                                               const struct cn_extern *externs,
                                               struct cn_instance **result,
                                               struct cn_error *error);
/* Takes an instance out of its store and frees it: nothing that still runs or can be reached may
 * refer to its functions, tables or tags. */
void cn_instance_drop(struct cn_instance *instance);

/* What an export of the instance's module stands for. */
struct cn_extern cn_instance_extern(const struct cn_instance *instance,
                                    const struct cn_export *export);
/* The export of that name; false when there is none. */
bool cn_instance_export(const struct cn_instance *instance, struct cn_bytes name,
                        struct cn_extern *result);

/* Whether something of this type can be joined to import number `import` of the module, whose
 * types have the numbers `type_ids` in the store (core 4.5.9 and 3.4); `error` says both types
 * otherwise. */
CN_CHECKED enum cn_status cn_import_matches(const struct cn_store *store,
                                            const struct cn_module *module,
                                            const uint32_t *type_ids, uint32_t import,
                                            const struct cn_extern *given,
                                            struct cn_error *error);

/* Grows by `pages`; the old size in pages, or -1 when the maximum or a quota stands against it.
 * The memory may move: derive addresses anew afterwards. */
int64_t cn_memory_grow(struct cn_store *store, struct cn_memory *memory, uint64_t pages);

/* Makes these bytes of a memory zero, and gives the whole pages of the host's among them back to
 * it. The memory stays as large, and is charged, as it was. */
void cn_memory_discard(uint8_t *at, uint64_t size);

/* The old size, or -1. New elements are null. */
int64_t cn_table_extend(struct cn_store *store, struct cn_table *table, uint64_t count);
/* The same; new elements are `value`. */
int64_t cn_table_grow(struct cn_store *store, struct cn_table *table, uint64_t count,
                      void *value);

#endif
