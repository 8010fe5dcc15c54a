/* The disk's books in a file, so that they outlive the VM, and its process: whatever ends that,
 * the next one goes on with them.
 *
 * The file is mapped and holds a record per inode that the VM pays for, holds open, or may grow
 * into again; every change is written to it as it is made. A crash can fall between an act on the
 * disk and its record, so what was about to be created is written down before, with its place, and
 * a ledger that was not closed is compared with the directories (shim/recount.h).
 *
 * One VM at a time. The file belongs to it: what stands there is as good as the VM's own process,
 * and decides nothing but its quota.
 */
#ifndef CN_SHIM_LEDGER_H
#define CN_SHIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* As many as a VM can have; the file has holes for those that it has not. */
#define CN_LEDGER_RECORDS (1u << 20)

enum cn_ledger_state {
    CN_LEDGER_FREE,     /* ino is the next free one's number, or 0 */
    CN_LEDGER_INTENDED, /* about to be created */
    CN_LEDGER_KNOWN,    /* was there before */
    CN_LEDGER_OURS,
    CN_LEDGER_GONE,     /* has no name any more */
};

struct cn_ledger_record {
    uint64_t dev, ino, size, base_blocks;
    uint64_t dir_dev, dir_ino, name; /* where it was intended: directory, name (hashed) */
    uint32_t state;
    uint32_t reserved;
};

struct cn_ledger_head {
    uint64_t magic;
    uint64_t second_names;
    uint32_t is_open;
    uint32_t count;     /* records that have ever been used */
};

struct cn_ledger {
    struct cn_ledger_head *head; /* NULL: there is none */
    struct cn_ledger_record *records;
    uint32_t free;      /* number of a free one, or 0 */
    bool was_open;      /* the last VM could not close it */
    bool is_true;       /* set by its owner when it has gone on with what stood there */
};

/* Maps a file, before a sandbox forbids it; an empty one becomes a ledger. NULL with CN_MISUSE when
 * it is something else, CN_IO, CN_NO_MEMORY. The descriptor stays the caller's. */
void *cn_ledger_map(int fd, struct cn_error *error);
/* NULL is fine. */
void cn_ledger_unmap(void *map);

/* Opens one that is mapped, which stays so for who comes next. CN_MISUSE when it is something else,
 * CN_NO_MEMORY. */
CN_CHECKED enum cn_status cn_ledger_open(struct cn_ledger *ledger, void *map,
                                         struct cn_error *error);
/* Nothing more will be written. It counts as closed if it is true. Without one nothing happens. */
void cn_ledger_close(struct cn_ledger *ledger);

/* Records have numbers from 1. Taking one gives 0 when there are no more. */
uint32_t cn_ledger_take(struct cn_ledger *ledger);
void cn_ledger_leave(struct cn_ledger *ledger, uint32_t number);
struct cn_ledger_record *cn_ledger_at(const struct cn_ledger *ledger, uint32_t number);

#endif
