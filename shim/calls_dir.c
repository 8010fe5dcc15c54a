/* fd_readdir: entries as dirent records with their names, the last one cut off where the
 * buffer ends. */
#include <string.h>

#include "shim/call.h"
#include "shim/dir_stream.h"
#include "shim/stat.h"

/* Copies what still fits of `size` bytes; true when that was all of it. */
static bool append(struct cn_range *room, const void *bytes, uint32_t size)
{
    uint32_t fits = size < room->size ? size : room->size;

    memcpy(room->at, bytes, fits);
    room->at += fits;
    room->size -= fits;
    return fits == size;
}

static bool append_entry(const struct cn_wasi *wasi, const struct cn_dir_entry *entry,
                         struct cn_range *room)
{
    struct cn_abi_dirent dirent = {0};

    dirent.next = entry->next;
    dirent.ino = cn_veiled_inode(wasi, entry->ino);
    dirent.name_length = entry->name_length;
    dirent.type = (uint8_t)entry->type;
    return append(room, &dirent, sizeof dirent) && append(room, entry->name, entry->name_length);
}

enum cn_errno cn_wasi_fd_readdir(struct cn_call *call)
{
    struct cn_allocator allocator = call->wasi->allocator;
    struct cn_fd *fd = call->fd;
    struct cn_range room = call->buffer;
    struct cn_dir_entry entry;
    enum cn_errno error = CN_E_SUCCESS;

    if (fd->stream == NULL)
        error = cn_dir_stream_new(allocator, fd->host, &fd->stream);
    if (error == CN_E_SUCCESS)
        error = cn_dir_stream_seek(fd->stream, call->numbers[0]);
    if (error != CN_E_SUCCESS)
        return error;

    while (room.size > 0) {
        error = cn_dir_stream_peek(fd->stream, allocator, &entry);
        /* What has been read already is worth more than the error: it comes again. */
        if (error != CN_E_SUCCESS && room.size == call->buffer.size)
            return error;
        if (error != CN_E_SUCCESS || entry.name == NULL)
            break;
        if (!append_entry(call->wasi, &entry, &room))
            break;
        cn_dir_stream_pass(fd->stream);
    }
    call->out[0].u32 = call->buffer.size - room.size;
    return CN_E_SUCCESS;
}
