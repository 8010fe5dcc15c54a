/* Types of wasm.h: plain data that the embedder makes, copies and looks at. */
#include "api/wasm_internal.h"

/* ------------------------------------------------------------------ value types */

struct wasm_valtype_t {
    wasm_valkind_t kind;
};

static const struct {
    wasm_valkind_t kind;
    cn_valtype type;
} kinds[] = {
    {WASM_I32, CN_I32},             {WASM_I64, CN_I64},         {WASM_F32, CN_F32},
    {WASM_F64, CN_F64},             {WASM_V128, CN_V128},       {WASM_EXTERNREF, CN_EXTERNREF},
    {WASM_FUNCREF, CN_FUNCREF},     {WASM_ANYREF, CN_ANYREF},   {WASM_EXNREF, CN_EXNREF},
};

cn_valtype cn_wasm_valtype(wasm_valkind_t kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].kind == kind)
            return kinds[i].type;
    return 0;
}

wasm_valkind_t cn_wasm_kind(cn_valtype type)
{
    static const wasm_valkind_t refs[] = {[CN_HIERARCHY_FUNC] = WASM_FUNCREF,
                                          [CN_HIERARCHY_EXTERN] = WASM_EXTERNREF,
                                          [CN_HIERARCHY_ANY] = WASM_ANYREF,
                                          [CN_HIERARCHY_EXN] = WASM_EXNREF};

    if (cn_valtype_is_ref(type))
        return refs[cn_ref_hierarchy(type)];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == type)
            return kinds[i].kind;
    return WASM_V128;
}

wasm_valtype_t *wasm_valtype_new(wasm_valkind_t kind)
{
    wasm_valtype_t *type =
        cn_wasm_valtype(kind) != 0 ? cn_alloc(cn_heap, sizeof(wasm_valtype_t)) : NULL;

    if (type != NULL)
        type->kind = kind;
    return type;
}

void wasm_valtype_delete(wasm_valtype_t *type)
{
    cn_free(cn_heap, type, sizeof *type);
}

wasm_valtype_t *wasm_valtype_copy(const wasm_valtype_t *type)
{
    return wasm_valtype_new(type->kind);
}

wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t *type)
{
    return type->kind;
}

/* ------------------------------------------------------------------ externals */

wasm_externtype_t *cn_wasm_externtype(wasm_externkind_t kind)
{
    wasm_externtype_t *type = cn_alloc(cn_heap, sizeof *type);

    if (type != NULL)
        type->kind = kind;
    return type;
}

void wasm_externtype_delete(wasm_externtype_t *type)
{
    if (type == NULL)
        return;
    wasm_valtype_delete(type->content);
    wasm_valtype_vec_delete(&type->params);
    wasm_valtype_vec_delete(&type->results);
    cn_free(cn_heap, type, sizeof *type);
}

static bool copied(const wasm_valtype_vec_t *copy, const wasm_valtype_vec_t *from)
{
    if (copy->size != from->size)
        return false;
    for (size_t i = 0; i < copy->size; i++)
        if (copy->data[i] == NULL && from->data[i] != NULL)
            return false;
    return true;
}

wasm_externtype_t *wasm_externtype_copy(const wasm_externtype_t *from)
{
    wasm_externtype_t *type = cn_wasm_externtype(from->kind);

    if (type == NULL)
        return NULL;
    type->mutability = from->mutability;
    type->limits = from->limits;
    type->content = from->content != NULL ? wasm_valtype_copy(from->content) : NULL;
    wasm_valtype_vec_copy(&type->params, &from->params);
    wasm_valtype_vec_copy(&type->results, &from->results);
    if ((type->content != NULL) == (from->content != NULL) &&
        copied(&type->params, &from->params) && copied(&type->results, &from->results))
        return type;
    wasm_externtype_delete(type);
    return NULL;
}

wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t *type)
{
    return type->kind;
}

