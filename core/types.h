/* Types of WebAssembly (core 2.3): value types in 32 bits, and what a module's type section
 * defines.
 *
 * A reference type names its heap type by a byte of the binary format or by the number of a
 * defined type. Such numbers are canonical: equal types of one type space (core 3.1.5: types are
 * equal when their recursive groups are) have one number, the lowest, so that two value types
 * are equal when their words are. A type space is a module's type section, or a store's registry
 * (vm/types.h), whose numbers mean the same in all modules of the store.
 */
#ifndef CN_CORE_TYPES_H
#define CN_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers: the byte of the binary format (core 5.3.1). References: the bits below. */
typedef uint32_t cn_valtype;
enum {
    CN_I32 = 0x7f,
    CN_I64 = 0x7e,
    CN_F32 = 0x7d,
    CN_F64 = 0x7c,
    CN_V128 = 0x7b,
    CN_I8 = 0x78,  /* packed, in fields alone */
    CN_I16 = 0x77,
};

/* Heap types: their bytes. */
enum {
    CN_HEAP_NOEXN = 0x74,
    CN_HEAP_NOFUNC = 0x73,
    CN_HEAP_NOEXTERN = 0x72,
    CN_HEAP_NONE = 0x71,
    CN_HEAP_FUNC = 0x70,
    CN_HEAP_EXTERN = 0x6f,
    CN_HEAP_ANY = 0x6e,
    CN_HEAP_EQ = 0x6d,
    CN_HEAP_I31 = 0x6c,
    CN_HEAP_STRUCT = 0x6b,
    CN_HEAP_ARRAY = 0x6a,
    CN_HEAP_EXN = 0x69,
};

/* The four kinds of references that have nothing in common (core 3.3.3). */
enum cn_hierarchy {
    CN_HIERARCHY_FUNC,
    CN_HIERARCHY_EXTERN,
    CN_HIERARCHY_ANY,
    CN_HIERARCHY_EXN,
};

#define CN_REF_BIT 0x80000000u      /* a reference */
#define CN_REF_NULL_BIT 0x40000000u /* that may be null */
#define CN_REF_INDEX_BIT 0x20000000u /* of a defined type; else of the heap type's byte */
#define CN_REF_HIERARCHY_SHIFT 27
#define CN_REF_HEAP_MASK 0x00ffffffu

/* A reference to what `heap` (CN_HEAP_...) says, in the given hierarchy. */
#define CN_REF_ABSTRACT(heap, hierarchy, nullable)                                                 \
    (CN_REF_BIT | ((nullable) ? CN_REF_NULL_BIT : 0u) |                                            \
     (uint32_t)(hierarchy) << CN_REF_HIERARCHY_SHIFT | (uint32_t)(heap))

#define CN_FUNCREF CN_REF_ABSTRACT(CN_HEAP_FUNC, CN_HIERARCHY_FUNC, true)
#define CN_EXTERNREF CN_REF_ABSTRACT(CN_HEAP_EXTERN, CN_HIERARCHY_EXTERN, true)
#define CN_ANYREF CN_REF_ABSTRACT(CN_HEAP_ANY, CN_HIERARCHY_ANY, true)
#define CN_EXNREF CN_REF_ABSTRACT(CN_HEAP_EXN, CN_HIERARCHY_EXN, true)

static inline bool cn_heap_is_abstract(uint32_t byte)
{
    return byte >= CN_HEAP_EXN && byte <= CN_HEAP_NOEXN;
}

enum cn_hierarchy cn_hierarchy_of_heap(uint32_t byte);

/* A reference to an abstract heap type. */
static inline cn_valtype cn_ref_abstract(uint32_t byte, bool nullable)
{
    return CN_REF_ABSTRACT(byte, cn_hierarchy_of_heap(byte), nullable);
}

/* A reference to a defined type: canonical number `index` (below 2^24). */
static inline cn_valtype cn_ref_defined(uint32_t index, enum cn_hierarchy hierarchy,
                                        bool nullable)
{
    return CN_REF_ABSTRACT(index, hierarchy, nullable) | CN_REF_INDEX_BIT;
}

static inline bool cn_valtype_is_ref(cn_valtype type)
{
    return (type & CN_REF_BIT) != 0;
}

static inline bool cn_valtype_is_num(cn_valtype type)
{
    return type <= CN_I32 && type >= CN_F64;
}

static inline bool cn_ref_is_nullable(cn_valtype type)
{
    return (type & CN_REF_NULL_BIT) != 0;
}

static inline bool cn_ref_is_defined(cn_valtype type)
{
    return (type & CN_REF_INDEX_BIT) != 0;
}

/* The number of the defined type, or the heap type's byte. */
static inline uint32_t cn_ref_heap(cn_valtype type)
{
    return type & CN_REF_HEAP_MASK;
}

