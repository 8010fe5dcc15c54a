#include "shim/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/feed.h"
#include "shim/terminal.h"

short cn_stream_poll(int host, short events)
{
    const struct timespec now = {0, 0};
    struct pollfd entry = {.fd = host, .events = events};
    int count;

    do
        count = ppoll(&entry, 1, &now, NULL);
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

static bool is_pipe(int host)
{
    struct stat stat;

    return fstat(host, &stat) == 0 && S_ISFIFO(stat.st_mode);
}

/* Opening a pseudo-terminal's master anew would make another terminal. */
static bool is_terminal(int host)
{
    int number;

    return isatty(host) && ioctl(host, TIOCGPTN, &number) != 0;
}

int cn_stream_reopen(int host)
{
    char path[32];
    int flags = fcntl(host, F_GETFL);

    if (flags < 0 || !(is_pipe(host) || is_terminal(host)))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", host);
    return open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void cn_stream_own(struct cn_fd *fd)
{
    int own = cn_stream_reopen(fd->host);

    if (own < 0)
        return;
    close(fd->host);
    fd->host = own;
    fd->is_nonblocking = true;
}

/* A host that cannot be asked not to wait: older kernels for pipes, all of them for terminals. */
static bool is_refusal(int host_error)
{
    return host_error == EOPNOTSUPP || host_error == EINVAL || host_error == ENOSYS;
}

static bool is_socket(const struct cn_fd *fd)
{
    return fd->filetype == CN_FILETYPE_SOCKET_STREAM ||
           fd->filetype == CN_FILETYPE_SOCKET_DGRAM;
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

/* One call for each direction, with flags and without: what is not made need not be allowed. At the
 * place -1 it moves the position, as readv does.
 *
 * Asks first. Somebody else who reads the same pipe could still be quicker; only hosts that
 * have no better way come here. */
static ssize_t poll_and_read(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    if (cn_stream_poll(fd->host, POLLIN) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return preadv2(fd->host, iovecs, count, -1, 0);
}

/* What poll calls writable takes PIPE_BUF bytes without waiting, if it is a pipe; of a terminal
 * nothing is certain but one byte. */
static ssize_t poll_and_write(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    bool is_terminal_like = fd->filetype == CN_FILETYPE_CHARACTER_DEVICE && !fd->has_position;
    size_t sure = is_terminal_like ? 1 : PIPE_BUF;
    int at = 0;

    if (cn_stream_poll(fd->host, POLLOUT) == 0) {
        errno = EAGAIN;
        return -1;
    }
    while (at < count - 1 && iovecs[at].iov_len == 0)
        at++;
    size_t size = iovecs[at].iov_len;
    return write(fd->host, iovecs[at].iov_base, size < sure ? size : sure);
}

static bool never_waits(const struct cn_fd *fd)
{
    return fd->filetype == CN_FILETYPE_REGULAR_FILE ||
           fd->filetype == CN_FILETYPE_BLOCK_DEVICE;
}

static ssize_t read_some(struct cn_fd *fd, const struct iovec *iovecs, int count)
{
    if (is_socket(fd))
        return receive(fd, iovecs, count);
    if (never_waits(fd) || fd->is_nonblocking)
        return preadv2(fd->host, iovecs, count, -1, 0);
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
    if (is_socket(fd))
        return transmit(fd, iovecs, count);
    if (never_waits(fd) || fd->is_nonblocking)
        return pwritev2(fd->host, iovecs, count, -1, 0);
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

    if (fd->feed != NULL)
        return fd->feed->writes ? CN_E_BADF : cn_feed_move(fd->feed, iovecs, iovec_count, count);
    do
        size = read_some(fd, iovecs, iovec_count);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)size;
    return CN_E_SUCCESS;
}

/* ------------------------------------------------------------------ terminals */

#define TERMINAL_STEP 512

/* The list's bytes up to that many. */
static size_t gather(const struct iovec *iovecs, int count, uint8_t *bytes, size_t room)
{
    size_t size = 0;

    for (int i = 0; i < count && size < room; i++) {
        size_t part = iovecs[i].iov_len < room - size ? iovecs[i].iov_len : room - size;
        memcpy(bytes + size, iovecs[i].iov_base, part);
        size += part;
    }
    return size;
}

static ssize_t put(struct cn_fd *fd, const uint8_t *bytes, size_t size)
{
    struct iovec one = {(void *)(uintptr_t)bytes, size};

    return write_some(fd, &one, 1);
}

/* What a cut left over of an earlier sequence; it has to be out before anything else. */
static bool put_rest(struct cn_fd *fd)
{
    struct cn_terminal *terminal = fd->terminal;

    while (terminal->rest_size > 0) {
        ssize_t size = put(fd, terminal->rest, terminal->rest_size);
        if (size < 0)
            return false;
        terminal->rest_size -= (uint8_t)size;
        memmove(terminal->rest, terminal->rest + size, terminal->rest_size);
    }
    return true;
}

/* Takes the bytes of which the terminal took `written` when they were shown: returns how many. What
 * it did not take of the last one's is left over. */
static size_t settle(struct cn_terminal *terminal, const uint8_t *bytes, size_t size,
                     size_t written)
{
    uint8_t shown[CN_TERMINAL_HELD + 1];
    size_t at = 0, count = 0;

    while (count < size) {
        struct cn_terminal after = *terminal;
        size_t more = cn_terminal_take(&after, bytes[count], shown);
        if (more > 0 && at >= written)
            break;
        *terminal = after;
        count++;
        if (more > 0 && at + more > written) {
            terminal->rest_size = (uint8_t)(at + more - written);
            memcpy(terminal->rest, shown + (written - at), terminal->rest_size);
        }
        at += more;
    }
    return count;
}

static ssize_t write_terminal(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count)
{
    uint8_t bytes[TERMINAL_STEP], shown[TERMINAL_STEP + CN_TERMINAL_HELD + 1];
    size_t size = gather(iovecs, iovec_count, bytes, sizeof bytes), room = 0;
    struct cn_terminal ahead = *fd->terminal;

    if (!put_rest(fd))
        return -1;
    ahead.rest_size = 0;
    for (size_t i = 0; i < size; i++)
        room += cn_terminal_take(&ahead, bytes[i], shown + room);
    ssize_t written = room > 0 ? put(fd, shown, room) : 0;
    return written < 0 ? -1 : (ssize_t)settle(fd->terminal, bytes, size, (size_t)written);
}

enum cn_errno cn_stream_write(struct cn_fd *fd, const struct iovec *iovecs, int iovec_count,
                              size_t *count)
{
    ssize_t size;

    if (fd->feed != NULL)
        return fd->feed->writes ? cn_feed_move(fd->feed, iovecs, iovec_count, count) : CN_E_BADF;
    do
        size = fd->terminal != NULL ? write_terminal(fd, iovecs, iovec_count)
                                    : write_some(fd, iovecs, iovec_count);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)size;
    return CN_E_SUCCESS;
}
