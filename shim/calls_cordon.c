/* The module "cordon": what a guest can learn about itself. */
#include "shim/call.h"

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
