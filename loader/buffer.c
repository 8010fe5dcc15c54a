#include "loader/buffer.h"

void cn_buffer_free(struct cn_buffer *buffer)
{
    cn_free(buffer->allocator, buffer->bytes, buffer->room);
    *buffer = (struct cn_buffer){.allocator = buffer->allocator};
}

static bool reserve(struct cn_buffer *buffer, size_t more)
{
    size_t room = buffer->room ? buffer->room : 64;

    if (buffer->failed)
        return false;
    if (buffer->room - buffer->size >= more)
        return true;
    while (room - buffer->size < more)
        room *= 2;
    uint8_t *bytes = cn_resize(buffer->allocator, buffer->bytes, buffer->room, room);
    if (bytes == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->room = room;
    return true;
}

void cn_put(struct cn_buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0 || !reserve(buffer, size))
        return;
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

void cn_put_byte(struct cn_buffer *buffer, uint8_t byte)
{
    cn_put(buffer, &byte, 1);
}

void cn_put_u(struct cn_buffer *buffer, uint64_t value)
{
    while (value >= 0x80) {
        cn_put_byte(buffer, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    cn_put_byte(buffer, (uint8_t)value);
}

void cn_put_s(struct cn_buffer *buffer, int64_t value)
{
    for (;;) {
        uint8_t byte = (uint8_t)(value & 0x7f);
        value >>= 7;
        if (value == (byte & 0x40 ? -1 : 0)) {
            cn_put_byte(buffer, byte);
            return;
        }
        cn_put_byte(buffer, byte | 0x80);
    }
}

void cn_put_sized(struct cn_buffer *buffer, struct cn_bytes bytes)
{
    cn_put_u(buffer, bytes.size);
    cn_put(buffer, bytes.at, bytes.size);
}
