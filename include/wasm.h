/* The WebAssembly C API: the interface that several engines share, over Cordon.
 *
 *     wasm_engine_t *engine = wasm_engine_new();
 *     wasm_store_t *store = wasm_store_new(engine);
 *     wasm_module_t *module = wasm_module_new(store, &binary);
 *     wasm_instance_t *instance = wasm_instance_new(store, module, &imports, &trap);
 *     wasm_extern_vec_t exports;
 *     wasm_instance_exports(instance, &exports);
 *     wasm_trap_t *failed = wasm_func_call(wasm_extern_as_func(exports.data[0]), &args, &results);
 *
 * Names, types and signatures are those of github.com/WebAssembly/wasm-c-api, so that programs
 * written for it compile unchanged; this header and what is behind it are Cordon's own. It has no
 * quotas, no WASI and no way to stop a guest: for these use cordon.h.
 *
 * Ownership: a function ending in _new, _copy, _share or _obtain, and whatever says so here, gives
 * what the caller owns and hands to the matching _delete, which takes NULL as well. An owned vector
 * owns its elements. Arguments stay the caller's unless it says that they are taken. A parameter
 * `out` is written, and what is written is the caller's.
 *
 * Lifetime: deleting a reference gives up that reference alone. What a store has made (functions,
 * globals, tables, memories, instances) lives as long as the store, and the store ends when
 * wasm_store_delete was called and no reference to anything of it is left: so they may be deleted
 * in any order. Finalizers are called when the thing that they were set on ends.
 *
 * Threads: an engine may be used by several threads, as may a shared module; a store and everything
 * that belongs to it by one at a time. Finalizers are called by the thread that deletes.
 *
 * Errors: NULL or false where memory is exhausted or what was given does not fit. What belongs to
 * one store is refused by another.
 */
#ifndef WASM_H
#define WASM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WASM_API_EXTERN __attribute__((visibility("default")))

typedef char byte_t;
typedef float float32_t;
typedef double float64_t;

/* ------------------------------------------------------------------ families of functions */

/* An opaque type and what frees it. */
#define WASM_DECLARE_OWN(name)                                                                     \
    typedef struct wasm_##name##_t wasm_##name##_t;                                                \
    WASM_API_EXTERN void wasm_##name##_delete(wasm_##name##_t *);

/* A vector: elements that it owns, pointers where `ptr_or_none` is a star. _new takes the elements
 * over and copies the array; _new_uninitialized leaves the elements to be written (they are zero
 * until then, which is a valid element); _copy copies every element. `size` is 0 where memory is
 * exhausted. */
#define WASM_DECLARE_VEC(name, ptr_or_none)                                                        \
    typedef struct wasm_##name##_vec_t {                                                           \
        size_t size;                                                                               \
        wasm_##name##_t ptr_or_none *data;                                                         \
    } wasm_##name##_vec_t;                                                                         \
    WASM_API_EXTERN void wasm_##name##_vec_new_empty(wasm_##name##_vec_t *out);                    \
    WASM_API_EXTERN void wasm_##name##_vec_new_uninitialized(wasm_##name##_vec_t *out,             \
                                                             size_t size);                         \
    WASM_API_EXTERN void wasm_##name##_vec_new(wasm_##name##_vec_t *out, size_t size,              \
                                               wasm_##name##_t ptr_or_none const data[]);          \
    WASM_API_EXTERN void wasm_##name##_vec_copy(wasm_##name##_vec_t *out,                          \
                                                const wasm_##name##_vec_t *from);                  \
    WASM_API_EXTERN void wasm_##name##_vec_delete(wasm_##name##_vec_t *);

/* A description, which is plain data: copies are independent of one another. */
#define WASM_DECLARE_TYPE(name)                                                                    \
    WASM_DECLARE_OWN(name)                                                                         \
    WASM_DECLARE_VEC(name, *)                                                                      \
    WASM_API_EXTERN wasm_##name##_t *wasm_##name##_copy(const wasm_##name##_t *);

