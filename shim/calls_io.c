/* Reading and writing: fd_read, fd_write, fd_pread, fd_pwrite, fd_seek, fd_tell.
 *
 * A call moves everything that it is asked to, as a blocking one on the host would: in steps of
 * at most 1 MiB, between which the guest can be preempted. How far it came stands in the first
 * word of the call's state. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/reach.h"
#include "shim/stream.h"

/* One step of a transfer: moves some of the list from byte `done` on, at most `size` bytes. Where
 * it succeeds *count says how many. */
typedef enum cn_errno (*step_fn)(struct cn_call *call, uint64_t done, uint64_t size,
                                 size_t *count);

static int cut(struct cn_call *call, uint64_t done, uint64_t size, struct iovec **first)
{
    *first = call->iovecs;
    return cn_iovecs_cut(first, call->iovec_count, done, size);
}

static uint64_t step_size(const struct cn_call *call, uint64_t done)
{
    uint64_t left = call->iovec_total - done;

    return left < CN_STEP_BYTES ? left : CN_STEP_BYTES;
}

/* What is left of a call that has come so far when it may not go on now: the answer is short where
 * it must not wait. */
static bool ends_short(const struct cn_call *call, uint64_t done)
{
    return done > 0 && (call->fd->flags & CN_FDFLAG_NONBLOCK);
}

/* Moves one step of a file; goes on with the next one after others had their turn. */
static enum cn_errno move_file(struct cn_call *call, struct cn_gate gate, step_fn step)
{
    struct cn_tolls *tolls = &call->wasi->tolls;
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t size = step_size(call, *done);
    size_t count = 0;

    if (size > 0) {
        enum cn_errno error = cn_toll_ask(tolls, gate, &size);
        if (error == CN_E_AGAIN && !ends_short(call, *done))
            return cn_toll_wait(call, gate, size);
        if (error == CN_E_SUCCESS)
            error = step(call, *done, size, &count);
        if (error != CN_E_SUCCESS && *done == 0)
            return error;
        count = error == CN_E_SUCCESS ? count : 0;
        *done += count;
        cn_toll_pay(tolls, gate, count);
        if (error == CN_E_SUCCESS && count == size && *done < call->iovec_total)
            return CN_E_YIELD;
    }
    call->out[0].u32 = (uint32_t)*done;
    return CN_E_SUCCESS;
}

/* Buffers, in their order. */
struct list {
    struct iovec *first;
    int count;
};

/* Buffer by buffer of a file in a volume. */
static enum cn_errno read_sealed(struct cn_call *call, struct list list, uint64_t at,
                                 size_t *count)
{
    const struct cn_sealed_file *file = &call->fd->opened->file;
    enum cn_errno error = CN_E_SUCCESS;
    size_t done = 0;

    for (int i = 0; i < list.count && error == CN_E_SUCCESS; i++, *count += done) {
        const struct iovec *buffer = &list.first[i];
        error = cn_sealed_read(file, buffer->iov_base, buffer->iov_len, at + *count, &done);
        if (done < buffer->iov_len)
            list.count = 0;
    }
    return *count > 0 ? CN_E_SUCCESS : error;
}

static enum cn_errno write_sealed(struct cn_call *call, struct list list, uint64_t at,
                                  size_t *count)
{
    struct cn_sealed_file *file = &call->fd->opened->file;
    enum cn_errno error = CN_E_SUCCESS;
    size_t done = 0;

    *count = 0;
    for (int i = 0; i < list.count && error == CN_E_SUCCESS; i++, *count += done) {
        const struct iovec *buffer = &list.first[i];
        error = cn_sealed_write(file, buffer->iov_base, buffer->iov_len, at + *count, &done);
        if (done < buffer->iov_len)
            list.count = 0;
    }
    enum cn_errno settled = cn_sealed_settle(file);
    if (settled != CN_E_SUCCESS)
        return settled;
    return *count > 0 ? CN_E_SUCCESS : error;
}

