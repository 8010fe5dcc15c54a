#include "shim/stat.h"

#define NANOSECONDS 1000000000u

/* Invertible, so that no two numbers become one. */
static uint64_t veil(uint64_t value, uint64_t salt)
{
    value ^= salt;
    value *= 0x9e3779b97f4a7c15u;
    value ^= value >> 32;
    value *= salt | 1;
    value ^= value >> 29;
    return value;
}

uint64_t cn_veiled_inode(const struct cn_wasi *wasi, uint64_t ino)
{
    return veil(ino, wasi->salt[0]);
}

static uint64_t nanoseconds_of(struct timespec time)
{
    return time.tv_sec < 0 ? 0 : (uint64_t)time.tv_sec * NANOSECONDS + (uint64_t)time.tv_nsec;
}

static uint8_t filetype_of(const struct cn_call *call, const struct stat *stat)
{
    /* What is a socket shows on the descriptor only: a datagram socket or a stream. */
    if (S_ISSOCK(stat->st_mode) && call->fd->kind != CN_FD_DIR)
        return (uint8_t)call->fd->filetype;
    return (uint8_t)cn_filetype_of_mode(stat->st_mode);
}

void cn_put_filestat(struct cn_call *call, const struct stat *stat)
{
    uint64_t dev = veil(stat->st_dev, call->wasi->salt[1]);
    uint64_t ino = cn_veiled_inode(call->wasi, stat->st_ino);
    uint8_t filetype = filetype_of(call, stat);

    if (call->is_unstable) {
        struct cn_abi_filestat0 *out = &call->out[0].filestat0;
        out->dev = dev;
        out->ino = ino;
        out->filetype = filetype;
        out->nlink = stat->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)stat->st_nlink;
        out->size = (uint64_t)stat->st_size;
        out->atim = nanoseconds_of(stat->st_atim);
        out->mtim = nanoseconds_of(stat->st_mtim);
        out->ctim = nanoseconds_of(stat->st_ctim);
        return;
    }
    struct cn_abi_filestat *out = &call->out[0].filestat;
    out->dev = dev;
    out->ino = ino;
    out->filetype = filetype;
    out->nlink = stat->st_nlink;
    out->size = (uint64_t)stat->st_size;
    out->atim = nanoseconds_of(stat->st_atim);
    out->mtim = nanoseconds_of(stat->st_mtim);
    out->ctim = nanoseconds_of(stat->st_ctim);
}

static struct timespec time_of(uint64_t value, bool is_set, bool is_now)
{
    if (is_now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!is_set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){(time_t)(value / NANOSECONDS), (long)(value % NANOSECONDS)};
}

enum cn_errno cn_times_of(uint64_t atim, uint64_t mtim, uint64_t flags,
                          struct timespec times[2])
{
    const uint64_t both_atim = CN_FST_ATIM | CN_FST_ATIM_NOW;
    const uint64_t both_mtim = CN_FST_MTIM | CN_FST_MTIM_NOW;

    if (flags > CN_FST_ALL || (flags & both_atim) == both_atim ||
        (flags & both_mtim) == both_mtim)
        return CN_E_INVAL;
    times[0] = time_of(atim, flags & CN_FST_ATIM, flags & CN_FST_ATIM_NOW);
    times[1] = time_of(mtim, flags & CN_FST_MTIM, flags & CN_FST_MTIM_NOW);
    return CN_E_SUCCESS;
}
