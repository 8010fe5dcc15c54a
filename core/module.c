#include "core/module.h"

const char *cn_extern_kind_name(enum cn_extern_kind kind)
{
    static const char *const names[] = {"function", "table", "memory", "global", "tag"};

    return names[kind];
}

const struct cn_export *cn_module_find_export(const struct cn_module *module,
                                              struct cn_bytes name)
{
    uint32_t low = 0, high = module->export_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct cn_export *export = &module->exports[module->export_order[middle]];
        int order = cn_bytes_compare(export->name, name);
        if (order == 0)
            return export;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct cn_bytes cn_module_given_name(const struct cn_module *module, uint32_t func)
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
    struct cn_bytes name = cn_module_given_name(module, func);

    if (name.size > 0)
        return name;
    for (uint32_t i = 0; i < module->export_count; i++)
        if (module->exports[i].kind == CN_EXTERN_FUNC && module->exports[i].index == func)
            return module->exports[i].name;
    return name;
}
