#include <criterion/criterion.h>
#include <string.h>

#include "cli/up_log.h"

static void put(struct up_log *log, const char *text)
{
    up_log_write(log, (const uint8_t *)text, strlen(text));
}

static bool holds(const struct up_log *log, uint64_t at, const char *text)
{
    uint8_t bytes[20000];
    size_t size = up_log_read(log, &at, bytes, sizeof bytes);

    return size == strlen(text) && memcmp(bytes, text, size) == 0 && at == log->end;
}

Test(up_log, keeps_the_last_bytes)
{
    struct up_log log;

    up_log_init(&log, 8);
    cr_expect(holds(&log, 0, ""));
    put(&log, "abc");
    cr_expect(holds(&log, 0, "abc"));
    put(&log, "defgh");
    cr_expect(holds(&log, 0, "abcdefgh"));
    put(&log, "ij");
    cr_expect(holds(&log, 0, "cdefghij"));
    cr_expect(holds(&log, 7, "hij"));
    put(&log, "a text that is longer than all of it");
    cr_expect(holds(&log, 0, "ll of it"));
    up_log_release(&log);
}

Test(up_log, grows_only_as_it_is_filled)
{
    struct up_log log;
    uint8_t byte = 'x';

    up_log_init(&log, 1 << 20);
    put(&log, "some");
    cr_expect_leq(log.room, 4096);
    for (int i = 0; i < 10000; i++)
        up_log_write(&log, &byte, 1);
    cr_expect_eq(log.begin, 0);
    cr_expect_leq(log.room, 16384);
    up_log_release(&log);
}

Test(up_log, keeps_nothing_when_its_bound_is_nothing)
{
    struct up_log log;

    up_log_init(&log, 0);
    put(&log, "gone");
    cr_expect_eq(log.end, log.begin);
    up_log_release(&log);
}

/* Against a plain string, with pieces of all sizes. */
Test(up_log, is_the_end_of_what_was_written)
{
    static uint8_t all[100000], bytes[9000];
    struct up_log log;
    size_t written = 0;
    uint32_t seed = 1;

    up_log_init(&log, 9000);
    while (written < sizeof all - 20000) {
        seed = seed * 1103515245 + 12345;
        size_t size = seed >> 8 & (seed & 1 ? 0x3fff : 0xff);
        for (size_t i = 0; i < size; i++)
            all[written + i] = (uint8_t)(written + i * 7);
        up_log_write(&log, all + written, size);
        written += size;
        uint64_t at = 0;
        size_t got = up_log_read(&log, &at, bytes, sizeof bytes);
        cr_assert_eq(log.end, written);
        cr_assert(got <= written && (got == 9000 || got == written));
        cr_assert_eq(memcmp(bytes, all + written - got, got), 0);
    }
    up_log_release(&log);
}

Test(up_log, finds_the_last_lines)
{
    struct up_log log;

    up_log_init(&log, 64);
    cr_expect_eq(up_log_tail(&log, 5), 0);
    put(&log, "one\ntwo\nthree\n");
    cr_expect(holds(&log, up_log_tail(&log, 1), "three\n"));
    cr_expect(holds(&log, up_log_tail(&log, 2), "two\nthree\n"));
    cr_expect(holds(&log, up_log_tail(&log, 9), "one\ntwo\nthree\n"));
    cr_expect(holds(&log, up_log_tail(&log, 0), ""));
    put(&log, "part");
    cr_expect(holds(&log, up_log_tail(&log, 1), "part"));
    cr_expect(holds(&log, up_log_tail(&log, 2), "three\npart"));
    up_log_release(&log);
}
