#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/mode.h"

/* Everything that can be said with dashes: the rows of option.def, then those of quota.def. */
enum option {
#define OPTION(name, ...) OPTION_##name,
#define HIDDEN OPTION
#include "spec/option.def"
#undef HIDDEN
#undef OPTION
    OPTION_help,
    OPTION_version,
    OPTION_QUOTAS,
    OPTION_COUNT = OPTION_QUOTAS + CORDON_QUOTA_COUNT
};

struct row {
    const char *name; /* with underscores where people type dashes */
    char letter;
    const char *argument;
    const char *help; /* NULL: hidden */
};

static const char *const unit_names[] = {
    [CLI_BYTES] = "SIZE", [CLI_COUNT] = "N", [CLI_NANOSECONDS] = "TIME", [CLI_MILLICORES] = "N",
    [CLI_BYTES_PER_SECOND] = "SIZE/s", [CLI_COUNT_PER_SECOND] = "N/s",
};

static const struct row rows[OPTION_COUNT] = {
#define OPTION(name, letter, argument, help) [OPTION_##name] = {#name, letter, argument, help},
#define HIDDEN(name, letter, argument, help) [OPTION_##name] = {#name, letter, argument, NULL},
#include "spec/option.def"
#undef HIDDEN
#undef OPTION
    [OPTION_help] = {"help", 'h', NULL, NULL},
    [OPTION_version] = {"version", 'V', NULL, NULL},
#define QUOTA(name, key, unit, limit, what, over)                                                  \
    [OPTION_QUOTAS + CORDON_##name] = {#key, 0, "", what},
#include "spec/quota.def"
#undef QUOTA
};

static const uint64_t defaults[] = {
#define NONE CORDON_UNLIMITED
#define QUOTA(name, key, unit, limit, ...) [CORDON_##name] = limit,
#include "spec/quota.def"
#undef QUOTA
};

/* ------------------------------------------------------------------ saying things */

#define COMPLAINT_MAX 700

static char *complaint(void)
{
    static char text[COMPLAINT_MAX];

    return text;
}

const char *cli_complaint(void)
{
    return complaint();
}

void cli_complain(const char *format, ...)
{
    char *text = complaint();
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, COMPLAINT_MAX, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fprintf(stderr, "cordon: %s\n", text);
}

/* The name as people type it. */
static const char *dashed(const char *name, char *text, size_t size)
{
    snprintf(text, size, "%s", name);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    return text;
}

static void help_line(const struct row *row, const char *argument, const char *more)
{
    char name[40], left[64];

    dashed(row->name, name, sizeof name);
    if (row->letter)
        snprintf(left, sizeof left, "-%c, --%s %s", row->letter, name, argument ? argument : "");
    else
        snprintf(left, sizeof left, "--%s %s", name, argument ? argument : "");
    printf("  %-28s %s%s\n", left, row->help, more);
}

/* The default as one would type it: " [64m]". */
static void default_text(uint64_t value, enum cli_unit unit, char *text, size_t size)
{
    static const char *const names[] = {"", "k", "m", "g"};
    int i = 0;

    for (; unit == CLI_BYTES && i < 3 && value >= 1024 && value % 1024 == 0; i++)
        value /= 1024;
    snprintf(text, size, " [%llu%s]", (unsigned long long)value, names[i]);
}

void cli_help_run(void)
{
    printf("usage: cordon [run] [options] app.wasm [args]\n"
           "options:\n");
    for (int i = 0; i < OPTION_QUOTAS; i++)
        if (rows[i].help != NULL)
            help_line(&rows[i], rows[i].argument, "");
    printf("quotas: sizes as 64m, times as 10s or 500ms, `unlimited`; [default]\n");
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        enum cli_unit unit = cli_quota_unit((cordon_quota_t)i);
        char more[40] = "";
        if (defaults[i] != CORDON_UNLIMITED)
            default_text(defaults[i], unit, more, sizeof more);
        help_line(&rows[OPTION_QUOTAS + i], unit_names[unit], more);
    }
}

/* ------------------------------------------------------------------ finding an option */

static int option_named(const char *name, size_t size)
{
    char known[40];

    for (int i = 0; i < OPTION_COUNT; i++) {
        dashed(rows[i].name, known, sizeof known);
        if (strlen(known) == size && strncmp(known, name, size) == 0)
            return i;
    }
    return -1;
}

static int option_lettered(char letter)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (rows[i].letter == letter)
            return i;
    return -1;
}

static void complain_unknown(const char *argument)
{
    const char *names[OPTION_COUNT + 1];
    static char known[OPTION_COUNT][40];
    int count = 0;

    for (int i = 0; i < OPTION_COUNT; i++)
        if (rows[i].help != NULL)
            names[count++] = dashed(rows[i].name, known[i], sizeof known[i]);
    names[count] = NULL;
    const char *nearest = cordon_suggest(argument + strspn(argument, "-"), names);
    if (nearest != NULL)
        cli_complain("unknown option %s; did you mean --%s? (cordon run --help lists all)",
                     argument, nearest);
    else
        cli_complain("unknown option %s (cordon run --help lists all)", argument);
}

