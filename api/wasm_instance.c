/* Instances of wasm.h. */
#include "api/wasm_internal.h"
#include "vm/instance.h"

/* An external of the embedder's choice, as the machine's. */
static bool take_external(const wasm_store_t *store, const wasm_extern_t *given,
                          struct cn_extern *external)
{
    static const enum cn_extern_kind kinds[] = {[CN_WASM_FUNC] = CN_EXTERN_FUNC,
                                                [CN_WASM_GLOBAL] = CN_EXTERN_GLOBAL,
                                                [CN_WASM_TABLE] = CN_EXTERN_TABLE,
                                                [CN_WASM_MEMORY] = CN_EXTERN_MEMORY,
                                                [CN_WASM_TAG] = CN_EXTERN_TAG};

    if (given == NULL || given->ref.store != store)
        return false;
    external->kind = kinds[given->ref.kind];
    external->func = given->ref.func; /* all members of the union are pointers */
    return true;
}

/* `externs` has room for as many as the module imports. */
static wasm_trap_t *join(wasm_store_t *store, struct wasm_code *code,
                         const wasm_extern_vec_t *imports, struct cn_extern *externs,
                         struct cn_instance **instance)
{
    const struct cn_module *module = code->module->module;
    struct cn_error error = {0};

    if (module->import_count > 0 && (imports == NULL || imports->size < module->import_count))
        return cn_wasm_trap(store, "the module has %u imports, given were %zu",
                            module->import_count, imports != NULL ? imports->size : 0);
    for (uint32_t i = 0; i < module->import_count; i++)
        if (!take_external(store, imports->data[i], &externs[i]))
            return cn_wasm_trap(store, "import %u is nothing of this store's", i);
    enum cn_status status =
        cn_instantiate(store->store, code->module->program, externs, instance, &error);
    if (status == CN_OK)
        return NULL;
    return cn_wasm_trap(store, "%s", error.status == status ? error.text : cn_status_text(status));
}

static wasm_trap_t *start(wasm_store_t *store, const struct cn_instance *instance)
{
    uint32_t start = instance->module->start;
    union cn_slot unused;

    return start == CN_NO_INDEX ? NULL : cn_wasm_run(store, instance->funcs[start], &unused);
}

/* A reference to the instance, or NULL and *trap. */
static wasm_instance_t *make(wasm_store_t *store, struct wasm_code *code,
                             const wasm_extern_vec_t *imports, struct cn_extern *externs,
                             wasm_trap_t **trap)
{
    struct cn_instance *instance = NULL;

    *trap = join(store, code, imports, externs, &instance);
    if (*trap != NULL)
        return NULL;
    struct wasm_ref_t *ref = cn_wasm_ref_of_instance(store, instance, code);
    *trap = ref != NULL ? start(store, instance) : cn_wasm_trap(store, "no memory left");
    if (*trap == NULL)
        return (wasm_instance_t *)ref;
    cn_wasm_ref_drop(ref);
    return NULL;
}

/* A store needs the code of its instances, also of those that failed, to its end. */
static bool keep_code(wasm_store_t *store, struct wasm_ref_t *module)
{
    if (module->is_code_kept)
        return true;
    module->is_code_kept = cn_wasm_store_keep(store, module->code);
    return module->is_code_kept;
}

static wasm_instance_t *new_instance(wasm_store_t *store, struct wasm_ref_t *module,
                                     const wasm_extern_vec_t *imports, wasm_trap_t **trap)
{
    struct wasm_code *code = module->code;
    const size_t count = code->module->module->import_count;

    if (module->store != store) {
        *trap = cn_wasm_trap(store, "the module is another store's: share and obtain it");
        return NULL;
    }
    struct cn_extern *externs = cn_alloc_array(cn_heap, count, sizeof *externs);
    if (externs == NULL || !keep_code(store, module)) {
        cn_free(cn_heap, externs, count * sizeof *externs);
        *trap = cn_wasm_trap(store, "no memory left");
        return NULL;
    }
    wasm_instance_t *instance = make(store, code, imports, externs, trap);
    cn_free(cn_heap, externs, count * sizeof *externs);
    return instance;
}

wasm_instance_t *wasm_instance_new(wasm_store_t *store, const wasm_module_t *module,
                                   const wasm_extern_vec_t *imports, wasm_trap_t **result)
{
    wasm_trap_t *trap = NULL;

    cn_wasm_store_hold(store); /* whatever the embedder's functions delete */
    wasm_instance_t *instance =
        new_instance(store, (struct wasm_ref_t *)(uintptr_t)module, imports, &trap);
    if (result != NULL)
        *result = trap;
    else
        wasm_trap_delete(trap);
    cn_wasm_store_release(store);
    return instance;
}

void wasm_instance_exports(const wasm_instance_t *ref, wasm_extern_vec_t *out)
{
    const struct cn_instance *instance = ref->ref.instance;
    const struct cn_module *module = instance->module;

    wasm_extern_vec_new_uninitialized(out, module->export_count);
    for (size_t i = 0; i < out->size; i++) {
        struct cn_extern found = cn_instance_extern(instance, &module->exports[i]);
        out->data[i] = (wasm_extern_t *)cn_wasm_ref_of_extern(ref->ref.store, &found);
    }
}
