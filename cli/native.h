/* --import-native: functions of C libraries for guests. What they do, the guest does. */
#ifndef CN_CLI_NATIVE_H
#define CN_CLI_NATIVE_H

#include "cli/options.h"

/* One of them, taken apart and found. */
struct cli_native {
    char *text; /* the option's value, its parts ended by zero bytes: */
    const char *module, *name, *library, *symbol, *signature;
    void (*function)(void);
};

struct cli_natives {
    struct cli_native *items;
    int count;
};

/* Opens the libraries, which stay open. False after one line on stderr, with the exit code: 125, or
 * 127 when a library or a function is not there. The list is to be freed in any case. */
bool cli_natives_open(struct cli_natives *natives, const struct cli_list *options, int *code);
void cli_natives_free(struct cli_natives *natives);

/* Offers them to guests. */
bool cli_natives_bind(const struct cli_natives *natives, cordon_linker_t *linker,
                      cordon_error_t *error);

#endif
