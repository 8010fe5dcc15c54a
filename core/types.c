#include "core/types.h"

#include <stdio.h>

enum cn_hierarchy cn_hierarchy_of_heap(uint32_t byte)
{
    switch (byte) {
    case CN_HEAP_FUNC:
    case CN_HEAP_NOFUNC:
        return CN_HIERARCHY_FUNC;
    case CN_HEAP_EXTERN:
    case CN_HEAP_NOEXTERN:
        return CN_HIERARCHY_EXTERN;
    case CN_HEAP_EXN:
    case CN_HEAP_NOEXN:
        return CN_HIERARCHY_EXN;
    default:
        return CN_HIERARCHY_ANY;
    }
}

uint8_t cn_valtype_code(cn_valtype type)
{
    static const uint8_t tops[] = {
        [CN_HIERARCHY_FUNC] = CN_HEAP_FUNC,
        [CN_HIERARCHY_EXTERN] = CN_HEAP_EXTERN,
        [CN_HIERARCHY_ANY] = CN_HEAP_ANY,
        [CN_HIERARCHY_EXN] = CN_HEAP_EXN,
    };

    return cn_valtype_is_ref(type) ? tops[cn_ref_hierarchy(type)] : (uint8_t)type;
}

/* ------------------------------------------------------------------ names */

/* By byte, from CN_HEAP_EXN up: the heap type, the reference that may be null, the other. */
static const struct {
    const char *heap, *nullable, *strict;
} heap_names[] = {
    {"exn", "exnref", "(ref exn)"},
    {"array", "arrayref", "(ref array)"},
    {"struct", "structref", "(ref struct)"},
    {"i31", "i31ref", "(ref i31)"},
    {"eq", "eqref", "(ref eq)"},
    {"any", "anyref", "(ref any)"},
    {"extern", "externref", "(ref extern)"},
    {"func", "funcref", "(ref func)"},
    {"none", "nullref", "(ref none)"},
    {"noextern", "nullexternref", "(ref noextern)"},
    {"nofunc", "nullfuncref", "(ref nofunc)"},
    {"noexn", "nullexnref", "(ref noexn)"},
};

const char *cn_heap_name(uint32_t byte)
{
    return cn_heap_is_abstract(byte) ? heap_names[byte - CN_HEAP_EXN].heap : "?";
}

static const char *ref_name(cn_valtype type)
{
    uint32_t heap = cn_ref_heap(type);

    if (cn_ref_is_defined(type))
        return cn_ref_is_nullable(type) ? "(ref null type)" : "(ref type)";
    if (!cn_heap_is_abstract(heap))
        return "?";
    return cn_ref_is_nullable(type) ? heap_names[heap - CN_HEAP_EXN].nullable
                                    : heap_names[heap - CN_HEAP_EXN].strict;
}

const char *cn_valtype_name(cn_valtype type)
{
    if (cn_valtype_is_ref(type))
        return ref_name(type);
    switch (type) {
    case CN_I32:
        return "i32";
    case CN_I64:
        return "i64";
    case CN_F32:
        return "f32";
    case CN_F64:
        return "f64";
    case CN_V128:
        return "v128";
    case CN_I8:
        return "i8";
    case CN_I16:
        return "i16";
    default:
        return "?";
    }
}

char *cn_valtype_print(cn_valtype type, char *text, size_t size)
{
    if (cn_valtype_is_ref(type) && cn_ref_is_defined(type))
        snprintf(text, size, cn_ref_is_nullable(type) ? "(ref null %u)" : "(ref %u)",
                 cn_ref_heap(type));
    else
        snprintf(text, size, "%s", cn_valtype_name(type));
    return text;
}

/* ------------------------------------------------------------------ function types */

struct cn_functype cn_functype_of(uint32_t param_count, uint32_t result_count,
                                  const cn_valtype *types)
{
    struct cn_functype type = {param_count, result_count, types, 0, 0};

    for (uint32_t i = 0; i < param_count; i++)
        type.param_slots += cn_valtype_slots(types[i]);
    for (uint32_t i = 0; i < result_count; i++)
        type.result_slots += cn_valtype_slots(types[param_count + i]);
    return type;
}

