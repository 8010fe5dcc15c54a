/* A cursor over untrusted bytes: LEB128 numbers, names, pieces. Whatever ends too early, is too
 * long or too large is refused here, with its place in the file. */
#ifndef CN_LOADER_READER_H
#define CN_LOADER_READER_H

#include "core/bytes.h"
#include "core/error.h"
#include "core/platform.h"
#include "core/status.h"

struct cn_reader {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *file; /* its beginning: offsets count from here */
    const uint8_t *file_end;
    struct cn_error *error;
};

/* Over a part of the file; no bytes at all may stand anywhere. */
static inline struct cn_reader cn_reader_of(struct cn_bytes part, struct cn_bytes file,
                                            struct cn_error *error)
{
    const uint8_t *end = part.size > 0 ? part.at + part.size : part.at;

    return (struct cn_reader){part.at, end, file.at, file.at + file.size, error};
}

static inline size_t cn_reader_left(const struct cn_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The offset in the file of the next byte. */
static inline uint64_t cn_reader_offset(const struct cn_reader *reader)
{
    return (uint64_t)(reader->at - reader->file);
}

/* Numbers of one byte, the usual case, are read in place; the functions behind them read all
 * and refuse what the format forbids. On failure nothing moves and *result stays untouched. */
CN_CHECKED enum cn_status cn_read_long_u32(struct cn_reader *reader, uint32_t *result);
CN_CHECKED enum cn_status cn_read_long_s32(struct cn_reader *reader, int32_t *result);
CN_CHECKED enum cn_status cn_read_s64(struct cn_reader *reader, int64_t *result);
CN_CHECKED enum cn_status cn_read_u64(struct cn_reader *reader, uint64_t *result);
/* A number of 33 bits, as block types have it. */
CN_CHECKED enum cn_status cn_read_s33(struct cn_reader *reader, int64_t *result);

CN_CHECKED static inline enum cn_status cn_read_u32(struct cn_reader *reader, uint32_t *result)
{
    if (CN_LIKELY(reader->at < reader->end && *reader->at < 0x80)) {
        *result = *reader->at++;
        return CN_OK;
    }
    return cn_read_long_u32(reader, result);
}

CN_CHECKED static inline enum cn_status cn_read_s32(struct cn_reader *reader, int32_t *result)
{
    if (CN_LIKELY(reader->at < reader->end && *reader->at < 0x40)) {
        *result = *reader->at++;
        return CN_OK;
    }
    return cn_read_long_s32(reader, result);
}

CN_CHECKED enum cn_status cn_read_u8(struct cn_reader *reader, uint8_t *result);
/* Floats as their bits. */
CN_CHECKED enum cn_status cn_read_f32(struct cn_reader *reader, uint32_t *bits);
CN_CHECKED enum cn_status cn_read_f64(struct cn_reader *reader, uint64_t *bits);

/* The next `size` bytes, as a view; `what` names them for the message. */
CN_CHECKED enum cn_status cn_read_bytes(struct cn_reader *reader, size_t size, const char *what,
                                        struct cn_bytes *result);
/* A length and as many bytes. */
CN_CHECKED enum cn_status cn_read_sized(struct cn_reader *reader, const char *what,
                                        struct cn_bytes *result);
/* A length and as many bytes of UTF-8. */
CN_CHECKED enum cn_status cn_read_name(struct cn_reader *reader, const char *what,
                                       struct cn_bytes *result);
/* How many entries follow: at most `limit`, and no more than fit into the bytes that are left
 * when each takes `least` of them. */
CN_CHECKED enum cn_status cn_read_count(struct cn_reader *reader, uint32_t limit, size_t least,
                                        const char *what, uint32_t *result);

/* Whether these are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong). */
bool cn_bytes_are_utf8(struct cn_bytes bytes);

#endif
