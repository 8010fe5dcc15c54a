/* What stands between a log and a terminal: base64, and the filter. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"
#include "cli/terminal.h"

Test(base64, is_what_the_standard_says)
{
    static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
                                          {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[CLI_BASE64_SIZE(6)];
        cli_base64_write((const uint8_t *)rows[i][0], strlen(rows[i][0]), text);
        cr_expect_str_eq(text, rows[i][1]);
    }
}

Test(base64, comes_back)
{
    uint8_t bytes[300], again[300];
    char text[CLI_BASE64_SIZE(sizeof bytes)];

    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 37 + size);
        cli_base64_write(bytes, size, text);
        cr_assert_eq(strlen(text) + 1, CLI_BASE64_SIZE(size));
        size_t got = 0;
        cr_assert(cli_base64_read(text, again, &got));
        cr_assert(got == size && memcmp(bytes, again, size) == 0, "%zu bytes", size);
    }
}

Test(base64, refuses_what_is_none)
{
    static const char *const rows[] = {"Z", "Zg", "Zg=", "Z===", "Zg=a", "Zm9*", "====", "Zm9v\n"};
    uint8_t bytes[8];
    size_t size;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_not(cli_base64_read(rows[i], bytes, &size), "%s", rows[i]);
}

/* In pieces of every size the same comes out. */
static void filters(const char *text, size_t size, const char *wanted)
{
    for (size_t piece = 1; piece <= size + 1; piece++) {
        struct cli_filter filter = {0};
        uint8_t shown[400];
        size_t done = 0;
        for (size_t at = 0; at < size; at += piece) {
            size_t part = size - at < piece ? size - at : piece;
            size_t made = cli_filter(&filter, (const uint8_t *)text + at, part, shown + done);
            cr_assert_leq(made, CLI_FILTER_ROOM(part));
            done += made;
        }
        cr_expect(done == strlen(wanted) && memcmp(shown, wanted, done) == 0, "%.*s, not %s",
                  (int)done, (const char *)shown, wanted);
    }
}

#define FILTERS(text, wanted) filters(text, sizeof(text) - 1, wanted)

Test(filter, lets_text_through)
{
    FILTERS("plain\ttext\n", "plain\ttext\n");
    FILTERS("\303\244 \342\202\254 \360\237\230\200", "\303\244 \342\202\254 \360\237\230\200");
    FILTERS("\302\240", "\302\240");
}

Test(filter, takes_out_what_terminals_obey)
{
    FILTERS("\033[31m\a\b\r\177\0", "?[31m?????");
    FILTERS("\302\233x\302\200\302\237", "?x??");
    FILTERS("\342\200\256\342\201\246\342\201\245", "??\342\201\245");
}

Test(filter, takes_out_what_is_no_utf_8)
{
    FILTERS("\200\377\300\201", "????");
    FILTERS("\303x", "?x");
    FILTERS("\342\202", "");
    FILTERS("\342\202\342\202\254", "?\342\202\254");
    FILTERS("\340\200\200\355\240\200\360\200\200\200\364\220\200\200\365", "?????");
}