static enum cn_errno read_at(struct cn_call *call, uint64_t done, uint64_t size, uint64_t at,
                             size_t *count)
{
    struct iovec *first;
    int entries = cut(call, done, size, &first);
    ssize_t got = 0;

    if (at > INT64_MAX)
        return CN_E_INVAL;
    *count = 0;
    if (call->fd->opened != NULL) {
        enum cn_errno error =
            read_sealed(call, (struct list){first, entries}, at, count);
        call->wasi->stats.file_read += *count;
        return error;
    }
    do
        got = preadv2(call->fd->host, first, entries, (off_t)at, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)got;
    if (call->fd->kind == CN_FD_FILE)
        call->wasi->stats.file_read += *count;
    return CN_E_SUCCESS;
}

static enum cn_errno step_read(struct cn_call *call, uint64_t done, uint64_t size, size_t *count)
{
    enum cn_errno error = read_at(call, done, size, call->fd->position, count);

    if (error == CN_E_SUCCESS)
        call->fd->position += *count;
    return error;
}

static enum cn_errno step_pread(struct cn_call *call, uint64_t done, uint64_t size, size_t *count)
{
    return read_at(call, done, size, call->numbers[0] + done, count);
}

static int write_flags(const struct cn_fd *fd, bool is_append)
{
    int flags = is_append ? RWF_APPEND : 0;

    if (fd->flags & (CN_FDFLAG_SYNC | CN_FDFLAG_RSYNC))
        flags |= RWF_SYNC;
    else if (fd->flags & CN_FDFLAG_DSYNC)
        flags |= RWF_DSYNC;
    return flags;
}

/* The same in the host's own way, or in the volume's. */
static enum cn_errno write_list(struct cn_call *call, struct list list, uint64_t at,
                                bool is_append, size_t *count)
{
    const struct cn_fd *fd = call->fd;
    ssize_t written;

    if (fd->opened != NULL) {
        enum cn_errno error = write_sealed(call, list, at, count);
        int flags = write_flags(fd, false);
        if (error == CN_E_SUCCESS && flags != 0 && fdatasync(fd->host) != 0)
            error = cn_errno_of_host(errno);
        return error;
    }
    do
        written = pwritev2(fd->host, list.first, list.count, is_append ? 0 : (off_t)at,
                           write_flags(fd, is_append));
    while (written < 0 && errno == EINTR);
    *count = written > 0 ? (size_t)written : 0;
    return written < 0 ? cn_errno_of_host(errno) : CN_E_SUCCESS;
}

/* Writes to a file below a directory: *count bytes or as many as the quota has room for, charged
 * before. */
static enum cn_errno write_charged(struct cn_call *call, uint64_t done, uint64_t at,
                                   bool is_append, size_t *count)
{
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    struct cn_inode *inode = call->fd->inode;
    uint64_t old_size = inode->size, size = *count;

    if (at > INT64_MAX || size > INT64_MAX - at)
        return CN_E_FBIG;
    uint64_t reach = cn_disk_reach(disk, inode, at + size);
    if (reach <= at)
        return CN_E_DQUOT;
    size = reach - at < size ? reach - at : size;
    if (at + size > old_size && cn_disk_resize(disk, inode, at + size) != CN_E_SUCCESS)
        return CN_E_DQUOT;

    struct list list;
    list.count = cut(call, done, size, &list.first);
    size_t written;
    enum cn_errno error = write_list(call, list, at, is_append, &written);
    uint64_t end = written > 0 ? at + written : 0;
    if (call->fd->opened != NULL) /* zeros may have come before what was to be written */
        end = call->fd->opened->file.size;
    if (end < old_size)
        end = old_size;
    if (end < inode->size && cn_disk_resize(disk, inode, end) != CN_E_SUCCESS)
        return CN_E_DQUOT; /* cannot happen: it only refunds */
    if (error != CN_E_SUCCESS)
        return error;
    *count = written;
    call->wasi->stats.file_written += written;
    return CN_E_SUCCESS;
}

