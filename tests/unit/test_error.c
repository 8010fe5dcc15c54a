#include "core/error.h"

#include <criterion/criterion.h>
#include <string.h>

Test(error, keeps_status_place_and_text)
{
    struct cn_error error;

    cr_assert_eq(cn_fail(&error, CN_INVALID, 42, "found %d", 7), CN_INVALID);
    cr_assert_eq(error.status, CN_INVALID);
    cr_assert_eq(error.offset, 42);
    cr_assert_str_eq(error.text, "found 7");
}

Test(error, lets_the_status_travel_alone)
{
    cr_assert_eq(cn_fail(NULL, CN_MALFORMED, CN_NO_OFFSET, "%s", "unheard"), CN_MALFORMED);
}

Test(error, cuts_texts_that_are_too_long)
{
    char text[1000];
    struct cn_error error;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cn_fail(&error, CN_IO, 0, "%s", text);
    cr_assert_eq(strlen(error.text), CN_ERROR_TEXT_MAX - 1);
}

Test(error, keeps_the_last_one)
{
    struct cn_error error;

    cn_fail(&error, CN_IO, 1, "first");
    cn_fail(&error, CN_INVALID, 2, "second");
    cr_assert_str_eq(error.text, "second");
    cr_assert_eq(error.offset, 2);
}
