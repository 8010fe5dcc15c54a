/* A private volume as one VM has it: a directory of the host in which names, links and contents
 * are sealed (spec/volume.md), and the books of what it holds.
 *
 * The kernel never follows a path in it: each name is looked up by itself, and links are followed
 * here, after they have been opened. One thread at a time.
 */
#ifndef CN_SHIM_VOLUME_H
#define CN_SHIM_VOLUME_H

#include <stdbool.h>

#include "shim/disk.h"
#include "shim/resolve.h"
#include "shim/volume_file.h"

#define CN_VOLUME_CHAINS 64u
/* A link's text becomes longer, and is to fit the host's 4095 bytes. */
#define CN_SEALED_LINK_MAX 3000u

/* How names that were used last are called on the host. */
#define CN_KNOWN_NAMES 32u
struct cn_known_name {
    char name[CN_SEALED_NAME_MAX + 1];
    char hidden[CN_HIDDEN_MAX + 1];
};

/* A file that is open, however often. */
struct cn_opened {
    struct cn_opened *next;
    uint64_t dev, ino;
    uint32_t count;
    struct cn_sealed_file file; /* its host is a descriptor of its own */
};

struct cn_volume {
    struct cn_volume_grant *grant;
    struct cn_volume_keys *keys; /* the grant's */
    struct cn_allocator allocator;
    void *desk_block;            /* what the desk was allocated as */
    struct cn_sealed_desk *desk;
    struct cn_account account;   /* of what it holds: DISK and INODES */
    struct cn_disk disk;
    bool is_read_only;
    uint64_t temporary;          /* number of the next file that is being made */
    struct cn_opened *chains[CN_VOLUME_CHAINS];
    struct cn_known_name known[CN_KNOWN_NAMES];
};

/* What a VM is granted of a volume. */
struct cn_volume_grant {
    struct cn_volume_keys *keys; /* of an ephemeral one: filled by the process that uses it */
    uint64_t size, inodes; /* how much it may hold; CN_UNLIMITED: as the VM's quotas say */
    _Atomic uint32_t holders; /* volumes that use the keys, and whoever made it */
    void (*end)(struct cn_volume_grant *grant); /* when there are none; or NULL: the maker's part */
};

/* What is wrong in a volume. */
struct cn_volume_faults {
    uint64_t files, dirs, links, bytes; /* that are there */
    uint64_t foreign;   /* names that are none of this volume */
    uint64_t unopened;  /* files without a whole header, links that cannot be read */
    uint64_t blocks;    /* that are damaged */
    uint64_t leftovers; /* of files that were being made when a process ended; removed */
    bool is_incomplete; /* too much, or not to be read */
};

/* Holds it once more, and once less. */
void cn_volume_hold(struct cn_volume_grant *grant);
void cn_volume_let_go(struct cn_volume_grant *grant);

/* Makes keys that are not made yet. NOMEM when no memory can be locked. */
enum cn_errno cn_volume_key_is_there(struct cn_volume_grant *grant);

/* Memory is charged to `memory`. Holds the grant, whose keys are there. NOMEM. */
enum cn_errno cn_volume_new(struct cn_volume_grant *grant, struct cn_account *memory,
                            bool is_read_only, struct cn_volume **result);
/* Nothing of it is open any more. NULL is fine. */
void cn_volume_free(struct cn_volume *volume);

/* Walks through it once and counts what is there; removes what a crash has left. `checks_blocks`
 * reads all contents, too. NOMEM. */
enum cn_errno cn_volume_count(struct cn_volume *volume, int root, bool checks_blocks,
                              struct cn_volume_faults *faults);

/* ------------------------------------------------------------------ names */

/* Finds the place that a path leads to from the directory `dir`; as cn_place_find, with the name
 * as the host knows it. Follows a final link, if that is asked for; nothing needs to be there. */
enum cn_errno cn_volume_find(struct cn_volume *volume, int dir, const char *path, bool follows,
                             struct cn_place *place);

/* The link's text, into CN_PATH_MAX + 1 bytes. INVAL when it is none. */
enum cn_errno cn_volume_read_link(struct cn_volume *volume, int dir, const char *name,
                                  char *target);
/* What a link to `target` says on the host, into CN_PATH_MAX bytes. */
enum cn_errno cn_volume_hide_link(struct cn_volume *volume, const char *target, char *hidden);

/* What is at the place, not following a link, with the size that the guest knows. */
enum cn_errno cn_volume_stat(struct cn_volume *volume, const struct cn_place *place,
                             struct stat *stat);

/* ------------------------------------------------------------------ files */

/* Opens the file there: a descriptor of the host, and its contents; both are given back with
 * cn_volume_close. `stat` has the guest's size. */
enum cn_errno cn_volume_open(struct cn_volume *volume, const struct cn_place *place, int *host,
                             struct cn_opened **opened, struct stat *stat);
/* The same of a file that is made; EXIST. The books are the caller's. */
enum cn_errno cn_volume_create(struct cn_volume *volume, const struct cn_place *place, int *host,
                               struct cn_opened **opened, struct stat *stat);
/* The host's descriptor stays open. NULL is fine. */
void cn_volume_close(struct cn_volume *volume, struct cn_opened *opened);

#endif
