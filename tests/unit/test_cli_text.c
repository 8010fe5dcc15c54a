/* What logs are sent as: base64. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"

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
