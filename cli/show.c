/* cordon ps, cordon stats */
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/up_spec.h"

uint64_t cli_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) && value != NULL ? CORDON_UNLIMITED
                                                : (uint64_t)json_integer_value(value);
}

const char *cli_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

const char *cli_show_age(uint64_t ns, char *text, size_t size)
{
    static const struct {
        uint64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    uint64_t seconds = ns / 1000000000;
    int i = 0;

    while (i < 3 && seconds < 2 * units[i].seconds)
        i++;
    snprintf(text, size, "%llu %s", (unsigned long long)(seconds / units[i].seconds),
             units[i].unit);
    return text;
}

const char *cli_show_state(const json_t *vm, char *text, size_t size)
{
    const char *state = cli_text(vm, "state"), *end = cli_text(vm, "end");
    bool is_over = strcmp(state, "ended") == 0 || strcmp(state, "waiting") == 0;

    if (is_over && end[0] != '\0')
        snprintf(text, size, "%s: %s", state, end);
    else
        snprintf(text, size, "%s", state);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return text;
}

static void show_ports(const json_t *vm)
{
    const json_t *port;
    size_t i;

    json_array_foreach(json_object_get(vm, "ports"), i, port)
        printf("%s%lld", i ? "," : "", (long long)json_integer_value(port));
    if (json_array_size(json_object_get(vm, "ports")) == 0)
        putchar('-');
}

static void show_row(const json_t *vm, int name_width)
{
    char memory[32], age[32], weight[24] = "-", state[200];

    if (json_object_get(vm, "weight") != NULL)
        snprintf(weight, sizeof weight, "%llu", (unsigned long long)cli_number(vm, "weight"));
    cli_format_amount(cli_number(vm, "memory"), CLI_BYTES, memory, sizeof memory);
    cli_show_age(cli_number(vm, "uptime_ns"), age, sizeof age);
    printf("%-*s %7lld %6s %6.1f %10s %8s %8llu  ", name_width, cli_text(vm, "name"),
           (long long)cli_number(vm, "pid"), weight,
           (double)cli_number(vm, "millicores") / 10, memory, age,
           (unsigned long long)cli_number(vm, "restarts"));
    show_ports(vm);
    printf("  %s\n", cli_show_state(vm, state, sizeof state));
}

void cli_show_ps(const json_t *vms)
{
    const json_t *vm;
    int width = 4;
    size_t i;

    json_array_foreach(vms, i, vm)
        if ((int)strlen(cli_text(vm, "name")) > width)
            width = (int)strlen(cli_text(vm, "name"));
    printf("%-*s %7s %6s %6s %10s %8s %8s  %s  %s\n", width, "NAME", "PID", "WEIGHT", "CPU%",
           "MEMORY", "UP", "RESTARTS", "PORTS", "STATE");
    json_array_foreach(vms, i, vm)
        show_row(vm, width);
}

/* Asks and gives the "ok"; NULL with the exit code in *code. */
static json_t *ask(const struct cli_words *words, json_t *request, int *code)
{
    struct cli_client client;
    json_t *ok = NULL;

    if (cli_client_open(&client, words->value[CLI_WORD_host], false))
        ok = cli_client_ask(&client, request);
    else
        json_decref(request);
    *code = ok ? 0 : client.code;
    cli_client_close(&client);
    return ok;
}

static void show_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
}

int cli_ps(int argc, char **argv)
{
    struct cli_words words;
    int code;

    if (!cli_words_parse(&words, CLI_COMMAND_ps, argc, argv))
        return 125;
    json_t *ok = ask(&words, json_pack("{s:s}", "do", "ps"), &code);
    if (ok != NULL && words.value[CLI_WORD_json] != NULL)
        show_json(json_object_get(ok, "vms"));
    else if (ok != NULL)
        cli_show_ps(json_object_get(ok, "vms"));
    json_decref(ok);
    return code;
}

/* ------------------------------------------------------------------ stats */

static void show_amount(const json_t *quota, const char *key, enum cli_unit unit)
{
    char text[32];

    printf(" %14s", cli_format_amount(cli_number(quota, key), unit, text, sizeof text));
}

static void show_quotas(const json_t *vm)
{
    json_t *quotas = json_object_get(vm, "quotas"), *quota;
    const char *key, *near;

    printf("  %-14s %14s %14s %14s %10s\n", "quota", "used", "peak", "limit", "refused");
    json_object_foreach(quotas, key, quota) {
        cordon_quota_t number = up_quota_named(key, &near);
        enum cli_unit unit = number < CORDON_QUOTA_COUNT ? cli_quota_unit(number) : CLI_COUNT;
        printf("  %-14s", key);
        show_amount(quota, "used", unit);
        show_amount(quota, "peak", unit);
        show_amount(quota, "limit", unit);
        printf(" %10llu\n", (unsigned long long)cli_number(quota, "refused"));
    }
}

static void show_stats(const json_t *vms)
{
    const json_t *vm;
    char age[32];
    size_t i;

    json_array_foreach(vms, i, vm) {
        printf("%s%s: %s, up %s, cpu %.3f s, %llu restarts\n", i ? "\n" : "",
               cli_text(vm, "name"), cli_text(vm, "state"),
               cli_show_age(cli_number(vm, "uptime_ns"), age, sizeof age),
               (double)cli_number(vm, "cpu_ns") / 1e9,
               (unsigned long long)cli_number(vm, "restarts"));
        show_quotas(vm);
        printf("  network %llu bytes in, %llu out, %llu connections; "
               "files %llu bytes read, %llu written; log %llu bytes, %llu kept\n",
               (unsigned long long)cli_number(vm, "net_in"),
               (unsigned long long)cli_number(vm, "net_out"),
               (unsigned long long)cli_number(vm, "connections"),
               (unsigned long long)cli_number(vm, "file_read"),
               (unsigned long long)cli_number(vm, "file_written"),
               (unsigned long long)cli_number(vm, "log_bytes"),
               (unsigned long long)cli_number(vm, "log_kept"));
    }
}

int cli_stats(int argc, char **argv)
{
    struct cli_words words;
    int code;

    if (!cli_words_parse(&words, CLI_COMMAND_stats, argc, argv))
        return 125;
    bool is_metrics = words.value[CLI_WORD_prometheus] != NULL;
    if (is_metrics && (words.arg_count > 0 || words.value[CLI_WORD_json] != NULL)) {
        cli_complain("--prometheus: shows all VMs, and is a form of its own");
        return 125;
    }
    json_t *request = json_pack("{s:s}", "do", is_metrics ? "metrics" : "stats");
    if (words.arg_count > 0)
        json_object_set_new(request, "vm", json_string(words.args[0]));
    json_t *ok = ask(&words, request, &code);
    if (ok != NULL && is_metrics)
        fputs(cli_text(ok, "text"), stdout);
    else if (ok != NULL && words.value[CLI_WORD_json] != NULL)
        show_json(json_object_get(ok, "vms"));
    else if (ok != NULL)
        show_stats(json_object_get(ok, "vms"));
    json_decref(ok);
    return code;
}
