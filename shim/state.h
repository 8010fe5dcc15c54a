/* One VM's side of the system calls: everything that a call can reach. */
#ifndef CN_SHIM_STATE_H
#define CN_SHIM_STATE_H

#include "core/arena.h"
#include "governor/pressure.h"
#include "shim/disk.h"
#include "shim/fd_table.h"
#include "shim/feed.h"
#include "shim/toll.h"
#include "shim/wait.h"
#include "shim/wasi.h"

/* Strings with their terminating zeros, one after the other. */
struct cn_strings {
    uint32_t count;
    uint32_t size; /* bytes, zeros included */
    const char *bytes;
};

/* What a host function of ours is given: for whom, and which call. */
struct cn_binding {
    struct cn_wasi *wasi;
    const struct cn_import_row *row; /* shim/enter.h */
};

struct cn_wasi {
    struct cn_account *account;
    struct cn_allocator allocator;
    struct cn_arena arena;
    struct cn_strings args, environ;
    struct cn_fd_table fds;
    struct cn_feed feeds[3]; /* standard streams that are functions */
    struct cn_disk disk;
    struct cn_ledger ledger; /* of the disk, or empty */
    struct cn_volume **volumes; /* of its directories, NULL where one is none */
    uint32_t volume_count;
    struct cn_tolls tolls;
    struct cn_wait wait;
    struct cn_wasi_stats stats;
    bool was_entered;        /* since somebody asked */
    uint32_t pressure;       /* at the last look */
    uint32_t pressure_known; /* when parked calls were last made again for it */
    uint64_t salt[2];        /* hides the host's device and inode numbers */
    uint64_t (*cpu_ns)(const void *context);
    const void *cpu_context;
    void (*blocks)(void *context);
    void *blocks_context;
    uint32_t first_listener, listener_count;
    struct cn_binding *bindings;
};

/* The causes of memory pressure, as they are now. */
static inline uint32_t cn_wasi_pressure(struct cn_wasi *wasi)
{
    wasi->pressure = cn_pressure_look(wasi->account, wasi->pressure);
    return wasi->pressure;
}

#endif
