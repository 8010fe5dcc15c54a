/* Types of what modules and stores have, as wasm.h shows them. */
#include "api/wasm_internal.h"

static wasm_limits_t show_limits(const struct cn_limits *limits)
{
    return (wasm_limits_t){limits->min < UINT32_MAX ? (uint32_t)limits->min : UINT32_MAX,
                           limits->max < UINT32_MAX ? (uint32_t)limits->max : UINT32_MAX};
}

/* False when memory is exhausted; what there is then can be deleted. */
static bool show_types(wasm_valtype_vec_t *vector, const cn_valtype *types, uint32_t count)
{
    wasm_valtype_vec_new_uninitialized(vector, count);
    bool has_all = vector->size == count;
    for (size_t i = 0; i < vector->size; i++) {
        vector->data[i] = wasm_valtype_new(cn_wasm_kind(types[i]));
        has_all = has_all && vector->data[i] != NULL;
    }
    return has_all;
}

wasm_externtype_t *cn_wasm_type_of_func(const struct cn_functype *type)
{
    wasm_externtype_t *shown = cn_wasm_externtype(WASM_EXTERN_FUNC);

    if (shown == NULL)
        return NULL;
    if (show_types(&shown->params, cn_functype_params(type), type->param_count) &&
        show_types(&shown->results, cn_functype_results(type), type->result_count))
        return shown;
    wasm_externtype_delete(shown);
    return NULL;
}

static wasm_externtype_t *show_with(wasm_externkind_t kind, cn_valtype content)
{
    wasm_externtype_t *shown = cn_wasm_externtype(kind);

    if (shown == NULL)
        return NULL;
    shown->content = wasm_valtype_new(cn_wasm_kind(content));
    if (shown->content != NULL)
        return shown;
    wasm_externtype_delete(shown);
    return NULL;
}

wasm_externtype_t *cn_wasm_type_of_global(const struct cn_global_type *type)
{
    wasm_externtype_t *shown = show_with(WASM_EXTERN_GLOBAL, type->type);

    if (shown != NULL)
        shown->mutability = type->is_mutable ? WASM_VAR : WASM_CONST;
    return shown;
}

wasm_externtype_t *cn_wasm_type_of_table(const struct cn_table_type *type)
{
    wasm_externtype_t *shown = show_with(WASM_EXTERN_TABLE, type->element);

    if (shown != NULL)
        shown->limits = show_limits(&type->limits);
    return shown;
}

wasm_externtype_t *cn_wasm_type_of_memory(const struct cn_memory_type *type)
{
    wasm_externtype_t *shown = cn_wasm_externtype(WASM_EXTERN_MEMORY);

    if (shown != NULL)
        shown->limits = show_limits(&type->limits);
    return shown;
}