bool cn_functype_equal(const struct cn_functype *a, const struct cn_functype *b)
{
    if (a->param_count != b->param_count || a->result_count != b->result_count)
        return false;
    for (uint32_t i = 0; i < a->param_count + a->result_count; i++)
        if (a->types[i] != b->types[i])
            return false;
    return true;
}

/* Appends to text without passing its size; returns the new length. */
static size_t append(char *text, size_t size, size_t at, const char *piece)
{
    if (at >= size)
        return at;
    int length = snprintf(text + at, size - at, "%s", piece);
    return length < 0 ? at : at + (size_t)length;
}

static size_t append_types(char *text, size_t size, size_t at, const cn_valtype *types,
                           uint32_t count)
{
    char name[32];

    for (uint32_t i = 0; i < count && at < size; i++) {
        at = append(text, size, at, i ? ", " : "");
        at = append(text, size, at, cn_valtype_print(types[i], name, sizeof name));
    }
    return at;
}

char *cn_functype_print(const struct cn_functype *type, char *text, size_t size)
{
    size_t at = append(text, size, 0, "(");

    at = append_types(text, size, at, cn_functype_params(type), type->param_count);
    at = append(text, size, at, ")");
    if (type->result_count == 0)
        return text;
    at = append(text, size, at, type->result_count > 1 ? " -> (" : " -> ");
    at = append_types(text, size, at, cn_functype_results(type), type->result_count);
    append(text, size, at, type->result_count > 1 ? ")" : "");
    return text;
}

/* ------------------------------------------------------------------ subtyping */

bool cn_deftype_is_subtype(const struct cn_deftype *types, uint32_t a, uint32_t b)
{
    while (a != b) {
        a = types[a].super;
        if (a == CN_NO_INDEX)
            return false;
    }
    return true;
}

static bool abstract_is_subtype(uint32_t a, uint32_t b)
{
    if (a == b)
        return true;
    if (cn_hierarchy_of_heap(a) != cn_hierarchy_of_heap(b))
        return false;
    if (a >= CN_HEAP_NONE) /* the four bottoms: NONE, NOEXTERN, NOFUNC, NOEXN */
        return true;
    if (b == CN_HEAP_ANY)
        return true;
    return b == CN_HEAP_EQ &&
           (a == CN_HEAP_I31 || a == CN_HEAP_STRUCT || a == CN_HEAP_ARRAY);
}

static uint32_t heap_above(const struct cn_deftype *type)
{
    switch (type->kind) {
    case CN_DEF_STRUCT:
        return CN_HEAP_STRUCT;
    case CN_DEF_ARRAY:
        return CN_HEAP_ARRAY;
    default:
        return CN_HEAP_FUNC;
    }
}

static bool heap_is_subtype(const struct cn_deftype *types, cn_valtype a, cn_valtype b)
{
    uint32_t heap_a = cn_ref_heap(a), heap_b = cn_ref_heap(b);

    if (cn_ref_is_defined(a) && cn_ref_is_defined(b))
        return cn_deftype_is_subtype(types, heap_a, heap_b);
    if (cn_ref_is_defined(a))
        return abstract_is_subtype(heap_above(&types[heap_a]), heap_b);
    if (cn_ref_is_defined(b))
        return cn_ref_hierarchy(a) == cn_ref_hierarchy(b) && heap_a >= CN_HEAP_NONE;
    return abstract_is_subtype(heap_a, heap_b);
}

bool cn_valtype_is_subtype(const struct cn_deftype *types, cn_valtype a, cn_valtype b)
{
    if (a == b)
        return true;
    if (!cn_valtype_is_ref(a) || !cn_valtype_is_ref(b))
        return false;
    if (cn_ref_is_nullable(a) && !cn_ref_is_nullable(b))
        return false;
    return heap_is_subtype(types, a, b);
}
