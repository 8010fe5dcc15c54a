/* Types, and the sections that hold nothing else: types, tables, memories, tags. */
#include "core/limits.h"
#include "loader/decode.h"

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
    if (loading->module->types[value].kind != CN_DEF_FUNC)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %u: it is not a function type", value);
    *index = value;
    return CN_OK;
}

/* ---------------------------------------------------------------- defined types */

/* So many value types. */
static enum cn_status read_valtypes(struct cn_loading *loading, struct cn_reader *reader,
                                    uint32_t count, cn_valtype **types)
{
    CN_TRY(cn_take_array(loading, count, sizeof **types, types));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_valtype(loading->module, reader, &(*types)[i]));
    return CN_OK;
}

static enum cn_status read_functype(struct cn_loading *loading, struct cn_reader *reader,
                                    struct cn_functype *type)
{
    cn_valtype *params, *results, *types;
    uint32_t param_count, result_count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_PARAMS, 1, "parameters", &param_count));
    CN_TRY(read_valtypes(loading, reader, param_count, &params));
    CN_TRY(cn_read_count(reader, CN_LIMIT_RESULTS, 1, "results", &result_count));
    CN_TRY(read_valtypes(loading, reader, result_count, &results));
    CN_TRY(cn_take_array(loading, (size_t)param_count + result_count, sizeof *types, &types));
    if (param_count > 0)
        memcpy(types, params, param_count * sizeof *types);
    if (result_count > 0)
        memcpy(types + param_count, results, result_count * sizeof *types);
    *type = cn_functype_of(param_count, result_count, types);
    return CN_OK;
}

static enum cn_status read_mutability(struct cn_reader *reader, bool *is_mutable)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(reader, &byte));
    if (byte > 1)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed mutability: expected 0 or 1, found 0x%02x", byte);
    *is_mutable = byte == 1;
    return CN_OK;
}

static enum cn_status read_fields(struct cn_loading *loading, struct cn_reader *reader,
                                  uint32_t count, struct cn_deftype *type)
{
    struct cn_field_type *fields;

    CN_TRY(cn_take_array(loading, count, sizeof *fields, &fields));
    for (uint32_t i = 0; i < count; i++) {
        CN_TRY(cn_read_storage_type(loading->module, reader, &fields[i].type));
        CN_TRY(read_mutability(reader, &fields[i].is_mutable));
    }
    type->field_count = count;
    type->fields = fields;
    return CN_OK;
}

enum { FORM_FUNC = 0x60, FORM_STRUCT = 0x5f, FORM_ARRAY = 0x5e, FORM_SUB = 0x50,
       FORM_SUB_FINAL = 0x4f, FORM_REC = 0x4e };

static enum cn_status read_composite(struct cn_loading *loading, struct cn_reader *reader,
                                     struct cn_deftype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t count;
    uint8_t form;

    CN_TRY(cn_read_u8(reader, &form));
    switch (form) {
    case FORM_FUNC:
        type->kind = CN_DEF_FUNC;
        return read_functype(loading, reader, &type->func);
    case FORM_STRUCT:
        type->kind = CN_DEF_STRUCT;
        CN_TRY(cn_read_count(reader, CN_LIMIT_FIELDS, 2, "fields", &count));
        return read_fields(loading, reader, count, type);
    case FORM_ARRAY:
        type->kind = CN_DEF_ARRAY;
        return read_fields(loading, reader, 1, type);
    default:
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       form & 0x80 ? "integer representation too long: expected the form of a "
                                     "type, found 0x%02x"
                                   : "malformed definition type: found 0x%02x", form);
    }
}

/* The supertype of type number `index`, if it states one. */
static enum cn_status read_supertype(struct cn_loading *loading, struct cn_reader *reader,
                                     uint32_t index)
{
    struct cn_deftype *type = &loading->module->types[index];
    uint64_t offset = cn_reader_offset(reader);
    uint32_t count, super;

    CN_TRY(cn_read_count(reader, UINT32_MAX, 1, "supertypes", &count));
    if (count > 1)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "sub type %u has %u supertypes: at most one is allowed", index, count);
    if (count == 0)
        return CN_OK;
    CN_TRY(cn_read_u32(reader, &super));
    if (super >= index)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %u: a supertype must stand before type %u", super, index);
    type->super = super;
    return CN_OK;
}

static enum cn_status read_subtype(struct cn_loading *loading, struct cn_reader *reader,
                                   uint32_t index)
{
    struct cn_deftype *type = &loading->module->types[index];

    type->is_final = true;
    if (cn_reader_left(reader) > 0 && (*reader->at == FORM_SUB || *reader->at == FORM_SUB_FINAL)) {
        type->is_final = *reader->at++ == FORM_SUB_FINAL;
        CN_TRY(read_supertype(loading, reader, index));
    }
    return read_composite(loading, reader, type);
}

