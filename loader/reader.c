#include "loader/reader.h"

#include "core/limits.h"

static enum cn_status fail_end(const struct cn_reader *reader, const char *what)
{
    return cn_fail(reader->error, CN_MALFORMED, (uint64_t)(reader->end - reader->file),
                   "unexpected end of section or function: expected %s", what);
}

static enum cn_status read_leb(struct cn_reader *reader, unsigned bits, bool is_signed,
                               uint64_t *result);

/* The end of the part cuts a number off. When what stands in the file is no number either, this
 * is what is said of it, as the reference interpreter does. */
static enum cn_status fail_cut(const struct cn_reader *reader, unsigned bits, bool is_signed)
{
    struct cn_reader whole = *reader;
    uint64_t unused;

    whole.end = reader->file_end;
    if (reader->end != reader->file_end && reader->file_end != NULL)
        CN_TRY(read_leb(&whole, bits, is_signed, &unused));
    return fail_end(reader, "the rest of a number");
}

/* Reads an LEB128 number of at most `bits` bits. The last byte that fits may carry only what
 * is left of them: zeros above an unsigned number, copies of the sign above a signed one. */
static enum cn_status read_leb(struct cn_reader *reader, unsigned bits, bool is_signed,
                               uint64_t *result)
{
    const uint8_t *at = reader->at;
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        if (at == reader->end)
            return fail_cut(reader, bits, is_signed);
        if (shift >= bits)
            return cn_fail(reader->error, CN_MALFORMED, cn_reader_offset(reader),
                           "integer representation too long: expected at most %u bytes for "
                           "%u bits", (bits + 6) / 7, bits);
        byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);

    if (shift > bits) {
        unsigned used = bits - (shift - 7);
        uint8_t unused = (uint8_t)(0x7f & ~((1u << used) - 1));
        uint8_t sign = is_signed && (byte >> (used - 1) & 1) ? unused : 0;
        if ((byte & unused) != sign)
            return cn_fail(reader->error, CN_MALFORMED, cn_reader_offset(reader),
                           "integer too large: expected at most %u bits", bits);
    }
    if (is_signed && shift < 64 && (byte & 0x40))
        value |= ~(uint64_t)0 << shift;
    reader->at = at;
    *result = value;
    return CN_OK;
}

enum cn_status cn_read_long_u32(struct cn_reader *reader, uint32_t *result)
{
    uint64_t value;

    CN_TRY(read_leb(reader, 32, false, &value));
    *result = (uint32_t)value;
    return CN_OK;
}

enum cn_status cn_read_long_s32(struct cn_reader *reader, int32_t *result)
{
    uint64_t value;

    CN_TRY(read_leb(reader, 32, true, &value));
    *result = (int32_t)value;
    return CN_OK;
}

enum cn_status cn_read_s33(struct cn_reader *reader, int64_t *result)
{
    uint64_t value;

    CN_TRY(read_leb(reader, 33, true, &value));
    *result = (int64_t)value;
    return CN_OK;
}

enum cn_status cn_read_u64(struct cn_reader *reader, uint64_t *result)
{
    return read_leb(reader, 64, false, result);
}

enum cn_status cn_read_s64(struct cn_reader *reader, int64_t *result)
{
    uint64_t value;

    CN_TRY(read_leb(reader, 64, true, &value));
    *result = (int64_t)value;
    return CN_OK;
}

enum cn_status cn_read_u8(struct cn_reader *reader, uint8_t *result)
{
    if (reader->at == reader->end)
        return fail_end(reader, "a byte");
    *result = *reader->at++;
    return CN_OK;
}

enum cn_status cn_read_f32(struct cn_reader *reader, uint32_t *bits)
{
    if (cn_reader_left(reader) < 4)
        return fail_end(reader, "the 4 bytes of an f32");
    *bits = cn_load_u32(reader->at);
    reader->at += 4;
    return CN_OK;
}

enum cn_status cn_read_f64(struct cn_reader *reader, uint64_t *bits)
{
    if (cn_reader_left(reader) < 8)
        return fail_end(reader, "the 8 bytes of an f64");
    *bits = cn_load_u64(reader->at);
    reader->at += 8;
    return CN_OK;
}

