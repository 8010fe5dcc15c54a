/* A store of private volumes: a directory of the host (spec/volume.md).
 *
 *     lock         held by whoever changes something here
 *     keyring      the volumes and their keys, wrapped (shim/volume_ring.h)
 *     records      what was erased, signed (shim/volume_record.h)
 *     volumes/     a directory for each, with what the VM left there, sealed
 *     ephemeral/   the same for volumes whose key is nowhere but in a process
 *     trash/       what is being removed
 *
 * Whoever opens a store finishes what others were ended at.
 */
#ifndef CN_SHIM_VOLUME_STORE_H
#define CN_SHIM_VOLUME_STORE_H

#include "shim/volume.h"
#include "shim/volume_ring.h"

struct cn_volumes {
    int dir, lock, volumes, ephemeral, trash;
    struct cn_ring ring;
};

/* Makes the directory when it is not there, and waits for others who are at it. CN_MISUSE,
 * CN_IO. */
CN_CHECKED enum cn_status cn_volumes_open(struct cn_volumes *store, const char *path,
                                        const struct cn_host_key *key, struct cn_error *error);
void cn_volumes_close(struct cn_volumes *store);

/* Whether it may be a volume's name: begins with a letter or digit, and has these and "-_.". */
bool cn_volumes_name_is_good(const char *name);

/* CN_MISUSE when there is one of that name. */
CN_CHECKED enum cn_status cn_volumes_create(struct cn_volumes *store, const char *name,
                                            uint64_t size, uint64_t inodes,
                                            struct cn_error *error);

/* Destroys its key, then its files, then says so in the records. CN_MISUSE when it is in use. */
CN_CHECKED enum cn_status cn_volumes_remove(struct cn_volumes *store, const char *name,
                                          struct cn_error *error);

/* Whether a VM has it. */
bool cn_volumes_is_in_use(const struct cn_volumes *store, const char *name);

/* What is open of a volume. Its end wipes the keys first; then what was ephemeral is removed, as
 * far as this process may. */
struct cn_mount {
    struct cn_volume_grant grant; /* first; an ephemeral one's keys are made when it is used */
    int dir;  /* locked: one process has it, or two that have it from each other */
    bool is_ephemeral;
};

/* An end of its directory with this key (32 bytes), which is copied; NULL: it is ephemeral. The
 * descriptor is taken over, whatever comes of it. */
CN_CHECKED enum cn_status cn_mount_new(int dir, const uint8_t *key, struct cn_mount **result,
                                       struct cn_error *error);

/* Removes what is in an ephemeral one, as far as this process may: nobody uses it any more. */
void cn_mount_empty(struct cn_mount *mount);

/* Root gives all of it to that user, who could not use it otherwise. Nothing for others, and where
 * there are no other users. */
CN_CHECKED enum cn_status cn_mount_give_to(struct cn_mount *mount, uid_t user, gid_t group,
                                           struct cn_error *error);

CN_CHECKED enum cn_status cn_volumes_mount(struct cn_volumes *store, const char *name,
                                         struct cn_mount **result, struct cn_error *error);
/* A new one, of which nobody else ever knows the key. */
CN_CHECKED enum cn_status cn_volumes_mount_ephemeral(struct cn_volumes *store,
                                                   struct cn_mount **result,
                                                   struct cn_error *error);

/* How many records there are, and how many of them are as they were signed. */
struct cn_record_count {
    uint64_t all, good;
};

CN_CHECKED enum cn_status cn_volumes_check_records(struct cn_volumes *store,
                                                 struct cn_record_count *count,
                                                 struct cn_error *error);

/* Removes all that is in a directory. What is moved meanwhile has a name in `beside`, which may be
 * the same directory. */
bool cn_empty_dir(int dir, int beside);

#endif
