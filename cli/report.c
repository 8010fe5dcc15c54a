#include "cli/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *key;
} quotas[] = {
#define QUOTA(name, key, ...) {#key},
#include "spec/quota.def"
#undef QUOTA
};

/* The size of the UTF-8 sequence that begins here; 0 when it is none (overlong forms and
 * surrogates included). The text ends with a 0, which is no continuation. */
static size_t utf8_size(const unsigned char *text)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = text[0] < 0x80 ? 1 : (text[0] & 0xe0) == 0xc0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3
                  : (text[0] & 0xf8) == 0xf0 ? 4 : 0;
    unsigned code = size > 1 ? text[0] & (0x7fu >> size) : text[0];

    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (size == 0 || code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return size;
}

void cli_report_string(FILE *out, const char *string)
{
    const unsigned char *text = (const unsigned char *)string;

    fputc('"', out);
    while (*text != '\0') {
        size_t size = utf8_size(text);
        if (size == 0)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if (*text < 0x20 || *text == 0x7f)
            fprintf(out, "\\u%04x", *text);
        else
            fwrite(text, 1, size, out);
        text += size ? size : 1;
    }
    fputc('"', out);
}

static void put_amount(FILE *out, uint64_t amount)
{
    if (amount == CORDON_UNLIMITED)
        fputs("null", out);
    else
        fprintf(out, "%llu", (unsigned long long)amount);
}

static void put_number(FILE *out, const char *key, uint64_t value)
{
    fprintf(out, ",\n  \"%s\": %llu", key, (unsigned long long)value);
}

static void put_quotas(FILE *out, const cordon_stats_t *stats)
{
    fputs(",\n  \"quotas\": {", out);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        fprintf(out, "%s\n    \"%s\": {\"limit\": ", i ? "," : "", quotas[i].key);
        put_amount(out, stats->limit[i]);
        fprintf(out, ", \"used\": %llu, \"peak\": %llu, \"refused\": %llu}",
                (unsigned long long)stats->used[i], (unsigned long long)stats->peak[i],
                (unsigned long long)stats->refused[i]);
    }
    fputs("\n  }", out);
}

static void put_stats(FILE *out, const cordon_stats_t *stats)
{
    put_number(out, "wall_ns", stats->wall_ns);
    put_number(out, "cpu_ns", stats->cpu_ns);
    put_number(out, "fuel", stats->fuel);
    put_number(out, "memory_peak_bytes", stats->peak[CORDON_MEMORY]);
    put_number(out, "disk_bytes", stats->used[CORDON_DISK]);
    put_number(out, "disk_peak_bytes", stats->peak[CORDON_DISK]);
    put_number(out, "inodes", stats->used[CORDON_INODES]);
    put_number(out, "net_in_bytes", stats->net_in);
    put_number(out, "net_out_bytes", stats->net_out);
    put_number(out, "connections", stats->connections);
    put_number(out, "file_read_bytes", stats->file_read);
    put_number(out, "file_written_bytes", stats->file_written);
    put_quotas(out, stats);
}

static void put_frames(FILE *out, const cordon_result_t *result)
{
    fputs(",\n  \"backtrace\": [", out);
    for (uint32_t i = 0; i < result->frame_count; i++) {
        fprintf(out, "%s\n    {\"module\": ", i ? "," : "");
        cli_report_string(out, result->frames[i].module);
        fputs(", \"function\": ", out);
        cli_report_string(out, result->frames[i].function);
        fprintf(out, ", \"index\": %u, \"offset\": %llu}", result->frames[i].index,
                (unsigned long long)result->frames[i].offset);
    }
    fputs(result->frame_count ? "\n  ]" : "]", out);
}

static void put_sandbox(FILE *out, const struct cli_report *report)
{
    bool any = false;

    fputs(",\n  \"sandbox\": ", out);
    if (report->sandbox == NULL) {
        fputs("null", out);
        return;
    }
    fprintf(out, "{\"mode\": \"%s\", \"user\": %u, \"group\": %u, \"layers\": [",
            report->sandbox, report->jail.user, report->jail.group);
    for (int i = 0; i < CORDON_LAYER_COUNT; i++) {
        if (!report->jail.active[i])
            continue;
        fprintf(out, "%s\"%s\"", any ? ", " : "", cordon_layer_key((cordon_layer_t)i));
        any = true;
    }
    fputs("]}", out);
}