/* A reference to something of a store's. _copy gives another reference to the same thing, and _same
 * tells whether two are. A thing has one host info, a pointer of the embedder's; its finalizer is
 * called with it when the thing ends, or another info is set. */
#define WASM_DECLARE_REF_BASE(name)                                                                \
    WASM_DECLARE_OWN(name)                                                                         \
    WASM_API_EXTERN wasm_##name##_t *wasm_##name##_copy(const wasm_##name##_t *);                  \
    WASM_API_EXTERN bool wasm_##name##_same(const wasm_##name##_t *, const wasm_##name##_t *);     \
    WASM_API_EXTERN void *wasm_##name##_get_host_info(const wasm_##name##_t *);                    \
    WASM_API_EXTERN void wasm_##name##_set_host_info(wasm_##name##_t *, void *info);               \
    WASM_API_EXTERN void wasm_##name##_set_host_info_with_finalizer(                               \
        wasm_##name##_t *, void *info, void (*finalizer)(void *));

/* The same with conversions, which give another view of the reference, not one more to delete:
 * NULL where it refers to something else. */
#define WASM_DECLARE_REF(name)                                                                     \
    WASM_DECLARE_REF_BASE(name)                                                                    \
    WASM_API_EXTERN wasm_ref_t *wasm_##name##_as_ref(wasm_##name##_t *);                           \
    WASM_API_EXTERN wasm_##name##_t *wasm_ref_as_##name(wasm_ref_t *);                             \
    WASM_API_EXTERN const wasm_ref_t *wasm_##name##_as_ref_const(const wasm_##name##_t *);         \
    WASM_API_EXTERN const wasm_##name##_t *wasm_ref_as_##name##_const(const wasm_ref_t *);

/* The same of something that stores can share, also of different threads: _share gives what may be
 * handed to them, and _obtain a reference of a store's own. */
#define WASM_DECLARE_SHARABLE_REF(name)                                                            \
    WASM_DECLARE_REF(name)                                                                         \
    WASM_DECLARE_OWN(shared_##name)                                                                \
    WASM_API_EXTERN wasm_shared_##name##_t *wasm_##name##_share(const wasm_##name##_t *);          \
    WASM_API_EXTERN wasm_##name##_t *wasm_##name##_obtain(wasm_store_t *,                          \
                                                          const wasm_shared_##name##_t *);

/* Views between a special and a general type, both ways: NULL where it is none. */
#define WASM_VIEWS(special, general)                                                               \
    WASM_API_EXTERN wasm_##general##_t *wasm_##special##_as_##general(wasm_##special##_t *);       \
    WASM_API_EXTERN wasm_##special##_t *wasm_##general##_as_##special(wasm_##general##_t *);       \
    WASM_API_EXTERN const wasm_##general##_t *wasm_##special##_as_##general##_const(               \
        const wasm_##special##_t *);                                                               \
    WASM_API_EXTERN const wasm_##special##_t *wasm_##general##_as_##special##_const(               \
        const wasm_##general##_t *);

/* ------------------------------------------------------------------ bytes and names */

typedef byte_t wasm_byte_t;
WASM_DECLARE_VEC(byte, )

/* UTF-8, not terminated by a zero unless it says so. */
typedef wasm_byte_vec_t wasm_name_t;

#define wasm_name wasm_byte_vec
#define wasm_name_new wasm_byte_vec_new
#define wasm_name_new_empty wasm_byte_vec_new_empty
#define wasm_name_new_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_copy wasm_byte_vec_copy
#define wasm_name_delete wasm_byte_vec_delete

/* The string without its zero, and with it. */
static inline void wasm_name_new_from_string(wasm_name_t *out, const char *text)
{
    wasm_byte_vec_new(out, strlen(text), text);
}

static inline void wasm_name_new_from_string_nt(wasm_name_t *out, const char *text)
{
    wasm_byte_vec_new(out, strlen(text) + 1, text);
}

/* ------------------------------------------------------------------ engines and stores */

/* There is nothing to configure: a config is an empty object. */
WASM_DECLARE_OWN(config)
WASM_API_EXTERN wasm_config_t *wasm_config_new(void);

/* What stores share. _with_config takes the config. */
WASM_DECLARE_OWN(engine)
WASM_API_EXTERN wasm_engine_t *wasm_engine_new(void);
WASM_API_EXTERN wasm_engine_t *wasm_engine_new_with_config(wasm_config_t *);

/* A universe of instances that can be joined to one another. */
WASM_DECLARE_OWN(store)
WASM_API_EXTERN wasm_store_t *wasm_store_new(wasm_engine_t *);

/* ------------------------------------------------------------------ types */

typedef uint8_t wasm_mutability_t;
enum wasm_mutability_enum {
    WASM_CONST,
    WASM_VAR,
};

/* Elements of a table, or pages of a memory. A type that has larger ones shows the largest. */
typedef struct wasm_limits_t {
    uint32_t min;
    uint32_t max; /* wasm_limits_max_default: none */
} wasm_limits_t;

static const uint32_t wasm_limits_max_default = 0xffffffff;

/* The last three go beyond the standard header, which has no names for them: modules may import
 * and export what has these types, and instances be joined by it; a v128 cannot be passed to or
 * from C through this interface. */
typedef uint8_t wasm_valkind_t;
enum wasm_valkind_enum {
    WASM_I32,
    WASM_I64,
    WASM_F32,
    WASM_F64,
    WASM_V128,
    WASM_EXTERNREF = 128,
    WASM_FUNCREF,
    WASM_ANYREF,
    WASM_EXNREF,
};

WASM_DECLARE_TYPE(valtype)
/* NULL for what is no kind. */
WASM_API_EXTERN wasm_valtype_t *wasm_valtype_new(wasm_valkind_t);
WASM_API_EXTERN wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t *);