/* The four special types are the general one under other names. */
#define SPECIAL(name, kind_of)                                                                     \
    struct wasm_##name##_t {                                                                       \
        wasm_externtype_t type;                                                                    \
    };                                                                                             \
    void wasm_##name##_delete(wasm_##name##_t *type)                                               \
    {                                                                                              \
        wasm_externtype_delete((wasm_externtype_t *)type);                                         \
    }                                                                                              \
    wasm_##name##_t *wasm_##name##_copy(const wasm_##name##_t *type)                               \
    {                                                                                              \
        return (wasm_##name##_t *)wasm_externtype_copy(&type->type);                               \
    }                                                                                              \
    wasm_externtype_t *wasm_##name##_as_externtype(wasm_##name##_t *type)                          \
    {                                                                                              \
        return (wasm_externtype_t *)type;                                                          \
    }                                                                                              \
    const wasm_externtype_t *wasm_##name##_as_externtype_const(const wasm_##name##_t *type)        \
    {                                                                                              \
        return (const wasm_externtype_t *)type;                                                    \
    }                                                                                              \
    wasm_##name##_t *wasm_externtype_as_##name(wasm_externtype_t *type)                            \
    {                                                                                              \
        return type != NULL && type->kind == kind_of ? (wasm_##name##_t *)type : NULL;             \
    }                                                                                              \
    const wasm_##name##_t *wasm_externtype_as_##name##_const(const wasm_externtype_t *type)        \
    {                                                                                              \
        return type != NULL && type->kind == kind_of ? (const wasm_##name##_t *)type : NULL;       \
    }

SPECIAL(functype, WASM_EXTERN_FUNC)
SPECIAL(globaltype, WASM_EXTERN_GLOBAL)
SPECIAL(tabletype, WASM_EXTERN_TABLE)
SPECIAL(memorytype, WASM_EXTERN_MEMORY)

/* Takes the vector over, also when that fails. */
static void take_vec(wasm_valtype_vec_t *to, wasm_valtype_vec_t *from)
{
    wasm_valtype_vec_t taken = *from;

    wasm_valtype_vec_new_empty(from);
    *to = taken;
}

wasm_functype_t *wasm_functype_new(wasm_valtype_vec_t *params, wasm_valtype_vec_t *results)
{
    wasm_externtype_t *type = cn_wasm_externtype(WASM_EXTERN_FUNC);

    if (type == NULL) {
        wasm_valtype_vec_delete(params);
        wasm_valtype_vec_delete(results);
        return NULL;
    }
    take_vec(&type->params, params);
    take_vec(&type->results, results);
    return (wasm_functype_t *)type;
}

const wasm_valtype_vec_t *wasm_functype_params(const wasm_functype_t *type)
{
    return &type->type.params;
}

const wasm_valtype_vec_t *wasm_functype_results(const wasm_functype_t *type)
{
    return &type->type.results;
}

/* Of a global or table; takes `content`. */
static wasm_externtype_t *type_with_content(wasm_externkind_t kind, wasm_valtype_t *content)
{
    wasm_externtype_t *type = content != NULL ? cn_wasm_externtype(kind) : NULL;

    if (type == NULL)
        wasm_valtype_delete(content);
    else
        type->content = content;
    return type;
}

wasm_globaltype_t *wasm_globaltype_new(wasm_valtype_t *content, wasm_mutability_t mutability)
{
    wasm_externtype_t *type = type_with_content(WASM_EXTERN_GLOBAL, content);

    if (type != NULL)
        type->mutability = mutability;
    return (wasm_globaltype_t *)type;
}

const wasm_valtype_t *wasm_globaltype_content(const wasm_globaltype_t *type)
{
    return type->type.content;
}

wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t *type)
{
    return type->type.mutability;
}

wasm_tabletype_t *wasm_tabletype_new(wasm_valtype_t *element, const wasm_limits_t *limits)
{
    wasm_externtype_t *type = type_with_content(WASM_EXTERN_TABLE, element);

    if (type != NULL)
        type->limits = *limits;
    return (wasm_tabletype_t *)type;
}

const wasm_valtype_t *wasm_tabletype_element(const wasm_tabletype_t *type)
{
    return type->type.content;
}

const wasm_limits_t *wasm_tabletype_limits(const wasm_tabletype_t *type)
{
    return &type->type.limits;
}

wasm_memorytype_t *wasm_memorytype_new(const wasm_limits_t *limits)
{
    wasm_externtype_t *type = cn_wasm_externtype(WASM_EXTERN_MEMORY);

    if (type != NULL)
        type->limits = *limits;
    return (wasm_memorytype_t *)type;
}

const wasm_limits_t *wasm_memorytype_limits(const wasm_memorytype_t *type)
{
    return &type->type.limits;
}

/* ------------------------------------------------------------------ imports and exports */

struct wasm_importtype_t {
    wasm_name_t module, name;
    wasm_externtype_t *type;
};

struct wasm_exporttype_t {
    wasm_name_t name;
    wasm_externtype_t *type;
};

static wasm_name_t take_name(wasm_name_t *from)
{
    wasm_name_t taken = *from;

    wasm_name_new_empty(from);
    return taken;
}

wasm_importtype_t *wasm_importtype_new(wasm_name_t *module, wasm_name_t *name,
                                       wasm_externtype_t *type)
{
    wasm_importtype_t *made = type != NULL ? cn_alloc(cn_heap, sizeof *made) : NULL;

    if (made == NULL) {
        wasm_name_delete(module);
        wasm_name_delete(name);
        wasm_externtype_delete(type);
        return NULL;
    }
    made->module = take_name(module);
    made->name = take_name(name);
    made->type = type;
    return made;
}

void wasm_importtype_delete(wasm_importtype_t *type)
{
    if (type == NULL)
        return;
    wasm_name_delete(&type->module);
    wasm_name_delete(&type->name);
    wasm_externtype_delete(type->type);
    cn_free(cn_heap, type, sizeof *type);
}

wasm_importtype_t *wasm_importtype_copy(const wasm_importtype_t *type)
{
    wasm_name_t module, name;

    wasm_name_copy(&module, &type->module);
    wasm_name_copy(&name, &type->name);
    return wasm_importtype_new(&module, &name, wasm_externtype_copy(type->type));
}

const wasm_name_t *wasm_importtype_module(const wasm_importtype_t *type)
{
    return &type->module;
}

const wasm_name_t *wasm_importtype_name(const wasm_importtype_t *type)
{
    return &type->name;
}

const wasm_externtype_t *wasm_importtype_type(const wasm_importtype_t *type)
{
    return type->type;
}

wasm_exporttype_t *wasm_exporttype_new(wasm_name_t *name, wasm_externtype_t *type)
{
    wasm_exporttype_t *made = type != NULL ? cn_alloc(cn_heap, sizeof *made) : NULL;

    if (made == NULL) {
        wasm_name_delete(name);
        wasm_externtype_delete(type);
        return NULL;
    }
    made->name = take_name(name);
    made->type = type;
    return made;
}

void wasm_exporttype_delete(wasm_exporttype_t *type)
{
    if (type == NULL)
        return;
    wasm_name_delete(&type->name);
    wasm_externtype_delete(type->type);
    cn_free(cn_heap, type, sizeof *type);
}

wasm_exporttype_t *wasm_exporttype_copy(const wasm_exporttype_t *type)
{
    wasm_name_t name;

    wasm_name_copy(&name, &type->name);
    return wasm_exporttype_new(&name, wasm_externtype_copy(type->type));
}

const wasm_name_t *wasm_exporttype_name(const wasm_exporttype_t *type)
{
    return &type->name;
}

const wasm_externtype_t *wasm_exporttype_type(const wasm_exporttype_t *type)
{
    return type->type;
}
