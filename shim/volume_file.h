/* One file of a private volume: sealed blocks behind a sealed header (spec/volume.md).
 *
 * Whatever happens to the host's file, reading gives what was written or an error, never other
 * bytes; an older whole file or block of the same place is not told from the present one. A
 * process that is killed at any moment leaves every block as it was before or after a write, and a
 * size that goes with them. One object per file, one thread at a time.
 */
#ifndef CN_SHIM_VOLUME_FILE_H
#define CN_SHIM_VOLUME_FILE_H

#include "core/alloc.h"
#include "shim/volume_cipher.h"

#define CN_SEALED_BLOCK 4096u
#define CN_SEALED_ID 16u
#define CN_SEALED_SIZE_MAX (1ull << 43)
/* Random nonces of 96 bits are safe for so many texts under one key (NIST SP 800-38D, 8.3). */
#define CN_SEALS_MAX (1ull << 32)
/* Blocks that are worked on at once. */
#define CN_SEALED_RUN 16u
/* Blocks of zeros that a write far behind the end puts before it, before others have a turn. */
#define CN_SEALED_FILL 1024u

/* Where blocks are worked on, for all files of a volume; every part begins on a page. */
struct cn_sealed_desk {
    uint8_t text[CN_SEALED_RUN][CN_SEALED_BLOCK];
    uint8_t plain[CN_SEALED_RUN][CN_SEALED_BLOCK];
    uint8_t small[CN_SEALED_BLOCK]; /* records of blocks, or a header */
};

struct cn_sealed_file {
    struct cn_volume_keys *keys;
    struct cn_sealed_desk *desk;
    int host;              /* the caller's */
    uint8_t *key;          /* in locked memory */
    uint8_t id[CN_SEALED_ID];
    uint64_t generation;   /* of the header */
    uint64_t size;         /* in bytes, as the guest sees it */
    uint64_t written;      /* blocks that are there; what of `size` is beyond them is zeros */
    uint64_t seals;        /* made with this key, ever; at least */
    uint64_t promised;     /* as the header says: never fewer than were made */
    bool is_header_due;    /* size and written are not those of the header */
};

/* Makes an empty file of an empty one of the host's. `file` has keys, desk and host. */
enum cn_errno cn_sealed_create(struct cn_sealed_file *file);

/* Reads the header: the newer of its two copies that is whole. IO when neither is. */
enum cn_errno cn_sealed_open(struct cn_sealed_file *file);

/* Wipes its key; the host's file stays open. */
void cn_sealed_close(struct cn_sealed_file *file);

/* At most `size` bytes into *done; that is less at the end of the file or before a block that is
 * damaged, and IO when that is the first. */
enum cn_errno cn_sealed_read(const struct cn_sealed_file *file, void *to, size_t size,
                             uint64_t at, size_t *done);

/* *done may be less when something failed after it; the error is returned when nothing was
 * written. FBIG beyond CN_SEALED_SIZE_MAX, and when the file's key is used up. YIELD when it has
 * to be called again before anything is written. What was written counts from the next
 * cn_sealed_settle on. */
enum cn_errno cn_sealed_write(struct cn_sealed_file *file, const void *from, size_t size,
                              uint64_t at, size_t *done);
enum cn_errno cn_sealed_settle(struct cn_sealed_file *file);

/* Makes the file shorter, or longer with zeros. Settles it, too. */
enum cn_errno cn_sealed_resize(struct cn_sealed_file *file, uint64_t size);

/* Reads all: how many blocks are damaged. */
void cn_sealed_check(const struct cn_sealed_file *file, uint64_t *damaged);

#endif