static inline bool wasm_valkind_is_num(wasm_valkind_t kind)
{
    return kind < WASM_EXTERNREF;
}

static inline bool wasm_valkind_is_ref(wasm_valkind_t kind)
{
    return kind >= WASM_EXTERNREF;
}

static inline bool wasm_valtype_is_num(const wasm_valtype_t *type)
{
    return wasm_valkind_is_num(wasm_valtype_kind(type));
}

static inline bool wasm_valtype_is_ref(const wasm_valtype_t *type)
{
    return wasm_valkind_is_ref(wasm_valtype_kind(type));
}

/* Takes both vectors, which are empty afterwards. */
WASM_DECLARE_TYPE(functype)
WASM_API_EXTERN wasm_functype_t *wasm_functype_new(wasm_valtype_vec_t *params,
                                                   wasm_valtype_vec_t *results);
WASM_API_EXTERN const wasm_valtype_vec_t *wasm_functype_params(const wasm_functype_t *);
WASM_API_EXTERN const wasm_valtype_vec_t *wasm_functype_results(const wasm_functype_t *);

/* Takes the type of the value. */
WASM_DECLARE_TYPE(globaltype)
WASM_API_EXTERN wasm_globaltype_t *wasm_globaltype_new(wasm_valtype_t *, wasm_mutability_t);
WASM_API_EXTERN const wasm_valtype_t *wasm_globaltype_content(const wasm_globaltype_t *);
WASM_API_EXTERN wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t *);

/* Takes the type of the elements. */
WASM_DECLARE_TYPE(tabletype)
WASM_API_EXTERN wasm_tabletype_t *wasm_tabletype_new(wasm_valtype_t *, const wasm_limits_t *);
WASM_API_EXTERN const wasm_valtype_t *wasm_tabletype_element(const wasm_tabletype_t *);
WASM_API_EXTERN const wasm_limits_t *wasm_tabletype_limits(const wasm_tabletype_t *);