static enum cn_errno step_write(struct cn_call *call, uint64_t done, uint64_t size,
                                size_t *count)
{
    struct cn_fd *fd = call->fd;
    uint64_t at = fd->position;
    bool is_append = fd->flags & CN_FDFLAG_APPEND;
    struct stat stat;

    if (is_append) {
        enum cn_errno error = cn_reach_stat(fd, &stat);
        if (error != CN_E_SUCCESS)
            return error;
        at = (uint64_t)stat.st_size;
        cn_disk_measure(cn_disk_of(call->wasi, fd), fd->inode, at);
    }
    *count = size;
    enum cn_errno error = write_charged(call, done, at, is_append, count);
    if (error == CN_E_SUCCESS)
        fd->position = at + *count;
    return error;
}

/* The offset counts, also for a descriptor that appends: as POSIX has it. */
static enum cn_errno step_pwrite(struct cn_call *call, uint64_t done, uint64_t size,
                                 size_t *count)
{
    struct iovec *first;

    *count = size;
    if (call->fd->kind == CN_FD_FILE)
        return write_charged(call, done, call->numbers[0] + done, false, count);
    /* -1 would be the present position. */
    if (call->numbers[0] + done > INT64_MAX)
        return CN_E_INVAL;
    int entries = cut(call, done, size, &first);
    ssize_t put = pwritev2(call->fd->host, first, entries, (off_t)(call->numbers[0] + done), 0);
    if (put < 0)
        return cn_errno_of_host(errno);
    *count = (size_t)put;
    return CN_E_SUCCESS;
}

/* What is there, at most one step of it: a stream's next bytes may be a long time coming. */
static enum cn_errno read_stream(struct cn_call *call)
{
    struct cn_gate gate = cn_gate_of(call->fd, false);
    uint64_t size = step_size(call, 0);
    struct iovec *first;
    size_t count = 0;

    if (size > 0) {
        enum cn_errno error = cn_toll_ask(&call->wasi->tolls, gate, &size);
        if (error == CN_E_AGAIN)
            return cn_toll_wait(call, gate, size);
        if (error != CN_E_SUCCESS)
            return error;
        int entries = cut(call, 0, size, &first);
        error = cn_stream_read(call->fd, first, entries, &count);
        if (error == CN_E_AGAIN)
            return cn_call_wait(call, EPOLLIN);
        if (error != CN_E_SUCCESS)
            return error;
    }
    cn_toll_pay(&call->wasi->tolls, gate, count);
    if (call->fd->kind == CN_FD_SOCKET)
        call->wasi->stats.net_in += count;
    call->out[0].u32 = (uint32_t)count;
    return CN_E_SUCCESS;
}

/* One step of at most `size` bytes, as long as the other end takes them. */
static enum cn_errno step_stream(struct cn_call *call, uint64_t done, uint64_t size,
                                 size_t *count)
{
    enum cn_errno error = CN_E_SUCCESS;
    struct iovec *first = call->iovecs;
    uint32_t entries = (uint32_t)cn_iovecs_cut(&first, call->iovec_count, done, size);

    while (*count < size && error == CN_E_SUCCESS) {
        size_t more = 0;
        error = cn_stream_write(call->fd, first, (int)entries, &more);
        *count += more;
        entries = (uint32_t)cn_iovecs_cut(&first, entries, more, size - *count);
    }
    if (call->fd->kind == CN_FD_SOCKET)
        call->wasi->stats.net_out += *count;
    return error;
}

/* All of it, as long as nobody stops reading at the other end. */
static enum cn_errno write_stream(struct cn_call *call)
{
    struct cn_gate gate = cn_gate_of(call->fd, true);
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t size = step_size(call, *done);
    size_t count = 0;
    enum cn_errno error = cn_toll_ask(&call->wasi->tolls, gate, &size);

