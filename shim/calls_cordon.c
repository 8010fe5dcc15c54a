/* The module "cordon": what a guest can learn about itself, and give back. */
#include "shim/call.h"

/* Given back before others have their turn: a fraction of a millisecond. */
#define DISCARD_STEP (4u << 20)

enum cn_errno cn_cordon_quota_get(struct cn_call *call)
{
    const struct cn_account *account = call->wasi->account;
    uint64_t quota = call->numbers[0];

    if (quota >= CN_QUOTA_COUNT)
        return CN_E_INVAL;
    call->out[0].quota.used = account->used[quota];
    call->out[0].quota.limit = account->limit[quota];
    call->out[0].quota.peak = account->peak[quota];
    return CN_E_SUCCESS;
}

enum cn_errno cn_cordon_listeners(struct cn_call *call)
{
    call->out[0].u32 = call->wasi->first_listener;
    call->out[1].u32 = call->wasi->listener_count;
    return CN_E_SUCCESS;
}

/* Word 0 counts the bytes done. */
enum cn_errno cn_cordon_memory_discard(struct cn_call *call)
{
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t left = call->buffer.size - *done;
    uint64_t size = left < DISCARD_STEP ? left : DISCARD_STEP;

    cn_memory_discard(call->buffer.at + *done, size);
    *done += size;
    return *done < call->buffer.size ? CN_E_YIELD : CN_E_SUCCESS;
}

enum cn_errno cn_cordon_pressure_open(struct cn_call *call)
{
    struct cn_fd_table *fds = &call->wasi->fds;
    uint32_t number;
    struct cn_fd *fd;
    enum cn_errno error = cn_fd_new(fds, &number, &fd);

    if (error != CN_E_SUCCESS)
        return error;
    fd->kind = CN_FD_PRESSURE;
    fd->filetype = CN_FILETYPE_UNKNOWN;
    fd->rights = CN_RIGHT_POLL_FD_READWRITE;
    fds->pressure_count++;
    call->out[0].u32 = number;
    return CN_E_SUCCESS;
}

enum cn_errno cn_cordon_pressure_get(struct cn_call *call)
{
    call->fd->told = cn_wasi_pressure(call->wasi);
    call->out[0].u32 = call->fd->told;
    return CN_E_SUCCESS;
}
