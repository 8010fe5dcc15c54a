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

/* A value type: the byte of the binary format (core 5.3.1). Kept in 32 bits so that reference
 * types with a type index fit later. */
typedef uint32_t cn_valtype;
enum {
    CN_I32 = 0x7f,
    CN_I64 = 0x7e,
    CN_F32 = 0x7d,
    CN_F64 = 0x7c,
    CN_V128 = 0x7b,
    CN_FUNCREF = 0x70,
    CN_EXTERNREF = 0x6f,
};

static inline bool cn_valtype_is_ref(cn_valtype type)
{
    return type == CN_FUNCREF || type == CN_EXTERNREF;
}

static inline bool cn_valtype_is_num(cn_valtype type)
{
    return type <= CN_I32 && type >= CN_F64;
}

/* The name as in the text format ("i32", "funcref"); "?" for none. */
const char *cn_valtype_name(cn_valtype type);

struct cn_functype {
    uint32_t param_count;
    uint32_t result_count;
    const cn_valtype *types; /* params, then results */
};

static inline const cn_valtype *cn_functype_params(const struct cn_functype *type)
{
    return type->types;
}

static inline const cn_valtype *cn_functype_results(const struct cn_functype *type)
{
    return type->types + type->param_count;
}

/* Structural equality, which is type identity in WebAssembly 2.0. */
bool cn_functype_equal(const struct cn_functype *a, const struct cn_functype *b);

/* Writes "(i32, i64) -> f64" into text, cut to size, and returns text. */
char *cn_functype_print(const struct cn_functype *type, char *text, size_t size);

struct cn_limits {
    uint64_t min;
    uint64_t max; /* UINT64_MAX when the module states none */
};

enum cn_extern_kind { CN_EXTERN_FUNC, CN_EXTERN_TABLE, CN_EXTERN_MEMORY, CN_EXTERN_GLOBAL };

/* "function", "table", "memory", "global". */
const char *cn_extern_kind_name(enum cn_extern_kind kind);

struct cn_table_type {
    cn_valtype element;
    struct cn_limits limits;
};

struct cn_memory_type {
    struct cn_limits limits; /* in pages of 64 KiB */
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

#define CN_NO_INDEX UINT32_MAX

struct cn_module {
    struct cn_bytes file;
    struct cn_arena arena; /* everything below lives here */

    struct cn_functype *types;
    struct cn_import *imports;
    struct cn_export *exports;
    struct cn_funcdecl *funcs;
    struct cn_table_type *tables;
    struct cn_memory_type *memories;
    struct cn_globaldecl *globals;
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
    uint32_t element_count;
    uint32_t data_count;
    uint32_t func_name_count;

    uint32_t start;       /* function index or CN_NO_INDEX */
    struct cn_bytes name; /* the module's own name, may be empty */
};

/* The export of that name, or NULL. */
const struct cn_export *cn_module_find_export(const struct cn_module *module,
                                              struct cn_bytes name);

/* The function's name from the name section, else of its export, else empty. */
struct cn_bytes cn_module_func_name(const struct cn_module *module, uint32_t func);

/* Where these bytes of the file begin, counted from the file's start. */
static inline uint64_t cn_module_offset(const struct cn_module *module, const uint8_t *at)
{
    return (uint64_t)(at - module->file.at);
}

#endif