/* Room for all types that there will be cannot be known before: groups come one by one. */
static enum cn_status reserve_types(struct cn_loading *loading, uint32_t more, uint32_t *room)
{
    struct cn_module *module = loading->module;
    struct cn_deftype *types;

    if (more <= *room - module->type_count)
        return CN_OK;
    uint32_t wanted = module->type_count + more;
    if (wanted < *room * 2)
        wanted = *room * 2;
    CN_TRY(cn_take_array(loading, wanted, sizeof *types, &types));
    if (module->type_count > 0)
        memcpy(types, module->types, module->type_count * sizeof *types);
    module->types = types;
    *room = wanted;
    return CN_OK;
}

/* A recursive group, or a type that is one by itself. */
static enum cn_status read_group(struct cn_loading *loading, struct cn_reader *reader,
                                 struct cn_group_table *table, uint32_t *room)
{
    struct cn_module *module = loading->module;
    uint32_t first = module->type_count, count = 1;

    if (cn_reader_left(reader) > 0 && *reader->at == FORM_REC) {
        reader->at++;
        CN_TRY(cn_read_count(reader, CN_LIMIT_TYPES - first, 2, "types", &count));
    }
    if (count > CN_LIMIT_TYPES - first)
        return cn_fail(reader->error, CN_TOO_LARGE, cn_reader_offset(reader),
                       "too many types: at most %u are supported", CN_LIMIT_TYPES);
    CN_TRY(reserve_types(loading, count, room));
    for (uint32_t i = first; i < first + count; i++)
        module->types[i] = (struct cn_deftype){
            .super = CN_NO_INDEX, .canonical = i, .group = first, .group_size = count};
    module->type_count = first + count; /* members of a group may name one another */
    for (uint32_t i = first; i < first + count; i++)
        CN_TRY(read_subtype(loading, reader, i));
    return cn_close_group(loading, table, first);
}

enum cn_status cn_decode_types(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_group_table table = {0};
    uint32_t count, room;
    enum cn_status status = CN_OK;

    CN_TRY(cn_read_count(reader, CN_LIMIT_TYPES, 2, "types", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *loading->module->types, &loading->module->types));
    room = count;
    for (uint32_t i = 0; i < count && status == CN_OK; i++)
        status = read_group(loading, reader, &table, &room);
    cn_group_table_free(loading, &table);
    return status;
}

/* ---------------------------------------------------------------- limits */

enum { HAS_MAX = 1, IS_SHARED = 2, IS_64 = 4, HAS_PAGE_SIZE = 8 };

/* Flags, of which those in `allowed` may be set, and one or two numbers. */
static enum cn_status read_limits(struct cn_reader *reader, uint8_t allowed, uint8_t *flags,
                                  struct cn_limits *limits)
{
    uint64_t offset = cn_reader_offset(reader), min, max;

    CN_TRY(cn_read_u8(reader, flags));
    bool is_cut = (*flags & HAS_PAGE_SIZE) && cn_reader_left(reader) == 0;
    if ((*flags & ~allowed) || is_cut)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed limits flags: found 0x%02x", *flags);
    CN_TRY(cn_read_u64(reader, &min));
    *limits = (struct cn_limits){min, UINT64_MAX};
    if (!(*flags & HAS_MAX))
        return CN_OK;
    CN_TRY(cn_read_u64(reader, &max));
    limits->max = max;
    return CN_OK;
}

static enum cn_status check_limits(struct cn_reader *reader, uint64_t offset,
                                   const struct cn_limits *limits)
{
    if (limits->min > limits->max)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "size minimum must not be greater than maximum: found %llu and %llu",
                       (unsigned long long)limits->min, (unsigned long long)limits->max);
    return CN_OK;
}

enum cn_status cn_read_table_type(const struct cn_module *module, struct cn_reader *reader,
                                  struct cn_table_type *type)
{
    uint64_t offset;
    uint8_t flags = 0;

    CN_TRY(cn_read_reftype(module, reader, &type->element));
    offset = cn_reader_offset(reader);
    CN_TRY(read_limits(reader, HAS_MAX | IS_64, &flags, &type->limits));
    type->is_64 = flags & IS_64;
    bool has_max = type->limits.max != UINT64_MAX;
    if (!type->is_64 &&
        (type->limits.min > UINT32_MAX || (has_max && type->limits.max > UINT32_MAX)))
        return cn_fail(reader->error, CN_INVALID, offset,
                       "table size must be at most 2^32 - 1: found %llu",
                       (unsigned long long)(has_max ? type->limits.max : type->limits.min));
    return check_limits(reader, offset, &type->limits);
}

static enum cn_status read_page_size(struct cn_reader *reader, uint8_t *page_log2)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t log2;

    CN_TRY(cn_read_u32(reader, &log2));
    if (log2 != 0 && log2 != CN_PAGE_LOG2)
        return cn_fail(reader->error, log2 < 64 ? CN_INVALID : CN_MALFORMED, offset,
                       "invalid custom page size: expected 2^0 or 2^16 bytes, found 2^%u", log2);
    *page_log2 = (uint8_t)log2;
    return CN_OK;
}

