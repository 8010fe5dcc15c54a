#include "shim/terminal.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "include/cordon.h"

/* In pieces of every size the same is shown. */
static bool shows_all(const char *text, size_t length, const char *expected)
{
    for (size_t piece = 1; piece <= length; piece++) {
        cordon_terminal_t terminal = {{0}};
        char shown[1000];
        size_t size = 0;
        for (size_t at = 0; at < length; at += piece) {
            size_t part = length - at < piece ? length - at : piece;
            size_t more = cordon_terminal_show(&terminal, text + at, part, shown + size);
            cr_assert_leq(more, part + CORDON_TERMINAL_MORE);
            size += more;
        }
        if (size != strlen(expected) || memcmp(shown, expected, size) != 0) {
            cr_log_warn("%.*s", (int)size, shown);
            return false;
        }
    }
    return true;
}

static bool shows(const char *text, const char *expected)
{
    return shows_all(text, strlen(text), expected);
}

Test(terminal, shows_text_and_colours)
{
    cr_expect(shows("plain\ttext\r\n\a\b", "plain\ttext\r\n\a\b"));
    cr_expect(shows("\033[1;31mred\033[0m\033[m", "\033[1;31mred\033[0m\033[m"));
    cr_expect(shows("\033[38:2::1:2:3mx", "\033[38:2::1:2:3mx"));
    cr_expect(shows("\r\033[K\033[2C\033[3D\033[1G", "\r\033[K\033[2C\033[3D\033[1G"));
    static const char text[] = "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    cr_expect(shows(text, text));
}

/* CVE-2003-0063 (title sent back as if typed), CVE-2022-45872 (device queries), and the like. */
Test(terminal, stops_sequences_that_act)
{
    cr_expect(shows("\033]0;title\a", "?]0;title\a"));
    cr_expect(shows("\033]52;c;ZXZpbA==\033\\", "?]52;c;ZXZpbA==?\\"));
    cr_expect(shows("\033[21t", "?[21t"));
    cr_expect(shows("\033[6n\033[c\033[>c", "?[6n?[c?[>c"));
    cr_expect(shows("\033[2J\033[H\033[1A", "?[2J?[H?[1A"));
    cr_expect(shows("\033[?1049h", "?[?1049h"));
    cr_expect(shows("\033P$q\"p\033\\", "?P$q\"p?\\"));
    cr_expect(shows("\033c\033(0\0337", "?c?(0?7"));
    cr_expect(shows("\005\016\017\177\013\014", "??????"));
    cr_expect(shows("\033\033[31m", "?\033[31m"));
    cr_expect(shows("\033[3\033[31m", "?[3\033[31m"));
}

Test(terminal, stops_characters_that_act)
{
    cr_expect(shows("\xc2\x9b" "31m", "?31m"));
    cr_expect(shows("\x9b" "31m\x90", "?31m?"));
    cr_expect(shows("a\xe2\x80\xae" "b", "a?b"));
    cr_expect(shows("\xc0\x9b\xe0\x80\x9b\xed\xa0\x80\xf5", "?????"));
    cr_expect(shows("\xe2\x82x\xf0\x9f\033[m", "?x?\033[m"));
    cr_expect(shows("\xe2\x81\xa6\xe2\x81\xa5\xf0\x80\x80\x80\xf4\x90\x80\x80", "?\xe2\x81\xa5??"));
    cr_expect(shows_all("a\0b", 3, "a?b"));
}

/* Whatever comes, in whatever pieces: no byte that acts, no more bytes than were taken. */
Test(terminal, holds_for_any_bytes)
{
    static const char hostile[] = "\033\033\033[[[]P;:0123456789mKCDGJHn\a\b\r\n"
                                  "\x9b\xc2\xe2\x80\xae";
    struct cn_terminal terminal = {.size = 0};
    uint8_t shown[CN_TERMINAL_HELD + 1];
    size_t taken = 0, given = 0;
    bool after_escape = false, in_sequence = false;

    srand(1);
    for (int i = 0; i < 2000000; i++) {
        uint8_t byte = (uint8_t)hostile[(size_t)rand() % (sizeof hostile - 1)];
        if (rand() % 8 == 0)
            byte = (uint8_t)rand();
        size_t size = cn_terminal_take(&terminal, byte, shown);
        taken++;
        given += size;
        cr_assert_leq(given, taken);
        cr_assert_leq(size, sizeof shown);
        for (size_t at = 0; at < size; at++) {
            uint8_t one = shown[at];
            if (after_escape)
                cr_assert_eq(one, '[');
            if (in_sequence)
                cr_assert_neq(strchr("0123456789;:mKCDG", one), NULL);
            in_sequence = after_escape || (in_sequence && strchr("mKCDG", one) == NULL);
            after_escape = one == 033;
            cr_assert(one == 033 || one >= 0x20 || (one >= '\a' && one <= '\n') || one == '\r');
            cr_assert_neq(one, 0x7f);
        }
    }
}
