/* cordon run */
#ifndef CN_CLI_RUN_H
#define CN_CLI_RUN_H

#include "cli/options.h"

/* Runs the module as the options say; returns the exit code. */
int cli_run(const struct cli_options *options);

#endif
