/* From options to what a VM is given. */
#ifndef CN_CLI_GRANT_H
#define CN_CLI_GRANT_H

#include "cli/report.h"

/* Fills the config from the options; listeners' ports are noted in the report and, where port 0
 * was asked for, printed on stderr. False after one line on stderr. */
bool cli_grant(cordon_config_t *config, const struct cli_options *options,
               struct cli_report *report);

#define CLI_PATH_MAX 4200

/* A --dir or --volume, taken apart. */
struct cli_dir {
    char host[2 * CLI_PATH_MAX], guest[CLI_PATH_MAX];
    bool read_only;
};

/* HOST[::GUEST][::ro] and HOST:GUEST[:ro]; false after one line on stderr. */
bool cli_split_dir(const char *text, struct cli_dir *dir);
bool cli_split_volume(const char *text, struct cli_dir *dir);
/* [HOST:]PORT, with 127.0.0.1 where no host stands. */
void cli_split_listener(const char *text, char *address, size_t size);

/* KEY=VALUE as it is, KEY with this process's value: a text to be freed. NULL with *good where
 * the variable is not set, without where there is no memory. */
char *cli_variable(const char *text, bool *good);

#endif
