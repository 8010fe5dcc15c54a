/* Globals, element segments and data segments: the sections with constant expressions. */
#include "core/limits.h"
#include "loader/decode.h"

enum cn_status cn_decode_globals(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t imported = module->global_count;
    struct cn_globaldecl *globals;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_GLOBALS - imported, 3, "globals", &count));
    CN_TRY(cn_take_array(loading, (size_t)imported + count, sizeof *globals, &globals));
    if (imported > 0)
        memcpy(globals, module->globals, imported * sizeof *globals);
    module->globals = globals;
    for (uint32_t i = 0; i < count; i++) {
        struct cn_globaldecl *global = &globals[imported + i];
        CN_TRY(cn_read_global_type(module, reader, &global->type));
        CN_TRY(cn_validate_constant(loading->validator, reader, global->type.type,
                                    &global->init));
        module->global_count++; /* now later globals may name it */
    }
    return CN_OK;
}

/* ---------------------------------------------------------------- element segments */

/* The bits of an element segment's first number. */
enum { NOT_ACTIVE = 1, HAS_TABLE_OR_IS_DECLARATIVE = 2, HAS_EXPRESSIONS = 4, ALL_FLAGS = 7 };

static enum cn_status read_active_table(struct cn_loading *loading, struct cn_reader *reader,
                                        uint32_t flags, struct cn_element_segment *segment)
{
    const struct cn_module *module = loading->module;
    uint64_t offset = cn_reader_offset(reader);

    if (flags & HAS_TABLE_OR_IS_DECLARATIVE)
        CN_TRY(cn_read_u32(reader, &segment->table));
    if (segment->table >= module->table_count)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown table %u: an element segment names it, but there are %u",
                       segment->table, module->table_count);
    return cn_validate_constant(loading->validator, reader,
                                module->tables[segment->table].type.is_64 ? CN_I64 : CN_I32,
                                &segment->offset);
}

/* What the segment holds: functions, unless it says something else. */
static enum cn_status read_element_type(const struct cn_module *module, struct cn_reader *reader,
                                        uint32_t flags, cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t kind;

    *type = flags & HAS_EXPRESSIONS ? CN_FUNCREF : cn_ref_abstract(CN_HEAP_FUNC, false);
    if (!(flags & (NOT_ACTIVE | HAS_TABLE_OR_IS_DECLARATIVE)))
        return CN_OK;
    if (flags & HAS_EXPRESSIONS)
        return cn_read_reftype(module, reader, type);
    CN_TRY(cn_read_u8(reader, &kind));
    if (kind != 0)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed element kind: expected 0, found 0x%02x", kind);
    return CN_OK;
}

static enum cn_status read_funcs(struct cn_loading *loading, struct cn_reader *reader,
                                 struct cn_element_segment *segment)
{
    struct cn_module *module = loading->module;
    uint32_t *funcs;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_SEGMENT_ELEMENTS, 1, "elements", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *funcs, &funcs));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = cn_reader_offset(reader);
        CN_TRY(cn_read_u32(reader, &funcs[i]));
        if (funcs[i] >= module->func_count)
            return cn_fail(reader->error, CN_INVALID, offset,
                           "unknown function %u: an element names it, but there are %u",
                           funcs[i], module->func_count);
        module->funcs[funcs[i]].is_referenced = true;
    }
    segment->count = count;
    segment->funcs = funcs;
    return CN_OK;
}

static enum cn_status read_exprs(struct cn_loading *loading, struct cn_reader *reader,
                                 struct cn_element_segment *segment)
{
    struct cn_constexpr *exprs;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_SEGMENT_ELEMENTS, 3, "elements", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *exprs, &exprs));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(cn_validate_constant(loading->validator, reader, segment->type, &exprs[i]));
    segment->count = count;
    segment->exprs = exprs;
    return CN_OK;
}

static enum cn_status check_elements(const struct cn_loading *loading, uint64_t offset,
                                     const struct cn_element_segment *segment)
{
    const struct cn_module *module = loading->module;
    cn_valtype element = module->tables[segment->table].type.element;
    char text[CN_TYPE_TEXT], other[CN_TYPE_TEXT];

    if (cn_valtype_is_subtype(module->types, segment->type, element))
        return CN_OK;
    return cn_fail(loading->error, CN_INVALID, offset,
                   "type mismatch: table %u expects elements of %s, found %s", segment->table,
                   cn_type_text(element, text), cn_type_text(segment->type, other));
}

static enum cn_status read_element(struct cn_loading *loading, struct cn_reader *reader,
                                   struct cn_element_segment *segment)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t flags;

    CN_TRY(cn_read_u32(reader, &flags));
    if (flags > ALL_FLAGS)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed elements segment kind: expected 0 to 7, found %u", flags);
    segment->mode = CN_SEGMENT_ACTIVE;
    if (flags & NOT_ACTIVE)
        segment->mode = flags & HAS_TABLE_OR_IS_DECLARATIVE ? CN_SEGMENT_DECLARATIVE
                                                            : CN_SEGMENT_PASSIVE;
    else
        CN_TRY(read_active_table(loading, reader, flags, segment));
    CN_TRY(read_element_type(loading->module, reader, flags, &segment->type));
    if (segment->mode == CN_SEGMENT_ACTIVE)
        CN_TRY(check_elements(loading, offset, segment));
    return flags & HAS_EXPRESSIONS ? read_exprs(loading, reader, segment)
                                   : read_funcs(loading, reader, segment);
}

enum cn_status cn_decode_elements(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_ELEMENTS, 3, "element segments", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *module->elements, &module->elements));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(read_element(loading, reader, &module->elements[i]));
    module->element_count = count;
    return CN_OK;
}

/* ---------------------------------------------------------------- data segments */

enum cn_status cn_decode_data_count(struct cn_loading *loading, struct cn_reader *reader)
{
    CN_TRY(cn_read_u32(reader, &loading->declared_datas));
    loading->has_data_count = true;
    loading->validator->has_data_count = true;
    loading->validator->data_count = loading->declared_datas;
    return CN_OK;
}

static enum cn_status read_data(struct cn_loading *loading, struct cn_reader *reader,
                                struct cn_data_segment *segment)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t flags;

    CN_TRY(cn_read_u32(reader, &flags));
    if (flags > 2)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed data segment kind: expected 0 to 2, found %u", flags);
    segment->mode = flags == 1 ? CN_SEGMENT_PASSIVE : CN_SEGMENT_ACTIVE;
    if (flags == 2)
        CN_TRY(cn_read_u32(reader, &segment->memory));
    if (segment->mode == CN_SEGMENT_ACTIVE) {
        if (segment->memory >= loading->module->memory_count)
            return cn_fail(reader->error, CN_INVALID, offset,
                           "unknown memory %u: a data segment names it, but there are %u",
                           segment->memory, loading->module->memory_count);
        bool is_64 = loading->module->memories[segment->memory].is_64;
        CN_TRY(cn_validate_constant(loading->validator, reader, is_64 ? CN_I64 : CN_I32,
                                    &segment->offset));
    }
    return cn_read_sized(reader, "data segment", &segment->bytes);
}

enum cn_status cn_decode_datas(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_module *module = loading->module;
    uint32_t count;

    CN_TRY(cn_read_count(reader, CN_LIMIT_DATAS, 2, "data segments", &count));
    CN_TRY(cn_take_array(loading, count, sizeof *module->datas, &module->datas));
    for (uint32_t i = 0; i < count; i++)
        CN_TRY(read_data(loading, reader, &module->datas[i]));
    module->data_count = count;
    return CN_OK;
}
