/* cordon conform FILE...: which cases of register code get the verdict that they expect. */
#include "cli/conform.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/file.h"
#include "cli/options.h"
#include "cli/report.h"
#include "loader/load.h"
#include "loader/text.h"

#define MODULES_MAX 32
#define PATH_ROOM 4096
#define FORMS_SHOWN 4

/* A module that cases name. */
struct home {
    char path[PATH_ROOM];
    struct cli_file file;
    struct cn_buffer binary; /* what its text became */
    struct cn_module *module;
    char problem[CN_ERROR_TEXT_MAX]; /* why there is no module */
};

struct command {
    bool json, complete;
    bool print;         /* the cases, instead of running them */
    const char *folder; /* of the modules; NULL: that of the file */
    int first;          /* word that is a file */
    struct home *homes[MODULES_MAX];
    int home_count;
    struct conform_coverage coverage;
};

struct tally {
    unsigned passed, failed;
    struct conform_case first;
    struct conform_verdict verdict; /* of the first that failed */
};

static bool parse(struct command *command, int argc, char **argv)
{
    int i = 0;

    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            command->json = true;
        } else if (strcmp(argv[i], "--complete") == 0) {
            command->complete = true;
        } else if (strcmp(argv[i], "--print") == 0) {
            command->print = true;
        } else if (strcmp(argv[i], "--modules") == 0 && i + 1 < argc) {
            command->folder = argv[++i];
        } else {
            cli_complain("unknown option %s: cordon conform [--json] [--complete] "
                         "[--print] [--modules FOLDER] FILE...", argv[i]);
            return false;
        }
    }
    if (i == argc)
        cli_complain("no cases given: cordon conform [--json] FILE... (\"-\" is standard input)");
    command->first = i;
    return i < argc;
}

/* ------------------------------------------------------------------ modules */

static void load_home(struct home *home)
{
    struct cn_error error = {.text = ""};
    enum cn_status status;
    int code = 0;

    snprintf(home->problem, sizeof home->problem, "the module cannot be read");
    if (!cli_file_read(&home->file, home->path, &code))
        return;
    struct cn_bytes bytes = {home->file.bytes, home->file.size};
    home->binary.allocator = cn_heap;
    status = cn_load_text(bytes, &home->binary, &home->module, &error);
    if (status != CN_OK)
        snprintf(home->problem, sizeof home->problem, "%.200s", error.text);
}

/* The module NAME.wat of the folder, read once; its problem when there is none. */
static const struct home *home_named(struct command *command, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    char path[PATH_ROOM];

    if (command->folder != NULL)
        snprintf(path, sizeof path, "%s/%s.wat", command->folder, name);
    else
        snprintf(path, sizeof path, "%.*s%s.wat", slash ? (int)(slash - file) + 1 : 0, file, name);
    for (int i = 0; i < command->home_count; i++)
        if (strcmp(command->homes[i]->path, path) == 0)
            return command->homes[i];
    struct home *home =
        command->home_count < MODULES_MAX ? calloc(1, sizeof *home) : NULL;
    if (home == NULL)
        return NULL;
    memcpy(home->path, path, sizeof path);
    load_home(home);
    command->homes[command->home_count++] = home;
    return home;
}

static void free_homes(struct command *command)
{
    for (int i = 0; i < command->home_count; i++) {
        struct home *home = command->homes[i];
        cn_module_free(home->module);
        cn_buffer_free(&home->binary);
        cli_file_free(&home->file);
        free(home);
    }
}

/* ------------------------------------------------------------------ files */

static void run_case(struct command *command, const char *path, const struct conform_case *test,
                     struct tally *tally)
{
    struct conform_verdict verdict = {.line = test->line, .expected = "a case"};
    const struct home *home = NULL;

    if (test->problem != NULL)
        snprintf(verdict.found, sizeof verdict.found, "%s", test->problem);
    else if (command->print)
        verdict.passed = conform_print(path, test, &verdict);
    else if ((home = home_named(command, path, test->module)) != NULL && home->module != NULL)
        conform_run(test, home->module, &command->coverage, &verdict);
    else
        snprintf(verdict.found, sizeof verdict.found, "module %s: %s", test->module,
                 home != NULL ? home->problem : "too many modules");
    if (!verdict.passed && tally->failed == 0) {
        tally->first = *test;
        tally->verdict = verdict;
    }
    tally->passed += verdict.passed;
    tally->failed += !verdict.passed;
}

static void print_json(const char *path, const struct tally *tally, bool is_first)
{
    const struct conform_verdict *verdict = &tally->verdict;

    printf("%s{\"file\":", is_first ? "" : ",\n");
    cli_report_string(stdout, path);
    printf(",\"passed\":%u,\"failed\":%u", tally->passed, tally->failed);
    if (tally->failed > 0) {
        printf(",\"first_failure\":{\"line\":%u,\"case\":", verdict->line);
        cli_report_string(stdout, tally->first.name);
        printf(",\"expected\":");
        cli_report_string(stdout, verdict->expected);
        printf(",\"found\":");
        cli_report_string(stdout, verdict->found);
        putchar('}');
    }
    putchar('}');
}