/* ------------------------------------------------------------------ taking them in */

static bool set_limit(struct cli_options *options, int quota, const char *text)
{
    char name[40], why[CLI_WHY_MAX];

    if (cli_parse_quota((cordon_quota_t)quota, text, &options->limit[quota], why))
        return true;
    cli_complain("--%s %s: %s", dashed(rows[OPTION_QUOTAS + quota].name, name, sizeof name), text,
                 why);
    return false;
}

static bool set_sandbox(struct cli_options *options, const char *mode)
{
    int number = cli_mode_of(mode);

    options->sandbox = (enum cli_sandbox)number;
    options->sandbox_mode = cli_modes[number];
    if (options->sandbox_mode != NULL)
        return true;
    const char *near = cordon_suggest(mode, cli_modes);
    cli_complain("--sandbox %s: expected required, best-effort or off%s%s%s", mode,
                 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return false;
}

static bool set_option(struct cli_options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_dir:
        options->dir.items[options->dir.count++] = value;
        return true;
    case OPTION_volume:
        options->volume.items[options->volume.count++] = value;
        return true;
    case OPTION_env:
        options->env.items[options->env.count++] = value;
        return true;
    case OPTION_listen:
        options->listen.items[options->listen.count++] = value;
        return true;
    case OPTION_import_native:
        options->import_native.items[options->import_native.count++] = value;
        return true;
    case OPTION_preload:
        options->preload.items[options->preload.count++] = value;
        return true;
    case OPTION_invoke:
        options->invoke = value;
        return true;
    case OPTION_sandbox:
        return set_sandbox(options, value);
    case OPTION_user:
        options->user = value;
        return true;
    case OPTION_store:
        options->store = value;
        return true;
    case OPTION_key_file:
        options->key_file = value;
        return true;
    case OPTION_meta:
        options->meta = value;
        return true;
    case OPTION_name:
        options->name = value;
        return true;
    case OPTION_restart:
        options->restart = value;
        return true;
    case OPTION_log_size:
        options->log_size = value;
        return true;
    case OPTION_host:
        options->host = value;
        return true;
    default:
        return set_limit(options, option - OPTION_QUOTAS, value);
    }
}

static void set_flag(struct cli_options *options, int option)
{
    bool *const flags[] = {
        [OPTION_detach] = &options->detach, [OPTION_stats] = &options->stats,
        [OPTION_eager] = &options->eager,
        [OPTION_key_on_same_disk] = &options->key_on_same_disk,
        [OPTION_strict] = &options->strict,
        [OPTION_lazy] = &options->lazy,
        [OPTION_preempt_everywhere] = &options->preempt_everywhere,
        [OPTION_collect_everywhere] = &options->collect_everywhere,
        [OPTION_move_on_grow] = &options->move_on_grow,
        [OPTION_help] = &options->help, [OPTION_version] = &options->version,
    };

    *flags[option] = true;
}

/* One option at argv[*at], with its argument behind '=' or in the next place. */
static bool take_option(struct cli_options *options, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    const char *value = NULL;
    int option;

    if (argument[1] == '-') {
        size_t size = strcspn(argument + 2, "=");
        option = option_named(argument + 2, size);
        if (argument[2 + size] == '=')
            value = argument + 3 + size;
    } else {
        option = option_lettered(argument[1]);
        if (argument[2] != '\0')
            value = argument + 2;
    }
    if (option < 0) {
        complain_unknown(argument);
        return false;
    }
    if (rows[option].argument == NULL) {
        if (value != NULL) {
            cli_complain("%s: this option takes no value", argument);
            return false;
        }
        set_flag(options, option);
        return true;
    }
    if (value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (value == NULL) {
        cli_complain("%s: expected a value: %s", argument,
                     rows[option].argument[0] ? rows[option].argument : "an amount");
        return false;
    }
    return set_option(options, option, value);
}

void cli_options_release(struct cli_options *options)
{
    free(options->dir.items);
    free(options->volume.items);
    free(options->env.items);
    free(options->listen.items);
    free(options->import_native.items);
    free(options->preload.items);
}

bool cli_options_parse(struct cli_options *options, int argc, char **argv)
{
    struct cli_list *const lists[] = {&options->dir, &options->volume, &options->env,
                                      &options->listen, &options->import_native,
                                      &options->preload};
    int at = 1;

    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        lists[i]->items = calloc((size_t)argc + 1, sizeof(char *));
        if (lists[i]->items == NULL) {
            cli_complain("no memory left");
            return false;
        }
    }
    memcpy(options->limit, defaults, sizeof options->limit);
    for (; at < argc && argv[at][0] == '-' && argv[at][1] != '\0'; at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (!take_option(options, argc, argv, &at))
            return false;
    }
    if (at < argc) {
        options->module = argv[at];
        options->args = argv + at + 1;
        options->arg_count = argc - at - 1;
    }
    return true;
}
