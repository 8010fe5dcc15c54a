/* Reading and writing what may have to wait: pipes, terminals and sockets, without ever waiting
 * and without making the host's descriptor non-blocking: O_NONBLOCK belongs to the open file,
 * which others share. The ways, best first: a descriptor of our own, opened anew; asking call by
 * call (RWF_NOWAIT, MSG_DONTWAIT); polling first and then moving no more than surely fits. */
#ifndef CN_SHIM_STREAM_H
#define CN_SHIM_STREAM_H

#include <stddef.h>
#include <sys/uio.h>

#include "shim/fd_table.h"

/* Reads what is there, or writes what there is room for: *count is at least 1, or 0 at the end
 * of what can be read. AGAIN when it would have to wait. A regular file (a redirected standard
 * stream) is read and written straight away. */
enum cn_errno cn_stream_read(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count,
                             size_t *count);
enum cn_errno cn_stream_write(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count,
                              size_t *count);

/* A descriptor of our own to the same pipe or terminal that never blocks; -1 when it is neither or
 * cannot be opened anew. */
int cn_stream_reopen(int host);

/* Tries to exchange the descriptor of a pipe or terminal for one of our own, to the same thing,
 * that never blocks. Without success nothing changes, and reading and writing find other ways. */
void cn_stream_own(struct cn_fd *fd);

/* Which of POLLIN and POLLOUT (and what else poll reports) hold now; 0 for none. */
short cn_stream_poll(int host, short events);

/* Cuts the list: leaves out the first `skip` bytes and whatever comes after `size` more. Returns
 * the number of entries that are left from *first on. */
int cn_iovecs_cut(struct iovec **first, uint32_t count, uint64_t skip, uint64_t size);

#endif
