/* The commands that are a host or talk to one; each takes what follows its name and returns the
 * exit code. */
#ifndef CN_CLI_CONTROL_H
#define CN_CLI_CONTROL_H

#include "cli/options.h"

int cli_up(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_stats(int argc, char **argv);
int cli_set(int argc, char **argv);
int cli_pause(int argc, char **argv);
int cli_resume(int argc, char **argv);
int cli_kill(int argc, char **argv);
int cli_down(int argc, char **argv);
int cli_logs(int argc, char **argv);

/* cordon run --detach */
int cli_detach(const struct cli_options *options);

#endif
