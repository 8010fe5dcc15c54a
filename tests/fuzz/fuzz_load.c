/* Loads whatever bytes come. A module is either refused, with a text of one line and a place
 * inside the file, or whole; and either way all memory comes back. */
#include <stdint.h>
#include <string.h>

#include "loader/load.h"
#include "loader/translate.h"
#include "tests/fuzz/capped.h"

#define MEMORY_CAP ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool lies_inside(struct cn_bytes file, struct cn_bytes part)
{
    return part.size == 0 ||
           (part.at >= file.at && part.size <= file.size &&
            (size_t)(part.at - file.at) <= file.size - part.size);
}

static void check_error(const struct cn_error *error, enum cn_status status, size_t size)
{
    require(error->status == status && error->text[0] != '\0');
    require(strchr(error->text, '\n') == NULL);
    require(error->offset <= size || error->offset == CN_NO_OFFSET);
}

/* Everything that the module names is there. */
static void check_module(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->func_count; i++) {
        require(module->funcs[i].type < module->type_count);
        require(lies_inside(module->file, module->funcs[i].body));
        require((module->funcs[i].body.size > 0) == (i >= module->imported_func_count));
    }
    for (uint32_t i = 0; i < module->import_count; i++) {
        require(lies_inside(module->file, module->imports[i].module));
        require(lies_inside(module->file, module->imports[i].name));
    }
    for (uint32_t i = 0; i < module->export_count; i++)
        require(lies_inside(module->file, module->exports[i].name));
    for (uint32_t i = 0; i < module->global_count; i++)
        require(lies_inside(module->file, module->globals[i].init.code));
    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct cn_element_segment *segment = &module->elements[i];
        for (uint32_t k = 0; k < segment->count; k++)
            require(segment->funcs ? segment->funcs[k] < module->func_count
                                   : lies_inside(module->file, segment->exprs[k].code));
    }
    for (uint32_t i = 0; i < module->data_count; i++)
        require(lies_inside(module->file, module->datas[i].bytes));
    for (uint32_t i = 0; i < module->func_name_count; i++) {
        require(lies_inside(module->file, module->func_names[i].name));
        require(i == 0 || module->func_names[i - 1].index < module->func_names[i].index);
    }
}

/* What was found valid can be translated, unless a limit of the translator stands against it. */
static void translate(const struct cn_module *module, struct cn_allocator allocator)
{
    struct cn_translator *translator;

    if (cn_translator_new(module, allocator, &translator) != CN_OK)
        return;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct cn_error error;
        struct cn_code code;
        enum cn_status status = cn_translate(translator, i, &code, &error);
        require(status == CN_OK || status == CN_NO_MEMORY || status == CN_TOO_LARGE);
    }
    cn_translator_free(translator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capped capped = {0, MEMORY_CAP};
    struct cn_module *module = NULL;
    struct cn_error error = {CN_OK, 0, ""};
    uint8_t *copy = malloc(size ? size : 1);

    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size); /* of exactly its size: no byte behind it can be read unseen */
    enum cn_status status = cn_load((struct cn_bytes){copy, size}, capped_allocator(&capped),
                                    &module, &error);
    if (status == CN_OK) {
        check_module(module);
        translate(module, capped_allocator(&capped));
        cn_module_free(module);
    } else {
        require(module == NULL);
        check_error(&error, status, size);
    }
    require(capped.used == 0);
    free(copy);
    return 0;
}
