/* Types, and the sections that hold nothing else: types, tables, memories. */
#include "core/limits.h"
#include "loader/decode.h"

enum cn_status cn_read_valtype(struct cn_reader *reader, cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(reader, &byte));
    if (!cn_valtype_is_num(byte) && byte != CN_HEAP_FUNC && byte != CN_HEAP_EXTERN)
        return cn_fail(reader->error, CN_MALFORMED, offset, "malformed value type: found 0x%02x%s",
                       byte, byte == CN_V128 ? " (SIMD is not supported yet)" : "");
    *type = cn_valtype_is_num(byte) ? byte : cn_ref_abstract(byte, true);
    return CN_OK;
}

enum cn_status cn_read_reftype(struct cn_reader *reader, cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(reader, &byte));
    if (byte != CN_HEAP_FUNC && byte != CN_HEAP_EXTERN)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed reference type: expected 0x70 or 0x6f, found 0x%02x", byte);
    *type = cn_ref_abstract(byte, true);
    return CN_OK;
}

enum cn_status cn_read_type_index(const struct cn_loading *loading, struct cn_reader *reader,
                                  uint32_t *index)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t value;

    CN_TRY(cn_read_u32(reader, &value));
    if (value >= loading->module->type_count)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %u: the module has %u types", value,
                       loading->module->type_count);
    *index = value;
    return CN_OK;
}

static cn_valtype valtype_of_byte(uint8_t byte)
{
    return cn_valtype_is_num(byte) ? byte : cn_ref_abstract(byte, true);
}

/* A list of value types, checked; the bytes stay where they are. */
static enum cn_status read_valtypes(struct cn_reader *reader, uint32_t limit, const char *what,
                                    struct cn_bytes *types)
{
    uint32_t count;
    cn_valtype type;

    CN_TRY(cn_read_count(reader, limit, 1, what, &count));
    *types = (struct cn_bytes){reader->at, count};
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_valtype(reader, &type));
    return CN_OK;
}

static enum cn_status read_functype(struct cn_loading *loading, struct cn_reader *reader,
                                    struct cn_functype *type, struct cn_sig *sig)
{
    uint64_t offset = cn_reader_offset(reader);
    struct cn_bytes params, results;
    cn_valtype *types;
    uint8_t form;

    CN_TRY(cn_read_u8(reader, &form));
    if (form & 0x80)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "integer representation too long: expected the byte 0x60 of a function "
                       "type, found 0x%02x", form);
    if (form != 0x60)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed function type: expected 0x60, found 0x%02x", form);
    CN_TRY(read_valtypes(reader, CN_LIMIT_PARAMS, "parameters", &params));
    CN_TRY(read_valtypes(reader, CN_LIMIT_RESULTS, "results", &results));
    CN_TRY(cn_take_array(loading, params.size + results.size, sizeof *types, &types));
    for (size_t i = 0; i < params.size; i++)
        types[i] = valtype_of_byte(params.at[i]);
    for (size_t i = 0; i < results.size; i++)
        types[params.size + i] = valtype_of_byte(results.at[i]);
    *type = cn_functype_of((uint32_t)params.size, (uint32_t)results.size, types);
    *sig = (struct cn_sig){params.at, results.at, type->param_count, type->result_count};
    return CN_OK;
}

enum cn_status cn_decode_types(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_TYPES, 3, "types", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *module->types, &module->types));
    loading->sigs = cn_alloc_array(loading->allocator, count, sizeof *loading->sigs);
    if (loading->sigs == NULL)
        return cn_fail_memory(loading->error);
    loading->sig_room = count;
    loading->validator->sigs = loading->sigs;
    for (uint32_t i = 0; i < count; i++) {
        module->types[i] = (struct cn_deftype){
            .kind = CN_DEF_FUNC, .is_final = true, .super = CN_NO_INDEX, .canonical = i,
            .group = i, .group_size = 1};
        CN_TRY(read_functype(loading, reader, &module->types[i].func, &loading->sigs[i]));
    }
    module->type_count = count;
    return CN_OK;
}

static enum cn_status read_limits(struct cn_reader *reader, struct cn_limits *limits)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t min, max;
    uint8_t flags;

    CN_TRY(cn_read_u8(reader, &flags));
    if (flags > 1)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed limits flags: expected 0 or 1, found 0x%02x%s", flags,
                       flags < 8 ? " (shared and 64-bit ones are not supported)" : "");
    CN_TRY(cn_read_u32(reader, &min));
    *limits = (struct cn_limits){min, UINT64_MAX};
    if (flags == 0)
        return CN_OK;
    CN_TRY(cn_read_u32(reader, &max));
    if (min > max)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "size minimum must not be greater than maximum: found %u and %u", min,
                       max);
    limits->max = max;
    return CN_OK;
}

enum cn_status cn_read_table_type(struct cn_reader *reader, struct cn_table_type *type)
{
    CN_TRY(cn_read_reftype(reader, &type->element));
    return read_limits(reader, &type->limits);
}

enum cn_status cn_read_memory_type(struct cn_reader *reader, struct cn_memory_type *type)
{
    uint64_t offset = cn_reader_offset(reader);
    struct cn_limits limits;

    CN_TRY(read_limits(reader, &limits));
    if (limits.min > CN_LIMIT_MEMORY_PAGES ||
        (limits.max != UINT64_MAX && limits.max > CN_LIMIT_MEMORY_PAGES))
        return cn_fail(reader->error, CN_INVALID, offset,
                       "memory size must be at most %u pages (4GiB): found %llu",
                       CN_LIMIT_MEMORY_PAGES,
                       (unsigned long long)(limits.max != UINT64_MAX ? limits.max : limits.min));
    type->limits = limits;
    return CN_OK;
}

enum cn_status cn_read_global_type(struct cn_reader *reader, struct cn_global_type *type)
{
    uint64_t offset;
    uint8_t mutability;

    CN_TRY(cn_read_valtype(reader, &type->type));
    offset = cn_reader_offset(reader);
    CN_TRY(cn_read_u8(reader, &mutability));
    if (mutability > 1)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed mutability: expected 0 or 1, found 0x%02x", mutability);
    type->is_mutable = mutability == 1;
    return CN_OK;
}

/* Makes room for `more` entries behind those that are imported. */
static enum cn_status extend(struct cn_loading *loading, void *array, uint32_t old, uint32_t more,
                             size_t size)
{
    void **entries = array;
    void *longer;

    CN_TRY(cn_take_array(loading, (size_t)old + more, size, &longer));
    if (old > 0)
        memcpy(longer, *entries, old * size);
    *entries = longer;
    return CN_OK;
}

enum cn_status cn_decode_tables(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t imported = module->table_count;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_TABLES - imported, 1, "tables", &count));
    CN_TRY(extend(loading, &module->tables, imported, count, sizeof *module->tables));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_table_type(reader, &module->tables[imported + i].type));
    module->table_count = imported + count;
    return CN_OK;
}

enum cn_status cn_decode_memories(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint64_t offset = cn_reader_offset(reader);
    uint32_t imported = module->memory_count;
    uint32_t count;

    CN_TRY(cn_read_count(reader, UINT32_MAX, 1, "memories", &count));
    if (count > CN_LIMIT_MEMORIES - imported)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "multiple memories: found %u, at most %u is supported", imported + count,
                       CN_LIMIT_MEMORIES);
    CN_TRY(extend(loading, &module->memories, imported, count, sizeof *module->memories));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_memory_type(reader, &module->memories[imported + i]));
    module->memory_count = imported + count;
    return CN_OK;
}
