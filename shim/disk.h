/* What a VM has added to the host's disk: the books behind the DISK and INODES quotas.
 *
 * Counted is the logical size, rounded up to 4 KiB, once per inode, holes included, from the
 * first byte until the last name and the last descriptor are gone. An inode that was there
 * before is charged only for what goes beyond the size at which this VM first met it: shrinking
 * it gives no credit, and growing it back to that size costs nothing. Directories count as
 * inodes alone. Second names (hard links) cost nothing, but there may be no more of them than
 * the inode quota allows inodes: they fill directories. What other processes do to the files is
 * neither charged nor refunded.
 *
 * Pure bookkeeping: nothing here changes a file but the ledger. Callers charge before they act and
 * settle afterwards. One thread at a time.
 */
#ifndef CN_SHIM_DISK_H
#define CN_SHIM_DISK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "governor/account.h"
#include "shim/abi.h"
#include "shim/ledger.h"

#define CN_DISK_BLOCK 4096u
/* A VM creates one thing at a time; more of them than this is no ledger of ours. */
#define CN_INTENDED_MAX 16

/* An inode that this VM holds open or has changed. */
struct cn_inode {
    struct cn_inode *next; /* in its chain */
    uint64_t dev, ino;
    uint64_t size;         /* as far as this VM knows */
    uint64_t base_blocks;  /* what was there before; 0 when it is our own */
    uint32_t open_count;   /* descriptors of this VM */
    bool is_ours;          /* this VM created it: one of INODES is charged */
    bool is_gone;          /* its last name is gone */
    bool is_found;         /* while books are compared with directories */
    uint32_t number;       /* of its record in the ledger, or 0 */
};

struct cn_disk {
    struct cn_account *account;
    struct cn_account *memory; /* pays for the books themselves: the same, but for a volume's */
    struct cn_inode **chains;
    uint32_t chain_count; /* a power of two, or 0 */
    uint32_t inode_count;
    uint32_t forgotten;   /* chains, by cn_disk_forget_some */
    uint64_t second_names; /* added by this VM and not removed again */
    struct cn_ledger *ledger; /* that outlives it, or NULL */
    uint32_t intended[CN_INTENDED_MAX]; /* records of the last VM's, while they are looked for */
    uint32_t intended_count;
};

void cn_disk_init(struct cn_disk *disk, struct cn_account *account);

/* Keeps the books in that ledger from now on, and goes on with what stands there: it is charged,
 * whatever the limits are. NOMEM when the account has no room for it. */
enum cn_errno cn_disk_restore(struct cn_disk *disk, struct cn_ledger *ledger);

/* After a crash: something that is there, in that directory. And then, when that was all: what was
 * not found is not there. */
void cn_disk_found(struct cn_disk *disk, const struct stat *stat, const struct stat *parent,
                   const char *name);
void cn_disk_settle_found(struct cn_disk *disk, bool is_all);

/* Forgets some; true when none is left. Nothing else is done with it any more then. */
bool cn_disk_forget_some(struct cn_disk *disk);
/* Forgets everything; what is charged stays charged: the files are still there. */
void cn_disk_release(struct cn_disk *disk);

/* Takes one inode from the quota and a record for what is about to be created under that name in
 * a directory: DQUOT, NOMEM. Then either cn_disk_created or cn_disk_abandon. */
enum cn_errno cn_disk_prepare(struct cn_disk *disk, int dir, const char *name,
                              struct cn_inode **result);

/* Counts something that is there as this VM's own, whatever the limits are: NOMEM. It may come
 * again under a second name. */
enum cn_errno cn_disk_adopt(struct cn_disk *disk, const struct stat *stat);

/* The prepared thing exists. */
void cn_disk_created(struct cn_disk *disk, struct cn_inode *inode, const struct stat *stat);

/* It could not be created. */
void cn_disk_abandon(struct cn_disk *disk, struct cn_inode *inode);

/* A descriptor refers to this file or directory from now on. A file gets a record if it has
 * none: NOMEM. For directories that are not our own *result is NULL. */
enum cn_errno cn_disk_open(struct cn_disk *disk, const struct stat *stat,
                           struct cn_inode **result);

/* The file is found to be of that size. What others added counts as what was there before, and
 * what they took away is no longer ours to pay for. Done for every file when it is opened. */
void cn_disk_measure(struct cn_disk *disk, struct cn_inode *inode, uint64_t size);

/* The descriptor is closed. NULL is fine. */
void cn_disk_close(struct cn_disk *disk, struct cn_inode *inode);

/* A second name is about to be given to something: DQUOT when there are too many. Taken back
 * with cn_disk_unnamed when it does not come to that. */
enum cn_errno cn_disk_named(struct cn_disk *disk);
void cn_disk_unnamed(struct cn_disk *disk);

/* One of its names has been removed; `stat` is from just before. */
void cn_disk_unlinked(struct cn_disk *disk, const struct stat *stat);

/* How far the inode may grow towards `end` within the quota, at least its present size. */
uint64_t cn_disk_reach(const struct cn_disk *disk, const struct cn_inode *inode, uint64_t end);

/* Its size becomes `size`: charges or refunds the difference; DQUOT, and nothing changes. */
enum cn_errno cn_disk_resize(struct cn_disk *disk, struct cn_inode *inode, uint64_t size);

#endif
