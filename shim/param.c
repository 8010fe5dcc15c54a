/* How each kind of parameter is taken from the guest: the only file that turns a guest's
 * address into one of the host's. */
#include <string.h>

#include "shim/enter.h"

/* The guest's bytes from `address` on; FAULT when they are not all inside its memory now. */
static enum cn_errno take_range(const struct cn_call *call, uint64_t address, uint64_t size,
                                struct cn_range *range)
{
    const struct cn_memory *memory = call->thread->memory;

    if (size > memory->size || address > memory->size - size)
        return CN_E_FAULT;
    *range = (struct cn_range){memory->base + address, (uint32_t)size};
    return CN_E_SUCCESS;
}

static enum cn_errno check_class(const struct cn_fd *fd, enum cn_fd_class class)
{
    bool is_dir = fd->kind == CN_FD_DIR;
    bool is_socket = fd->kind == CN_FD_SOCKET || fd->kind == CN_FD_LISTENER;

    switch (class) {
    case CN_CLASS_DATA:
        if (fd->kind == CN_FD_LISTENER)
            return CN_E_NOTCONN;
        return is_dir ? CN_E_ISDIR : CN_E_SUCCESS;
    case CN_CLASS_SEEKABLE:
        if (is_dir)
            return CN_E_ISDIR;
        return fd->kind == CN_FD_FILE || fd->has_position ? CN_E_SUCCESS : CN_E_SPIPE;
    case CN_CLASS_REGULAR:
        if (is_dir)
            return CN_E_ISDIR;
        return fd->kind == CN_FD_FILE ? CN_E_SUCCESS : CN_E_INVAL;
    case CN_CLASS_DIR:
        return is_dir ? CN_E_SUCCESS : CN_E_NOTDIR;
    case CN_CLASS_SOCKET:
        if (fd->kind == CN_FD_LISTENER)
            return CN_E_NOTCONN;
        return is_socket ? CN_E_SUCCESS : CN_E_NOTSOCK;
    case CN_CLASS_LISTENER:
        if (fd->kind == CN_FD_SOCKET)
            return CN_E_INVAL;
        return is_socket ? CN_E_SUCCESS : CN_E_NOTSOCK;
    case CN_CLASS_PRESSURE:
        return fd->kind == CN_FD_PRESSURE ? CN_E_SUCCESS : CN_E_INVAL;
    case CN_CLASS_ANY:
        break;
    }
    return CN_E_SUCCESS;
}

static enum cn_errno take_fd(const struct cn_param *param, uint32_t number, struct cn_call *call,
                             struct cn_taken *taken)
{
    struct cn_fd *fd = cn_fd_get(&call->wasi->fds, number);

    if (fd == NULL)
        return CN_E_BADF;
    enum cn_errno error = check_class(fd, param->detail);
    if (error != CN_E_SUCCESS)
        return error;
    uint64_t missing = param->rights & ~fd->rights;
    if (missing != 0)
        return fd->is_read_only && (missing & ~(uint64_t)CN_RIGHTS_CHANGING) == 0
                   ? CN_E_ROFS
                   : CN_E_NOTCAPABLE;
    if (taken->fds++ == 0) {
        call->fd = fd;
        call->fd_number = number;
    } else {
        call->fd2 = fd;
        call->fd2_number = number;
    }
    return CN_E_SUCCESS;
}

static enum cn_errno take_path(uint32_t address, uint32_t length, struct cn_call *call,
                               struct cn_taken *taken)
{
    char *path = taken->paths++ == 0 ? call->path : call->path2;
    struct cn_range range;
    enum cn_errno error = take_range(call, address, length, &range);

    if (error != CN_E_SUCCESS)
        return error;
    if (length == 0)
        return CN_E_NOENT;
    if (length > CN_PATH_MAX)
        return CN_E_NAMETOOLONG;
    memcpy(path, range.at, length);
    path[length] = '\0';
    if (memchr(path, '\0', length) != NULL)
        return CN_E_INVAL;
    return path[0] == '/' ? CN_E_NOTCAPABLE : CN_E_SUCCESS;
}

