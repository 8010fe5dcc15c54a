/* The sections of a module, in their order (core 5.5). */
#include "loader/decode.h"

#include "core/limits.h"

enum cn_status cn_fail_memory(struct cn_error *error)
{
    return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET,
                   "memory exhausted while the module was loaded");
}

enum cn_status cn_take_array(struct cn_loading *loading, size_t count, size_t size, void *result)
{
    void *array = cn_arena_array(&loading->module->arena, count, size);

    if (array == NULL)
        return cn_fail_memory(loading->error);
    *(void **)result = array;
    return CN_OK;
}

enum { CUSTOM_SECTION = 0, SECTION_COUNT = 14 };

/* `rank` is the place in the file: data count stands before code. */
static const struct section {
    const char *name;
    enum cn_status (*decode)(struct cn_loading *loading, struct cn_reader *reader);
    uint8_t rank;
} sections[SECTION_COUNT] = {
    [1] = {"type", cn_decode_types, 1},
    [2] = {"import", cn_decode_imports, 2},
    [3] = {"function", cn_decode_functions, 3},
    [4] = {"table", cn_decode_tables, 4},
    [5] = {"memory", cn_decode_memories, 5},
    [13] = {"tag", cn_decode_tags, 6},
    [6] = {"global", cn_decode_globals, 7},
    [7] = {"export", cn_decode_exports, 8},
    [8] = {"start", cn_decode_start, 9},
    [9] = {"element", cn_decode_elements, 10},
    [12] = {"data count", cn_decode_data_count, 11},
    [10] = {"code", cn_decode_code, 12},
    [11] = {"data", cn_decode_datas, 13},
};

static enum cn_status read_header(struct cn_reader *reader)
{
    static const char magic[4] = {0, 'a', 's', 'm'};
    const uint8_t *at = reader->at;

    if (cn_reader_left(reader) < 4)
        return cn_fail(reader->error, CN_MALFORMED, cn_reader_left(reader),
                       "unexpected end: expected the 8 bytes of a module's header");
    if (memcmp(at, magic, 4) != 0)
        return cn_fail(reader->error, CN_MALFORMED, 0,
                       "magic header not detected: expected 00 61 73 6d, found "
                       "%02x %02x %02x %02x", at[0], at[1], at[2], at[3]);
    if (cn_reader_left(reader) < 8)
        return cn_fail(reader->error, CN_MALFORMED, cn_reader_left(reader),
                       "unexpected end: expected the 4 bytes of a version");
    uint32_t version = cn_load_u32(at + 4);
    if (version != 1)
        return cn_fail(reader->error, CN_MALFORMED, 4,
                       "unknown binary version: expected 1, found %u%s", version,
                       version >> 16 == 1 ? " (a component, not a module)" : "");
    reader->at += 8;
    return CN_OK;
}

/* A custom section means nothing, except that its name must be one. */
static enum cn_status read_custom(struct cn_loading *loading, struct cn_reader *reader)
{
    struct cn_bytes name;

    CN_TRY(cn_read_name(reader, "name of a custom section", &name));
    if (cn_bytes_equal(name, cn_bytes_of("name")))
        loading->names = (struct cn_bytes){reader->at, cn_reader_left(reader)};
    reader->at = reader->end;
    return CN_OK;
}

static enum cn_status read_section(struct cn_loading *loading, struct cn_reader *reader,
                                   uint8_t *rank)
{
    struct cn_reader inside = *reader;
    uint64_t offset = cn_reader_offset(reader);
    uint32_t size;
    uint8_t id;

    CN_TRY(cn_read_u8(&inside, &id));
    if (id >= SECTION_COUNT)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed section id: expected at most %d, found %u",
                       SECTION_COUNT - 1, id);
    CN_TRY(cn_read_u32(&inside, &size));
    if (size > cn_reader_left(&inside))
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "length out of bounds: %s section of %u bytes, but only %zu are left",
                       id == CUSTOM_SECTION ? "custom" : sections[id].name, size,
                       cn_reader_left(&inside));
    inside.end = inside.at + size;
    reader->at = inside.end;
    if (id == CUSTOM_SECTION)
        return read_custom(loading, &inside);

    if (sections[id].rank <= *rank)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "unexpected content after last section: %s section twice or too late",
                       sections[id].name);
    *rank = sections[id].rank;
    CN_TRY(sections[id].decode(loading, &inside));
    if (inside.at != inside.end)
        return cn_fail(reader->error, CN_MALFORMED, cn_reader_offset(&inside),
                       "section size mismatch: %zu bytes are left over in the %s section",
                       cn_reader_left(&inside), sections[id].name);
    return CN_OK;
}

/* What only the end of the file shows. */
static enum cn_status check_complete(const struct cn_loading *loading)
{
    const struct cn_module *module = loading->module;
    uint32_t defined = module->func_count - module->imported_func_count;

    if (loading->body_count != defined)
        return cn_fail(loading->error, CN_MALFORMED, module->file.size,
                       "function and code section have inconsistent lengths: %u functions, "
                       "but %u bodies", defined, loading->body_count);
    if (loading->has_data_count && loading->declared_datas != module->data_count)
        return cn_fail(loading->error, CN_MALFORMED, module->file.size,
                       "data count and data section have inconsistent lengths: %u announced, "
                       "but %u segments", loading->declared_datas, module->data_count);
    return CN_OK;
}

enum cn_status cn_decode(struct cn_loading *loading)
{
    const struct cn_bytes file = loading->module->file;
    struct cn_reader reader = cn_reader_of(file, file, loading->error);
    uint8_t rank = 0;

    if (file.size > CN_LIMIT_MODULE_BYTES)
        return cn_fail(loading->error, CN_TOO_LARGE, 0,
                       "module too large: %zu bytes, at most %u are supported", file.size,
                       CN_LIMIT_MODULE_BYTES);
    CN_TRY(read_header(&reader));
    while (reader.at < reader.end)
        CN_TRY(read_section(loading, &reader, &rank));
    CN_TRY(check_complete(loading));
    return cn_decode_names(loading);
}
