#include "shim/dir_stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/resolve.h"
#include "shim/volume.h"

#define BUFFER_SIZE 8192u
#define PLACES_FIRST 32u

struct cn_dir_stream {
    int host;
    uint32_t filled, at;    /* bytes read ahead, and where the present entry begins */
    uint64_t index;         /* entries before the present place */
    uint64_t known;         /* places[0 ... known - 1] are set */
    uint64_t room;          /* of places */
    int64_t *places;        /* the host's position after each entry */
    const struct cn_volume *volume; /* or NULL */
    char shown[CN_SEALED_NAME_MAX + 1]; /* the present name, in a volume */
    char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

enum cn_errno cn_dir_stream_new(struct cn_allocator allocator, int host,
                                const struct cn_volume *volume, struct cn_dir_stream **result)
{
    struct cn_dir_stream *stream = cn_alloc(allocator, sizeof *stream);

    if (stream == NULL)
        return CN_E_NOMEM;
    enum cn_errno error =
        cn_resolve_open(host, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK, &stream->host);
    if (error != CN_E_SUCCESS) {
        cn_free(allocator, stream, sizeof *stream);
        return error;
    }
    stream->volume = volume;
    *result = stream;
    return CN_E_SUCCESS;
}

void cn_dir_stream_free(struct cn_dir_stream *stream, struct cn_allocator allocator)
{
    if (stream == NULL)
        return;
    close(stream->host);
    cn_free(allocator, stream->places, stream->room * sizeof *stream->places);
    cn_free(allocator, stream, sizeof *stream);
}

enum cn_errno cn_dir_stream_seek(struct cn_dir_stream *stream, uint64_t cookie)
{
    /* Going straight on needs no host position, which not every file system keeps stable while
     * entries come and go. */
    if (cookie == stream->index && cookie != 0)
        return CN_E_SUCCESS;
    if (cookie > stream->known)
        return CN_E_INVAL;
    int64_t place = cookie == 0 ? 0 : stream->places[cookie - 1];
    if (lseek(stream->host, place, SEEK_SET) < 0)
        return cn_errno_of_host(errno);
    stream->filled = stream->at = 0;
    stream->index = cookie;
    return CN_E_SUCCESS;
}

static enum cn_filetype filetype_of(const struct cn_dir_stream *stream,
                                    const struct dirent64 *entry)
{
    struct stat found;

    switch (entry->d_type) {
    case DT_REG:
        return CN_FILETYPE_REGULAR_FILE;
    case DT_DIR:
        return CN_FILETYPE_DIRECTORY;
    case DT_LNK:
        return CN_FILETYPE_SYMBOLIC_LINK;
    case DT_CHR:
        return CN_FILETYPE_CHARACTER_DEVICE;
    case DT_BLK:
        return CN_FILETYPE_BLOCK_DEVICE;
    case DT_SOCK:
        return CN_FILETYPE_SOCKET_STREAM;
    case DT_UNKNOWN:
        if (fstatat(stream->host, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0)
            return cn_filetype_of_mode(found.st_mode);
        return CN_FILETYPE_UNKNOWN;
    default:
        return CN_FILETYPE_UNKNOWN;
    }
}

static enum cn_errno remember(struct cn_dir_stream *stream, struct cn_allocator allocator,
                              int64_t place)
{
    if (stream->index == stream->room) {
        uint64_t room = stream->room ? stream->room * 2 : PLACES_FIRST;
        int64_t *places = cn_resize(allocator, stream->places, stream->room * sizeof *places,
                                    room * sizeof *places);
        if (places == NULL)
            return CN_E_NOMEM;
        stream->places = places;
        stream->room = room;
    }
    stream->places[stream->index] = place;
    if (stream->known == stream->index)
        stream->known++;
    return CN_E_SUCCESS;
}

/* The present entry; NULL at the end or after an error. */
static const struct dirent64 *present(struct cn_dir_stream *stream, enum cn_errno *error)
{
    *error = CN_E_SUCCESS;
    if (stream->at == stream->filled) {
        ssize_t count = getdents64(stream->host, stream->buffer, sizeof stream->buffer);
        stream->at = 0;
        stream->filled = count > 0 ? (uint32_t)count : 0;
        /* A directory that has been removed meanwhile has no more entries. */
        if (count < 0 && errno != ENOENT)
            *error = cn_errno_of_host(errno);
        if (count <= 0)
            return NULL;
    }
    return (const void *)(stream->buffer + stream->at);
}

/* The name as the guest knows it. ILSEQ for one that is none of the volume's. */
static enum cn_errno name_of(struct cn_dir_stream *stream, const struct dirent64 *host,
                             const char **name)
{
    bool is_plain = stream->volume == NULL || strcmp(host->d_name, ".") == 0 ||
                    strcmp(host->d_name, "..") == 0;

    *name = is_plain ? host->d_name : stream->shown;
    return is_plain ? CN_E_SUCCESS
                    : cn_name_show(stream->volume->keys, host->d_name, stream->shown);
}

enum cn_errno cn_dir_stream_peek(struct cn_dir_stream *stream, struct cn_allocator allocator,
                                 struct cn_dir_entry *entry)
{
    const struct dirent64 *host;
    const char *name;
    enum cn_errno error;

    *entry = (struct cn_dir_entry){.name = NULL};
    while ((host = present(stream, &error)) != NULL &&
           (error = name_of(stream, host, &name)) == CN_E_ILSEQ)
        stream->at += host->d_reclen;
    if (host == NULL || error != CN_E_SUCCESS)
        return error;
    error = remember(stream, allocator, host->d_off);
    if (error != CN_E_SUCCESS)
        return error;
    *entry = (struct cn_dir_entry){
        .ino = host->d_ino,
        .next = stream->index + 1,
        .type = filetype_of(stream, host),
        .name = name,
        .name_length = (uint32_t)strlen(name),
    };
    return CN_E_SUCCESS;
}

void cn_dir_stream_pass(struct cn_dir_stream *stream)
{
    const struct dirent64 *host = (const void *)(stream->buffer + stream->at);

    stream->at += host->d_reclen;
    stream->index++;
}