WASM_DECLARE_TYPE(memorytype)
WASM_API_EXTERN wasm_memorytype_t *wasm_memorytype_new(const wasm_limits_t *);
WASM_API_EXTERN const wasm_limits_t *wasm_memorytype_limits(const wasm_memorytype_t *);

/* The last one is beyond the standard header: tags of exceptions, which can be handed on. */
typedef uint8_t wasm_externkind_t;
enum wasm_externkind_enum {
    WASM_EXTERN_FUNC,
    WASM_EXTERN_GLOBAL,
    WASM_EXTERN_TABLE,
    WASM_EXTERN_MEMORY,
    WASM_EXTERN_TAG,
};

WASM_DECLARE_TYPE(externtype)
WASM_API_EXTERN wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t *);
WASM_VIEWS(functype, externtype)
WASM_VIEWS(globaltype, externtype)
WASM_VIEWS(tabletype, externtype)
WASM_VIEWS(memorytype, externtype)

/* Takes both names, which are empty afterwards, and the type. */
WASM_DECLARE_TYPE(importtype)
WASM_API_EXTERN wasm_importtype_t *wasm_importtype_new(wasm_name_t *module, wasm_name_t *name,
                                                       wasm_externtype_t *);
WASM_API_EXTERN const wasm_name_t *wasm_importtype_module(const wasm_importtype_t *);
WASM_API_EXTERN const wasm_name_t *wasm_importtype_name(const wasm_importtype_t *);
WASM_API_EXTERN const wasm_externtype_t *wasm_importtype_type(const wasm_importtype_t *);

/* Takes the name, which is empty afterwards, and the type. */
WASM_DECLARE_TYPE(exporttype)
WASM_API_EXTERN wasm_exporttype_t *wasm_exporttype_new(wasm_name_t *, wasm_externtype_t *);
WASM_API_EXTERN const wasm_name_t *wasm_exporttype_name(const wasm_exporttype_t *);
WASM_API_EXTERN const wasm_externtype_t *wasm_exporttype_type(const wasm_exporttype_t *);

/* ------------------------------------------------------------------ values and references */

struct wasm_ref_t;

typedef struct wasm_val_t {
    wasm_valkind_t kind;
    union {
        int32_t i32;
        int64_t i64;
        float32_t f32;
        float64_t f64;
        struct wasm_ref_t *ref; /* owned by the value; NULL is the null reference */
    } of;
} wasm_val_t;

WASM_API_EXTERN void wasm_val_delete(wasm_val_t *);
WASM_API_EXTERN void wasm_val_copy(wasm_val_t *out, const wasm_val_t *);
WASM_DECLARE_VEC(val, )

WASM_DECLARE_REF_BASE(ref)

/* ------------------------------------------------------------------ traps */

/* A function that was being executed when a trap came about. */
WASM_DECLARE_OWN(frame)
WASM_DECLARE_VEC(frame, *)
WASM_API_EXTERN wasm_frame_t *wasm_frame_copy(const wasm_frame_t *);
/* The instance stays the frame's. */
WASM_API_EXTERN struct wasm_instance_t *wasm_frame_instance(const wasm_frame_t *);
WASM_API_EXTERN uint32_t wasm_frame_func_index(const wasm_frame_t *);
/* Where the operator stands: bytes from the beginning of the function's body (its local
 * declarations), and of the module. */
WASM_API_EXTERN size_t wasm_frame_func_offset(const wasm_frame_t *);
WASM_API_EXTERN size_t wasm_frame_module_offset(const wasm_frame_t *);

typedef wasm_name_t wasm_message_t; /* terminated by a zero, which counts */

WASM_DECLARE_REF(trap)
WASM_API_EXTERN wasm_trap_t *wasm_trap_new(wasm_store_t *, const wasm_message_t *);
WASM_API_EXTERN void wasm_trap_message(const wasm_trap_t *, wasm_message_t *out);
/* The innermost frame, NULL when there is none, and up to 64 of them, innermost first. A trap that
 * a callback returns is given the frames of the guest that called it. */
