/* Pointer and length, and little-endian loads and stores at any address. */
#ifndef CN_CORE_BYTES_H
#define CN_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of somebody else's bytes; no terminating zero is implied. */
struct cn_bytes {
    const uint8_t *at;
    size_t size;
};

static inline bool cn_bytes_equal(struct cn_bytes a, struct cn_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* An order, shorter ones first: below, at or above 0 as memcmp. */
static inline int cn_bytes_compare(struct cn_bytes a, struct cn_bytes b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size == 0 ? 0 : memcmp(a.at, b.at, a.size);
}

static inline struct cn_bytes cn_bytes_of(const char *text)
{
    return (struct cn_bytes){(const uint8_t *)text, strlen(text)};
}

/* Cordon runs on little-endian hosts only (platform.h checks), so these are plain copies. */
#define CN_BYTES_ACCESS(type, name)                                                                \
    static inline type cn_load_##name(const void *at)                                              \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, at, sizeof value);                                                          \
        return value;                                                                              \
    }                                                                                              \
    static inline void cn_store_##name(void *at, type value)                                       \
    {                                                                                              \
        memcpy(at, &value, sizeof value);                                                          \
    }

CN_BYTES_ACCESS(uint16_t, u16)
CN_BYTES_ACCESS(uint32_t, u32)
CN_BYTES_ACCESS(uint64_t, u64)

#undef CN_BYTES_ACCESS

#endif
