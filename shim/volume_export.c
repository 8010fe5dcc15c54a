#include "shim/volume_export.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/volume_walk.h"

#define BLOCK 512u
#define NAME_MAX_TAR 100u
#define SIZE_MAX_TAR (1ull << 33) /* eleven octal digits */

struct header {
    char name[NAME_MAX_TAR], mode[8], uid[8], gid[8], size[12], mtime[12], check[8], type;
    char link[NAME_MAX_TAR], magic[6], version[2], rest[247];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

struct export {
    struct cn_volume *volume;
    int to;
    int host_error;
};

static enum cn_errno put(struct export *export, const void *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = write(export->to, (const char *)from + done, size - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            export->host_error = count < 0 ? errno : EIO;
            return CN_E_IO;
        }
        done += (size_t)count;
    }
    return CN_E_SUCCESS;
}

/* Zeros up to the next block. */
static enum cn_errno pad(struct export *export, uint64_t size)
{
    static const char zeros[BLOCK];

    return size % BLOCK == 0 ? CN_E_SUCCESS : put(export, zeros, BLOCK - size % BLOCK);
}

static enum cn_errno put_header(struct export *export, struct header *header, uint64_t size,
                                uint64_t time)
{
    uint32_t sum = 0;

    snprintf(header->mode, sizeof header->mode, "%07o", header->type == '5' ? 0755u : 0644u);
    snprintf(header->uid, sizeof header->uid, "%07o", 0u);
    snprintf(header->gid, sizeof header->gid, "%07o", 0u);
    snprintf(header->size, sizeof header->size, "%011llo",
             (unsigned long long)(size < SIZE_MAX_TAR ? size : 0));
    snprintf(header->mtime, sizeof header->mtime, "%011llo",
             (unsigned long long)(time < SIZE_MAX_TAR ? time : 0));
    memcpy(header->magic, "ustar", 6);
    memcpy(header->version, "00", 2);
    memset(header->check, ' ', sizeof header->check);
    for (size_t i = 0; i < sizeof *header; i++)
        sum += ((const uint8_t *)header)[i];
    snprintf(header->check, sizeof header->check, "%06o", sum);
    return put(export, header, sizeof *header);
}

/* "24 path=...\n", whose length counts its own digits. */
static size_t record_size(const char *key, size_t value)
{
    size_t size = strlen(key) + value + 3, digits = 1;

    while (snprintf(NULL, 0, "%zu", size + digits) != (int)digits)
        digits++;
    return size + digits;
}

static enum cn_errno put_record(struct export *export, const char *key, const char *value)
{
    char head[64];
    int size = snprintf(head, sizeof head, "%zu %s=", record_size(key, strlen(value)), key);
    enum cn_errno error = put(export, head, (size_t)size);

    if (error == CN_E_SUCCESS)
        error = put(export, value, strlen(value));
    return error == CN_E_SUCCESS ? put(export, "\n", 1) : error;
}

/* What does not fit the header stands before it. */
static enum cn_errno put_more(struct export *export, const char *path, const char *link,
                              uint64_t size)
{
    struct header header = {.type = 'x', .name = "pax"};
    char digits[24] = "";
    uint64_t length = 0;

    if (size >= SIZE_MAX_TAR)
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)size);
    const char *const records[3][2] = {
        {"path", strlen(path) >= NAME_MAX_TAR ? path : ""},
        {"linkpath", strlen(link) >= NAME_MAX_TAR ? link : ""},
        {"size", digits},
    };
    for (int i = 0; i < 3; i++)
        if (records[i][1][0] != '\0')
            length += record_size(records[i][0], strlen(records[i][1]));
    if (length == 0)
        return CN_E_SUCCESS;
    enum cn_errno error = put_header(export, &header, length, 0);
    for (int i = 0; i < 3 && error == CN_E_SUCCESS; i++)
        if (records[i][1][0] != '\0')
            error = put_record(export, records[i][0], records[i][1]);
    return error == CN_E_SUCCESS ? pad(export, length) : error;
}

static enum cn_errno put_entry(struct export *export, const struct cn_found *found, char type,
                               const char *link, uint64_t size)
{
    struct header header = {.type = type};
    enum cn_errno error = put_more(export, found->path, link, size);

    memcpy(header.name, found->path, strnlen(found->path, NAME_MAX_TAR - 1));
    memcpy(header.link, link, strnlen(link, NAME_MAX_TAR - 1));
    return error != CN_E_SUCCESS
               ? error
               : put_header(export, &header, size, (uint64_t)found->stat.st_mtim.tv_sec);
}

static enum cn_errno put_contents(struct export *export, const struct cn_sealed_file *file)
{
    uint8_t bytes[16384];
    enum cn_errno error = CN_E_SUCCESS;

    for (uint64_t at = 0; at < file->size && error == CN_E_SUCCESS;) {
        size_t done;
        error = cn_sealed_read(file, bytes, sizeof bytes, at, &done);
        if (error == CN_E_SUCCESS)
            error = put(export, bytes, done);
        at += done;
    }
    explicit_bzero(bytes, sizeof bytes);
    return error == CN_E_SUCCESS ? pad(export, file->size) : error;
}

static enum cn_errno put_file(struct export *export, const struct cn_found *found)
{
    struct cn_place place = {.dir = found->dir, .name = found->hidden};
    struct cn_opened *opened;
    struct stat stat;
    int host;
    enum cn_errno error = cn_volume_open(export->volume, &place, &host, &opened, &stat);

    if (error != CN_E_SUCCESS)
        return error;
    error = put_entry(export, found, '0', "", opened->file.size);
    if (error == CN_E_SUCCESS)
        error = put_contents(export, &opened->file);
    cn_volume_close(export->volume, opened);
    close(host);
    return error;
}

static enum cn_errno put_one(void *context, const struct cn_found *found)
{
    struct export *export = context;
    char target[CN_PATH_MAX + 1];

    if (found->name == NULL)
        return CN_E_SUCCESS;
    if (S_ISDIR(found->stat.st_mode))
        return put_entry(export, found, '5', "", 0);
    if (S_ISREG(found->stat.st_mode))
        return put_file(export, found);
    enum cn_errno error =
        cn_volume_read_link(export->volume, found->dir, found->hidden, target);
    return error == CN_E_SUCCESS ? put_entry(export, found, '2', target, 0) : error;
}

enum cn_status cn_volume_export(struct cn_volume *volume, int root, int to,
                                struct cn_error *error)
{
    static const char end[2 * BLOCK];
    struct export export = {.volume = volume, .to = to};
    bool is_incomplete = false;
    enum cn_errno failed = cn_volume_walk(volume, root, put_one, &export, &is_incomplete);

    if (failed == CN_E_SUCCESS && !is_incomplete)
        failed = put(&export, end, sizeof end);
    if (failed == CN_E_SUCCESS && !is_incomplete)
        return CN_OK;
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "the volume cannot be exported: %s",
                   export.host_error ? strerror(export.host_error)
                   : is_incomplete   ? "it cannot be read through"
                                     : "something in it is damaged (cordon volume check)");
}
