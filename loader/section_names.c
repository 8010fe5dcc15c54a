/* The name section: for people, so nothing in it is ever an error. */
#include "core/limits.h"
#include "loader/decode.h"

enum { MODULE_NAME = 0, FUNCTION_NAMES = 1 };

/* Reads (index, name) pairs while they are in order; returns how many were kept, and with
 * `names` NULL only counts them. */
static uint32_t read_names(const struct cn_module *module, struct cn_reader reader,
                           struct cn_name *names)
{
    uint32_t kept = 0, next = 0;
    uint32_t count, index;
    struct cn_bytes name;

    if (cn_read_u32(&reader, &count) != CN_OK)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cn_read_u32(&reader, &index) != CN_OK ||
            cn_read_sized(&reader, "name", &name) != CN_OK)
            break;
        if (index < next || index >= module->func_count)
            break;
        next = index + 1;
        if (name.size > CN_LIMIT_NAME_BYTES || !cn_bytes_are_utf8(name))
            continue;
        if (names != NULL)
            names[kept] = (struct cn_name){index, name};
        kept++;
    }
    return kept;
}

static enum cn_status take_func_names(struct cn_loading *loading, struct cn_reader reader)
{
    struct cn_module *module = loading->module;
    uint32_t count = read_names(module, reader, NULL);

    if (count == 0 || module->func_names != NULL)
        return CN_OK;
    CN_TRY(cn_take_array(loading, count, sizeof *module->func_names, &module->func_names));
    module->func_name_count = read_names(module, reader, module->func_names);
    return CN_OK;
}

enum cn_status cn_decode_names(struct cn_loading *loading)
{
    struct cn_bytes bytes = loading->names;
    struct cn_reader reader = cn_reader_of(bytes, loading->module->file, NULL);
    struct cn_bytes part, name;
    uint8_t id;

    while (cn_read_u8(&reader, &id) == CN_OK &&
           cn_read_sized(&reader, "subsection", &part) == CN_OK) {
        struct cn_reader inside = cn_reader_of(part, loading->module->file, NULL);
        if (id == FUNCTION_NAMES)
            CN_TRY(take_func_names(loading, inside));
        if (id == MODULE_NAME && cn_read_name(&inside, "module", &name) == CN_OK)
            loading->module->name = name;
    }
    return CN_OK;
}
