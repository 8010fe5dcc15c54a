/* A cell: a VM that another process runs, in the turns that a pool of this one gives it.
 *
 * The two share a page. A baton in it says whose move it is: the host's thread that has the VM's
 * turn passes it with a slice, and waits until the other process passes it back with a report, or
 * with a question (for memory), which is answered and the baton passed again. So a turn in another
 * process is a turn like any other: the queue, limits, reservations and figures are the same.
 *
 * The host believes nothing that it reads in the page: what it keeps it copies once and checks,
 * CPU time it takes from the kernel's clock of the process, and a process that dies or does not
 * listen costs its own VM alone. One that works on and on is stopped by a signal, and goes on in
 * its next turn, so that it keeps nobody waiting either. What is told to the VM (kill, pause,
 * limits) is written into the page at any time and taken note of when a turn begins.
 *
 * The other process's side is host/inside.h.
 */
#ifndef CN_HOST_CELL_H
#define CN_HOST_CELL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "governor/account.h"
#include "host/pool.h"
#include "host/vm.h"

enum cn_baton { CN_BATON_HOST, CN_BATON_INSIDE };

/* What is said with the baton. */
enum cn_cell_word {
    CN_CELL_TURN,    /* to the inside: run, or go on with this answer */
    CN_CELL_REPORT,  /* to the host: the turn is over */
    CN_CELL_ASK,     /* may the VM have so many more bytes? */
    CN_CELL_BLOCKS,  /* the process may wait in the kernel now; the turn goes on */
};

#define CN_CELL_LAST 4096

struct cn_cell_page {
    _Atomic uint32_t baton; /* a futex */
    uint32_t word;
    /* With TURN. */
    uint64_t slice_ns;
    uint64_t lease;         /* bytes of memory that the VM may have without asking */
    bool is_tight;          /* the host has little left */
    /* With ASK; the answer is a lease that is larger, or not. */
    uint64_t wanted;
    /* With REPORT. */
    uint64_t until_ns;
    uint64_t spare;         /* bytes of the lease that are given back */
    /* Truths as whole numbers: in a bool, what the other process writes need be neither. */
    uint32_t is_parked;     /* the wait set is to be watched, too */
    uint32_t has_wait_set;  /* it has been sent, over the socket */
    uint32_t is_made;       /* there is a VM, and the next turn is its first own */
    uint32_t is_over;
    uint32_t is_watching;   /* it wants to know when that changes */
    struct cn_figures figures;
    /* Told at any time. */
    _Atomic int kill_signal;
    _Atomic bool is_paused;
    _Atomic uint32_t asked_limits;
    _Atomic uint64_t asked_limit[CN_QUOTA_COUNT];
    uint8_t last[CN_CELL_LAST]; /* of the layer above, with the last report */
};

/* How the process and its VM have come to an end. */
enum cn_cell_end {
    CN_CELL_OVER,   /* the last report says how */
    CN_CELL_KILLED, /* it did not end when it was told to: the process was killed */
    CN_CELL_DIED,   /* wait_status says how */
};

struct cn_cell {
    struct cn_seat seat;
    struct cn_cell_page *page;
    int page_fd, pid_fd, socket, epoll; /* epoll: the process's end, and its VM's wait set */
    pid_t pid;
    clockid_t clock;
    uint64_t cpu_ns;          /* of the process, as far as it was charged */
    struct cn_pool *pool;
    struct cn_pot *pot;
    bool has_wait_set, is_watching, is_made;
    bool is_stopped;          /* in the middle of a turn, which it has made too long */
    uint32_t questions;       /* asked in this turn, however often it was stopped */
    enum cn_cell_end end;
    int wait_status;
    _Atomic int kill_signal;
    _Atomic uint64_t killed_ns; /* when it was told to end; 0: it was not */
    _Atomic bool is_seated;     /* pokes reach it */
    pthread_mutex_t lock;     /* of what follows */
    uint64_t limit[CN_QUOTA_COUNT]; /* as they were last asked for */
    uint64_t leased, reserved;      /* of the pot */
    struct cn_figures figures;
    /* Called by the thread that gave the turn: when the VM is made, and after the last turn. */
    void (*made)(struct cn_cell *cell);
    void (*ended)(struct cn_cell *cell);
};

/* A page for it, with the limits; `more` bytes follow it in the same file, for the layer above.
 * CN_OVER_QUOTA when the pot has not what is reserved, CN_NO_MEMORY, CN_IO. On failure it holds
 * nothing. */
CN_CHECKED enum cn_status cn_cell_init(struct cn_cell *cell, struct cn_pot *pot,
                                       const uint64_t limit[CN_QUOTA_COUNT], size_t more);
/* The process has ended, or was never started. */
void cn_cell_release(struct cn_cell *cell);

/* From now on the child process `pid` (which this waits for in the end) has the inside; its end of
 * the socket's other end sends the wait set. Both are taken over. CN_OVER_QUOTA when the
 * reservation of CPU time cannot be promised, CN_NO_MEMORY, CN_IO: the process is killed then. */
CN_CHECKED enum cn_status cn_cell_start(struct cn_cell *cell, struct cn_pool *pool, pid_t pid,
                                        int socket);

/* From any thread, as their namesakes of host/vm.h. A process that does not end its VM soon after
 * it was told to is killed. */
void cn_cell_kill(struct cn_cell *cell, int signal);
void cn_cell_pause(struct cn_cell *cell, bool paused);
CN_CHECKED enum cn_status cn_cell_limit(struct cn_cell *cell, enum cn_quota quota,
                                        uint64_t value);
/* As of the last turn. */
struct cn_figures cn_cell_figures(struct cn_cell *cell);

/* Passes the baton, and waits for it: false when that took longer than `ns` (UINT64_MAX: any
 * time). For both sides. */
void cn_baton_pass(struct cn_cell_page *page, enum cn_baton to);
bool cn_baton_wait(struct cn_cell_page *page, enum cn_baton whose, uint64_t ns);

#endif
