/* Numbers of the text format (core 6.3.1, 6.3.2). */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "loader/text_lexer.h"

/* Whether [at, end) are digits with single underscores between them, at least one. */
static bool are_digits(const uint8_t *at, const uint8_t *end, bool hex)
{
    bool wants_digit = true;

    for (; at < end; at++) {
        bool is_digit = (*at >= '0' && *at <= '9') ||
                        (hex && ((*at >= 'a' && *at <= 'f') || (*at >= 'A' && *at <= 'F')));
        if (!is_digit && (*at != '_' || wants_digit))
            return false;
        wants_digit = !is_digit;
    }
    return !wants_digit;
}

/* An atom without its sign and 0x. */
struct parts {
    const uint8_t *at, *end;
    bool is_negative, has_sign, is_hex;
};

static struct parts split(struct cn_bytes atom)
{
    struct parts parts = {atom.at, atom.at + atom.size, false, false, false};

    if (parts.at < parts.end && (*parts.at == '+' || *parts.at == '-')) {
        parts.is_negative = *parts.at++ == '-';
        parts.has_sign = true;
    }
    if (parts.end - parts.at > 2 && parts.at[0] == '0' && parts.at[1] == 'x') {
        parts.is_hex = true;
        parts.at += 2;
    }
    return parts;
}

bool cn_atom_is_integer(struct cn_bytes atom)
{
    struct parts parts = split(atom);

    return are_digits(parts.at, parts.end, parts.is_hex);
}

static const uint8_t *find(const uint8_t *at, const uint8_t *end, const char *any)
{
    while (at < end && (*at == 0 || strchr(any, *at) == NULL))
        at++;
    return at;
}

static bool is_float(const struct parts *parts)
{
    const uint8_t *exponent = find(parts->at, parts->end, parts->is_hex ? "pP" : "eE");
    const uint8_t *point = find(parts->at, exponent, ".");

    if (!are_digits(parts->at, point, parts->is_hex))
        return false;
    if (point < exponent && point + 1 < exponent &&
        !are_digits(point + 1, exponent, parts->is_hex))
        return false;
    if (exponent == parts->end)
        return true;
    exponent++;
    if (exponent < parts->end && (*exponent == '+' || *exponent == '-'))
        exponent++;
    return are_digits(exponent, parts->end, false);
}

static bool parts_are(const struct parts *parts, const char *word)
{
    size_t size = (size_t)(parts->end - parts->at);

    return !parts->is_hex && size == strlen(word) && memcmp(parts->at, word, size) == 0;
}

/* "nan:0x" and hexadecimal digits. */
static bool is_nan_payload(const struct parts *parts)
{
    return !parts->is_hex && parts->end - parts->at > 6 && memcmp(parts->at, "nan:0x", 6) == 0 &&
           are_digits(parts->at + 6, parts->end, true);
}

bool cn_atom_is_number(struct cn_bytes atom)
{
    struct parts parts = split(atom);

    return is_float(&parts) || parts_are(&parts, "inf") || parts_are(&parts, "nan") ||
           is_nan_payload(&parts);
}

/* Digits to a number; false when it is above `max`. */
static bool take_digits(const uint8_t *at, const uint8_t *end, bool hex, uint64_t max,
                        uint64_t *value)
{
    uint64_t base = hex ? 16 : 10;

    *value = 0;
    for (; at < end; at++) {
        if (*at == '_')
            continue;
        uint64_t digit = *at <= '9' ? *at - (unsigned)'0' : (*at | 0x20u) - 'a' + 10u;
        if (*value > (max - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return true;
}

bool cn_parse_nat(struct cn_bytes atom, uint64_t max, uint64_t *value)
{
    struct parts parts = split(atom);

    return !parts.has_sign && are_digits(parts.at, parts.end, parts.is_hex) &&
           take_digits(parts.at, parts.end, parts.is_hex, max, value);
}

bool cn_parse_int(struct cn_bytes atom, unsigned bits, uint64_t *value)
{
    struct parts parts = split(atom);
    uint64_t most = UINT64_MAX >> (64 - bits), half = 1ull << (bits - 1);
    uint64_t max = parts.is_negative ? half : parts.has_sign ? half - 1 : most;

    if (!are_digits(parts.at, parts.end, parts.is_hex) ||
        !take_digits(parts.at, parts.end, parts.is_hex, max, value))
        return false;
    if (parts.is_negative)
        *value = (0 - *value) & most;
    return true;
}

/* ---------------------------------------------------------------- floats */

/* The atom as the C library reads it: no underscores, and hexadecimals with an exponent. */
static bool read_float(struct cn_bytes atom, bool is_wide, double *wide, float *narrow)
{
    char room[256], *text = room, *out;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (c_locale == (locale_t)0)
        return false;
    if (atom.size >= sizeof room)
        text = cn_alloc(cn_heap, atom.size + 1);
    if (text != NULL) {
        out = text;
        for (size_t i = 0; i < atom.size; i++)
            if (atom.at[i] != '_')
                *out++ = (char)atom.at[i];
        *out = '\0';
        if (is_wide)
            *wide = strtod_l(text, NULL, c_locale);
        else
            *narrow = strtof_l(text, NULL, c_locale);
    }
    freelocale(c_locale);
    bool ok = text != NULL;
    if (text != room)
        cn_free(cn_heap, text, atom.size + 1);
    return ok;
}

/* The bits of inf and nan with so many bits of significand. */
static bool special_bits(const struct parts *parts, unsigned significand, uint64_t exponent,
                         uint64_t *bits)
{
    uint64_t payload = 1ull << (significand - 1);

    if (parts_are(parts, "inf")) {
        *bits = exponent << significand;
        return true;
    }
    if (!parts_are(parts, "nan") &&
        !take_digits(parts->at + 6, parts->end, true, (1ull << significand) - 1, &payload))
        return false;
    *bits = exponent << significand | payload;
    return payload != 0;
}

static bool is_special(const struct parts *parts)
{
    return parts_are(parts, "inf") || parts_are(parts, "nan") || is_nan_payload(parts);
}

bool cn_parse_f64(struct cn_bytes atom, uint64_t *bits)
{
    struct parts parts = split(atom);
    double value = 0;
    float unused;

    if (is_special(&parts)) {
        if (!special_bits(&parts, 52, 0x7ff, bits))
            return false;
        *bits |= (uint64_t)parts.is_negative << 63;
        return true;
    }
    if (!is_float(&parts) || !read_float(atom, true, &value, &unused))
        return false;
    memcpy(bits, &value, sizeof value);
    return (*bits << 1) >> 53 != 0x7ff;
}

bool cn_parse_f32(struct cn_bytes atom, uint32_t *bits)
{
    struct parts parts = split(atom);
    double unused;
    float value = 0;
    uint64_t special;

    if (is_special(&parts)) {
        if (!special_bits(&parts, 23, 0xff, &special))
            return false;
        *bits = (uint32_t)special | (uint32_t)parts.is_negative << 31;
        return true;
    }
    if (!is_float(&parts) || !read_float(atom, false, &unused, &value))
        return false;
    memcpy(bits, &value, sizeof value);
    return (*bits << 1) >> 24 != 0xff;
}
