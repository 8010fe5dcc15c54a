/* The shim's face to the layers above: a VM's system calls, made from what it was granted.
 *
 *     struct cn_wasi *wasi;
 *     CN_TRY(cn_wasi_new(&config, &wasi, &error));
 *     cn_wasi_lookup(wasi, import->module, import->name, &function);   for every import
 *     ... run threads; when one stops with CN_STOP_PARKED, run the loop until wake() ...
 *     cn_wasi_free(wasi);
 *
 * One struct cn_wasi serves one VM and is used by one thread at a time, the loop's. The process
 * must ignore SIGPIPE and SIGXFSZ: the guest gets an error instead.
 */
#ifndef CN_SHIM_WASI_H
#define CN_SHIM_WASI_H

#include "core/bytes.h"
#include "core/error.h"
#include "core/module.h"
#include "governor/account.h"
#include "shim/feed.h"
#include "shim/wait.h"
#include "vm/instance.h"

struct cn_wasi;
struct cn_volume_grant;

/* A directory that the guest may use, as an open descriptor (O_PATH is enough). */
struct cn_wasi_dir {
    int host;
    const char *guest_name; /* what the guest calls it: "/", "/data", "." */
    bool is_read_only;
    struct cn_volume_grant *volume; /* it is one (shim/volume.h), and held; or NULL */
};

/* Everything a guest is given. All of it is copied, the descriptors by duplicating them: the
 * caller keeps and closes its own. */
struct cn_wasi_config {
    const char *const *args;
    uint32_t arg_count;
    const char *const *environ; /* "KEY=value" */
    uint32_t environ_count;
    int stdio[3];               /* -1, or closed: the guest finds that number closed */
    struct cn_feed_function feeds[3]; /* where one is set, instead of stdio */
    const int *own_stdio;       /* three: what cn_stream_reopen gave, or -1; NULL: not tried yet */
    const struct cn_wasi_dir *dirs; /* descriptors 3, 4, ... of the guest */
    uint32_t dir_count;
    const int *listeners;       /* listening stream sockets; the numbers after the directories */
    uint32_t listener_count;
    struct cn_account *account; /* must outlive the VM */
    void *ledger;               /* the disk's books are kept there (cn_ledger_map), and go on with
                                   what it says; or NULL */
    uint64_t (*cpu_ns)(const void *context); /* CPU time that the VM has used */
    const void *cpu_context;
    void (*blocks)(void *context); /* called before the thread may wait for a disk; or NULL */
    void *blocks_context;
};

struct cn_wasi_stats {
    uint64_t calls;         /* finished */
    uint64_t file_read, file_written; /* bytes of regular files below directories */
    uint64_t net_in, net_out; /* bytes over accepted connections */
    uint64_t connections;   /* accepted */
};

/* CN_OVER_QUOTA when descriptors or memory do not suffice for what is given, CN_MISUSE for a
 * descriptor that is not what it should be, CN_TOO_LARGE for more than 1 MiB of arguments and
 * environment; `error` says which. Takes what it needs from the account. */
CN_CHECKED enum cn_status cn_wasi_new(const struct cn_wasi_config *config,
                                      struct cn_wasi **result, struct cn_error *error);

/* Closes the guest's descriptors. Files that were unlinked while open are gone then. What the VM
 * added to the disk stays charged. NULL is fine. */
void cn_wasi_free(struct cn_wasi *wasi);
/* The longest part of that, some of it; true when it is done. From the first time on it can only be
 * freed. */
bool cn_wasi_give_back(struct cn_wasi *wasi);

/* The descriptor that is readable when a parked call should be made again: to be watched while
 * the VM's thread is parked. -1 when no call has ever been. */
int cn_wasi_wait_set(const struct cn_wasi *wasi);

/* Whether anything that parked calls wait for has happened; it is noted, and the set is quiet. */
bool cn_wasi_has_events(struct cn_wasi *wasi);
/* Before the threads of parked calls are run again, all of them, for whatever reason: the calls
 * are made again, and wait anew when they must. */
void cn_wasi_resume(struct cn_wasi *wasi);

/* From any thread: the function behind standard stream `number` is worth calling again. */
void cn_wasi_feed_again(struct cn_wasi *wasi, int number);

/* Whether the guest has a descriptor that tells of memory pressure (cordon.pressure_open). */
bool cn_wasi_watches_pressure(const struct cn_wasi *wasi);
/* Whether it has one, and the pressure has changed since parked calls were last made again. No
 * descriptor of the host's tells of that. */
bool cn_wasi_has_news(struct cn_wasi *wasi);

/* Whether calls were made since this was asked last: they leave paths and texts on the stack. */
bool cn_wasi_was_entered(struct cn_wasi *wasi);

/* The counters, as they are now. */
struct cn_wasi_stats cn_wasi_stats(const struct cn_wasi *wasi);

/* A function that a module can import. */
struct cn_wasi_function {
    const struct cn_functype *type;
    cn_host_fn call;
    void *env;
};

/* False when this VM offers no function of that name. What it returns lives as long as the VM. */
bool cn_wasi_lookup(const struct cn_wasi *wasi, struct cn_bytes module, struct cn_bytes name,
                    struct cn_wasi_function *result);

/* All names that can be imported, for messages: the module and the function of number `index`;
 * false when there are no more. */
bool cn_wasi_name(uint32_t index, const char **module, const char **name);

#endif
