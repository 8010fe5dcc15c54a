/* A standard stream that is a function of the embedder's instead of a descriptor. It may say that
 * it can do nothing now: then the guest waits, and polls, until somebody says that it can.
 *
 * Behind the guest's descriptor stands an event descriptor, which is readable (for a stream that is
 * read) or writable while the function has not said so: the wait set and poll take it for a
 * pipe.
 */
#ifndef CN_SHIM_FEED_H
#define CN_SHIM_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shim/abi.h"

/* What it moved, at most `size`; 0 for the end of what can be read; or below 0: */
#define CN_FEED_LATER (-1)
#define CN_FEED_BROKEN (-2)

struct cn_feed_function {
    int64_t (*move)(void *context, void *bytes, size_t size); /* NULL: there is none */
    void *context;
};

struct cn_feed {
    struct cn_feed_function function;
    bool writes;
    int event; /* or -1 */
};

/* False when descriptors are exhausted. */
bool cn_feed_open(struct cn_feed *feed, struct cn_feed_function function, bool writes);
void cn_feed_close(struct cn_feed *feed);

/* Moves what can be moved at once: as cn_stream_read and cn_stream_write. */
enum cn_errno cn_feed_move(struct cn_feed *feed, const struct iovec *iovecs, int count,
                           size_t *moved);

/* From any thread: the function is worth calling again. */
void cn_feed_go_on(struct cn_feed *feed);

#endif