static void put_report(FILE *out, const struct cli_report *report)
{
    fputs("{\n  \"module\": ", out);
    cli_report_string(out, report->module);
    fputs(",\n  \"status\": ", out);
    cli_report_string(out, report->status);
    fprintf(out, ",\n  \"exit_code\": %d,\n  \"signal\": %d,\n  \"quota\": ", report->exit_code,
            report->signal);
    if (report->quota < CORDON_QUOTA_COUNT)
        cli_report_string(out, quotas[report->quota].key);
    else
        fputs("null", out);
    fputs(",\n  \"message\": ", out);
    cli_report_string(out, report->message);
    fputs(",\n  \"listeners\": [", out);
    for (int i = 0; i < report->port_count; i++)
        fprintf(out, "%s%u", i ? ", " : "", report->ports[i]);
    fputs("],\n  \"import_native\": [", out);
    for (int i = 0; report->natives != NULL && i < report->natives->count; i++) {
        fputs(i ? ", " : "", out);
        cli_report_string(out, report->natives->items[i]);
    }
    fputs("]", out);
    put_sandbox(out, report);
    if (report->has_stats)
        put_stats(out, &report->stats);
    put_frames(out, &report->result);
    fputs("\n}\n", out);
}

char *cli_report_text(const struct cli_report *report, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (out == NULL)
        return NULL;
    put_report(out, report);
    return fclose(out) == 0 ? text : NULL;
}

bool cli_report_meta(const struct cli_report *report, int fd)
{
    size_t size, done = 0;
    char *text = cli_report_text(report, &size);

    while (text != NULL && done < size) {
        ssize_t count = write(fd, text + done, size - done);
        if (count <= 0 && errno != EINTR)
            break;
        done += count > 0 ? (size_t)count : 0;
    }
    bool written = text != NULL && done == size;
    free(text);
    return written;
}

static void say_quota(const cordon_stats_t *stats, int quota)
{
    enum cli_unit unit = cli_quota_unit((cordon_quota_t)quota);
    bool is_rate = unit == CLI_BYTES_PER_SECOND || unit == CLI_COUNT_PER_SECOND;
    enum cli_unit amount = unit == CLI_BYTES_PER_SECOND   ? CLI_BYTES
                           : unit == CLI_COUNT_PER_SECOND ? CLI_COUNT
                                                          : unit;
    char used[32], limit[32];

    fprintf(stderr, is_rate ? "cordon: %-8s %s in all, at most %s, %llu waits\n"
                            : "cordon: %-8s peak %s of %s, %llu times refused\n",
            quotas[quota].key,
            cli_format_amount(stats->peak[quota], amount, used, sizeof used),
            cli_format_amount(stats->limit[quota], unit, limit, sizeof limit),
            (unsigned long long)stats->refused[quota]);
}

void cli_report_stats(const struct cli_report *report)
{
    const cordon_stats_t *stats = &report->stats;

    fprintf(stderr, "cordon: ended: %s, exit code %d%s%s\n", report->status, report->exit_code,
            report->message[0] ? ": " : "", report->message);
    if (report->sandbox != NULL)
        fprintf(stderr, "cordon: sandbox  %s, user %u, Landlock ABI %d%s\n", report->sandbox,
                report->jail.user, report->jail.landlock_abi,
                report->jail.user == 0 ? " (root: its own directories are granted)" : "");
    for (int i = 0; report->natives != NULL && i < report->natives->count; i++)
        fprintf(stderr, "cordon: native   %s: beyond the sandbox\n", report->natives->items[i]);
    if (!report->has_stats)
        return;
    fprintf(stderr, "cordon: wall %.3f s, cpu %.3f s, fuel %llu\n",
            (double)stats->wall_ns / 1e9, (double)stats->cpu_ns / 1e9,
            (unsigned long long)stats->fuel);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        if (i == CORDON_CPUS || i == CORDON_CPU_TIME || i == CORDON_TIMEOUT || i == CORDON_FUEL ||
            i == CORDON_STACK || i == CORDON_WEIGHT || i == CORDON_CPU_RESERVE ||
            i == CORDON_CPU_BURST ||
            (i >= CORDON_DISK_RATE && stats->limit[i] == CORDON_UNLIMITED))
            continue;
        say_quota(stats, i);
    }
    fprintf(stderr, "cordon: network  %llu bytes in, %llu out, %llu connections\n",
            (unsigned long long)stats->net_in, (unsigned long long)stats->net_out,
            (unsigned long long)stats->connections);
}