WASM_API_EXTERN wasm_frame_t *wasm_trap_origin(const wasm_trap_t *);
WASM_API_EXTERN void wasm_trap_trace(const wasm_trap_t *, wasm_frame_vec_t *out);

/* ------------------------------------------------------------------ foreign objects */

/* Something of the embedder's that guests can hold, as an externref. Once it has been given to a
 * guest it lives as long as the store. */
WASM_DECLARE_REF(foreign)
WASM_API_EXTERN wasm_foreign_t *wasm_foreign_new(wasm_store_t *);

/* ------------------------------------------------------------------ modules */

/* Modules can be shared by stores, of different threads too. */
WASM_DECLARE_SHARABLE_REF(module)

/* Copies the bytes, which are the binary format; NULL when they are no valid module. */
WASM_API_EXTERN wasm_module_t *wasm_module_new(wasm_store_t *, const wasm_byte_vec_t *binary);
WASM_API_EXTERN bool wasm_module_validate(wasm_store_t *, const wasm_byte_vec_t *binary);

WASM_API_EXTERN void wasm_module_imports(const wasm_module_t *, wasm_importtype_vec_t *out);
WASM_API_EXTERN void wasm_module_exports(const wasm_module_t *, wasm_exporttype_vec_t *out);

/* The serialized form is the module's binary: loading is quick, and so nothing has to be trusted.
 * Where memory is exhausted it is empty. */
WASM_API_EXTERN void wasm_module_serialize(const wasm_module_t *, wasm_byte_vec_t *out);
WASM_API_EXTERN wasm_module_t *wasm_module_deserialize(wasm_store_t *, const wasm_byte_vec_t *);

/* ------------------------------------------------------------------ functions */

/* What a guest calls. `args` and their references stay Cordon's; `results` are as many values as
 * the type has, of its kinds and zero at first, to be overwritten: references among them are taken.
 * Returns NULL, or a trap, which is taken: the guest then traps with it. May call functions of the
 * store itself, up to 200 calls deep. */
typedef wasm_trap_t *(*wasm_func_callback_t)(const wasm_val_vec_t *args, wasm_val_vec_t *results);
typedef wasm_trap_t *(*wasm_func_callback_with_env_t)(void *env, const wasm_val_vec_t *args,
                                                      wasm_val_vec_t *results);

WASM_DECLARE_REF(func)
WASM_API_EXTERN wasm_func_t *wasm_func_new(wasm_store_t *, const wasm_functype_t *,
                                           wasm_func_callback_t);
/* The finalizer, which may be NULL, is called with `env` when the store ends. */
WASM_API_EXTERN wasm_func_t *wasm_func_new_with_env(wasm_store_t *, const wasm_functype_t *,
                                                    wasm_func_callback_with_env_t, void *env,
                                                    void (*finalizer)(void *));

/* The type is the caller's. */
WASM_API_EXTERN wasm_functype_t *wasm_func_type(const wasm_func_t *);
WASM_API_EXTERN size_t wasm_func_param_arity(const wasm_func_t *);
WASM_API_EXTERN size_t wasm_func_result_arity(const wasm_func_t *);

/* Runs the function to its end. `args` must be as many as the type has and of its kinds, or it
 * traps; of the results as many are written as `results` has room for. The trap, and references
 * among the results, are the caller's. */
WASM_API_EXTERN wasm_trap_t *wasm_func_call(const wasm_func_t *, const wasm_val_vec_t *args,
                                            wasm_val_vec_t *results);

/* ------------------------------------------------------------------ globals, tables, memories */

WASM_DECLARE_REF(global)
WASM_API_EXTERN wasm_global_t *wasm_global_new(wasm_store_t *, const wasm_globaltype_t *,
                                               const wasm_val_t *);
