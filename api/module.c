/* Modules: loading, and translation now or at the first call. */
#include <string.h>

#include "api/internal.h"
#include "api/whole.h"
#include "loader/load.h"
#include "loader/text.h"

/* A module with more code than this is translated function by function: most programs never
 * call most of what they link. */
#define LAZY_CODE_BYTES (16u * 1024)

struct cn_translator *cn_api_translator(struct cordon_module *module)
{
    if (module->translator == NULL &&
        cn_translator_new(module->module, cn_account_allocator(&module->account),
                          &module->translator) != CN_OK)
        return NULL;
    return module->translator;
}

static uint64_t code_bytes(const struct cn_module *module)
{
    uint64_t total = 0;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++)
        total += module->funcs[i].body.size;
    return total;
}

static enum cn_status translate_all(struct cordon_module *module, struct cn_error *error)
{
    CN_TRY(cn_translate_whole(module->translator, module->program, error));
    /* Its scratch memory is large after large functions. */
    cn_translator_free(module->translator);
    module->translator = NULL;
    return CN_OK;
}

static enum cn_status load(cordon_host_t *host, struct cordon_module *module,
                           struct cn_bytes bytes, struct cn_error *error)
{
    struct cn_allocator allocator = cn_account_allocator(&module->account);

    cn_account_init(&module->account);
    module->account.limit[CN_QUOTA_MEMORY] = host->memory_limit;
    module->binary.allocator = allocator;
    if (cn_is_text(bytes))
        CN_TRY(cn_load_text(bytes, &module->binary, &module->module, error));
    else
        CN_TRY(cn_load(bytes, allocator, &module->module, error));
    CN_TRY(cn_program_new(&module->program, module->module, allocator));
    if (cn_api_translator(module) == NULL)
        return CN_NO_MEMORY;
    if (host->translation == CORDON_TRANSLATE_LAZY ||
        (host->translation == CORDON_TRANSLATE_AUTO &&
         code_bytes(module->module) > LAZY_CODE_BYTES))
        return CN_OK;
    return translate_all(module, error);
}

cordon_module_t *cordon_module_load(cordon_host_t *host, const void *bytes, size_t size,
                                    cordon_error_t *error)
{
    cordon_module_t *module = cn_alloc(cn_heap, sizeof *module);
    struct cn_error cause = {0};

    if (module == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    pthread_mutex_init(&module->lock, NULL);
    cause.status = load(host, module, (struct cn_bytes){bytes, size}, &cause);
    if (cause.status == CN_OK)
        return module;
    cn_api_fail_with(error, &cause);
    cordon_module_free(module);
    return NULL;
}

void cordon_module_free(cordon_module_t *module)
{
    if (module == NULL)
        return;
    cn_translator_free(module->translator);
    cn_program_free(module->program);
    cn_module_free(module->module);
    cn_buffer_free(&module->binary);
    pthread_mutex_destroy(&module->lock);
    cn_free(cn_heap, module, sizeof *module);
}

static cordon_type_t api_ref_type(cn_valtype type)
{
    switch (cn_ref_hierarchy(type)) {
    case CN_HIERARCHY_FUNC:
        return CORDON_FUNCREF;
    case CN_HIERARCHY_EXTERN:
        return CORDON_EXTERNREF;
    default:
        return CORDON_ANYREF;
    }
}

cordon_type_t cn_api_type(cn_valtype type)
{
    if (cn_valtype_is_ref(type))
        return api_ref_type(type);
    switch (type) {
    case CN_I32:
        return CORDON_I32;
    case CN_I64:
        return CORDON_I64;
    case CN_F32:
        return CORDON_F32;
    case CN_F64:
        return CORDON_F64;
    default:
        return CORDON_V128;
    }
}

bool cordon_module_signature(const cordon_module_t *module, const char *name, uint32_t *params,
                             uint32_t *results, cordon_type_t *types, uint32_t room)
{
    const struct cn_module *m = module->module;
    const struct cn_export *export = cn_module_find_export(m, cn_bytes_of(name));

    if (export == NULL || export->kind != CN_EXTERN_FUNC)
        return false;
    const struct cn_functype *type = cn_module_type_of(m, export->index);
    *params = type->param_count;
    *results = type->result_count;
    for (uint32_t i = 0; i < type->param_count + type->result_count && i < room; i++)
        types[i] = cn_api_type(type->types[i]);
    return true;
}
