/* Decisions out of a fuzzer's bytes: each takes the next one, and there are always zeros behind
 * the last. */
#ifndef CN_TESTS_FUZZ_CURSOR_H
#define CN_TESTS_FUZZ_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t cursor_byte(struct cursor *cursor)
{
    if (cursor->left == 0)
        return 0;
    cursor->left--;
    return *cursor->at++;
}

/* One of so many, at most 256. */
static inline uint32_t cursor_pick(struct cursor *cursor, uint32_t count)
{
    return cursor_byte(cursor) % count;
}

static inline uint32_t cursor_u32(struct cursor *cursor)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 8 | cursor_byte(cursor);
    return value;
}

#endif