static inline enum cn_hierarchy cn_ref_hierarchy(cn_valtype type)
{
    return (enum cn_hierarchy)(type >> CN_REF_HIERARCHY_SHIFT & 3);
}

static inline cn_valtype cn_ref_as_nullable(cn_valtype type, bool nullable)
{
    return nullable ? type | CN_REF_NULL_BIT : type & ~CN_REF_NULL_BIT;
}

/* A value without this initialises to nothing: locals of such types must be set first. */
static inline bool cn_valtype_has_default(cn_valtype type)
{
    return !cn_valtype_is_ref(type) || cn_ref_is_nullable(type);
}

/* What the register machine knows of a type, in a byte: a number type's own, else the heap type
 * at the top of the reference's hierarchy: CN_HEAP_FUNC, EXTERN, ANY, EXN. */
uint8_t cn_valtype_code(cn_valtype type);

/* Whether this is the code of a reference. */
static inline bool cn_code_is_ref(uint8_t code)
{
    return code == CN_HEAP_FUNC || code == CN_HEAP_EXTERN || code == CN_HEAP_ANY ||
           code == CN_HEAP_EXN;
}

/* Slots that a value takes: 2 for v128. */
static inline uint32_t cn_valtype_slots(cn_valtype type)
{
    return type == CN_V128 ? 2 : 1;
}

/* The name as in the text format ("i32", "funcref", "(ref any)"); "(ref null type)" without its
 * number for defined types; "?" for none. */
const char *cn_valtype_name(cn_valtype type);
/* The same with the number; cut to size; returns text. */
char *cn_valtype_print(cn_valtype type, char *text, size_t size);

/* "func", "extern", ...; "?" for none. */
const char *cn_heap_name(uint32_t byte);

struct cn_functype {
    uint32_t param_count;
    uint32_t result_count;
    const cn_valtype *types; /* params, then results */
    uint32_t param_slots;    /* a v128 takes two */
    uint32_t result_slots;
};

/* Of numbers and references alone, as an initialiser; the function counts slots. */
#define CN_FUNCTYPE(params, results, types)                                                        \
    {                                                                                              \
        params, results, types, params, results                                                    \
    }
struct cn_functype cn_functype_of(uint32_t param_count, uint32_t result_count,
                                  const cn_valtype *types);

static inline const cn_valtype *cn_functype_params(const struct cn_functype *type)
{
    return type->types;
}

static inline const cn_valtype *cn_functype_results(const struct cn_functype *type)
{
    return type->types + type->param_count;
}

/* Equality of parameters and results, in one type space. */
bool cn_functype_equal(const struct cn_functype *a, const struct cn_functype *b);

/* Writes "(i32, i64) -> f64" into text, cut to size, and returns text. */
char *cn_functype_print(const struct cn_functype *type, char *text, size_t size);

struct cn_field_type {
    cn_valtype type; /* or packed */
    bool is_mutable;
};

enum cn_deftype_kind { CN_DEF_FUNC, CN_DEF_STRUCT, CN_DEF_ARRAY };

/* A type that a type section defines, with its place in its recursive group. */
struct cn_deftype {
    uint8_t kind; /* enum cn_deftype_kind */
    bool is_final;
    uint8_t depth;         /* length of the chain of supertypes: at most CN_LIMIT_SUPERTYPES */
    uint32_t super;        /* canonical number, or CN_NO_INDEX */
    uint32_t canonical;    /* the lowest number of an equal type */
    uint32_t group;        /* number of the first type of its group */
    uint32_t group_size;
    struct cn_functype func;             /* of a function type; else empty */
    uint32_t field_count;                /* 1 for an array */
    const struct cn_field_type *fields;
};

#define CN_NO_INDEX UINT32_MAX

/* A function type as the only one of its group, as an initialiser. */
#define CN_DEFTYPE(number, params, results, types)                                                 \
    {                                                                                              \
        .kind = CN_DEF_FUNC, .is_final = true, .super = CN_NO_INDEX, .canonical = number,          \
        .group = number, .group_size = 1, .func = CN_FUNCTYPE(params, results, types)              \
    }

static inline enum cn_hierarchy cn_deftype_hierarchy(const struct cn_deftype *type)
{
    return type->kind == CN_DEF_FUNC ? CN_HIERARCHY_FUNC : CN_HIERARCHY_ANY;
}

/* Whether every value of type a is one of type b (core 3.3.1 to 3.3.5), in the type space
 * `types`. */
bool cn_valtype_is_subtype(const struct cn_deftype *types, cn_valtype a, cn_valtype b);
/* The same of two canonical numbers of defined types. */
bool cn_deftype_is_subtype(const struct cn_deftype *types, uint32_t a, uint32_t b);

#endif
