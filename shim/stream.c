#include "shim/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "shim/errno.h"

short cn_stream_poll(int host, short events)
{
    struct pollfd entry = {.fd = host, .events = events};
    int count;

    do
        count = poll(&entry, 1, 0);
    while (count < 0 && errno == EINTR);
    return count > 0 ? entry.revents : 0;
}

int cn_iovecs_cut(struct iovec **first, uint32_t count, uint64_t skip, uint64_t size)
{
    struct iovec *list = *first;
    uint32_t kept = 0;

    while (count > 0 && skip >= list->iov_len) {
        skip -= list->iov_len;
        list++;
        count--;
    }
    if (count > 0) {
        list->iov_base = (char *)list->iov_base + skip;
        list->iov_len -= skip;
    }
    while (kept < count && size > 0) {
        if (list[kept].iov_len > size)
            list[kept].iov_len = size;
        size -= list[kept].iov_len;
        kept++;
    }
    *first = list;
    return (int)kept;
}

/* A host that cannot be asked not to wait: older kernels for pipes, all of them for terminals. */
static bool is_refusal(int host_error)
{
    return host_error == EOPNOTSUPP || host_error == EINVAL || host_error == ENOSYS;
}

static ssize_t receive(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iovecs,
                             .msg_iovlen = (size_t)count};

    return recvmsg(fd->host, &message, MSG_DONTWAIT);
}

static ssize_t transmit(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iovecs,
                             .msg_iovlen = (size_t)count};

    return sendmsg(fd->host, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Asks first. Somebody else who reads the same pipe could still be quicker; only hosts that
 * have no better way come here. */
static ssize_t poll_and_read(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    if (cn_stream_poll(fd->host, POLLIN) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return readv(fd->host, iovecs, count);
}

/* What poll calls writable takes PIPE_BUF bytes without waiting, and no more is certain. */
static ssize_t poll_and_write(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    size_t size = 0;
    int whole = 0;

    if (cn_stream_poll(fd->host, POLLOUT) == 0) {
        errno = EAGAIN;
        return -1;
    }
    while (whole < count && iovecs[whole].iov_len <= PIPE_BUF - size)
        size += iovecs[whole++].iov_len;
    if (whole > 0 && size > 0)
        return writev(fd->host, iovecs, whole);
    struct iovec part = iovecs[whole];
    part.iov_len = PIPE_BUF;
    return writev(fd->host, &part, 1);
}

static ssize_t read_some(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    if (fd->kind == CN_FD_SOCKET)
        return receive(fd, iovecs, count);
    if (fd->has_position)
        return readv(fd->host, iovecs, count);
    if (fd->lacks_nowait)
        return poll_and_read(fd, iovecs, count);
    ssize_t size = preadv2(fd->host, iovecs, count, -1, RWF_NOWAIT);
    if (size >= 0 || !is_refusal(errno))
        return size;
    fd->lacks_nowait = true;
    return poll_and_read(fd, iovecs, count);
}

static ssize_t write_some(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    if (fd->kind == CN_FD_SOCKET)
        return transmit(fd, iovecs, count);
    if (fd->has_position)
        return writev(fd->host, iovecs, count);
    if (fd->lacks_nowait)
        return poll_and_write(fd, iovecs, count);
    ssize_t size = pwritev2(fd->host, iovecs, count, -1, RWF_NOWAIT);
    if (size >= 0 || !is_refusal(errno))
        return size;
    fd->lacks_nowait = true;
    return poll_and_write(fd, iovecs, count);
}

enum cn_errno cn_stream_read(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count,
                             size_t *count)
{
    ssize_t size;

    do
        size = read_some(fd, iovecs, iovec_count);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)size;
    return CN_E_SUCCESS;
}

enum cn_errno cn_stream_write(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count,
                              size_t *count)
{
    ssize_t size;

    do
        size = write_some(fd, iovecs, iovec_count);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)size;
    return CN_E_SUCCESS;
}