static void print_line(const char *path, const struct tally *tally)
{
    printf("%s: %u passed, %u failed\n", path, tally->passed, tally->failed);
    if (tally->failed > 0)
        printf("  first at %s:%u: %s: expected %s, found %s\n", path, tally->verdict.line,
               tally->first.name, tally->verdict.expected, tally->verdict.found);
}

/* Standard output has the cases. */
static void print_unread(const char *path, const struct tally *tally)
{
    if (tally->failed > 0)
        cli_complain("%s:%u: %s: %s", path, tally->first.line, tally->first.name,
                     tally->verdict.found);
}

/* False when the file cannot be read; *code is then what to exit with. */
static bool run_file(struct command *command, const char *path, struct tally *tally, int *code)
{
    struct conform_case test;
    struct cli_file file;

    if (!cli_file_read(&file, path, code))
        return false;
    const char *text = (const char *)file.bytes;
    struct conform_reader reader = {text, text + file.size, 1};
    while (conform_next(&reader, &test))
        run_case(command, path, &test, tally);
    cli_file_free(&file);
    return true;
}

/* ------------------------------------------------------------------ coverage */

/* Instructions at the edges of a run are refused in every function. */
static bool is_edge(uint32_t insn)
{
    return insn == CN_INSN_EXIT || insn == CN_INSN_SWITCH_BACK || insn == CN_INSN_NEEDS_CODE;
}

static void print_form(uint32_t number)
{
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    const struct cn_insn_info *row = &cn_insn_infos[variant->insn];

    printf("instruction %s", row->text);
    if (row->result != CN_OF_NONE)
        printf(" to %c", "srqbc"[variant->forms[0]]);
    for (uint32_t i = 0; i < row->operand_count; i++)
        printf(" %c", "srqif"[variant->forms[i + 1]]);
    printf(": no case in which it is accepted\n");
}

/* What no case looks at: forms of instructions, rules that nothing breaks or nothing keeps. */
static unsigned print_gaps(const struct conform_coverage *coverage, bool quiet)
{
    unsigned gaps = 0;

    for (uint32_t i = 0; i < CN_VARIANT_COUNT; i++) {
        if (coverage->variants[i] || is_edge(cn_variant_infos[i].insn))
            continue;
        if (!quiet && gaps < FORMS_SHOWN)
            print_form(i);
        gaps++;
    }
    for (int i = 0; i < CN_RULE_COUNT; i++) {
        if (coverage->refused[i] > 0 && coverage->accepted[i] > 0)
            continue;
        if (!quiet)
            printf("rule %s: %u cases refused, %u accepted\n", cn_rule_name((enum cn_rule)i),
                   coverage->refused[i], coverage->accepted[i]);
        gaps++;
    }
    return gaps;
}

static unsigned count_forms(const struct conform_coverage *coverage)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < CN_VARIANT_COUNT; i++)
        count += coverage->variants[i];
    return count;
}

/* The end of the report; how many gaps there are that matter. */
static unsigned finish(const struct command *command, unsigned passed, unsigned failed, bool sums)
{
    unsigned gaps = command->complete ? print_gaps(&command->coverage, command->json) : 0;

    if (command->json)
        printf("],\"passed\":%u,\"failed\":%u,\"forms_accepted\":%u,\"gaps\":%u}\n", passed,
               failed, count_forms(&command->coverage), gaps);
    if (command->complete && !command->json)
        printf("%u forms of instructions accepted, %u gaps\n", count_forms(&command->coverage),
               gaps);
    if (sums && !command->json)
        printf("%u passed, %u failed\n", passed, failed + gaps);
    return gaps;
}

static int run_all(struct command *command, int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    int code = 0;

    if (command->json && !command->print)
        printf("{\"files\":[");
    for (int i = command->first; i < argc; i++) {
        struct tally tally = {0};
        if (!run_file(command, argv[i], &tally, &code))
            return code;
        if (command->print)
            print_unread(argv[i], &tally);
        else if (command->json)
            print_json(argv[i], &tally, i == command->first);
        else
            print_line(argv[i], &tally);
        passed += tally.passed;
        failed += tally.failed;
    }
    if (command->print)
        return failed > 0;
    unsigned gaps = finish(command, passed, failed, argc - command->first > 1);
    return failed + gaps > 0;
}

int cli_conform(int argc, char **argv)
{
    struct command *command = calloc(1, sizeof *command);
    int code = 125;

    if (command == NULL)
        cli_complain("no memory left");
    else if (parse(command, argc, argv))
        code = run_all(command, argc, argv);
    if (command != NULL)
        free_homes(command);
    free(command);
    return code;
}