/* The list is copied once, so that what was checked is what is used. */
static enum cn_errno take_iovecs(uint32_t address, uint32_t count, struct cn_call *call)
{
    struct cn_range list, range;
    uint64_t total = 0;

    if (count > CN_IOVECS_MAX)
        return CN_E_INVAL;
    enum cn_errno error =
        take_range(call, address, (uint64_t)count * sizeof(struct cn_abi_iovec), &list);
    for (uint32_t i = 0; i < count && error == CN_E_SUCCESS; i++) {
        struct cn_abi_iovec from;
        memcpy(&from, list.at + i * sizeof from, sizeof from);
        error = take_range(call, from.address, from.length, &range);
        if (error != CN_E_SUCCESS)
            break;
        uint64_t size = range.size;
        if (size > CN_TOTAL_BYTES - total)
            size = CN_TOTAL_BYTES - total;
        call->iovecs[i] = (struct iovec){range.at, size};
        total += size;
    }
    call->iovec_count = count;
    call->iovec_total = total;
    return error;
}

static enum cn_errno take_strings(uint32_t pointers, uint32_t bytes, bool is_environ,
                                  struct cn_call *call)
{
    const struct cn_strings *strings = is_environ ? &call->wasi->environ : &call->wasi->args;
    enum cn_errno error =
        take_range(call, pointers, (uint64_t)strings->count * sizeof(uint32_t), &call->pointers);

    if (error != CN_E_SUCCESS)
        return error;
    call->strings = strings;
    call->strings_address = bytes;
    return take_range(call, bytes, strings->size, &call->buffer);
}

static enum cn_errno take_events(const union cn_slot *slots, struct cn_call *call)
{
    uint64_t count = slots[2].u32;
    uint64_t size = call->is_unstable ? sizeof(struct cn_abi_subscription0)
                                      : sizeof(struct cn_abi_subscription);

    if (count == 0 || count > CN_EVENTS_MAX)
        return CN_E_INVAL;
    call->event_count = (uint32_t)count;
    enum cn_errno error = take_range(call, slots[0].u32, count * size, &call->subscriptions);
    if (error != CN_E_SUCCESS)
        return error;
    return take_range(call, slots[1].u32, count * sizeof(struct cn_abi_event), &call->events);
}

static enum cn_errno take_out(const struct cn_param *param, uint32_t address,
                              struct cn_call *call, struct cn_taken *taken)
{
    struct cn_range range;
    uint8_t size = call->is_unstable ? param->size0 : param->size;

    taken->out[taken->outs].address = address;
    taken->out[taken->outs].size = size;
    taken->outs++;
    return take_range(call, address, size, &range);
}

enum cn_errno cn_param_take(const struct cn_param *param, const union cn_slot *slots,
                            struct cn_call *call, struct cn_taken *taken)
{
    switch (param->kind) {
    case CN_PARAM_FD:
        return take_fd(param, slots[0].u32, call, taken);
    case CN_PARAM_PATH:
        return take_path(slots[0].u32, slots[1].u32, call, taken);
    case CN_PARAM_NUMBER:
        call->numbers[taken->numbers++] = param->detail == 64 ? slots[0].u64 : slots[0].u32;
        return CN_E_SUCCESS;
    case CN_PARAM_IOVECS:
        return take_iovecs(slots[0].u32, slots[1].u32, call);
    case CN_PARAM_BUFFER:
        return take_range(call, slots[0].u32, slots[1].u32, &call->buffer);
    case CN_PARAM_STRINGS:
        return take_strings(slots[0].u32, slots[1].u32, param->detail, call);
    case CN_PARAM_EVENTS:
        return take_events(slots, call);
    case CN_PARAM_FILE_OP:
        return cn_toll_operation(call, param->detail);
    case CN_PARAM_OUT:
        return take_out(param, slots[0].u32, call, taken);
    default:
        return CN_E_INVAL;
    }
}

void cn_param_put(const struct cn_call *call, const struct cn_taken *taken)
{
    struct cn_range range;

    for (uint32_t i = 0; i < taken->outs; i++) {
        if (take_range(call, taken->out[i].address, taken->out[i].size, &range) == CN_E_SUCCESS)
            memcpy(range.at, &call->out[i], range.size);
    }
}
