/* fd_readdir: entries as dirent records with their names, the last one cut off where the
 * buffer ends. */
#include <string.h>

#include "shim/call.h"
#include "shim/dir_stream.h"
#include "shim/stat.h"

#define STEP_ENTRIES 1000 /* before others have their turn */

/* The call's state: bytes filled, entries passed. */
enum { USED, PASSED };

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

/* Entries from the stream's place on, until the room is full, the directory ends, or others
 * should have their turn. A short answer would mean the end to the guest, so the call goes on. */
static enum cn_errno fill(struct cn_call *call, struct cn_range *room)
{
    struct cn_allocator allocator = call->wasi->allocator;
    struct cn_dir_entry entry;

    for (uint32_t i = 0; room->size > 0; i++) {
        if (i == STEP_ENTRIES)
            return CN_E_YIELD;
        enum cn_errno error = cn_dir_stream_peek(call->fd->stream, allocator, &entry);
        if (error != CN_E_SUCCESS)
            return error;
        if (entry.name == NULL || !append_entry(call->wasi, &entry, room))
            return CN_E_SUCCESS;
        cn_dir_stream_pass(call->fd->stream);
        cn_call_words(call)[PASSED]++;
    }
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_fd_readdir(struct cn_call *call)
{
    uint64_t *words = cn_call_words(call);
    struct cn_fd *fd = call->fd;
    struct cn_range room = {call->buffer.at + words[USED],
                            call->buffer.size - (uint32_t)words[USED]};
    enum cn_errno error = CN_E_SUCCESS;

    if (fd->stream == NULL)
        error = cn_dir_stream_new(call->wasi->allocator, fd->host, fd->volume, &fd->stream);
    if (error == CN_E_SUCCESS)
        error = cn_dir_stream_seek(fd->stream, call->numbers[0] + words[PASSED]);
    if (error == CN_E_SUCCESS)
        error = fill(call, &room);
    words[USED] = call->buffer.size - room.size;
    if (error == CN_E_YIELD)
        return error;
    /* What has been read already is worth more than the error: it comes again. */
    if (error != CN_E_SUCCESS && words[USED] == 0)
        return error;
    call->out[0].u32 = (uint32_t)words[USED];
    return CN_E_SUCCESS;
}
