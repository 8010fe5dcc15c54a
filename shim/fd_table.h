/* The guest's descriptors: numbers, rights, and what is behind them. */
#ifndef CN_SHIM_FD_TABLE_H
#define CN_SHIM_FD_TABLE_H

#include <stdbool.h>

#include "governor/account.h"
#include "shim/abi.h"
#include "shim/disk.h"

#define CN_FDS_MAX 65536u

enum cn_fd_kind {
    CN_FD_STDIO,    /* given at the start: a file, pipe, terminal or socket of somebody else's */
    CN_FD_FILE,     /* a regular file below a granted directory */
    CN_FD_DIR,
    CN_FD_LISTENER,
    CN_FD_SOCKET,   /* an accepted connection */
    CN_FD_PRESSURE, /* news of memory pressure: nothing of the host's is behind it */
};

struct cn_dir_stream; /* shim/dir_stream.h */
struct cn_terminal;   /* shim/terminal.h */
struct cn_feed;       /* shim/feed.h */
struct cn_volume;     /* shim/volume.h, as the next */
struct cn_opened;

/* An open descriptor. The host's descriptor belongs to it. */
struct cn_fd {
    enum cn_fd_kind kind;
    int host;
    enum cn_filetype filetype;
    uint16_t flags;           /* CN_FDFLAG_...: ours alone, the host's are never touched */
    bool is_read_only;        /* below a read-only directory */
    bool is_unreal;           /* below procfs: nothing but directories can be opened */
    bool has_position;        /* stdio that can seek */
    bool is_nonblocking;      /* the host's descriptor is one that only we use */
    bool lacks_nowait;        /* the host cannot be asked not to block: poll first */
    uint32_t armed;           /* events that the wait set will report for it */
    bool is_in_wait_set;
    uint64_t rights, inheriting;
    uint64_t position;        /* of a file */
    const char *preopen_name; /* of a granted directory; belongs to the VM */
    struct cn_inode *inode;   /* of a file, or of a directory that the VM created */
    struct cn_dir_stream *stream;
    struct cn_feed *feed;     /* a function stands behind it; or NULL. Belongs to the VM */
    struct cn_terminal *terminal; /* what is written to it is filtered */
    uint32_t told;            /* the causes of pressure that it was told last */
    struct cn_volume *volume; /* that it is in, or NULL; belongs to the VM */
    struct cn_opened *opened; /* of a file in a volume: its contents */
};

struct cn_fd_table {
    struct cn_account *account;
    struct cn_disk *disk;
    struct cn_fd **slots;
    uint32_t slot_count;
    uint32_t lowest; /* no free slot is below */
    uint32_t closed; /* slots before that, by cn_fd_table_close_some */
    uint32_t pressure_count; /* open ones of CN_FD_PRESSURE */
    int wait_set;    /* epoll descriptor that closed descriptors are taken from, or -1 */
};

void cn_fd_table_init(struct cn_fd_table *table, struct cn_account *account,
                      struct cn_disk *disk);

/* Closes some; true when none is left. Nobody opens one any more then. */
bool cn_fd_table_close_some(struct cn_fd_table *table);
/* Closes everything. */
void cn_fd_table_release(struct cn_fd_table *table);

/* The open descriptor of that number, or NULL. Stays valid until it is closed. */
struct cn_fd *cn_fd_get(const struct cn_fd_table *table, uint32_t number);

/* A zeroed descriptor, with host -1, under the lowest free number: MFILE when the quota FDS is
 * used up, NOMEM. Counts as open at once. */
enum cn_errno cn_fd_new(struct cn_fd_table *table, uint32_t *number, struct cn_fd **result);

/* Closes it, whatever it is: its inode, its stream, its place in the wait set. */
void cn_fd_close(struct cn_fd_table *table, uint32_t number);

/* `to` becomes what `from` is, and `from` is closed; both are open. */
void cn_fd_renumber(struct cn_fd_table *table, uint32_t from, uint32_t to);

#endif
