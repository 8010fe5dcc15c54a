/* Value types in the binary format (core 5.3). */
#include "loader/decode.h"

enum { REF_NULL = 0x63, REF = 0x64 };

enum cn_status cn_read_heaptype(const struct cn_module *module, struct cn_reader *reader,
                                bool nullable, cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    int64_t index;

    if (cn_reader_left(reader) > 0 && cn_heap_is_abstract(*reader->at)) {
        *type = cn_ref_abstract(*reader->at++, nullable);
        return CN_OK;
    }
    CN_TRY(cn_read_s33(reader, &index));
    if (index < 0)
        return cn_fail(reader->error, CN_MALFORMED, offset, "malformed heap type: found %lld",
                       (long long)index);
    if (index >= module->type_count)
        return cn_fail(reader->error, CN_INVALID, offset,
                       "unknown type %lld: the module has %u types", (long long)index,
                       module->type_count);
    const struct cn_deftype *found = &module->types[index];
    *type = cn_ref_defined(found->canonical, cn_deftype_hierarchy(found), nullable);
    return CN_OK;
}

enum cn_status cn_read_reftype(const struct cn_module *module, struct cn_reader *reader,
                               cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(reader, &byte));
    if (byte == REF || byte == REF_NULL)
        return cn_read_heaptype(module, reader, byte == REF_NULL, type);
    if (!cn_heap_is_abstract(byte))
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed reference type: found 0x%02x", byte);
    *type = cn_ref_abstract(byte, true);
    return CN_OK;
}

enum cn_status cn_read_valtype(const struct cn_module *module, struct cn_reader *reader,
                               cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(reader, &byte));
    if (cn_valtype_is_num(byte) || byte == CN_V128) {
        *type = byte;
        return CN_OK;
    }
    if (byte != REF && byte != REF_NULL && !cn_heap_is_abstract(byte))
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed value type: found 0x%02x", byte);
    reader->at--;
    return cn_read_reftype(module, reader, type);
}

enum cn_status cn_read_storage_type(const struct cn_module *module, struct cn_reader *reader,
                                    cn_valtype *type)
{
    if (cn_reader_left(reader) > 0 && (*reader->at == CN_I8 || *reader->at == CN_I16)) {
        *type = *reader->at++;
        return CN_OK;
    }
    return cn_read_valtype(module, reader, type);
}
