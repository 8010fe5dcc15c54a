/* --sandbox and --user: the process of `cordon run` locks itself. */
#ifndef CN_CLI_SANDBOX_H
#define CN_CLI_SANDBOX_H

#include "cli/report.h"

/* Notes which descriptors the caller left open beside the standard ones, before any other is
 * opened: cli_sandbox_enter closes them. */
void cli_sandbox_begin(const struct cli_options *options);

/* Enters the sandbox that the options ask for; everything that the config and the run need is
 * open by now. What came of it goes into the report. False after one line on stderr. */
bool cli_sandbox_enter(const struct cli_options *options, cordon_config_t *config,
                       struct cli_report *report);

#endif
