/* cordon build and cordon print: between the text and the binary format. */
#ifndef CN_CLI_BUILD_H
#define CN_CLI_BUILD_H

/* Both take the words after the command and return the exit code. */
int cli_build(int argc, char **argv);
int cli_print(int argc, char **argv);

#endif
