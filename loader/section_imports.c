/* Imports: read once to count the kinds, and once more to keep them. */
#include "core/limits.h"
#include "loader/decode.h"

enum { KINDS = CN_EXTERN_TAG + 1 };

struct import {
    struct cn_import names;
    union {
        uint32_t func;
        struct cn_table_type table;
        struct cn_memory_type memory;
        struct cn_global_type global;
        uint32_t tag;
    };
};

static enum cn_status read_import(const struct cn_loading *loading, struct cn_reader *reader,
                                  struct import *import)
{
    uint64_t offset;
    uint8_t kind;

    CN_TRY(cn_read_name(reader, "module name of an import", &import->names.module));
    CN_TRY(cn_read_name(reader, "name of an import", &import->names.name));
    offset = cn_reader_offset(reader);
    CN_TRY(cn_read_u8(reader, &kind));
    import->names.kind = (enum cn_extern_kind)kind;
    switch (kind) {
    case CN_EXTERN_FUNC:
        return cn_read_type_index(loading, reader, &import->func);
    case CN_EXTERN_TABLE:
        return cn_read_table_type(loading->module, reader, &import->table);
    case CN_EXTERN_MEMORY:
        return cn_read_memory_type(reader, &import->memory);
    case CN_EXTERN_GLOBAL:
        return cn_read_global_type(loading->module, reader, &import->global);
    case CN_EXTERN_TAG:
        return cn_read_tag(loading, reader, &import->tag);
    default:
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed import kind: expected 0 to 4, found 0x%02x", kind);
    }
}

static enum cn_status count_kinds(const struct cn_loading *loading, struct cn_reader reader,
                                  uint32_t count, uint32_t kinds[KINDS])
{
    static const uint32_t limits[KINDS] = {CN_LIMIT_FUNCS, CN_LIMIT_TABLES, CN_LIMIT_MEMORIES,
                                           CN_LIMIT_GLOBALS, CN_LIMIT_TAGS};

    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = cn_reader_offset(&reader);
        struct import import;
        CN_TRY(read_import(loading, &reader, &import));
        enum cn_extern_kind kind = import.names.kind;
        if (kinds[kind] == limits[kind])
            return cn_fail(reader.error, CN_TOO_LARGE, offset,
                           "too many imports: more than %u of kind %s", limits[kind],
                           cn_extern_kind_name(kind));
        kinds[kind]++;
    }
    return CN_OK;
}

static uint32_t keep_import(struct cn_module *module, const struct import *import)
{
    switch (import->names.kind) {
    case CN_EXTERN_FUNC:
        module->funcs[module->func_count].type = import->func;
        return module->func_count++;
    case CN_EXTERN_TABLE:
        module->tables[module->table_count].type = import->table;
        return module->table_count++;
    case CN_EXTERN_MEMORY:
        module->memories[module->memory_count] = import->memory;
        return module->memory_count++;
    case CN_EXTERN_TAG:
        module->tags[module->tag_count] = import->tag;
        return module->tag_count++;
    default:
        module->globals[module->global_count].type = import->global;
        return module->global_count++;
    }
}

enum cn_status cn_decode_imports(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t kinds[KINDS] = {0};
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_IMPORTS, 1, "imports", &count));
    CN_TRY(count_kinds(loading, *reader, count, kinds));
    CN_TRY(cn_take_array(loading, count, sizeof *module->imports, &module->imports));
    CN_TRY(cn_take_array(loading, kinds[0], sizeof *module->funcs, &module->funcs));
    CN_TRY(cn_take_array(loading, kinds[1], sizeof *module->tables, &module->tables));
    CN_TRY(cn_take_array(loading, kinds[2], sizeof *module->memories, &module->memories));
    CN_TRY(cn_take_array(loading, kinds[3], sizeof *module->globals, &module->globals));
    CN_TRY(cn_take_array(loading, kinds[4], sizeof *module->tags, &module->tags));
    for (uint32_t i = 0; i < count; i++) {
        struct import import;
        CN_TRY(read_import(loading, reader, &import));
        import.names.index = keep_import(module, &import);
        module->imports[i] = import.names;
    }
    module->import_count = count;
    module->imported_func_count = kinds[0];
    module->imported_table_count = kinds[1];
    module->imported_memory_count = kinds[2];
    module->imported_global_count = kinds[3];
    module->imported_tag_count = kinds[4];
    return CN_OK;
}
