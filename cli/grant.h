/* From options to what a VM is given. */
#ifndef CN_CLI_GRANT_H
#define CN_CLI_GRANT_H

#include "cli/report.h"

/* Fills the config from the options; listeners' ports are noted in the report and, where port 0
 * was asked for, printed on stderr. False after one line on stderr. */
bool cli_grant(cordon_config_t *config, const struct cli_options *options,
               struct cli_report *report);

#endif
