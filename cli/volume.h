/* Private volumes on the command line (spec/volume.md). */
#ifndef CN_CLI_VOLUME_H
#define CN_CLI_VOLUME_H

#include "cli/options.h"

/* Where a store is, and its host key. */
struct cli_store {
    const char *path;     /* NULL: the usual one */
    const char *key_file; /* or NULL */
    bool on_same_disk;
};

/* NAME[:GUEST][:ro][,size=SIZE][,inodes=N][,ephemeral], taken apart. */
struct cli_volume {
    char name[64], guest[4200];
    bool read_only, is_ephemeral;
    uint64_t size, inodes; /* 0: not given */
};

/* Whether a --volume means one of a store: it has no slash before the first colon. */
bool cli_volume_is_named(const char *text);
/* False with what was expected in `why`, which has room for CLI_WHY_MAX. */
bool cli_split_named(const char *text, struct cli_volume *volume, char *why);

/* Opens the store, and makes it when it is not there; NULL with the reason. */
cordon_store_t *cli_store_open(const struct cli_store *store, cordon_error_t *error);
/* Gives it to the config; one that is to be kept is made when it is not there. */
bool cli_volume_grant(cordon_config_t *config, cordon_store_t *store,
                      const struct cli_volume *volume, cordon_error_t *error);
/* The same for a VM elsewhere. */
bool cli_volume_lend(cordon_store_t *store, const struct cli_volume *volume, cordon_lent_t *lent,
                     cordon_error_t *error);

/* `cordon volume`. */
int cli_volume(int argc, char **argv);

#endif
