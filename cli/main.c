/* The cordon command: which subcommand it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/build.h"
#include "cli/command.h"
#include "cli/conform.h"
#include "cli/control.h"
#include "cli/doctor.h"
#include "cli/inspect.h"
#include "cli/options.h"
#include "cli/run.h"
#include "cli/sweep.h"
#include "cli/wast.h"
#include "cli/volume.h"
#include "cli/worker.h"

/* Closed standard descriptors stay closed for the guest, but their numbers are taken, so that
 * no file of ours can come to stand there. */
static bool keep_stdio(struct cli_options *options)
{
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) >= 0)
            continue;
        options->is_closed[i] = true;
        if (open("/dev/null", O_PATH | O_CLOEXEC) != i && open("/", O_PATH | O_CLOEXEC) != i)
            return false;
    }
    return true;
}

static int run_with(struct cli_options *options, int argc, char **argv)
{
    if (!cli_options_parse(options, argc, argv))
        return 125;
    if (options->help) {
        cli_help_run();
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
    if (!options->detach &&
        (options->name || options->restart || options->log_size || options->host)) {
        cli_complain("--name, --restart, --log-size and --host are for --detach");
        return 125;
    }
    if ((options->user != NULL || options->strict) && options->sandbox == CLI_SANDBOX_OFF) {
        cli_complain("--%s is part of the sandbox, which --sandbox=off leaves out",
                     options->strict ? "strict" : "user");
        return 125;
    }
    if (!keep_stdio(options)) {
        cli_complain("the standard descriptors cannot be set up");
        return 125;
    }
    return options->detach ? cli_detach(options) : cli_run(options);
}

static int run(int argc, char **argv)
{
    struct cli_options options;
    int code = run_with(&options, argc, argv);

    cli_options_release(&options);
    return code;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The rows of command.def; without a function: `run`, which takes its own name too. */
static int (*const commands[CLI_COMMAND_COUNT])(int argc, char **argv) = {
    [CLI_COMMAND_up] = cli_up, [CLI_COMMAND_ps] = cli_ps, [CLI_COMMAND_top] = cli_top,
    [CLI_COMMAND_stats] = cli_stats, [CLI_COMMAND_set] = cli_set,
    [CLI_COMMAND_pause] = cli_pause, [CLI_COMMAND_resume] = cli_resume,
    [CLI_COMMAND_kill] = cli_kill, [CLI_COMMAND_down] = cli_down, [CLI_COMMAND_logs] = cli_logs,
    [CLI_COMMAND_doctor] = cli_doctor, [CLI_COMMAND_volume] = cli_volume,
    [CLI_COMMAND_check] = cli_check, [CLI_COMMAND_dump] = cli_dump,
    [CLI_COMMAND_build] = cli_build, [CLI_COMMAND_print] = cli_print,
    [CLI_COMMAND_wast] = cli_wast,   [CLI_COMMAND_conform] = cli_conform,
    [CLI_COMMAND_worker] = cli_worker,
};

/* A word that is neither a command nor a file was probably meant as a command. */
static bool is_misspelt(const char *word)
{
    const char *near = strpbrk(word, "-./") == NULL ? cli_command_near(word) : NULL;

    if (near == NULL || access(word, F_OK) == 0)
        return false;
    cli_complain("%s: no such file, and no such command; did you mean %s? (cordon --help)", word,
                 near);
    return true;
}

static int dispatch(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    enum cli_command command = cli_command_named(word);

    if (argc == 1 || is_help(word) || strcmp(word, "help") == 0) {
        cli_help();
        return argc == 1 ? 125 : 0;
    }
    if (command == CLI_COMMAND_COUNT)
        return is_misspelt(word) ? 127 : run(argc, argv);
    if (argc > 2 && is_help(argv[2])) {
        cli_help_command(command);
        return 0;
    }
    return commands[command] ? commands[command](argc - 2, argv + 2) : run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    cli_stay_out_of_dumps();
    (void)cordon_lock_ciphers();
    int code = dispatch(argc, argv);
    if (fflush(stdout) == 0)
        return code;
    cli_complain("standard output: %s", strerror(errno));
    return code ? code : 125;
}
