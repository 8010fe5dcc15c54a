/* What the handles of wasm.h stand for. Shared by the files api/wasm_*.c alone. */
#ifndef CN_API_WASM_INTERNAL_H
#define CN_API_WASM_INTERNAL_H

#include "api/internal.h"
#include "core/hash.h"
#include "include/wasm.h"

/* ------------------------------------------------------------------ types */

/* All four descriptions of externals are this; of a tag there is but its kind. */
struct wasm_externtype_t {
    wasm_externkind_t kind;
    wasm_mutability_t mutability;
    wasm_limits_t limits;        /* of a table or memory */
    wasm_valtype_t *content;     /* of a global or table, owned */
    wasm_valtype_vec_t params, results;
};

wasm_externtype_t *cn_wasm_externtype(wasm_externkind_t kind);
wasm_valkind_t cn_wasm_kind(cn_valtype type);
/* The type that a kind stands for; 0 for none. */
cn_valtype cn_wasm_valtype(wasm_valkind_t kind);

/* Descriptions of what modules and stores have; NULL when memory is exhausted. */
wasm_externtype_t *cn_wasm_type_of_func(const struct cn_functype *type);
wasm_externtype_t *cn_wasm_type_of_global(const struct cn_global_type *type);
wasm_externtype_t *cn_wasm_type_of_table(const struct cn_table_type *type);
wasm_externtype_t *cn_wasm_type_of_memory(const struct cn_memory_type *type);

/* ------------------------------------------------------------------ engines, code, stores */

struct wasm_engine_t {
    _Atomic uint32_t users; /* references, and stores */
    cordon_host_t *host;
};

/* A loaded module with its bytes. It is shared by module references of several stores. */
struct wasm_code {
    _Atomic uint32_t users;
    cordon_module_t *module;
    size_t size;
    uint8_t bytes[];
};

struct wasm_code *cn_wasm_code_take(struct wasm_code *code);
void cn_wasm_code_release(struct wasm_code *code);

/* Code of which a store has made instances: it needs it to its end. */
struct wasm_kept_code {
    struct wasm_kept_code *next;
    struct wasm_code *code;
};

/* A function of the embedder's, for as long as the store. */
struct wasm_host_func {
    struct wasm_host_func *next;
    wasm_store_t *store;
    struct cn_functype type;
    wasm_func_callback_t plain; /* or NULL: then the next one */
    wasm_func_callback_with_env_t with_env;
    void *env;
    void (*finalizer)(void *);
};

struct wasm_store_t {
    wasm_engine_t *engine;
    struct cn_account account; /* without limits */
    struct cn_arena arena;
    struct cn_store *store;
    struct wasm_host_func *funcs;
    struct wasm_kept_code *kept;
    struct cn_nest nest;       /* calls under way */
    bool is_deleted;           /* by the embedder */
    bool is_ending;            /* finalizers are being called */
    wasm_trap_t *pending;      /* what a callback has returned, on its way to wasm_func_call */
    wasm_trap_t *last_resort;  /* for when there is no memory for another one */
    uint64_t handle_count;     /* references that the embedder has */
    struct wasm_ref_t *first, *last; /* all references, in the order in which they were made */
    struct wasm_ref_t **buckets; /* by what they stand for */
    uint32_t bucket_count, placed_count;
    struct cn_hash_keys keys;
};

/* While it is held the store does not end. */
void cn_wasm_store_hold(wasm_store_t *store);
/* Frees the store if nobody has anything of it any more. */
void cn_wasm_store_release(wasm_store_t *store);
/* Keeps the code to the store's end; false when memory is exhausted. */
bool cn_wasm_store_keep(wasm_store_t *store, struct wasm_code *code);

/* ------------------------------------------------------------------ references */

enum wasm_ref_kind {
    CN_WASM_FUNC, /* the first five as WASM_EXTERN_... */
    CN_WASM_GLOBAL,
    CN_WASM_TABLE,
    CN_WASM_MEMORY,
    CN_WASM_TAG,
    CN_WASM_INSTANCE,
    CN_WASM_MODULE,
    CN_WASM_TRAP,
    CN_WASM_FOREIGN,
};

/* Where a function stood when a trap came about. The instance is the store's. */
struct cn_wasm_frame {
    struct wasm_ref_t *instance;
    uint32_t index;
    size_t func_offset, module_offset;
};

#define CN_WASM_FRAMES_MAX 64

/* What only traps have. */
struct cn_wasm_trap {
    wasm_message_t message;
    uint32_t frame_count;
    struct cn_wasm_frame frames[CN_WASM_FRAMES_MAX];
};

/* All references are this. There is one for everything that is referred to: copies of a handle are
 * the same pointer, counted. */
