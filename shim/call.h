/* One system call as its own code sees it: every parameter taken by its kind and checked.
 *
 * Nothing here is a guest's address. Buffers are ranges of the guest's memory that have been
 * checked against its present size; they are valid until the call returns, parks or yields.
 * Results are left in `out`, and the gateway writes them when the call succeeds.
 */
#ifndef CN_SHIM_CALL_H
#define CN_SHIM_CALL_H

#include <sys/uio.h>

#include "shim/abi.h"
#include "shim/resolve.h"
#include "shim/state.h"
#include "vm/thread.h"

/* Bounds of one call (spec/wasi.md). */
enum {
    CN_IOVECS_MAX = 1024,
    CN_STEP_BYTES = 1 << 20,       /* moved before the guest can be interrupted */
    CN_TOTAL_BYTES = 0x7ffff000,   /* of one read or write, as on Linux */
    CN_RANDOM_STEP = 1 << 16,
    CN_EVENTS_MAX = 4096,
    CN_STRINGS_MAX = 1 << 20,      /* bytes of arguments and environment */
};

struct cn_range {
    uint8_t *at;
    uint32_t size;
};

union cn_out {
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    struct cn_abi_fdstat fdstat;
    struct cn_abi_filestat filestat;
    struct cn_abi_filestat0 filestat0;
    struct cn_abi_prestat prestat;
    struct cn_abi_quota quota;
};

struct cn_call {
    struct cn_wasi *wasi;
    struct cn_thread *thread;
    bool is_unstable; /* imported from wasi_unstable */

    /* Parameters, in the order in which the row names them. */
    struct cn_fd *fd, *fd2;
    uint32_t fd_number, fd2_number;
    char *path, *path2;          /* zero-terminated, may be written to, CN_PATH_MAX + 1 bytes */
    uint64_t numbers[5];
    struct iovec *iovecs;        /* may be written to */
    uint32_t iovec_count;
    uint64_t iovec_total;        /* bytes, at most CN_TOTAL_BYTES */
    struct cn_range buffer;
    const struct cn_strings *strings; /* and where they go: */
    struct cn_range pointers;
    uint32_t strings_address;    /* of `buffer`, as the guest sees it */
    struct cn_range subscriptions, events;
    uint32_t event_count;

    union cn_out out[2];         /* zeroed */
};

typedef enum cn_errno (*cn_call_fn)(struct cn_call *call);

/* What the call keeps from one try to the next; zero at the first. */
static inline uint64_t *cn_call_words(const struct cn_call *call)
{
    return call->thread->call_state.words;
}

/* The last of the words is the gateway's: what the call has been charged for already. */
enum { CN_WORD_TOLLS = 3 };
enum { CN_TOLL_OPERATION = 1, CN_TOLL_SUBSCRIPTIONS = 2 };

/* Descriptors that must not wait get AGAIN, others park until one of `events` (EPOLLIN,
 * EPOLLOUT) happens. */
enum cn_errno cn_call_wait(struct cn_call *call, uint32_t events);

#define CALL(name, ...) enum cn_errno cn_wasi_##name(struct cn_call *call);
#define CALL_NEW(name, ...) CALL(name)
#define CALL_EXIT(name, ...) CALL(name)
#define CALL_CORDON(name, ...) enum cn_errno cn_cordon_##name(struct cn_call *call);
#include "spec/wasi.def"
#undef CALL
#undef CALL_NEW
#undef CALL_EXIT
#undef CALL_CORDON

#endif
