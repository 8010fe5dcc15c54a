#include "shim/enter.h"

static enum cn_errno take_all(const struct cn_import_row *row, const union cn_slot *slots,
                              struct cn_call *call, struct cn_taken *taken)
{
    for (const struct cn_param *param = row->params; param->kind != CN_PARAM_END; param++) {
        enum cn_errno error = cn_param_take(param, slots, call, taken);
        if (error != CN_E_SUCCESS)
            return error;
        slots += param->slots;
    }
    return CN_E_SUCCESS;
}

enum cn_status cn_wasi_enter(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_binding *binding = env;
    const struct cn_import_row *row = binding->row;
    char paths[2][CN_PATH_MAX + 1];
    struct iovec iovecs[CN_IOVECS_MAX];
    struct cn_taken taken = {0};
    struct cn_call call = {
        .wasi = binding->wasi,
        .thread = thread,
        .is_unstable = row->is_unstable,
        .path = paths[0],
        .path2 = paths[1],
        .iovecs = iovecs,
    };

    binding->wasi->was_entered = true;
    enum cn_errno error = take_all(row, slots, &call, &taken);
    if (error == CN_E_SUCCESS)
        error = row->call(&call);
    if (error == CN_E_PARK)
        return CN_PARKED;
    if (error == CN_E_YIELD)
        return CN_YIELD;
    binding->wasi->stats.calls++;
    if (error == CN_E_EXIT)
        return CN_EXITED;
    if (error == CN_E_SUCCESS)
        cn_param_put(&call, &taken);
    slots[0].u64 = (uint64_t)error;
    return CN_OK;
}