/* As many pages as addresses can name. */
static enum cn_status check_memory_size(struct cn_reader *reader, uint64_t offset,
                                        const struct cn_memory_type *type)
{
    unsigned address_bits = type->is_64 ? 64 : 32;
    uint64_t most = type->page_log2 ? 1ull << (address_bits - type->page_log2)
                                    : UINT64_MAX >> (64 - address_bits);
    uint64_t size = type->limits.max != UINT64_MAX ? type->limits.max : type->limits.min;

    if (type->limits.min <= most && (type->limits.max == UINT64_MAX || type->limits.max <= most))
        return CN_OK;
    if (type->limits.min > most)
        size = type->limits.min;
    return cn_fail(reader->error, CN_INVALID, offset,
                   "memory size must be at most %llu pages%s: found %llu",
                   (unsigned long long)most, type->is_64 || !type->page_log2 ? "" : " (4GiB)",
                   (unsigned long long)size);
}

enum cn_status cn_read_memory_type(struct cn_reader *reader, struct cn_memory_type *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t flags = 0;

    *type = (struct cn_memory_type){.page_log2 = CN_PAGE_LOG2};
    CN_TRY(read_limits(reader, HAS_MAX | IS_SHARED | IS_64 | HAS_PAGE_SIZE, &flags,
                       &type->limits));
    type->is_64 = flags & IS_64;
    type->is_shared = flags & IS_SHARED;
    if (flags & HAS_PAGE_SIZE)
        CN_TRY(read_page_size(reader, &type->page_log2));
    if (type->is_shared && !(flags & HAS_MAX))
        return cn_fail(reader->error, CN_INVALID, offset,
                       "shared memory must have maximum: found none");
    CN_TRY(check_memory_size(reader, offset, type));
    return check_limits(reader, offset, &type->limits);
}

static enum cn_status check_tag_type(const struct cn_loading *loading, struct cn_reader *reader,
                                     uint64_t offset, uint32_t type)
{
    const struct cn_functype *func = cn_module_functype(loading->module, type);

    if (func->result_count > 0)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "non-empty tag result type: type %u has %u results", type,
                       func->result_count);
    return CN_OK;
}

enum cn_status cn_read_tag(const struct cn_loading *loading, struct cn_reader *reader,
                           uint32_t *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t attribute;

    CN_TRY(cn_read_u8(reader, &attribute));
    if (attribute != 0)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed tag attribute: expected 0, found 0x%02x", attribute);
    CN_TRY(cn_read_type_index(loading, reader, type));
    return check_tag_type(loading, reader, offset, *type);
}

enum cn_status cn_read_global_type(const struct cn_module *module, struct cn_reader *reader,
                                   struct cn_global_type *type)
{
    CN_TRY(cn_read_valtype(module, reader, &type->type));
    return read_mutability(reader, &type->is_mutable);
}

/* ---------------------------------------------------------------- sections */

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

/* A table may say what its elements are at first; it must where null is none. */
static enum cn_status read_table(struct cn_loading *loading, struct cn_reader *reader,
                                 struct cn_tabledecl *table)
{
    enum { HAS_INIT = 0x40 };
    uint64_t offset = cn_reader_offset(reader);
    bool has_init = cn_reader_left(reader) > 0 && *reader->at == HAS_INIT;
    uint8_t zero;

    if (has_init) {
        reader->at++;
        CN_TRY(cn_read_u8(reader, &zero));
        if (zero != 0)
            return cn_fail(reader->error, CN_MALFORMED, offset,
                           "malformed table: expected 0x40 0x00, found 0x40 0x%02x", zero);
    }
    CN_TRY(cn_read_table_type(loading->module, reader, &table->type));
    if (has_init)
        return cn_validate_constant(loading->validator, reader, table->type.element,
                                    &table->init);
    if (!cn_valtype_has_default(table->type.element))
        return cn_fail(reader->error, CN_INVALID, offset,
                       "type mismatch: a table of references that are never null expects an "
                       "initial value");
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
        CN_TRY(read_table(loading, reader, &module->tables[imported + i]));
    module->table_count = imported + count;
    return CN_OK;
}

enum cn_status cn_decode_memories(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t imported = module->memory_count;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_MEMORIES - imported, 1, "memories", &count));
    CN_TRY(extend(loading, &module->memories, imported, count, sizeof *module->memories));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_memory_type(reader, &module->memories[imported + i]));
    module->memory_count = imported + count;
    return CN_OK;
}

enum cn_status cn_decode_tags(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t imported = module->tag_count;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_TAGS - imported, 2, "tags", &count));
    CN_TRY(extend(loading, &module->tags, imported, count, sizeof *module->tags));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_read_tag(loading, reader, &module->tags[imported + i]));
    module->tag_count = imported + count;
    return CN_OK;
}
