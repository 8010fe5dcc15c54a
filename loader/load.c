#include "loader/load.h"

#include "loader/decode.h"

static enum cn_status validate_bodies(struct cn_loading *loading)
{
    struct cn_module *module = loading->module;

    if (module->memory_count > 0 && module->memories[0].is_64)
        cn_rules_set_address(loading->validator, CN_I64);
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++)
        CN_TRY(cn_validate_body(loading->validator, &module->funcs[i]));
    return CN_OK;
}

/* A module is malformed somewhere. When a body that stands before that place is malformed, too,
 * this is what is wrong first. */
static enum cn_status look_into_bodies(struct cn_loading *loading)
{
    const struct cn_module *module = loading->module;
    struct cn_error error = {.text = ""};

    if (loading->error == NULL ||
        loading->body_count != module->func_count - module->imported_func_count)
        return CN_MALFORMED;
    loading->validator->reader.error = &error;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        enum cn_status status = cn_validate_body(loading->validator, &module->funcs[i]);
        if (status == CN_MALFORMED)
            *loading->error = error;
        if (status != CN_OK)
            break;
    }
    return CN_MALFORMED;
}

static enum cn_status load(struct cn_loading *loading)
{
    struct cn_module *module = loading->module;

    if (cn_validator_new(loading->allocator, module, &loading->validator) != CN_OK)
        return cn_fail_memory(loading->error);
    loading->validator->reader = (struct cn_reader){.file = module->file.at,
                                                    .file_end = module->file.at +
                                                                module->file.size,
                                                    .error = loading->error};
    enum cn_status status = cn_decode(loading);
    if (status == CN_OK)
        return validate_bodies(loading);
    return status == CN_MALFORMED ? look_into_bodies(loading) : status;
}

enum cn_status cn_load(struct cn_bytes file, struct cn_allocator allocator,
                       struct cn_module **result, struct cn_error *error)
{
    struct cn_module *module = cn_alloc(allocator, sizeof *module);

    if (module == NULL)
        return cn_fail_memory(error);
    module->file = file;
    module->start = CN_NO_INDEX;
    cn_arena_init(&module->arena, allocator);

    struct cn_loading loading = {.module = module, .allocator = allocator, .error = error};
    enum cn_status status = load(&loading);
    cn_validator_free(loading.validator);
    if (status != CN_OK) {
        cn_module_free(module);
        return status;
    }
    *result = module;
    return CN_OK;
}

void cn_module_free(struct cn_module *module)
{
    if (module == NULL)
        return;
    struct cn_allocator allocator = module->arena.allocator;
    cn_arena_release(&module->arena);
    cn_free(allocator, module, sizeof *module);
}
