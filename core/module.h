/* What a WebAssembly file says: the validated module, before anything is translated or run.
 *
 * Built by loader/, read-only afterwards, shared by all VMs that run it. Names, bodies and
 * segments are views into the file's bytes, which must outlive the module. All counts and
 * indices include imports first, as in the specification (index spaces, core 2.5.1).
 */
#ifndef CN_CORE_MODULE_H
#define CN_CORE_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/bytes.h"
#include "core/types.h"

struct cn_limits {
    uint64_t min;
    uint64_t max; /* UINT64_MAX when the module states none */
};

enum cn_extern_kind {
    CN_EXTERN_FUNC,
    CN_EXTERN_TABLE,
    CN_EXTERN_MEMORY,
    CN_EXTERN_GLOBAL,
    CN_EXTERN_TAG,
};

/* "function", "table", "memory", "global", "tag". */
const char *cn_extern_kind_name(enum cn_extern_kind kind);

struct cn_table_type {
    cn_valtype element;
    struct cn_limits limits;
    bool is_64; /* indices are i64 */
};

#define CN_PAGE_LOG2 16

struct cn_memory_type {
    struct cn_limits limits; /* in pages */
    uint8_t page_log2;       /* binary logarithm of a page's bytes: CN_PAGE_LOG2, or 0 */
    bool is_64;              /* addresses are i64 */
    bool is_shared;
};

struct cn_global_type {
    cn_valtype type;
    bool is_mutable;
};

/* A constant expression: a view of its bytes, the closing `end` included, already validated. */
struct cn_constexpr {
    struct cn_bytes code;
};

struct cn_import {
    struct cn_bytes module;
    struct cn_bytes name;
    enum cn_extern_kind kind;
    uint32_t index; /* in the kind's own index space */
};

struct cn_export {
    struct cn_bytes name;
    enum cn_extern_kind kind;
    uint32_t index;
};

/* A table of the module's own: what its elements are at first; empty for null and for imports. */
struct cn_tabledecl {
    struct cn_table_type type;
    struct cn_constexpr init;
};

/* A function: imported ones have no body. */
struct cn_funcdecl {
    uint32_t type;      /* index of its type */
    bool is_referenced; /* by ref.func, an element segment or an export (C.refs) */
    struct cn_bytes body; /* from the local declarations to the closing end */
    uint32_t local_count; /* declared locals, parameters not counted */
};

struct cn_globaldecl {
    struct cn_global_type type;
    struct cn_constexpr init; /* empty for imports */
};

enum cn_segment_mode { CN_SEGMENT_ACTIVE, CN_SEGMENT_PASSIVE, CN_SEGMENT_DECLARATIVE };

struct cn_element_segment {
    enum cn_segment_mode mode;
    cn_valtype type;
    uint32_t table;
    struct cn_constexpr offset;
    uint32_t count;
    /* Either function indices, or one constant expression per element. */
    const uint32_t *funcs;
    const struct cn_constexpr *exprs;
};

struct cn_data_segment {
    enum cn_segment_mode mode;
    uint32_t memory;
    struct cn_constexpr offset;
    struct cn_bytes bytes;
};

/* A function's name from the name section (core appendix, custom sections); sorted by index. */
struct cn_name {
    uint32_t index;
    struct cn_bytes name;
};

struct cn_module {
    struct cn_bytes file;
    struct cn_arena arena; /* everything below lives here */

    struct cn_deftype *types;
    struct cn_import *imports;
    struct cn_export *exports;
    uint32_t *export_order; /* their numbers, sorted by name as cn_bytes_compare has it */
    struct cn_funcdecl *funcs;
    struct cn_tabledecl *tables;
    struct cn_memory_type *memories;
    struct cn_globaldecl *globals;
    uint32_t *tags; /* index of the type that says what an exception carries */
    struct cn_element_segment *elements;
    struct cn_data_segment *datas;
    struct cn_name *func_names;

    uint32_t type_count;
    uint32_t import_count;
    uint32_t export_count;
    uint32_t func_count, imported_func_count;
    uint32_t table_count, imported_table_count;
    uint32_t memory_count, imported_memory_count;
    uint32_t global_count, imported_global_count;
    uint32_t tag_count, imported_tag_count;
    uint32_t element_count;
    uint32_t data_count;
    uint32_t func_name_count;

    uint32_t start;       /* function index or CN_NO_INDEX */
    struct cn_bytes name; /* the module's own name, may be empty */
};

/* The type of number `index`, which is a function's. */
static inline const struct cn_functype *cn_module_functype(const struct cn_module *module,
                                                           uint32_t index)
{
    return &module->types[index].func;
}

/* The type of function number `func`. */
static inline const struct cn_functype *cn_module_type_of(const struct cn_module *module,
                                                          uint32_t func)
{
    return &module->types[module->funcs[func].type].func;
}

/* The export of that name, or NULL. By halves: embedders call functions by their names. */
const struct cn_export *cn_module_find_export(const struct cn_module *module,
                                              struct cn_bytes name);

/* The function's name from the name section, else empty. */
struct cn_bytes cn_module_given_name(const struct cn_module *module, uint32_t func);
/* The same, else of its export, else empty. */
struct cn_bytes cn_module_func_name(const struct cn_module *module, uint32_t func);

/* Where these bytes of the file begin, counted from the file's start. */
static inline uint64_t cn_module_offset(const struct cn_module *module, const uint8_t *at)
{
    return (uint64_t)(at - module->file.at);
}

#endif
