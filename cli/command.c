#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"

struct row {
    const char *name, *arguments, *help;
};

static const struct row commands[] = {
#define COMMAND(name, arguments, help) {#name, arguments, help},
#define WORD(...)
#include "spec/command.def"
#undef WORD
#undef COMMAND
};

enum cli_command cli_command_named(const char *name)
{
    int i = 0;

    while (i < CLI_COMMAND_COUNT && strcmp(commands[i].name, name) != 0)
        i++;
    return (enum cli_command)i;
}

const char *cli_command_near(const char *name)
{
    const char *names[CLI_COMMAND_COUNT + 1];

    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    names[CLI_COMMAND_COUNT] = NULL;
    return cordon_suggest(name, names);
}

void cli_help(void)
{
    printf("usage: cordon COMMAND ...      (cordon COMMAND --help says more of one)\n");
    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        printf("  %-6s %-26s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
}

void cli_help_command(enum cli_command command)
{
    if (command == CLI_COMMAND_run) {
        cli_help_run();
        return;
    }
    printf("usage: cordon %s %s\n  %s\n", commands[command].name, commands[command].arguments,
           commands[command].help);
}
