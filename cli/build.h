/* cordon build: text to the binary format. */
#ifndef CN_CLI_BUILD_H
#define CN_CLI_BUILD_H

/* Takes the words after the command and returns the exit code. */
int cli_build(int argc, char **argv);

#endif
