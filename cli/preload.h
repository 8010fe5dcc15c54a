/* --preload: modules that the program imports from, by the name that is given to them. */
#ifndef CN_CLI_PRELOAD_H
#define CN_CLI_PRELOAD_H

#include "cli/file.h"
#include "cli/options.h"

struct cli_preload {
    const char *option; /* NAME=FILE */
    char *name;
    const char *path;
    int fd;             /* until the file is read; or -1 */
    struct cli_file file;
    cordon_module_t *module;
};

struct cli_preloads {
    struct cli_preload *items;
    int count;
};

/* Opens the files. False after one line on stderr, with the exit code: 125, or what cli_file_open
 * says. To be freed in any case, after the VM. */
bool cli_preloads_open(struct cli_preloads *preloads, const struct cli_list *options, int *code);
/* Reads what was opened; false as cli_file_take. */
bool cli_preloads_take(struct cli_preloads *preloads, int *code);
/* Loads the modules, for VMs that are made with the linker; the error names the option. */
bool cli_preloads_link(struct cli_preloads *preloads, cordon_host_t *host,
                       cordon_linker_t *linker, cordon_error_t *error);
void cli_preloads_free(struct cli_preloads *preloads);

#endif
