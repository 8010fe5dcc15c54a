/* cordon check, cordon dump: for people who want to know what is in a module. */
#ifndef CN_CLI_INSPECT_H
#define CN_CLI_INSPECT_H

/* Both take the words after the command and return the exit code. */
int cli_check(int argc, char **argv);
int cli_dump(int argc, char **argv);

#endif
