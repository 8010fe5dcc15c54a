#include "loader/reader.h"

#include <criterion/criterion.h>

#include "core/limits.h"

#define READER(...)                                                                                \
    const uint8_t bytes[] = {__VA_ARGS__};                                                         \
    struct cn_error error = {CN_OK, 0, ""};                                                        \
    struct cn_reader reader =                                                                      \
        cn_reader_of((struct cn_bytes){bytes, sizeof bytes},                                       \
                     (struct cn_bytes){bytes, sizeof bytes}, &error)

static void expect_text(const struct cn_error *error, const char *text)
{
    cr_assert_eq(strncmp(error->text, text, strlen(text)), 0, "\"%s\"", error->text);
}

Test(reader, reads_unsigned_numbers_of_all_lengths)
{
    READER(0x00, 0x7f, 0x80, 0x01, 0xff, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x08, 0xff, 0xff, 0xff,
           0xff, 0x0f);
    const uint32_t expected[] = {0, 127, 128, 16383, 0x80000000, 0xffffffff};
    uint32_t value;

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        cr_assert_eq(cn_read_u32(&reader, &value), CN_OK);
        cr_assert_eq(value, expected[i]);
    }
    cr_assert_eq(cn_reader_left(&reader), 0);
}

Test(reader, reads_signed_numbers_with_their_sign)
{
    READER(0x3f, 0x40, 0x7f, 0x80, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x07, 0x80, 0x80, 0x80, 0x80,
           0x78);
    const int32_t expected[] = {63, -64, -1, -128, INT32_MAX, INT32_MIN};
    int32_t value;

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        cr_assert_eq(cn_read_s32(&reader, &value), CN_OK);
        cr_assert_eq(value, expected[i], "%d", value);
    }
}

Test(reader, reads_the_extremes_of_64_bits)
{
    READER(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x80, 0x80, 0x80, 0x80,
           0x80, 0x80, 0x80, 0x80, 0x80, 0x7f, 0x7f);
    int64_t value;

    cr_assert_eq(cn_read_s64(&reader, &value), CN_OK);
    cr_assert_eq(value, INT64_MAX);
    cr_assert_eq(cn_read_s64(&reader, &value), CN_OK);
    cr_assert_eq(value, INT64_MIN);
    cr_assert_eq(cn_read_s64(&reader, &value), CN_OK);
    cr_assert_eq(value, -1);
}

Test(reader, reads_33_bits)
{
    READER(0xff, 0xff, 0xff, 0xff, 0x0f, 0x40);
    int64_t value;

    cr_assert_eq(cn_read_s33(&reader, &value), CN_OK);
    cr_assert_eq(value, 0xffffffff);
    cr_assert_eq(cn_read_s33(&reader, &value), CN_OK);
    cr_assert_eq(value, -64);
}

