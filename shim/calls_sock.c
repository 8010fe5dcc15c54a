/* Connections: sock_accept, sock_recv, sock_send, sock_shutdown. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "shim/call.h"
#include "shim/errno.h"
#include "shim/stream.h"

/* Connections that were given up before we came to them. */
#define LOST_MAX 16

#define CONNECTION_RIGHTS                                                                          \
    ((uint64_t)CN_RIGHT_FD_READ | CN_RIGHT_FD_WRITE | CN_RIGHT_FD_FDSTAT_SET_FLAGS |               \
     CN_RIGHT_FD_FILESTAT_GET | CN_RIGHT_POLL_FD_READWRITE | CN_RIGHT_SOCK_SHUTDOWN)

static bool is_lost_connection(int host_error)
{
    switch (host_error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
        return true;
    default:
        return false;
    }
}

/* The listener is non-blocking (cn_wasi_new sees to it), so this never waits. */
static enum cn_errno accept_one(int listener, int *result)
{
    const int on = 1;

    for (int lost = 0; lost < LOST_MAX; lost++) {
        int host = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (host >= 0) {
            /* Guests cannot set options, and small answers should leave at once. */
            (void)setsockopt(host, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            *result = host;
            return CN_E_SUCCESS;
        }
        if (!is_lost_connection(errno))
            return cn_errno_of_host(errno);
    }
    return CN_E_AGAIN;
}

/* One more connection, if there may be one: it is paid for until the descriptor is closed. */
static enum cn_errno admit(struct cn_call *call, struct cn_fd *fd)
{
    if (cn_account_charge(call->wasi->account, CN_QUOTA_CONNECTIONS, 1) != CN_OK)
        return CN_E_NFILE;
    fd->kind = CN_FD_SOCKET;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_sock_accept(struct cn_call *call)
{
    struct cn_fd *fd;
    uint32_t number;

    if ((call->numbers[0] & ~(uint64_t)CN_FDFLAG_NONBLOCK) != 0)
        return CN_E_INVAL;
    enum cn_errno error = cn_fd_new(&call->wasi->fds, &number, &fd);
    if (error != CN_E_SUCCESS)
        return error;
    error = admit(call, fd);
    if (error == CN_E_SUCCESS)
        error = accept_one(call->fd->host, &fd->host);
    if (error != CN_E_SUCCESS) {
        cn_fd_close(&call->wasi->fds, number);
        return error == CN_E_AGAIN ? cn_call_wait(call, EPOLLIN) : error;
    }
    fd->filetype = CN_FILETYPE_SOCKET_STREAM;
    fd->flags = (uint16_t)call->numbers[0];
    fd->rights = CONNECTION_RIGHTS;
    call->wasi->stats.connections++;
    call->out[0].u32 = number;
    return CN_E_SUCCESS;
}

static enum cn_errno peek(struct cn_call *call, const struct iovec *iovecs, int count,
                          size_t *size)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iovecs,
                             .msg_iovlen = (size_t)count};
    ssize_t received;

    do
        received = recvmsg(call->fd->host, &message, MSG_DONTWAIT | MSG_PEEK);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return cn_errno_of_host(errno);
    *size = (size_t)received;
    return CN_E_SUCCESS;
}

/* At most `size` bytes, from byte `done` of the list on. What is only looked at is not paid for:
 * it comes again. */
static enum cn_errno receive(struct cn_call *call, bool peeks, uint64_t done, uint64_t size,
                             size_t *count)
{
    struct iovec *first = call->iovecs;
    int entries = cn_iovecs_cut(&first, call->iovec_count, done, size);

    if (peeks)
        return peek(call, first, entries, count);
    enum cn_errno error = cn_stream_read(call->fd, first, entries, count);
    cn_toll_pay(&call->wasi->tolls, cn_gate_of(call->fd, false), *count);
    call->wasi->stats.net_in += *count;
    return error;
}

enum cn_errno cn_wasi_sock_recv(struct cn_call *call)
{
    uint64_t flags = call->numbers[0];
    bool peeks = flags & CN_RECV_PEEK;
    bool wants_all = (flags & CN_RECV_WAITALL) && !peeks;
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t wanted =
        call->iovec_total < CN_STEP_BYTES ? call->iovec_total : CN_STEP_BYTES;
    bool ends_short = *done > 0 && (call->fd->flags & CN_FDFLAG_NONBLOCK);
    struct cn_gate gate = cn_gate_of(call->fd, false);
    uint64_t size = wanted - *done;
    size_t count = 0;

    if (flags > CN_RECV_ALL)
        return CN_E_INVAL;
    enum cn_errno error = cn_toll_ask(&call->wasi->tolls, gate, &size);
    if (error == CN_E_AGAIN && !ends_short)
        return cn_toll_wait(call, gate, size);
    if (error == CN_E_SUCCESS && wanted > 0)
        error = receive(call, peeks, *done, size, &count);
    if (error == CN_E_AGAIN && !ends_short)
        return cn_call_wait(call, EPOLLIN);
    if (error != CN_E_SUCCESS && *done == 0)
        return error;
    *done += count;
    if (wants_all && count > 0 && *done < wanted)
        return CN_E_YIELD; /* more may be there already */
    call->out[0].u32 = (uint32_t)*done;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_sock_send(struct cn_call *call)
{
    if (call->numbers[0] != 0)
        return CN_E_INVAL;
    return cn_wasi_fd_write(call);
}

enum cn_errno cn_wasi_sock_shutdown(struct cn_call *call)
{
    static const int hows[] = {
        [CN_SHUT_RD] = SHUT_RD,
        [CN_SHUT_WR] = SHUT_WR,
        [CN_SHUT_RD | CN_SHUT_WR] = SHUT_RDWR,
    };
    uint64_t how = call->numbers[0];

    if (how == 0 || how > (CN_SHUT_RD | CN_SHUT_WR))
        return CN_E_INVAL;
    if (shutdown(call->fd->host, hows[how]) != 0)
        return cn_errno_of_host(errno);
    return CN_E_SUCCESS;
}
