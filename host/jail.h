/* The sandbox that a process puts itself into for good: limits, user, Landlock, seccomp. The rows
 * of spec/sandbox.def say what the layers are and which system calls are left.
 *
 * To be called by the process's only thread, when all that it needs of the outside is open. */
#ifndef CN_HOST_JAIL_H
#define CN_HOST_JAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/error.h"

enum cn_layer {
#define LAYER(name, ...) CN_LAYER_##name,
#define CALL(...)
#define ANSWER(...)
#define DEADLY(...)
#define SANITIZER(...)
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
#undef LAYER
    CN_LAYER_COUNT
};

/* What calls are for: the bits by which rows and filters are chosen. */
enum cn_jail_grant {
    CN_JAIL_READ = 1,
    CN_JAIL_WRITE = 2,
    CN_JAIL_SOCKETS = 4,
    CN_JAIL_THREADS = 8,
};

struct cn_jail_dir {
    int fd;
    bool is_read_only;
    bool follows; /* whoever the process becomes will own it: its present owner counts last */
};

struct cn_jail {
    const struct cn_jail_dir *dirs;
    uint32_t dir_count;
    int grants;          /* of enum cn_jail_grant */
    bool dies_with_parent;
    bool is_best_effort; /* go without what the kernel lacks */
    bool is_strict;      /* memory is locked, or it fails */
    bool has_user;       /* become `user` and `group`, and no other */
    uid_t user;
    gid_t group;
    /* What came of it. */
    bool active[CN_LAYER_COUNT];
    int landlock_abi;    /* of the kernel; 0 for none */
};

/* Puts up all layers and tries acts that they are to stop. CN_IO when a layer is missing or an act
 * was not stopped, CN_MISUSE when there are other threads: part of the layers may stand then. */
CN_CHECKED enum cn_status cn_jail_enter(struct cn_jail *jail, struct cn_error *error);

/* Locks all memory that can be written, now and later, as it is touched; raises RLIMIT_MEMLOCK. A
 * process that goes on with a bound gets no memory beyond it. CN_IO. */
CN_CHECKED enum cn_status cn_jail_lock(bool may_be_bounded, struct cn_error *error);

/* Who the process is to become: sets user and group, unless they were given. */
void cn_jail_choose_user(struct cn_jail *jail);

/* What the kernel has; nothing is put up. */
void cn_jail_probe(bool offers[CN_LAYER_COUNT], int *landlock_abi);

/* The name of a call that ends the process, by its number; NULL for others. Safe in signal
 * handlers. */
const char *cn_jail_call_name(int number);

/* ------------------------------------------------------------------ one layer each */

const char *cn_layer_key(enum cn_layer layer);

CN_CHECKED enum cn_status cn_jail_limits(struct cn_jail *jail, struct cn_error *error);
CN_CHECKED enum cn_status cn_jail_user(struct cn_jail *jail, struct cn_error *error);
CN_CHECKED enum cn_status cn_jail_privileges(struct cn_jail *jail, struct cn_error *error);
CN_CHECKED enum cn_status cn_jail_landlock(struct cn_jail *jail, struct cn_error *error);
CN_CHECKED enum cn_status cn_jail_filter(struct cn_jail *jail, struct cn_error *error);
/* Acts that are forbidden: before the filter stands, and after. */
CN_CHECKED enum cn_status cn_jail_check(const struct cn_jail *jail, struct cn_error *error);
CN_CHECKED enum cn_status cn_jail_check_filter(const struct cn_jail *jail,
                                               struct cn_error *error);

/* Openat2 of an absolute path. */
int cn_jail_open(const char *path, int flags);
bool cn_jail_has_openat2(void);
bool cn_jail_has_filters(void);
int cn_jail_landlock_abi(void);

#endif
