/* Functions: their types in one section, their bodies in another. */
#include "core/limits.h"
#include "loader/decode.h"

enum cn_status cn_decode_functions(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t imported = module->func_count;
    struct cn_funcdecl *funcs;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_FUNCS - imported, 1, "functions", &count));
    CN_TRY(cn_take_array(loading, (size_t)imported + count, sizeof *funcs, &funcs));
    if (imported > 0)
        memcpy(funcs, module->funcs, imported * sizeof *funcs);
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_type_index(loading, reader, &funcs[imported + i].type));
    module->funcs = funcs;
    module->func_count = imported + count;
    return CN_OK;
}

static enum cn_status read_body(struct cn_reader *reader, struct cn_bytes *body)
{
    uint64_t offset = cn_reader_offset(reader);

    CN_TRY(cn_read_sized(reader, "function body", body));
    if (body->size > CN_LIMIT_BODY_BYTES)
        return cn_fail(reader->error, CN_TOO_LARGE, offset,
                       "function body too large: %zu bytes, at most %u are supported",
                       body->size, CN_LIMIT_BODY_BYTES);
    return CN_OK;
}

/* Whether there are as many bodies as functions shows at the end of the file. */
enum cn_status cn_decode_code(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t defined = module->func_count - module->imported_func_count;
    uint32_t count;

    CN_TRY(cn_read_count(reader, UINT32_MAX, 1, "function bodies", &count));
    for (uint32_t i = 0; i < count; i++) {
        struct cn_bytes body;
        CN_TRY(read_body(reader, &body));
        if (i < defined)
            module->funcs[module->imported_func_count + i].body = body;
    }
    loading->body_count = count;
    return CN_OK;
}