Test(reader, refuses_a_sixth_byte)
{
    READER(0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
    uint32_t value = 7;

    cr_assert_eq(cn_read_u32(&reader, &value), CN_MALFORMED);
    expect_text(&error, "integer representation too long");
    cr_assert_eq(value, 7);
    cr_assert_eq(reader.at, bytes, "nothing was consumed");
}

Test(reader, refuses_a_thirty_third_bit)
{
    READER(0xff, 0xff, 0xff, 0xff, 0x1f);
    uint32_t value;
    int32_t signed_value;

    cr_assert_eq(cn_read_u32(&reader, &value), CN_MALFORMED);
    expect_text(&error, "integer too large");
    cr_assert_eq(cn_read_s32(&reader, &signed_value), CN_MALFORMED);
    expect_text(&error, "integer too large");
}

Test(reader, refuses_a_sign_that_contradicts_itself)
{
    READER(0xff, 0xff, 0xff, 0xff, 0x4f);
    int32_t value;

    cr_assert_eq(cn_read_s32(&reader, &value), CN_MALFORMED);
    expect_text(&error, "integer too large");
}

Test(reader, refuses_a_number_that_is_cut_off)
{
    READER(0x80, 0x80);
    uint32_t value;

    cr_assert_eq(cn_read_u32(&reader, &value), CN_MALFORMED);
    expect_text(&error, "unexpected end");
    cr_assert_eq(error.offset, 2);
}

Test(reader, refuses_floats_that_are_cut_off)
{
    READER(1, 2, 3);
    uint32_t f32;
    uint64_t f64;

    cr_assert_eq(cn_read_f32(&reader, &f32), CN_MALFORMED);
    cr_assert_eq(cn_read_f64(&reader, &f64), CN_MALFORMED);
    cr_assert_eq(cn_reader_left(&reader), 3);
}

Test(reader, gives_views_of_names)
{
    READER(3, 'a', 'b', 'c', 0);
    struct cn_bytes name;

    cr_assert_eq(cn_read_name(&reader, "name", &name), CN_OK);
    cr_assert(cn_bytes_equal(name, cn_bytes_of("abc")));
    cr_assert_eq(name.at, bytes + 1);
    cr_assert_eq(cn_read_name(&reader, "name", &name), CN_OK);
    cr_assert_eq(name.size, 0);
}

Test(reader, refuses_names_longer_than_what_is_left)
{
    READER(4, 'a', 'b', 'c');
    struct cn_bytes name;

    cr_assert_eq(cn_read_name(&reader, "name", &name), CN_MALFORMED);
    expect_text(&error, "length out of bounds");
    cr_assert_eq(error.offset, 0);
}

Test(reader, refuses_names_that_are_no_text)
{
    READER(2, 0xc0, 0x80);
    struct cn_bytes name;

    cr_assert_eq(cn_read_name(&reader, "name", &name), CN_MALFORMED);
    expect_text(&error, "malformed UTF-8 encoding");
}

Test(reader, compares_counts_with_the_bytes_that_are_left)
{
    READER(3, 0, 0, 0, 0, 0, 0);
    uint32_t count;

    cr_assert_eq(cn_read_count(&reader, 100, 2, "things", &count), CN_OK);
    cr_assert_eq(count, 3);
    reader.at = bytes;
    cr_assert_eq(cn_read_count(&reader, 100, 3, "things", &count), CN_MALFORMED);
    expect_text(&error, "unexpected end of section or function: 3 things announced");
}

Test(reader, compares_counts_with_the_limit)
{
    READER(3, 0, 0, 0);
    uint32_t count;

    cr_assert_eq(cn_read_count(&reader, 2, 1, "things", &count), CN_TOO_LARGE);
    expect_text(&error, "too many things: found 3, at most 2");
    reader.at = bytes;
    cr_assert_eq(cn_read_count(&reader, 3, 1, "things", &count), CN_OK);
}

Test(reader, works_without_a_place_for_errors)
{
    READER(0x80);
    uint32_t value;

    reader.error = NULL;
    cr_assert_eq(cn_read_u32(&reader, &value), CN_MALFORMED);
}

static bool is_text(const char *bytes)
{
    return cn_bytes_are_utf8(cn_bytes_of(bytes));
}

Test(reader, knows_utf8)
{
    cr_assert(is_text(""));
    cr_assert(is_text("plain words, more than eight of them"));
    cr_assert(is_text("\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf"));
    cr_assert(is_text("\xee\x80\x80 \xef\xbf\xbf"));
    cr_assert(is_text("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
}

Test(reader, knows_what_only_looks_like_utf8)
{
    cr_assert_not(is_text("\x80"), "a continuation alone");
    cr_assert_not(is_text("12345678\xff"), "behind eight plain bytes");
    cr_assert_not(is_text("\xc3"), "cut off");
    cr_assert_not(is_text("\xc3("), "no continuation");
    cr_assert_not(is_text("\xc1\xbf"), "overlong in 2");
    cr_assert_not(is_text("\xe0\x9f\xbf"), "overlong in 3");
    cr_assert_not(is_text("\xf0\x8f\xbf\xbf"), "overlong in 4");
    cr_assert_not(is_text("\xed\xa0\x80"), "a surrogate");
    cr_assert_not(is_text("\xf4\x90\x80\x80"), "above 10ffff");
    cr_assert_not(is_text("\xf8\x88\x80\x80\x80"), "five bytes");
}
