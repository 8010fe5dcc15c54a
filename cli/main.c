/* The cordon command: which subcommand it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"
#include "cli/inspect.h"
#include "cli/options.h"
#include "cli/run.h"
#include "cli/wast.h"

/* Closed standard descriptors stay closed for the guest, but their numbers are taken, so that
 * no file of ours can come to stand there. */
static bool keep_stdio(struct cli_options *options)
{
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) >= 0)
            continue;
        options->is_closed[i] = true;
        if (open("/", O_PATH | O_CLOEXEC) != i)
            return false;
    }
    return true;
}

static int run_with(struct cli_options *options, int argc, char **argv)
{
    if (!cli_options_parse(options, argc, argv))
        return 125;
    if (options->help) {
        cli_help();
        return 0;
    }
    if (options->version) {
        printf("cordon %s\n", cordon_version());
        return 0;
    }
    if (options->module == NULL) {
        cli_complain("no module given: cordon [run] [options] app.wasm [args] "
                     "(cordon --help)");
        return 125;
    }
    if (!keep_stdio(options)) {
        cli_complain("the standard descriptors cannot be set up");
        return 125;
    }
    return cli_run(options);
}

static int run(int argc, char **argv)
{
    struct cli_options options;
    int code = run_with(&options, argc, argv);

    cli_options_release(&options);
    return code;
}

/* What the developers' commands understand beside their own arguments: --help. */
static bool wants_help(int argc, char **argv)
{
    return argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
}

static bool is_developers(const char *command)
{
    static const char *const commands[] = {"check", "dump", "wast", "build", "print"};

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(command, commands[i]) == 0)
            return true;
    return false;
}

static int dispatch(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (strcmp(command, "run") == 0)
        return run(argc - 1, argv + 1);
    if (is_developers(command) && wants_help(argc, argv))
        command = "help";
    if (strcmp(command, "check") == 0)
        return cli_check(argc - 2, argv + 2);
    if (strcmp(command, "dump") == 0)
        return cli_dump(argc - 2, argv + 2);
    if (strcmp(command, "build") == 0)
        return cli_build(argc - 2, argv + 2);
    if (strcmp(command, "print") == 0)
        return cli_print(argc - 2, argv + 2);
    if (strcmp(command, "wast") == 0)
        return cli_wast(argc - 2, argv + 2);
    if (strcmp(command, "help") == 0) {
        cli_help();
        return 0;
    }
    if (argc == 1) {
        cli_help();
        return 125;
    }
    return run(argc, argv);
}

int main(int argc, char **argv)
{
    int code = dispatch(argc, argv);

    if (fflush(stdout) == 0)
        return code;
    cli_complain("standard output: %s", strerror(errno));
    return code ? code : 125;
}