struct wasm_ref_t {
    enum wasm_ref_kind kind;
    bool is_kept;          /* to the store's end: it is an instance, has a host info, or was given
                              to the guest */
    uint64_t handles;      /* that the embedder has */
    wasm_store_t *store;
    struct wasm_ref_t *next, *previous; /* in the store */
    uint64_t key;          /* the address or guest's reference that it stands for; 0: itself */
    struct wasm_ref_t *next_in_bucket;
    void *host_info;
    void (*finalizer)(void *);
    union {
        struct cn_func *func;
        struct cn_global *global;
        struct cn_table *table;
        struct cn_memory *memory;
        struct cn_tag *tag;
        struct cn_instance *instance;
        struct cn_handle *handle; /* a foreign that is the guest's own object; else NULL */
        struct cn_wasm_trap *trap;
    };
    struct wasm_code *code;       /* of a module, or an instance (the store keeps that) */
    bool is_code_kept;            /* of a module: by its store */
};

#define CN_WASM_REFS(X)                                                                            \
    X(func, kind == CN_WASM_FUNC)                                                                  \
    X(global, kind == CN_WASM_GLOBAL)                                                              \
    X(table, kind == CN_WASM_TABLE)                                                                \
    X(memory, kind == CN_WASM_MEMORY)                                                              \
    X(extern, kind <= CN_WASM_TAG)                                                                 \
    X(instance, kind == CN_WASM_INSTANCE)                                                          \
    X(module, kind == CN_WASM_MODULE)                                                              \
    X(trap, kind == CN_WASM_TRAP)                                                                  \
    X(foreign, kind == CN_WASM_FOREIGN)

#define CN_WASM_REF_STRUCT(name, is_one)                                                           \
    struct wasm_##name##_t {                                                                       \
        struct wasm_ref_t ref;                                                                     \
    };
CN_WASM_REFS(CN_WASM_REF_STRUCT)
#undef CN_WASM_REF_STRUCT

/* A new reference with one handle, the caller's; NULL when memory is exhausted. */
struct wasm_ref_t *cn_wasm_ref_new(wasm_store_t *store, enum wasm_ref_kind kind);
/* The one reference for an address or a guest's reference, with one handle more; made where there
 * is none: the caller then says what it is (key is 0 until cn_wasm_ref_place). */
struct wasm_ref_t *cn_wasm_ref_find(wasm_store_t *store, enum wasm_ref_kind kind, uint64_t key);
struct wasm_ref_t *cn_wasm_ref_take(struct wasm_ref_t *ref);
/* The embedder, or whoever had one, has one handle less. NULL is fine. */
void cn_wasm_ref_drop(struct wasm_ref_t *ref);
/* It is the store's own, without handles. */
void cn_wasm_ref_give_to_store(struct wasm_ref_t *ref);
/* Frees a reference whatever handles it has. */
void cn_wasm_ref_free(struct wasm_ref_t *ref);

struct wasm_ref_t *cn_wasm_ref_of_func(wasm_store_t *store, struct cn_func *func);
struct wasm_ref_t *cn_wasm_ref_of_extern(wasm_store_t *store, const struct cn_extern *external);
struct wasm_ref_t *cn_wasm_ref_of_instance(wasm_store_t *store, struct cn_instance *instance,
                                           struct wasm_code *code);

/* ------------------------------------------------------------------ values, calls, traps */

/* A value for a slot. The type is in the store's terms. False when it does not fit. */
bool cn_wasm_put(wasm_store_t *store, const wasm_val_t *value, cn_valtype type,
                 union cn_slot *slot);
bool cn_wasm_put_ref(wasm_store_t *store, struct wasm_ref_t *ref, cn_valtype type,
                     union cn_slot *slot);
/* The value, which owns what it refers to; of a v128 the kind alone. False when memory is
 * exhausted. */
bool cn_wasm_get(wasm_store_t *store, const union cn_slot *slot, cn_valtype type,
                 wasm_val_t *value);
/* The reference in a slot; *ref is NULL for the null reference. */
bool cn_wasm_get_ref(wasm_store_t *store, const union cn_slot *slot, cn_valtype type,
                     struct wasm_ref_t **ref);

/* Runs a function; `slots` holds the arguments and then the results. NULL, or why not. */
wasm_trap_t *cn_wasm_run(wasm_store_t *store, struct cn_func *func, union cn_slot *slots);

/* A trap with a text; never NULL. */
wasm_trap_t *cn_wasm_trap(wasm_store_t *store, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
wasm_trap_t *cn_wasm_trap_with(wasm_store_t *store, const void *text, size_t size);
/* Adds where the thread stands. */
void cn_wasm_trap_add_frames(wasm_trap_t *trap, const struct cn_thread *thread);

#endif