    if (error == CN_E_AGAIN && !ends_short(call, *done))
        return cn_toll_wait(call, gate, size);
    if (error == CN_E_SUCCESS)
        error = step_stream(call, *done, size, &count);
    *done += count;
    cn_toll_pay(&call->wasi->tolls, gate, count);
    if (error == CN_E_AGAIN && !ends_short(call, *done))
        return cn_call_wait(call, EPOLLOUT);
    if (error != CN_E_SUCCESS && *done == 0)
        return error;
    if (error == CN_E_SUCCESS && *done < call->iovec_total)
        return CN_E_YIELD;
    call->out[0].u32 = (uint32_t)*done;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_read(struct cn_call *call)
{
    struct cn_gate gate = cn_gate_of(call->fd, false);

    return call->fd->kind == CN_FD_FILE ? move_file(call, gate, step_read) : read_stream(call);
}

enum cn_errno cn_wasi_fd_write(struct cn_call *call)
{
    struct cn_gate gate = cn_gate_of(call->fd, true);

    return call->fd->kind == CN_FD_FILE ? move_file(call, gate, step_write) : write_stream(call);
}

/* No byte of the range may lie beyond what a file offset can say. */
static bool offset_fits(const struct cn_call *call)
{
    return call->numbers[0] <= INT64_MAX - call->iovec_total;
}

enum cn_errno cn_wasi_fd_pread(struct cn_call *call)
{
    return offset_fits(call) ? move_file(call, cn_gate_of(call->fd, false), step_pread)
                             : CN_E_INVAL;
}

enum cn_errno cn_wasi_fd_pwrite(struct cn_call *call)
{
    return offset_fits(call) ? move_file(call, cn_gate_of(call->fd, true), step_pwrite)
                             : CN_E_INVAL;
}

/* wasi_unstable counts the origins differently. */
static int origin_of(const struct cn_call *call)
{
    static const int origins[2][3] = {
        {SEEK_SET, SEEK_CUR, SEEK_END},
        {SEEK_CUR, SEEK_END, SEEK_SET},
    };

    return call->numbers[1] < 3 ? origins[call->is_unstable][call->numbers[1]] : -1;
}

static enum cn_errno seek_file(struct cn_fd *fd, int64_t offset, int origin)
{
    int64_t base = 0, target;
    struct stat stat;

    if (origin == SEEK_CUR)
        base = (int64_t)fd->position;
    if (origin == SEEK_END) {
        enum cn_errno error = cn_reach_stat(fd, &stat);
        if (error != CN_E_SUCCESS)
            return error;
        base = stat.st_size;
    }
    if (__builtin_add_overflow(base, offset, &target) || target < 0)
        return CN_E_INVAL;
    fd->position = (uint64_t)target;
    return CN_E_SUCCESS;
}

static enum cn_errno seek_stdio(struct cn_fd *fd, int64_t offset, int origin)
{
    off_t position = lseek(fd->host, offset, origin);

    if (position < 0)
        return cn_errno_of_host(errno);
    fd->position = (uint64_t)position;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_seek(struct cn_call *call)
{
    int64_t offset = (int64_t)call->numbers[0];
    int origin = origin_of(call);
    bool only_tells = origin == SEEK_CUR && offset == 0;
    uint64_t enough = CN_RIGHT_FD_SEEK | (only_tells ? CN_RIGHT_FD_TELL : 0);

    if (origin < 0)
        return CN_E_INVAL;
    if ((call->fd->rights & enough) == 0)
        return CN_E_NOTCAPABLE;
    enum cn_errno error = call->fd->kind == CN_FD_FILE ? seek_file(call->fd, offset, origin)
                                                       : seek_stdio(call->fd, offset, origin);
    call->out[0].u64 = call->fd->position;
    return error;
}

enum cn_errno cn_wasi_fd_tell(struct cn_call *call)
{
    if ((call->fd->rights & (CN_RIGHT_FD_SEEK | CN_RIGHT_FD_TELL)) == 0)
        return CN_E_NOTCAPABLE;
    enum cn_errno error =
        call->fd->kind == CN_FD_FILE ? CN_E_SUCCESS : seek_stdio(call->fd, 0, SEEK_CUR);
    call->out[0].u64 = call->fd->position;
    return error;
}
