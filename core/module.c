#include "core/module.h"

#include <stdio.h>

const char *cn_valtype_name(cn_valtype type)
{
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
    case CN_FUNCREF:
        return "funcref";
    case CN_EXTERNREF:
        return "externref";
    default:
        return "?";
    }
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
    for (uint32_t i = 0; i < count && at < size; i++) {
        at = append(text, size, at, i ? ", " : "");
        at = append(text, size, at, cn_valtype_name(types[i]));
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

const char *cn_extern_kind_name(enum cn_extern_kind kind)
{
    static const char *const names[] = {"function", "table", "memory", "global"};

    return names[kind];
}

const struct cn_export *cn_module_find_export(const struct cn_module *module,
                                              struct cn_bytes name)
{
    for (uint32_t i = 0; i < module->export_count; i++)
        if (cn_bytes_equal(module->exports[i].name, name))
            return &module->exports[i];
    return NULL;
}

static struct cn_bytes name_from_section(const struct cn_module *module, uint32_t func)
{
    uint32_t low = 0, high = module->func_name_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (module->func_names[middle].index == func)
            return module->func_names[middle].name;
        if (module->func_names[middle].index < func)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct cn_bytes){NULL, 0};
}

struct cn_bytes cn_module_func_name(const struct cn_module *module, uint32_t func)
{
    struct cn_bytes name = name_from_section(module, func);

    if (name.size > 0)
        return name;
    for (uint32_t i = 0; i < module->export_count; i++)
        if (module->exports[i].kind == CN_EXTERN_FUNC && module->exports[i].index == func)
            return module->exports[i].name;
    return name;
}
