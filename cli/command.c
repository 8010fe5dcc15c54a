#include "cli/command.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/options.h"

#define ANY INT_MAX

struct row {
    const char *name;
    int least, most; /* arguments that are no options */
    const char *arguments, *help;
};

static const struct row commands[] = {
#define COMMAND(name, least, most, arguments, help) {#name, least, most, arguments, help},
#define WORD(...)
#include "spec/command.def"
#undef WORD
#undef COMMAND
};

static const struct word {
    const char *name;
    char letter;
    const char *argument;
    uint32_t commands; /* a bit for each that takes it */
    const char *help;
} known[] = {
#define FOR(command) 1u << CLI_COMMAND_##command
#define COMMAND(...)
#define WORD(name, letter, argument, commands, help) {#name, letter, argument, commands, help},
#include "spec/command.def"
#undef WORD
#undef COMMAND
#undef FOR
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
    int count = 0;

    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        if (commands[i].help != NULL)
            names[count++] = commands[i].name;
    names[count] = NULL;
    return cordon_suggest(name, names);
}

void cli_help(void)
{
    printf("usage: cordon COMMAND ...      (cordon COMMAND --help says more of one)\n");
    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        if (commands[i].help != NULL)
            printf("  %-6s %-26s %s\n", commands[i].name, commands[i].arguments,
                   commands[i].help);
}

void cli_help_command(enum cli_command command)
{
    if (command == CLI_COMMAND_run) {
        cli_help_run();
        return;
    }
    printf("usage: cordon %s %s\n  %s\n", commands[command].name, commands[command].arguments,
           commands[command].help ? commands[command].help : "(for cordon up alone)");
    for (int i = 0; i < CLI_WORD_COUNT; i++) {
        const struct word *word = &known[i];
        char left[40], letter[5] = "";
        if (!(word->commands & 1u << command))
            continue;
        if (word->letter)
            snprintf(letter, sizeof letter, "-%c, ", word->letter);
        snprintf(left, sizeof left, "%s--%s %s", letter, word->name,
                 word->argument ? word->argument : "");
        for (char *c = left; c < left + strlen(letter) + 2 + strlen(word->name); c++)
            *c = *c == '_' ? '-' : *c;
        printf("  %-18s %s\n", left, word->help);
    }
}

/* ------------------------------------------------------------------ a command's line */

static bool complain_unknown(enum cli_command command, const char *argument)
{
    const char *names[CLI_WORD_COUNT + 1];
    int count = 0;

    for (int i = 0; i < CLI_WORD_COUNT; i++)
        if (known[i].commands & 1u << command)
            names[count++] = known[i].name;
    names[count] = NULL;
    const char *near = cordon_suggest(argument + strspn(argument, "-"), names);
    cli_complain("unknown option %s%s%s%s (cordon %s --help lists all)", argument,
                 near ? "; did you mean --" : "", near ? near : "", near ? "?" : "",
                 commands[command].name);
    return false;
}

/* Names have underscores in the rows and dashes for people. */
static bool is_name(const char *name, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (name[i] == '\0' || (name[i] == '_' ? '-' : name[i]) != text[i])
            return false;
    return name[size] == '\0';
}

/* The row that an argument with dashes names, of those that the command takes. */
static const struct word *find(enum cli_command command, const char *argument,
                               const char **value)
{
    size_t size = strcspn(argument + 2, "=");

    for (int i = 0; i < CLI_WORD_COUNT; i++) {
        const struct word *word = &known[i];
        if (!(word->commands & 1u << command))
            continue;
        *value = NULL;
        if (argument[1] != '-' && argument[1] == word->letter) {
            *value = argument[2] ? argument + 2 : NULL;
            return word;
        }
        if (argument[1] == '-' && is_name(word->name, argument + 2, size)) {
            *value = argument[2 + size] ? argument + 3 + size : NULL;
            return word;
        }
    }
    return NULL;
}

static bool take(struct cli_words *words, enum cli_command command, int argc, char **argv,
                 int *at)
{
    const char *argument = argv[*at], *value;
    const struct word *word = find(command, argument, &value);

    if (word == NULL)
        return complain_unknown(command, argument);
    if (word->argument == NULL && value != NULL) {
        cli_complain("%s: this option takes no value", argument);
        return false;
    }
    if (word->argument != NULL && value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (word->argument != NULL && value == NULL) {
        cli_complain("%s: expected a value: %s", argument, word->argument);
        return false;
    }
    words->value[word - known] = value ? value : "";
    return true;
}

bool cli_words_parse(struct cli_words *words, enum cli_command command, int argc, char **argv)
{
    bool is_literal = false;

    *words = (struct cli_words){.args = argv};
    for (int at = 0; at < argc; at++) {
        if (!is_literal && strcmp(argv[at], "--") == 0)
            is_literal = true;
        else if (is_literal || argv[at][0] != '-' || argv[at][1] == '\0')
            argv[words->arg_count++] = argv[at];
        else if (!take(words, command, argc, argv, &at))
            return false;
    }
    if (words->arg_count >= commands[command].least && words->arg_count <= commands[command].most)
        return true;
    cli_complain("expected: cordon %s %s", commands[command].name, commands[command].arguments);
    return false;
}
