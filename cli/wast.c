/* cordon wast FILE...: what passed and what did not, file by file. */
#include "cli/wast.h"

#include <stdio.h>
#include <string.h>

#include "cli/file.h"
#include "cli/options.h"
#include "cli/report.h"

struct command {
    struct wast_options options;
    bool json;
    int first; /* word that is a file */
};

static bool parse(struct command *command, int argc, char **argv)
{
    int i = 0;

    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            command->json = true;
        } else if (strcmp(argv[i], "--preempt-everywhere") == 0) {
            command->options.preempt = true;
        } else if (strcmp(argv[i], "--collect-everywhere") == 0) {
            command->options.collect = true;
        } else if (strcmp(argv[i], "--single") == 0) {
            command->options.single = true;
        } else if (strcmp(argv[i], "--modules") == 0 && i + 1 < argc) {
            command->options.modules = argv[++i];
        } else {
            cli_complain("unknown option %s: cordon wast [--json] [--single] "
                         "[--preempt-everywhere] [--collect-everywhere] "
                         "[--modules FOLDER] FILE...", argv[i]);
            return false;
        }
    }
    if (i == argc)
        cli_complain("no script given: cordon wast [--json] FILE... (\"-\" is standard input)");
    command->first = i;
    return i < argc;
}

/* The suite's scripts for threads expect the standard that this proposal extends. */
static bool wants_single(const char *path)
{
    return strstr(path, "proposals/threads/") != NULL;
}

static void print_json(const char *path, const struct wast_result *result, bool is_first)
{
    printf("%s{\"file\":", is_first ? "" : ",\n");
    cli_report_string(stdout, path);
    printf(",\"passed\":%u,\"failed\":%u,\"skipped\":0", result->passed, result->failed);
    if (result->failed > 0) {
        printf(",\"first_failure\":{\"line\":%u,\"column\":%u,\"command\":", result->line,
               result->column);
        cli_report_string(stdout, result->command);
        printf(",\"expected\":");
        cli_report_string(stdout, result->expected);
        printf(",\"found\":");
        cli_report_string(stdout, result->found);
        putchar('}');
    }
    putchar('}');
}

static void print_line(const char *path, const struct wast_result *result)
{
    printf("%s: %u passed, %u failed, 0 skipped\n", path, result->passed, result->failed);
    if (result->failed > 0)
        printf("  first at %s:%u:%u: %s: expected %s, found %s\n", path, result->line,
               result->column, result->command, result->expected, result->found);
}

int cli_wast(int argc, char **argv)
{
    struct command command = {0};
    unsigned passed = 0, failed = 0;

    if (!parse(&command, argc, argv))
        return 125;
    if (command.json)
        printf("{\"files\":[");
    for (int i = command.first; i < argc; i++) {
        struct wast_options options = command.options;
        struct wast_result result = {0};
        struct cli_file file;
        int code = 0;
        if (!cli_file_read(&file, argv[i], &code))
            return code;
        options.single = options.single || wants_single(argv[i]);
        options.name = argv[i];
        wast_run((struct cn_bytes){file.bytes, file.size}, &options, &result);
        cli_file_free(&file);
        if (command.json)
            print_json(argv[i], &result, i == command.first);
        else
            print_line(argv[i], &result);
        passed += result.passed;
        failed += result.failed;
    }
    if (command.json)
        printf("],\"passed\":%u,\"failed\":%u,\"skipped\":0}\n", passed, failed);
    else if (argc - command.first > 1)
        printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
