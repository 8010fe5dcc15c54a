/* Amounts with units, as people write and read them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

struct suffix {
    const char *text;
    uint64_t factor;
};

static const struct suffix sizes[] = {
    {"", 1}, {"b", 1}, {"k", 1024}, {"kb", 1024}, {"kib", 1024},
    {"m", 1u << 20}, {"mb", 1u << 20}, {"mib", 1u << 20},
    {"g", 1u << 30}, {"gb", 1u << 30}, {"gib", 1u << 30}, {"t", 1ull << 40}, {NULL, 0},
};
static const struct suffix times[] = {
    {"", 1000000000}, {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {NULL, 0},
};
static const struct suffix counts[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {"g", 1000000000},
                                       {NULL, 0}};
static const struct suffix cores[] = {{"", 1000}, {NULL, 0}};

static const struct suffix *const suffixes[] = {
    [CLI_BYTES] = sizes, [CLI_COUNT] = counts, [CLI_NANOSECONDS] = times,
    [CLI_MILLICORES] = cores, [CLI_BYTES_PER_SECOND] = sizes, [CLI_COUNT_PER_SECOND] = counts,
};

static bool is_per_second(enum cli_unit unit)
{
    return unit == CLI_BYTES_PER_SECOND || unit == CLI_COUNT_PER_SECOND;
}

static const struct suffix *find_suffix(const char *text, enum cli_unit unit)
{
    size_t size = strlen(text);

    if (is_per_second(unit) && size >= 2 && strcasecmp(text + size - 2, "/s") == 0)
        size -= 2;
    for (const struct suffix *s = suffixes[unit]; s->text != NULL; s++)
        if (strlen(s->text) == size && strncasecmp(s->text, text, size) == 0)
            return s;
    return NULL;
}

/* Digits, perhaps a point and up to nine more: in billionths, so that no float is involved. */
static bool read_decimal(const char **at, unsigned __int128 *billionths)
{
    const char *text = *at;
    uint64_t scale = 1000000000;

    *billionths = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        *billionths = *billionths * 10 + (unsigned)(*text - '0');
        if (*billionths > UINT64_MAX)
            return false;
    }
    *billionths *= scale;
    if (*text == '.' && text[1] >= '0' && text[1] <= '9')
        for (text++; *text >= '0' && *text <= '9'; text++) {
            scale /= 10;
            *billionths += (unsigned)(*text - '0') * scale;
        }
    *at = text;
    return true;
}

bool cli_parse_amount(const char *text, enum cli_unit unit, uint64_t *result)
{
    unsigned __int128 amount;

    if (strcmp(text, "unlimited") == 0) {
        *result = CORDON_UNLIMITED;
        return true;
    }
    if (!read_decimal(&text, &amount))
        return false;
    const struct suffix *suffix = find_suffix(text, unit);
    if (suffix == NULL)
        return false;
    amount = amount * suffix->factor / 1000000000;
    if (amount >= CORDON_UNLIMITED)
        return false;
    *result = (uint64_t)amount;
    return true;
}

enum cli_unit cli_quota_unit(cordon_quota_t quota)
{
    static const enum cli_unit units[] = {
#define QUOTA(name, key, unit, ...) [CORDON_##name] = CLI_##unit,
#include "spec/quota.def"
#undef QUOTA
    };

    return units[quota];
}

bool cli_check_quota(cordon_quota_t quota, uint64_t value, char *why)
{
    cordon_error_t error;

    if (quota == CORDON_CPUS && value == 0) {
        snprintf(why, CLI_WHY_MAX, "with less than 0.001 cores nothing would ever run");
        return false;
    }
    if (cordon_quota_check(quota, value, &error))
        return true;
    snprintf(why, CLI_WHY_MAX, "%.*s", CLI_WHY_MAX - 1, error.message);
    return false;
}

bool cli_parse_quota(cordon_quota_t quota, const char *text, uint64_t *value, char *why)
{
    static const char *const examples[] = {
        [CLI_BYTES] = "a size such as 64m", [CLI_COUNT] = "a number",
        [CLI_NANOSECONDS] = "a time such as 10s or 500ms",
        [CLI_MILLICORES] = "a number of cores such as 0.5",
        [CLI_BYTES_PER_SECOND] = "a size per second such as 10m or 10m/s",
        [CLI_COUNT_PER_SECOND] = "a number per second",
    };
    enum cli_unit unit = cli_quota_unit(quota);

    if (!cli_parse_amount(text, unit, value)) {
        snprintf(why, CLI_WHY_MAX, "expected %s, or unlimited", examples[unit]);
        return false;
    }
    return cli_check_quota(quota, *value, why);
}

static void format_bytes(uint64_t amount, const char *per, char *text, size_t size)
{
    static const char *const names[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)amount;
    size_t i = 0;

    for (; value >= 1024 && i < 4; i++)
        value /= 1024;
    snprintf(text, size, value == (uint64_t)value ? "%.0f %s%s" : "%.1f %s%s", value, names[i],
             per);
}

char *cli_format_amount(uint64_t amount, enum cli_unit unit, char *text, size_t size)
{
    if (amount == CORDON_UNLIMITED)
        snprintf(text, size, "unlimited");
    else if (unit == CLI_BYTES)
        format_bytes(amount, "", text, size);
    else if (unit == CLI_BYTES_PER_SECOND)
        format_bytes(amount, "/s", text, size);
    else if (unit == CLI_COUNT_PER_SECOND)
        snprintf(text, size, "%llu/s", (unsigned long long)amount);
    else if (unit == CLI_MILLICORES)
        snprintf(text, size, "%g cores", (double)amount / 1000);
    else if (unit == CLI_NANOSECONDS)
        snprintf(text, size, "%.3f s", (double)amount / 1e9);
    else
        snprintf(text, size, "%llu", (unsigned long long)amount);
    return text;
}
