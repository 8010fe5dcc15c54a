/* Bytes that grow, in the binary format's terms. */
#ifndef CN_LOADER_BUFFER_H
#define CN_LOADER_BUFFER_H

#include "core/alloc.h"
#include "core/bytes.h"
#include "core/status.h"

/* After a failure to get memory `failed` is set, and what is put afterwards is lost. */
struct cn_buffer {
    struct cn_allocator allocator;
    uint8_t *bytes;
    size_t size, room;
    bool failed;
};

void cn_buffer_free(struct cn_buffer *buffer);
void cn_put(struct cn_buffer *buffer, const void *bytes, size_t size);
void cn_put_byte(struct cn_buffer *buffer, uint8_t byte);
/* LEB128 numbers. */
void cn_put_u(struct cn_buffer *buffer, uint64_t value);
void cn_put_s(struct cn_buffer *buffer, int64_t value);
/* A length and as many bytes. */
void cn_put_sized(struct cn_buffer *buffer, struct cn_bytes bytes);

static inline struct cn_bytes cn_buffer_bytes(const struct cn_buffer *buffer)
{
    return (struct cn_bytes){buffer->bytes, buffer->size};
}

#endif