WASM_API_EXTERN wasm_globaltype_t *wasm_global_type(const wasm_global_t *);
/* Of a v128 the kind alone is given. */
WASM_API_EXTERN void wasm_global_get(const wasm_global_t *, wasm_val_t *out);
/* Does nothing where the global is constant or the value is not of its type. */
WASM_API_EXTERN void wasm_global_set(wasm_global_t *, const wasm_val_t *);

typedef uint32_t wasm_table_size_t;

/* Types of tables and memories show the size of the moment as their minimum. */
WASM_DECLARE_REF(table)
WASM_API_EXTERN wasm_table_t *wasm_table_new(wasm_store_t *, const wasm_tabletype_t *,
                                             wasm_ref_t *init);
WASM_API_EXTERN wasm_tabletype_t *wasm_table_type(const wasm_table_t *);
/* The reference is the caller's; NULL also where there is no such element. */
WASM_API_EXTERN wasm_ref_t *wasm_table_get(const wasm_table_t *, wasm_table_size_t index);
WASM_API_EXTERN bool wasm_table_set(wasm_table_t *, wasm_table_size_t index, wasm_ref_t *);
WASM_API_EXTERN wasm_table_size_t wasm_table_size(const wasm_table_t *);
WASM_API_EXTERN bool wasm_table_grow(wasm_table_t *, wasm_table_size_t delta, wasm_ref_t *init);

typedef uint32_t wasm_memory_pages_t;

static const size_t MEMORY_PAGE_SIZE = 0x10000;

WASM_DECLARE_REF(memory)
WASM_API_EXTERN wasm_memory_t *wasm_memory_new(wasm_store_t *, const wasm_memorytype_t *);
WASM_API_EXTERN wasm_memorytype_t *wasm_memory_type(const wasm_memory_t *);
/* Valid until the guest runs again or the memory grows. */
WASM_API_EXTERN byte_t *wasm_memory_data(wasm_memory_t *);
WASM_API_EXTERN size_t wasm_memory_data_size(const wasm_memory_t *);
WASM_API_EXTERN wasm_memory_pages_t wasm_memory_size(const wasm_memory_t *);
WASM_API_EXTERN bool wasm_memory_grow(wasm_memory_t *, wasm_memory_pages_t delta);

/* ------------------------------------------------------------------ externals and instances */

WASM_DECLARE_REF(extern)
WASM_DECLARE_VEC(extern, *)
WASM_API_EXTERN wasm_externkind_t wasm_extern_kind(const wasm_extern_t *);
WASM_API_EXTERN wasm_externtype_t *wasm_extern_type(const wasm_extern_t *);
WASM_VIEWS(func, extern)
WASM_VIEWS(global, extern)
WASM_VIEWS(table, extern)
WASM_VIEWS(memory, extern)

WASM_DECLARE_REF(instance)
/* Imports in the order of wasm_module_imports. Runs the start function. NULL when that traps or
 * the imports do not fit; *trap, which is the caller's, says why, unless `trap` is NULL. */
WASM_API_EXTERN wasm_instance_t *wasm_instance_new(wasm_store_t *, const wasm_module_t *,
                                                   const wasm_extern_vec_t *imports,
                                                   wasm_trap_t **trap);
/* In the order of wasm_module_exports. */
WASM_API_EXTERN void wasm_instance_exports(const wasm_instance_t *, wasm_extern_vec_t *out);

/* ------------------------------------------------------------------ short forms */

#define WASM_EMPTY_VEC {0, NULL}
#define WASM_ARRAY_VEC(array) {sizeof(array) / sizeof((array)[0]), array}

#define WASM_I32_VAL(i) {.kind = WASM_I32, .of = {.i32 = i}}
#define WASM_I64_VAL(i) {.kind = WASM_I64, .of = {.i64 = i}}
#define WASM_F32_VAL(z) {.kind = WASM_F32, .of = {.f32 = z}}
#define WASM_F64_VAL(z) {.kind = WASM_F64, .of = {.f64 = z}}
#define WASM_REF_VAL(r) {.kind = WASM_EXTERNREF, .of = {.ref = r}}
#define WASM_INIT_VAL {.kind = WASM_EXTERNREF, .of = {.ref = NULL}}

