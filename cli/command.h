/* The commands beside `cordon run`: their names, their options, their --help. */
#ifndef CN_CLI_COMMAND_H
#define CN_CLI_COMMAND_H

#include <stdbool.h>

enum cli_command {
#define COMMAND(name, ...) CLI_COMMAND_##name,
#define WORD(...)
#include "spec/command.def"
#undef WORD
#undef COMMAND
    CLI_COMMAND_COUNT
};

/* The command of that name; CLI_COMMAND_COUNT when there is none. */
enum cli_command cli_command_named(const char *name);

/* The command that was probably meant; NULL when none is near. */
const char *cli_command_near(const char *name);

/* Prints `cordon --help`, or `cordon COMMAND --help`. */
void cli_help(void);
void cli_help_command(enum cli_command command);

#endif
