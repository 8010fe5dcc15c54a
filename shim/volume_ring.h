/* The host key and what it wraps: the keys of a store's volumes (spec/volume.md).
 *
 * The host key is in a file on another device than the store. It changes with every volume that
 * is removed, so that what was wrapped before opens nothing any more. The change is made in three
 * steps, and whoever opens a store goes on where somebody else was ended: the new key is written
 * beside the old one; the ring, wrapped with it, takes the old ring's place (that moment decides);
 * the old key is overwritten.
 */
#ifndef CN_SHIM_VOLUME_RING_H
#define CN_SHIM_VOLUME_RING_H

#include "core/error.h"
#include "shim/volume_cipher.h"

#define CN_VOLUME_NAME_SIZE 64u
#define CN_RING_MAX 4096u /* volumes in a store */

/* A volume, as it lies on the disk. */
struct cn_ring_entry {
    char name[CN_VOLUME_NAME_SIZE]; /* with its zero; empty: the store's own, to sign records */
    uint8_t id[16];
    uint64_t size, inodes;
    uint64_t created; /* seconds since 1970 */
    uint32_t is_erased; /* its key is gone; files and record are not settled yet */
    uint32_t reserved;
    struct cn_seal seal; /* bound to all that is before it, and the generation */
    uint8_t key[CN_KEY_SIZE];
};

struct cn_ring_head {
    uint8_t magic[8];
    uint8_t store[16]; /* its number: a host key is for one store */
    uint64_t generation;
    uint32_t count;
    uint32_t is_on_same_disk;
    uint8_t public_key[32]; /* that records are signed for */
};

struct cn_ring {
    int store;             /* the store's directory; the caller's */
    int key_file;          /* the ring's own, or -1: what needs the host key is refused */
    uint8_t *host_key;     /* a page of locked memory, or NULL */
    uint32_t slot;         /* of the key file, that it is in */
    bool is_new;           /* there is no file of it yet */
    struct cn_ring_head head;
    struct cn_ring_entry *entries;
    uint32_t room;
};

/* How the host key is given. */
struct cn_host_key {
    const char *path;      /* NULL: not at all */
    bool may_be_on_same_disk;
    bool may_be_made;      /* when neither it nor a ring is there */
};

/* Reads the ring of a store, whose lock the caller holds, and the host key. CN_MISUSE when the key
 * may not be where it is, CN_IO when it does not open the ring or something is damaged. */
CN_CHECKED enum cn_status cn_ring_open(struct cn_ring *ring, int store,
                                       const struct cn_host_key *key, struct cn_error *error);
/* Wipes the host key. */
void cn_ring_close(struct cn_ring *ring);

/* The volume of that name, or NULL. */
struct cn_ring_entry *cn_ring_find(const struct cn_ring *ring, const char *name);

/* Adds a volume with a new key; not written yet. */
CN_CHECKED enum cn_status cn_ring_add(struct cn_ring *ring, const struct cn_ring_entry *volume,
                                      struct cn_error *error);
/* Takes it out; not written yet. */
void cn_ring_drop(struct cn_ring *ring, struct cn_ring_entry *entry);

/* Puts the ring as it is into the place of the one on the disk. */
CN_CHECKED enum cn_status cn_ring_write(struct cn_ring *ring, struct cn_error *error);

/* The same with a new host key; the old one is overwritten afterwards, and the keys of volumes
 * that are marked as erased are not in it. */
CN_CHECKED enum cn_status cn_ring_rotate(struct cn_ring *ring, struct cn_error *error);

/* A volume's key into 32 bytes of locked memory. */
CN_CHECKED enum cn_status cn_ring_unwrap(const struct cn_ring *ring,
                                         const struct cn_ring_entry *entry, uint8_t *key,
                                         struct cn_error *error);

/* Replaces a file in the store by another with that contents, whatever happens meanwhile. */
CN_CHECKED enum cn_status cn_volumes_replace(int store, const char *name, struct cn_bytes bytes,
                                           struct cn_error *error);

#endif
