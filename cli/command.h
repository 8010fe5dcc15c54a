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

enum cli_word {
#define COMMAND(...)
#define WORD(name, ...) CLI_WORD_##name,
#include "spec/command.def"
#undef WORD
#undef COMMAND
    CLI_WORD_COUNT
};

/* The command of that name; CLI_COMMAND_COUNT when there is none. */
enum cli_command cli_command_named(const char *name);

/* The command that was probably meant; NULL when none is near. */
const char *cli_command_near(const char *name);

/* Prints `cordon --help`, or `cordon COMMAND --help`. */
void cli_help(void);
void cli_help_command(enum cli_command command);

/* A command's line, taken apart. */
struct cli_words {
    const char *value[CLI_WORD_COUNT]; /* NULL when it was not given, "" for flags */
    char **args;
    int arg_count;
};

/* Options may stand anywhere, up to "--". False after one line on stderr, also when there are
 * too few arguments or too many. argv is reordered. */
bool cli_words_parse(struct cli_words *words, enum cli_command command, int argc, char **argv);

#endif
