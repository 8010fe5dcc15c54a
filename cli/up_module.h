/* Modules of the host's VMs. VMs of one file share what was made of it, from the second on: the
 * first one is translated as it runs, where it is large, and what is shared has to be ready. */
#ifndef CN_CLI_UP_MODULE_H
#define CN_CLI_UP_MODULE_H

#include <pthread.h>

#include "cli/up_spec.h"

struct up_file_module;

/* All modules of a host; every function may be called by any thread. */
struct up_modules {
    pthread_mutex_t lock; /* of the list, and of the counts in it */
    struct up_file_module *list;
    cordon_host_t *lazy, *eager; /* that load them */
};

/* A module as one VM has it. */
struct up_loaded {
    cordon_module_t *module;
    struct up_file_module *file; /* whose it is, or who else is there; NULL for none */
    char *bytes;                 /* when it is the VM's alone */
    cordon_error_t error;
    int error_code;
};

bool up_modules_init(struct up_modules *modules, cordon_error_t *error);
/* No module is loaded any more. */
void up_modules_release(struct up_modules *modules);

/* Reads and loads the spec's module. On failure `module` is NULL, error and error_code (what
 * `cordon run` would exit with) say why. To be released either way. */
void up_module_load(struct up_modules *modules, const struct up_spec *spec,
                    struct up_loaded *loaded);
void up_module_release(struct up_modules *modules, struct up_loaded *loaded);

#endif