#define WASM_VALTYPE_SHORT(name, kind)                                                             \
    static inline wasm_valtype_t *wasm_valtype_new_##name(void)                                    \
    {                                                                                              \
        return wasm_valtype_new(kind);                                                             \
    }

WASM_VALTYPE_SHORT(i32, WASM_I32)
WASM_VALTYPE_SHORT(i64, WASM_I64)
WASM_VALTYPE_SHORT(f32, WASM_F32)
WASM_VALTYPE_SHORT(f64, WASM_F64)
WASM_VALTYPE_SHORT(externref, WASM_EXTERNREF)
WASM_VALTYPE_SHORT(funcref, WASM_FUNCREF)

/* wasm_functype_new_P_R(...): of P parameters and R results, whose types it takes. `all` holds the
 * parameters, then the results. */
static inline wasm_functype_t *wasm_functype_new_short(wasm_valtype_t *const *all, size_t params,
                                                       size_t results)
{
    wasm_valtype_vec_t p, r;

    wasm_valtype_vec_new_empty(&p);
    wasm_valtype_vec_new_empty(&r);
    if (params > 0)
        wasm_valtype_vec_new(&p, params, all);
    if (results > 0)
        wasm_valtype_vec_new(&r, results, all + params);
    return wasm_functype_new(&p, &r);
}

static inline wasm_functype_t *wasm_functype_new_0_0(void)
{
    wasm_valtype_t *all[1] = {NULL};

    return wasm_functype_new_short(all, 0, 0);
}

#define WASM_FUNCTYPE_SHORT(p, r, parameters, ...)                                                 \
    static inline wasm_functype_t *wasm_functype_new_##p##_##r parameters                          \
    {                                                                                              \
        wasm_valtype_t *all[] = {__VA_ARGS__};                                                     \
        return wasm_functype_new_short(all, p, r);                                                 \
    }

WASM_FUNCTYPE_SHORT(1, 0, (wasm_valtype_t *a), a)
WASM_FUNCTYPE_SHORT(2, 0, (wasm_valtype_t *a, wasm_valtype_t *b), a, b)
WASM_FUNCTYPE_SHORT(3, 0, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c), a, b, c)
WASM_FUNCTYPE_SHORT(0, 1, (wasm_valtype_t *a), a)
WASM_FUNCTYPE_SHORT(1, 1, (wasm_valtype_t *a, wasm_valtype_t *b), a, b)
WASM_FUNCTYPE_SHORT(2, 1, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c), a, b, c)
WASM_FUNCTYPE_SHORT(3, 1, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c,
                           wasm_valtype_t *d), a, b, c, d)
WASM_FUNCTYPE_SHORT(0, 2, (wasm_valtype_t *a, wasm_valtype_t *b), a, b)
WASM_FUNCTYPE_SHORT(1, 2, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c), a, b, c)
WASM_FUNCTYPE_SHORT(2, 2, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c,
                           wasm_valtype_t *d), a, b, c, d)
WASM_FUNCTYPE_SHORT(3, 2, (wasm_valtype_t *a, wasm_valtype_t *b, wasm_valtype_t *c,
                           wasm_valtype_t *d, wasm_valtype_t *e), a, b, c, d, e)

/* A pointer as a number: Cordon runs on 64-bit hosts alone. */
static inline void wasm_val_init_ptr(wasm_val_t *out, void *pointer)
{
    out->kind = WASM_I64;
    out->of.i64 = (intptr_t)pointer;
}

static inline void *wasm_val_ptr(const wasm_val_t *val)
{
    return (void *)(intptr_t)val->of.i64;
}

#ifdef __cplusplus
}
#endif

#endif
