/* Exports, whose names must differ, and the start function. */
#include "core/limits.h"
#include "core/name.h"
#include "loader/decode.h"

static enum cn_status read_export(struct cn_loading *loading, struct cn_reader *reader,
                                  struct cn_export *export)
{
    struct cn_module *module = loading->module;
    const uint32_t counts[] = {module->func_count, module->table_count, module->memory_count,
                               module->global_count, module->tag_count};
    uint64_t offset;
    uint8_t kind;

    CN_TRY(cn_read_name(reader, "name of an export", &export->name));
    offset = cn_reader_offset(reader);
    CN_TRY(cn_read_u8(reader, &kind));
    if (kind > CN_EXTERN_TAG)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed export kind: expected 0 to 4, found 0x%02x", kind);
    export->kind = (enum cn_extern_kind)kind;
    CN_TRY(cn_read_u32(reader, &export->index));
    if (export->index >= counts[kind])
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown %s %u: an export names it, but there are %u",
                       cn_extern_kind_name(export->kind), export->index, counts[kind]);
    if (kind == CN_EXTERN_FUNC)
        module->funcs[export->index].is_referenced = true;
    return CN_OK;
}

/* Lets the entry at `root` sink until no child is greater. */
static void sink(const struct cn_export *exports, uint32_t *heap, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count &&
            cn_bytes_compare(exports[heap[child]].name, exports[heap[child + 1]].name) < 0)
            child++;
        if (cn_bytes_compare(exports[heap[root]].name, exports[heap[child]].name) >= 0)
            return;
        uint32_t held = heap[root];
        heap[root] = heap[child];
        heap[child] = held;
        root = child;
    }
}

/* Sorts the numbers of exports by name: a heap, because no choice of names makes it slow. */
static void sort_by_name(const struct cn_export *exports, uint32_t *heap, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        heap[i] = i;
    for (uint32_t i = count / 2; i-- > 0;)
        sink(exports, heap, i, count);
    for (uint32_t last = count; last-- > 1;) {
        uint32_t held = heap[0];
        heap[0] = heap[last];
        heap[last] = held;
        sink(exports, heap, 0, last);
    }
}

/* Sets module->export_order; no two have the same name. */
static enum cn_status order_names(struct cn_loading *loading)
{
    struct cn_module *module = loading->module;
    const struct cn_export *exports = module->exports;
    uint32_t count = module->export_count;

    CN_TRY(cn_take_array(loading, count, sizeof *module->export_order, &module->export_order));
    sort_by_name(exports, module->export_order, count);
    for (uint32_t i = 1; i < count; i++) {
        struct cn_bytes name = exports[module->export_order[i]].name;
        char text[64];
        if (cn_bytes_equal(name, exports[module->export_order[i - 1]].name))
            return cn_fail(loading->error, CN_INVALID, cn_module_offset(module, name.at),
                           "duplicate export name: found \"%s\" twice",
                           cn_name_print(name, text, sizeof text));
    }
    return CN_OK;
}

enum cn_status cn_decode_exports(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_EXPORTS, 2, "exports", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *module->exports, &module->exports));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(read_export(loading, reader, &module->exports[i]));
    module->export_count = count;
    return order_names(loading);
}

enum cn_status cn_decode_start(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint64_t offset = cn_reader_offset(reader);
    char text[128];
    uint32_t index;

    CN_TRY(cn_read_u32(reader, &index));
    if (index >= module->func_count)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown function %u: the start section names it, but there are %u",
                       index, module->func_count);
    const struct cn_functype *type = cn_module_type_of(module, index);
    if (type->param_count > 0 || type->result_count > 0)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "start function: expected type (), found %s",
                       cn_functype_print(type, text, sizeof text));
    module->start = index;
    return CN_OK;
}
