/* Modules of wasm.h. */
#include "api/wasm_internal.h"
#include "loader/load.h"
#include "loader/text.h"

/* cordon_module_load takes the text format as well: this interface does not. */
static bool is_binary(const wasm_byte_vec_t *bytes)
{
    return bytes != NULL && bytes->size > 0 &&
           !cn_is_text((struct cn_bytes){(const uint8_t *)bytes->data, bytes->size});
}

static struct wasm_code *load(wasm_engine_t *engine, const wasm_byte_vec_t *binary)
{
    struct wasm_code *code;
    cordon_error_t error;
    size_t size;

    if (!is_binary(binary) || __builtin_add_overflow(sizeof *code, binary->size, &size))
        return NULL;
    code = cn_alloc(cn_heap, size);
    if (code == NULL)
        return NULL;
    code->users = 1;
    code->size = binary->size;
    memcpy(code->bytes, binary->data, binary->size);
    code->module = cordon_module_load(engine->host, code->bytes, code->size, &error);
    if (code->module != NULL)
        return code;
    cn_free(cn_heap, code, size);
    return NULL;
}

/* Takes the code over. */
static wasm_module_t *module_of(wasm_store_t *store, struct wasm_code *code)
{
    struct wasm_ref_t *ref = code != NULL ? cn_wasm_ref_new(store, CN_WASM_MODULE) : NULL;

    if (ref == NULL)
        cn_wasm_code_release(code);
    else
        ref->code = code;
    return (wasm_module_t *)ref;
}

wasm_module_t *wasm_module_new(wasm_store_t *store, const wasm_byte_vec_t *binary)
{
    return module_of(store, load(store->engine, binary));
}

bool wasm_module_validate(wasm_store_t *store, const wasm_byte_vec_t *binary)
{
    struct cn_module *module = NULL;
    struct cn_error error;

    (void)store;
    if (!is_binary(binary))
        return false;
    struct cn_bytes bytes = {(const uint8_t *)binary->data, binary->size};
    if (cn_load(bytes, cn_heap, &module, &error) != CN_OK)
        return false;
    cn_module_free(module);
    return true;
}

void wasm_module_serialize(const wasm_module_t *module, wasm_byte_vec_t *out)
{
    const struct wasm_code *code = module->ref.code;

    wasm_byte_vec_new(out, code->size, (const wasm_byte_t *)code->bytes);
}

wasm_module_t *wasm_module_deserialize(wasm_store_t *store, const wasm_byte_vec_t *bytes)
{
    return wasm_module_new(store, bytes);
}

/* ------------------------------------------------------------------ sharing */

/* What is shared is the code alone; the name is the header's. */
struct wasm_shared_module_t {
    struct wasm_code code;
};

wasm_shared_module_t *wasm_module_share(const wasm_module_t *module)
{
    return (wasm_shared_module_t *)cn_wasm_code_take(module->ref.code);
}

wasm_module_t *wasm_module_obtain(wasm_store_t *store, const wasm_shared_module_t *shared)
{
    return module_of(store, cn_wasm_code_take((struct wasm_code *)(uintptr_t)shared));
}

void wasm_shared_module_delete(wasm_shared_module_t *shared)
{
    cn_wasm_code_release((struct wasm_code *)shared);
}

/* ------------------------------------------------------------------ imports and exports */

static wasm_externtype_t *describe(const struct cn_module *module, enum cn_extern_kind kind,
                                   uint32_t index)
{
    switch (kind) {
    case CN_EXTERN_FUNC:
        return cn_wasm_type_of_func(cn_module_type_of(module, index));
    case CN_EXTERN_TABLE:
        return cn_wasm_type_of_table(&module->tables[index].type);
    case CN_EXTERN_MEMORY:
        return cn_wasm_type_of_memory(&module->memories[index]);
    case CN_EXTERN_GLOBAL:
        return cn_wasm_type_of_global(&module->globals[index].type);
    case CN_EXTERN_TAG:
        return cn_wasm_externtype(WASM_EXTERN_TAG);
    }
    return NULL;
}

static void name_of(wasm_name_t *name, struct cn_bytes bytes)
{
    wasm_byte_vec_new(name, bytes.size, (const wasm_byte_t *)bytes.at);
}

void wasm_module_imports(const wasm_module_t *ref, wasm_importtype_vec_t *out)
{
    const struct cn_module *module = ref->ref.code->module->module;
    wasm_name_t from, name;

    wasm_importtype_vec_new_uninitialized(out, module->import_count);
    for (size_t i = 0; i < out->size; i++) {
        const struct cn_import *import = &module->imports[i];
        name_of(&from, import->module);
        name_of(&name, import->name);
        out->data[i] =
            wasm_importtype_new(&from, &name, describe(module, import->kind, import->index));
    }
}

void wasm_module_exports(const wasm_module_t *ref, wasm_exporttype_vec_t *out)
{
    const struct cn_module *module = ref->ref.code->module->module;
    wasm_name_t name;

    wasm_exporttype_vec_new_uninitialized(out, module->export_count);
    for (size_t i = 0; i < out->size; i++) {
        const struct cn_export *export = &module->exports[i];
        name_of(&name, export->name);
        out->data[i] = wasm_exporttype_new(&name, describe(module, export->kind, export->index));
    }
}
