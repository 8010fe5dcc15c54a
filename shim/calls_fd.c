/* Descriptors themselves: closing, renumbering, rights, flags, status and size. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/reach.h"
#include "shim/stat.h"

#define ALLOCATE_STEP (64u << 20)
/* Freeing more than that may take a file system long. */
#define LARGE (64u << 20)

enum cn_errno cn_wasi_fd_close(struct cn_call *call)
{
    cn_fd_close(&call->wasi->fds, call->fd_number);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_renumber(struct cn_call *call)
{
    cn_fd_renumber(&call->wasi->fds, call->fd_number, call->fd2_number);
    return CN_E_SUCCESS;
}

/* What may be asked of descriptors that come from this one. A read-only directory names the
 * rights to change as well: a libc asks only for what is named here, and so opening for writing
 * fails with ROFS instead of giving a descriptor that cannot write. */
static uint64_t named_inheriting(const struct cn_fd *fd)
{
    return fd->inheriting | (fd->is_read_only ? (uint64_t)CN_RIGHTS_CHANGING : 0);
}

enum cn_errno cn_wasi_fd_fdstat_get(struct cn_call *call)
{
    struct cn_abi_fdstat *out = &call->out[0].fdstat;

    out->filetype = (uint8_t)call->fd->filetype;
    out->flags = call->fd->flags;
    out->rights_base = call->fd->rights;
    out->rights_inheriting = named_inheriting(call->fd);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_fdstat_set_flags(struct cn_call *call)
{
    if (call->numbers[0] > CN_FDFLAGS_ALL)
        return CN_E_INVAL;
    call->fd->flags = (uint16_t)call->numbers[0];
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_fdstat_set_rights(struct cn_call *call)
{
    uint64_t base = call->numbers[0], inheriting = call->numbers[1];

    if ((base & ~call->fd->rights) != 0 || (inheriting & ~named_inheriting(call->fd)) != 0)
        return CN_E_NOTCAPABLE;
    call->fd->rights = base;
    call->fd->inheriting &= inheriting;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_filestat_get(struct cn_call *call)
{
    struct stat stat;
    enum cn_errno error = cn_reach_stat(call->fd, &stat);

    if (error != CN_E_SUCCESS)
        return error;
    cn_put_filestat(call, &stat);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_filestat_set_times(struct cn_call *call)
{
    struct timespec times[2];
    enum cn_errno error =
        cn_times_of(call->numbers[0], call->numbers[1], call->numbers[2], times);

    if (error != CN_E_SUCCESS)
        return error;
    if (utimensat(call->fd->host, "", times, AT_EMPTY_PATH) != 0)
        return cn_errno_of_host(errno);
    return CN_E_SUCCESS;
}

/* After something went wrong half way: the books follow what is there. */
static void recount(struct cn_call *call, uint64_t fallback)
{
    struct stat stat;
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    uint64_t size =
        cn_reach_stat(call->fd, &stat) == CN_E_SUCCESS ? (uint64_t)stat.st_size : fallback;

    if (cn_disk_resize(disk, call->fd->inode, size) != CN_E_SUCCESS)
        cn_disk_measure(disk, call->fd->inode, size);
}

/* Whoever runs the VM gives its place to others meanwhile. */
static void say_blocks(const struct cn_call *call)
{
    if (call->wasi->blocks != NULL)
        call->wasi->blocks(call->wasi->blocks_context);
}

static enum cn_errno set_size(const struct cn_fd *fd, uint64_t size)
{
    if (fd->opened != NULL)
        return cn_sealed_resize(&fd->opened->file, size);
    return ftruncate(fd->host, (off_t)size) == 0 ? CN_E_SUCCESS : cn_errno_of_host(errno);
}

enum cn_errno cn_wasi_fd_filestat_set_size(struct cn_call *call)
{
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    struct cn_inode *inode = call->fd->inode;
    uint64_t size = call->numbers[0], old_size = inode->size;

    if (size > INT64_MAX)
        return CN_E_FBIG;
    if (size > old_size && cn_disk_resize(disk, inode, size) != CN_E_SUCCESS)
        return CN_E_DQUOT;
    if (old_size > size && old_size - size > LARGE)
        say_blocks(call);
    enum cn_errno error = set_size(call->fd, size);
    if (error != CN_E_SUCCESS) {
        recount(call, old_size);
        return error;
    }
    return cn_disk_resize(disk, inode, size);
}

/* In steps: some file systems fill what they allocate. Word 0 counts the bytes done. */
static enum cn_errno allocate_step(struct cn_call *call, uint64_t offset, uint64_t length)
{
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t left = length - *done;
    uint64_t step = left < ALLOCATE_STEP ? left : ALLOCATE_STEP;

    /* In a volume what was never written takes up nothing, and is zeros. */
    if (call->fd->opened != NULL)
        return offset + length > call->fd->opened->file.size
                   ? cn_sealed_resize(&call->fd->opened->file, offset + length)
                   : CN_E_SUCCESS;
    if (fallocate(call->fd->host, 0, (off_t)(offset + *done), (off_t)step) != 0)
        return cn_errno_of_host(errno);
    *done += step;
    return *done < length ? CN_E_YIELD : CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_allocate(struct cn_call *call)
{
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    struct cn_inode *inode = call->fd->inode;
    uint64_t offset = call->numbers[0], length = call->numbers[1];

    if (call->fd->kind != CN_FD_FILE)
        return CN_E_NOTSUP;
    if (length == 0)
        return CN_E_INVAL;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return CN_E_FBIG;
    uint64_t old_size = inode->size, end = offset + length;
    if (end > old_size && cn_disk_resize(disk, inode, end) != CN_E_SUCCESS)
        return CN_E_DQUOT;
    enum cn_errno error = allocate_step(call, offset, length);
    if (error != CN_E_SUCCESS && error != CN_E_YIELD)
        recount(call, old_size);
    return error;
}

enum cn_errno cn_wasi_fd_advise(struct cn_call *call)
{
    static const int advices[] = {
        POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
        POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE,
    };
    uint64_t offset = call->numbers[0], length = call->numbers[1], advice = call->numbers[2];

    if (advice >= sizeof advices / sizeof *advices || offset > INT64_MAX || length > INT64_MAX)
        return CN_E_INVAL;
    if (call->fd->opened != NULL) /* its bytes lie elsewhere */
        return CN_E_SUCCESS;
    int host = posix_fadvise(call->fd->host, (off_t)offset, (off_t)length, advices[advice]);
    return host == 0 ? CN_E_SUCCESS : cn_errno_of_host(host);
}

/* A directory may be held by a descriptor that only names it. */
static enum cn_errno sync_dir(int dir)
{
    int opened;
    enum cn_errno error = cn_resolve_open(dir, ".", O_RDONLY | O_DIRECTORY, &opened);

    if (error != CN_E_SUCCESS)
        return error;
    if (fsync(opened) != 0)
        error = cn_errno_of_host(errno);
    close(opened);
    return error;
}

enum cn_errno cn_wasi_fd_sync(struct cn_call *call)
{
    say_blocks(call);
    if (call->fd->kind == CN_FD_DIR)
        return sync_dir(call->fd->host);
    return fsync(call->fd->host) == 0 ? CN_E_SUCCESS : cn_errno_of_host(errno);
}

enum cn_errno cn_wasi_fd_datasync(struct cn_call *call)
{
    say_blocks(call);
    if (call->fd->kind == CN_FD_DIR)
        return sync_dir(call->fd->host);
    return fdatasync(call->fd->host) == 0 ? CN_E_SUCCESS : cn_errno_of_host(errno);
}

enum cn_errno cn_wasi_fd_prestat_get(struct cn_call *call)
{
    if (call->fd->preopen_name == NULL)
        return CN_E_BADF;
    call->out[0].prestat.name_length = (uint32_t)strlen(call->fd->preopen_name);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_prestat_dir_name(struct cn_call *call)
{
    const char *name = call->fd->preopen_name;

    if (name == NULL)
        return CN_E_BADF;
    size_t length = strlen(name);
    if (length > call->buffer.size)
        return CN_E_NAMETOOLONG;
    memcpy(call->buffer.at, name, length);
    return CN_E_SUCCESS;
}