enum cn_status cn_read_bytes(struct cn_reader *reader, size_t size, const char *what,
                             struct cn_bytes *result)
{
    if (size > cn_reader_left(reader))
        return cn_fail(reader->error, CN_MALFORMED, cn_reader_offset(reader),
                       "unexpected end of section or function: %s of %zu bytes, but only %zu "
                       "are left", what, size, cn_reader_left(reader));
    *result = (struct cn_bytes){reader->at, size};
    reader->at += size;
    return CN_OK;
}

/* What the end of a section cuts off may have a length that is too large even for the file: then
 * this is what is said of it, as the reference interpreter does. */
static enum cn_status check_length(const struct cn_reader *reader, const char *what)
{
    struct cn_reader ahead = *reader;
    uint32_t size;

    if (reader->at != reader->end || reader->file_end <= reader->end)
        return CN_OK;
    ahead.end = reader->file_end;
    ahead.error = NULL;
    if (cn_read_u32(&ahead, &size) != CN_OK || size <= cn_reader_left(&ahead))
        return CN_OK;
    return cn_fail(reader->error, CN_MALFORMED, cn_reader_offset(reader),
                   "length out of bounds: %s is cut off by the end of the section", what);
}

enum cn_status cn_read_sized(struct cn_reader *reader, const char *what,
                             struct cn_bytes *result)
{
    struct cn_reader ahead = *reader;
    uint32_t size;

    CN_TRY(check_length(reader, what));
    CN_TRY(cn_read_u32(&ahead, &size));
    CN_TRY(cn_read_bytes(&ahead, size, what, result));
    reader->at = ahead.at;
    return CN_OK;
}

enum cn_status cn_read_name(struct cn_reader *reader, const char *what, struct cn_bytes *result)
{
    uint64_t offset = cn_reader_offset(reader);
    struct cn_reader ahead = *reader;
    struct cn_bytes name;
    uint32_t size;

    CN_TRY(check_length(reader, what));
    CN_TRY(cn_read_u32(&ahead, &size));
    if (size > cn_reader_left(&ahead))
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "length out of bounds: %s of %u bytes, but only %zu are left", what,
                       size, cn_reader_left(&ahead));
    if (size > CN_LIMIT_NAME_BYTES)
        return cn_fail(reader->error, CN_TOO_LARGE, offset,
                       "name too long: %s of %u bytes, at most %u are supported", what, size,
                       CN_LIMIT_NAME_BYTES);
    CN_TRY(cn_read_bytes(&ahead, size, what, &name));
    if (!cn_bytes_are_utf8(name))
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "malformed UTF-8 encoding: in %s", what);
    reader->at = ahead.at;
    *result = name;
    return CN_OK;
}

enum cn_status cn_read_count(struct cn_reader *reader, uint32_t limit, size_t least,
                             const char *what, uint32_t *result)
{
    uint64_t offset = cn_reader_offset(reader);
    uint32_t count;

    CN_TRY(cn_read_u32(reader, &count));
    if (count > cn_reader_left(reader) / least)
        return cn_fail(reader->error, CN_MALFORMED, offset,
                       "unexpected end of section or function: %u %s announced, but only %zu "
                       "bytes are left", count, what, cn_reader_left(reader));
    if (count > limit)
        return cn_fail(reader->error, CN_TOO_LARGE, offset,
                       "too many %s: found %u, at most %u are supported", what, count, limit);
    *result = count;
    return CN_OK;
}

/* The length of the sequence that begins here, 0 when it is not well-formed. */
static size_t utf8_sequence(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last;      /* leading bytes */
        uint8_t second_low, second_high;
        uint8_t length;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (*at < forms[i].first || *at > forms[i].last)
            continue;
        size_t length = forms[i].length;
        if (length > left)
            return 0;
        if (length > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
            return 0;
        for (size_t k = 2; k < length; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

bool cn_bytes_are_utf8(struct cn_bytes bytes)
{
    size_t at = 0;

    while (at < bytes.size) {
        if (bytes.size - at >= 8 && !(cn_load_u64(bytes.at + at) & 0x8080808080808080u)) {
            at += 8;
            continue;
        }
        size_t length = utf8_sequence(bytes.at + at, bytes.size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
