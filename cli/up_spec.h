/* What is asked for: a VM as a config file or a request describes it. */
#ifndef CN_CLI_UP_SPEC_H
#define CN_CLI_UP_SPEC_H

#include "cli/volume.h"

#define UP_NAME_MAX 63
#define UP_LOG_DEFAULT (1u << 20)
#define UP_LOG_MAX (1u << 30)

struct up_strings {
    char **items;
    uint32_t count;
};

struct up_dir {
    char *path; /* NULL: fd */
    int fd;     /* the spec's own */
    char *guest;
    bool read_only;
};

struct up_listener {
    char *address; /* NULL: fd */
    int fd;
};

/* A volume that a client has opened. */
struct up_lent {
    cordon_lent_t lent; /* descriptors: the spec's own */
    char *guest;
    bool read_only;
};

enum up_restart { UP_RESTART_NO, UP_RESTART_ON_FAILURE, UP_RESTART_ALWAYS };

struct up_spec {
    char name[UP_NAME_MAX + 1];
    char *module; /* its path; NULL: module_fd, and the name of it that the guest sees is args[0] */
    int module_fd;
    struct up_strings args, env; /* args[0] is the module's name */
    struct up_dir *dirs;
    struct up_listener *listeners;
    uint32_t dir_count, listener_count;
    struct up_strings volumes; /* as --volume has them: opened for each life */
    struct up_lent *lent;
    uint32_t lent_count;
    uint32_t number; /* among those of a kind, from 1; it ends the names of its volumes */
    uint64_t limit[CORDON_QUOTA_COUNT];
    enum up_restart restart;
    uint32_t restarts_max; /* of on-failure; UINT32_MAX: any number */
    uint64_t log_size;
    bool is_shared;      /* in the host's own process */
    bool has_user;       /* its process becomes this one; otherwise as `cordon run` would */
    uint32_t user, group;
    const char *sandbox; /* "required", "best-effort", "off" */
    bool is_strict;      /* not where its memory may be swapped */
    uint32_t count; /* of VMs of this kind; 0 in a file that says nothing about it */
};

/* With default quotas and nothing granted. */
void up_spec_init(struct up_spec *spec);
/* A copy of one that holds no descriptors; false when no memory is left (it is to be released all
 * the same). */
bool up_spec_copy(struct up_spec *copy, const struct up_spec *spec);
/* Frees it and closes its descriptors. It may be half made. */
void up_spec_release(struct up_spec *spec);

/* Adds; false when no memory is left. Texts are copied, descriptors taken over (on failure, too).
 * `path` and `address` may be NULL, then there is a descriptor. */
bool up_strings_add(struct up_strings *strings, const char *text);
bool up_spec_add_dir(struct up_spec *spec, struct up_dir dir);
bool up_spec_add_listener(struct up_spec *spec, struct up_listener listener);
bool up_spec_add_lent(struct up_spec *spec, struct up_lent lent);

/* A name begins with a letter or digit and has letters, digits, and "-_.". "all" means all. */
bool up_name_is_good(const char *name);

/* "no", "on-failure", "on-failure:3", "always". */
bool up_parse_restart(const char *text, struct up_spec *spec);

/* What the VM is given, opened now; NULL with one line in `why`. Ports of its listeners are
 * written to `ports`, of which there are spec->listener_count. */
cordon_config_t *up_spec_config(const struct up_spec *spec, uint16_t *ports,
                                cordon_error_t *why);

/* Opens the volumes that it names, for one life. */
bool up_spec_open_volumes(const struct up_spec *spec, const struct cli_store *store,
                          cordon_config_t *config, cordon_error_t *why);

/* Closes its directories, listeners, and lent volumes, and wipes arguments and environment: the
 * config has its own, and those in locked memory. */
void up_spec_close(struct up_spec *spec);

/* The rest of a VM's description, for the file and for requests: the quota of a key, written with
 * dashes or underscores; CORDON_QUOTA_COUNT when there is none, then *near may be a suggestion. */
cordon_quota_t up_quota_named(const char *key, const char **near);

#endif
