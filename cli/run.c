#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/file.h"
#include "cli/grant.h"
#include "cli/native.h"
#include "cli/preload.h"
#include "cli/report.h"
#include "cli/sandbox.h"
#include "cli/signals.h"

/* Everything a run needs, so that one place gives it back. */
struct run {
    const struct cli_options *options;
    struct cli_file file;
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    struct cli_natives natives;
    struct cli_preloads preloads;
    cordon_vm_t *vm;
    int meta; /* descriptor of the --meta file, or -1 */
    struct cli_report report;
};

/* ------------------------------------------------------------------ ends */

static const struct {
    const char *status;
    int code;
} by_kind[] = {
    [CORDON_NO_ERROR] = {"error", 125},   [CORDON_MISUSE] = {"error", 125},
    [CORDON_BAD_MODULE] = {"invalid", 126}, [CORDON_LINK] = {"link", 126},
    [CORDON_NO_EXPORT] = {"not-found", 127}, [CORDON_TRAP] = {"trap", 134},
    [CORDON_QUOTA] = {"quota", 137},      [CORDON_IO] = {"error", 125},
    [CORDON_INTERNAL] = {"error", 125},   [CORDON_LOCKED] = {"error", 125},
};

/* The quota's name as people type it. */
static const char *option_of(cordon_quota_t quota, char *name, size_t size)
{
    snprintf(name, size, "%s", cordon_quota_name(quota));
    for (char *c = name; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    return name;
}

/* An error before anything ran. */
static int fail(struct run *run, const cordon_error_t *error)
{
    struct cli_report *report = &run->report;
    char hint[64] = "", name[40];

    report->status = by_kind[error->kind].status;
    report->exit_code = by_kind[error->kind].code;
    snprintf(report->message, sizeof report->message, "%s", error->message);
    if (error->kind == CORDON_QUOTA) {
        report->quota = (cordon_quota_t)error->quota;
        if (strstr(error->message, "--") == NULL)
            snprintf(hint, sizeof hint, " (raise it with --%s)",
                     option_of(report->quota, name, sizeof name));
        /* What the host grants does not fit what the host allows: nothing of the guest's. */
        if (report->quota == CORDON_FDS)
            report->exit_code = 125;
    }
    if (error->kind == CORDON_BAD_MODULE && error->offset != UINT64_MAX)
        cli_complain("%s: at offset 0x%llx: %s", report->module,
                     (unsigned long long)error->offset, error->message);
    else
        cli_complain("%s: %s%s", report->module, error->message, hint);
    return report->exit_code;
}

/* The same when a line about it has been written already. */
static int complained(struct run *run, int code)
{
    snprintf(run->report.message, sizeof run->report.message, "%s", cli_complaint());
    run->report.exit_code = code;
    return code;
}

static void say_trap(const struct cli_report *report)
{
    const cordon_result_t *result = &report->result;

    const char *hint = result->quota == CORDON_STACK ? " (a larger stack: --max-stack SIZE)"
                       : result->quota == CORDON_MEMORY
                           ? " (no room for more within --memory; its own limit is --max-stack)"
                           : "";

    cli_complain("%s: trap: %s%s", report->module, result->message, hint);
    for (uint32_t i = 0; i < result->frame_count; i++) {
        const cordon_frame_t *frame = &result->frames[i];
        fprintf(stderr, "    at %s%s%s (function %u) offset 0x%llx\n", frame->module,
                frame->module[0] ? ": " : "", frame->function[0] ? frame->function : "?",
                frame->index,
                (unsigned long long)frame->offset);
    }
}

static void say_quota(const struct cli_report *report)
{
    cordon_quota_t quota = report->quota;
    char amount[32], name[40];

    option_of(quota, name, sizeof name);
    cli_complain("%s: ended: %s quota exhausted (limit %s; raise it with --%s)", report->module,
                 name, cli_format_amount(report->stats.limit[quota], cli_quota_unit(quota), amount,
                                         sizeof amount), name);
}

static int finish(struct run *run)
{
    static const char *const statuses[] = {
        [CORDON_END_NONE] = "exit", [CORDON_END_RETURN] = "exit", [CORDON_END_EXIT] = "exit",
        [CORDON_END_TRAP] = "trap", [CORDON_END_QUOTA] = "quota", [CORDON_END_KILLED] = "killed",
        [CORDON_END_ERROR] = "error",
    };
    struct cli_report *report = &run->report;
    const cordon_result_t *result = &report->result;

    cordon_vm_stats(run->vm, &report->stats);
    report->status = statuses[result->end];
    report->exit_code = result->exit_code;
    report->signal = result->signal;
    report->quota = result->quota;
    snprintf(report->message, sizeof report->message, "%s", result->message);
    if (result->end == CORDON_END_TRAP)
        say_trap(report);
    else if (result->end == CORDON_END_QUOTA)
        say_quota(report);
    else if (result->end == CORDON_END_ERROR)
        cli_complain("%s: %s", report->module, result->message);
    return report->exit_code;
}

/* ------------------------------------------------------------------ --invoke */

#define VALUES_MAX 2000

/* A v128 is 0x and 32 hexadecimal digits, the highest first: the bytes of memory backwards. */
static bool parse_v128(const char *text, uint8_t bytes[16])
{
    if (strlen(text) != 34 || text[0] != '0' || text[1] != 'x' ||
        strspn(text + 2, "0123456789abcdefABCDEF") != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        const char digits[3] = {text[32 - 2 * i], text[33 - 2 * i], '\0'};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool parse_value(const char *text, cordon_value_t *value)
{
    char *end;

    errno = 0;
    switch (value->type) {
    case CORDON_I32:
    case CORDON_I64: {
        bool is_negative = text[0] == '-';
        uint64_t bits = is_negative ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
        value->i64 = (int64_t)bits;
        if (value->type == CORDON_I64)
            break;
        value->i64 = 0;
        value->i32 = (int32_t)bits;
        if (is_negative ? (int64_t)bits < INT32_MIN : bits > UINT32_MAX)
            return false;
        break;
    }
    case CORDON_F32:
        value->f32 = strtof(text, &end);
        break;
    case CORDON_F64:
        value->f64 = strtod(text, &end);
        break;
    case CORDON_V128:
        return parse_v128(text, value->v128);
    default:
        value->ref = NULL;
        return strcmp(text, "null") == 0;
    }
    /* Floats too small for their type become denormal or zero, which is what they are. */
    bool is_float = value->type == CORDON_F32 || value->type == CORDON_F64;
    return end != text && *end == '\0' && (errno != ERANGE || is_float);
}

static void print_value(const cordon_value_t *value)
{
    switch (value->type) {
    case CORDON_I32:
        printf("%d\n", value->i32);
        break;
    case CORDON_I64:
        printf("%lld\n", (long long)value->i64);
        break;
    case CORDON_F32:
        printf("%.9g\n", (double)value->f32);
        break;
    case CORDON_F64:
        printf("%.17g\n", value->f64);
        break;
    case CORDON_V128:
        printf("0x");
        for (int i = 16; i-- > 0;)
            printf("%02x", value->v128[i]);
        putchar('\n');
        break;
    default:
        puts(value->ref ? "ref" : "null");
        break;
    }
}

static const char *type_name(cordon_type_t type)
{
    static const char *const names[] = {"i32",     "i64",       "f32", "f64",
                                        "funcref", "externref", "v128", "anyref"};

    return names[type];
}

/* Arguments of the types that the function has; false after one line. */
static bool parse_values(struct run *run, cordon_value_t *values, uint32_t params)
{
    const struct cli_options *options = run->options;

    if ((uint32_t)options->arg_count != params) {
        cli_complain("%s: --invoke %s: expected %u arguments, found %d", options->module,
                     options->invoke, params, options->arg_count);
        return false;
    }
    for (uint32_t i = 0; i < params; i++) {
        if (parse_value(options->args[i], &values[i]))
            continue;
        cli_complain("%s: --invoke %s: argument %u: expected an %s, found %s", options->module,
                     options->invoke, i + 1, type_name(values[i].type), options->args[i]);
        return false;
    }
    return true;
}

static int invoke(struct run *run)
{
    static cordon_value_t arguments[VALUES_MAX], results[VALUES_MAX];
    static cordon_type_t types[VALUES_MAX];
    const char *name = run->options->invoke;
    uint32_t params, count;
    cordon_error_t error;

    if (!cordon_module_signature(run->module, name, &params, &count, types, VALUES_MAX)) {
        error = (cordon_error_t){.kind = CORDON_NO_EXPORT, .offset = UINT64_MAX};
        snprintf(error.message, sizeof error.message, "no exported function is named %s", name);
        return fail(run, &error);
    }
    for (uint32_t i = 0; i < params && i < VALUES_MAX; i++)
        arguments[i].type = types[i];
    if (params > VALUES_MAX || !parse_values(run, arguments, params))
        return complained(run, 125);
    if (!cordon_vm_invoke(run->vm, name, arguments, params, results, VALUES_MAX,
                          &run->report.result, &error))
        return fail(run, &error);
    for (uint32_t i = 0; run->report.result.end == CORDON_END_RETURN && i < count; i++)
        print_value(&results[i]);
    if (fflush(stdout) != 0)
        cli_complain("stdout: %s", strerror(errno));
    return finish(run);
}

/* ------------------------------------------------------------------ the run */

static bool load(struct run *run, cordon_error_t *error)
{
    const struct cli_options *options = run->options;

    run->host = cordon_host_new(error);
    if (run->host == NULL)
        return false;
    cordon_host_translation(run->host, options->eager  ? CORDON_TRANSLATE_EAGER
                                       : options->lazy ? CORDON_TRANSLATE_LAZY
                                                       : CORDON_TRANSLATE_AUTO);
    cordon_host_memory(run->host, options->limit[CORDON_MEMORY]);
    run->module = cordon_module_load(run->host, run->file.bytes, run->file.size, error);
    run->linker = run->module ? cordon_linker_new(run->host, error) : NULL;
    if (run->linker == NULL)
        return false;
    cordon_linker_allow_wasi(run->linker);
    if (!cli_natives_bind(&run->natives, run->linker, error) ||
        !cli_preloads_link(&run->preloads, run->host, run->linker, error))
        return false;
    run->vm = cordon_vm_new(run->host, run->module, run->linker, run->config, error);
    return run->vm != NULL;
}

/* The module's file was not there, or is none. */
static int unread(struct run *run, int code)
{
    run->report.status = code == 127 ? "not-found" : code == 126 ? "invalid" : "error";
    return complained(run, code);
}

/* All that is granted is opened, then the process locks itself, and only then is anything of the
 * guest's read. */
static int run_module(struct run *run)
{
    cordon_error_t error = {0};
    int code;
    int fd = cli_file_open(run->options->module, &code);

    if (fd < 0)
        return unread(run, code);
    run->config = cordon_config_new(&error);
    if (run->config == NULL)
        return fail(run, &error);
    if (!cli_natives_open(&run->natives, &run->options->import_native, &code) ||
        !cli_preloads_open(&run->preloads, &run->options->preload, &code))
        return unread(run, code);
    if (!cli_grant(run->config, run->options, &run->report) ||
        !cli_sandbox_enter(run->options, run->config, &run->report))
        return complained(run, 125);
    if (!cli_file_take(&run->file, fd, run->options->module, &code) ||
        !cli_preloads_take(&run->preloads, &code))
        return unread(run, code);
    if (!load(run, &error))
        return fail(run, &error);
    cli_signals_reach(cordon_vm_ctl(run->vm), run->options->limit[CORDON_TIMEOUT]);
    if (run->options->invoke != NULL)
        return invoke(run);
    if (!cordon_vm_run(run->vm, &run->report.result, &error))
        return fail(run, &error);
    return finish(run);
}

static int report(struct run *run, int code)
{
    cli_signals_done();
    if (run->vm != NULL) {
        cordon_vm_stats(run->vm, &run->report.stats);
        run->report.has_stats = true;
    }
    if (run->options->stats)
        cli_report_stats(&run->report);
    if (run->meta >= 0 && !cli_report_meta(&run->report, run->meta)) {
        cli_complain("--meta %s: %s", run->options->meta, strerror(errno));
        return 125;
    }
    return code;
}

static void release(struct run *run)
{
    cordon_vm_free(run->vm);
    cordon_config_free(run->config);
    cordon_linker_free(run->linker);
    cordon_module_free(run->module);
    cli_preloads_free(&run->preloads);
    cordon_host_free(run->host);
    cli_file_free(&run->file);
    cli_natives_free(&run->natives);
    if (run->meta >= 0)
        close(run->meta);
}

int cli_run(const struct cli_options *options)
{
    struct run run = {.options = options, .meta = -1};

    run.report = (struct cli_report){.module = options->module, .status = "error",
                                     .exit_code = 125, .quota = CORDON_QUOTA_COUNT,
                                     .natives = &options->import_native};
    cli_sandbox_begin(options);
    cli_signals_catch();
    if (options->meta != NULL) {
        run.meta = open(options->meta, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (run.meta < 0) {
            cli_complain("--meta %s: %s", options->meta, strerror(errno));
            return 125;
        }
    }
    cli_signals_prepare(&run.report, run.meta);
    cli_signals_deadline(options->limit[CORDON_TIMEOUT]);
    int code = report(&run, run_module(&run));
    release(&run);
    return code;
}
