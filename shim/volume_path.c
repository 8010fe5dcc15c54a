/* Names and links of a volume. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/volume.h"

/* As many links as the kernel follows. */
#define LINKS_MAX 40

/* On the way to a place. */
struct walk {
    struct cn_volume *volume;
    int dir;
    bool is_own;
    bool has_slash;
    uint32_t depth; /* directories below the start */
    uint32_t links;
    char *at;       /* the rest of the path */
    char rest[CN_PATH_MAX + 1];
};

/* `dir` becomes the walk's directory, or is an error in errno. */
static enum cn_errno enter(struct walk *walk, int dir)
{
    if (dir < 0)
        return cn_errno_of_host(errno);
    if (walk->is_own)
        close(walk->dir);
    walk->dir = dir;
    walk->is_own = true;
    return CN_E_SUCCESS;
}

/* All real directories on the way were entered one by one, so ".." is where it came from. */
static enum cn_errno go_up(struct walk *walk)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };

    if (walk->depth == 0)
        return CN_E_NOTCAPABLE;
    walk->depth--;
    return enter(walk, (int)syscall(SYS_openat2, walk->dir, "..", &how, sizeof how));
}

enum cn_errno cn_volume_read_link(struct cn_volume *volume, int dir, const char *name,
                                  char *target)
{
    char hidden[CN_PATH_MAX + 1];
    uint8_t sealed[CN_PATH_MAX];
    struct cn_seal seal;
    struct cn_sealer sealer;
    ssize_t length = readlinkat(dir, name, hidden, sizeof hidden - 1);

    if (length < 0)
        return cn_errno_of_host(errno);
    hidden[length] = '\0';
    long size = cn_from_base64(hidden, sealed, sizeof sealed) - (long)sizeof seal;
    if (size <= 0 || size > (long)CN_SEALED_LINK_MAX)
        return CN_E_IO;
    memcpy(&seal, sealed, sizeof seal);
    enum cn_errno error = cn_sealer_begin(&sealer, volume->keys, volume->keys->links);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_unseal(&sealer, cn_bytes_of("link"),
                      (struct cn_bytes){sealed + sizeof seal, (size_t)size}, &seal,
                      (uint8_t *)target);
    cn_sealer_end(&sealer);
    target[size] = '\0';
    return error;
}

enum cn_errno cn_volume_hide_link(struct cn_volume *volume, const char *target, char *hidden)
{
    uint8_t sealed[sizeof(struct cn_seal) + CN_SEALED_LINK_MAX];
    struct cn_seal seal;
    struct cn_sealer sealer;
    size_t size = strlen(target);

    if (size > CN_SEALED_LINK_MAX)
        return CN_E_NAMETOOLONG;
    enum cn_errno error = cn_sealer_begin(&sealer, volume->keys, volume->keys->links);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_seal(&sealer, cn_bytes_of("link"),
                    (struct cn_bytes){(const uint8_t *)target, size}, sealed + sizeof seal, &seal);
    cn_sealer_end(&sealer);
    if (error != CN_E_SUCCESS)
        return error;
    memcpy(sealed, &seal, sizeof seal);
    cn_to_base64((struct cn_bytes){sealed, sizeof seal + size}, hidden);
    return CN_E_SUCCESS;
}

/* What the link of that name says comes before the rest of the path. INVAL when it is none. */
static enum cn_errno follow(struct walk *walk, const char *hidden)
{
    char target[CN_PATH_MAX + 1];
    enum cn_errno error = cn_volume_read_link(walk->volume, walk->dir, hidden, target);

    if (error != CN_E_SUCCESS)
        return error;
    if (++walk->links > LINKS_MAX)
        return CN_E_LOOP;
    if (target[0] == '/')
        return CN_E_NOTCAPABLE;
    size_t size = strlen(target), left = strlen(walk->at);
    if (size + 1 + left > CN_PATH_MAX)
        return CN_E_NAMETOOLONG;
    memmove(walk->rest + size + 1, walk->at, left + 1);
    memcpy(walk->rest, target, size);
    walk->rest[size] = left > 0 ? '/' : '\0';
    walk->at = walk->rest;
    return CN_E_SUCCESS;
}

/* The name, which is never empty (next_name), as the host knows it. Most are asked for again and
 * again. */
static enum cn_errno hide(struct cn_volume *volume, const char *name, char *hidden)
{
    uint32_t number = 0;

    for (const char *c = name; *c != '\0'; c++)
        number = number * 31 + (uint8_t)*c;
    struct cn_known_name *known = &volume->known[number % CN_KNOWN_NAMES];
    if (strcmp(known->name, name) != 0) {
        enum cn_errno error = cn_name_hide(volume->keys, name, known->hidden);
        snprintf(known->name, sizeof known->name, "%s", error == CN_E_SUCCESS ? name : "");
        if (error != CN_E_SUCCESS)
            return error;
    }
    memcpy(hidden, known->hidden, sizeof known->hidden);
    return CN_E_SUCCESS;
}

/* A name on the way. */
static enum cn_errno go_down(struct walk *walk, const char *name)
{
    char hidden[CN_HIDDEN_MAX + 1];
    int dir;
    enum cn_errno error = hide(walk->volume, name, hidden);

    if (error != CN_E_SUCCESS)
        return error;
    error = cn_resolve_open(walk->dir, hidden, O_PATH | O_DIRECTORY | O_NOFOLLOW, &dir);
    if (error == CN_E_SUCCESS) {
        walk->depth++;
        return enter(walk, dir);
    }
    if (error != CN_E_NOTDIR)
        return error;
    error = follow(walk, hidden);
    return error == CN_E_INVAL ? CN_E_NOTDIR : error;
}

/* The next name of the path, cut off from the rest; NULL at its end. *is_last: nothing but slashes
 * comes after it. */
static char *next_name(struct walk *walk, bool *is_last)
{
    char *name = walk->at + strspn(walk->at, "/");
    size_t size = strcspn(name, "/");
    char *end = name + size;

    walk->at = end + strspn(end, "/");
    *is_last = *walk->at == '\0';
    walk->has_slash |= *is_last && *end == '/';
    *end = '\0';
    return size > 0 ? name : NULL;
}

/* The last name. YIELD when it was a link, and the walk goes on. */
static enum cn_errno arrive(struct walk *walk, const char *name, bool follows,
                            struct cn_place *place)
{
    enum cn_errno error = hide(walk->volume, name, place->hidden);

    place->name = place->hidden;
    place->is_dot = false;
    if (error != CN_E_SUCCESS || !follows)
        return error;
    error = follow(walk, place->hidden);
    if (error == CN_E_SUCCESS)
        return CN_E_YIELD;
    return error == CN_E_INVAL || error == CN_E_NOENT ? CN_E_SUCCESS : error;
}

static enum cn_errno go(struct walk *walk, bool follows, struct cn_place *place)
{
    enum cn_errno error = CN_E_SUCCESS;
    bool is_last = false;
    char *name;

    while (error == CN_E_SUCCESS && (name = next_name(walk, &is_last)) != NULL) {
        place->is_dot = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        if (strcmp(name, "..") == 0)
            error = go_up(walk);
        else if (!place->is_dot && !is_last)
            error = go_down(walk, name);
        else if (!place->is_dot)
            error = arrive(walk, name, follows, place);
        if (is_last && place->is_dot)
            place->name = name[1] == '.' ? ".." : ".";
        if (is_last && error == CN_E_SUCCESS)
            return error;
        if (error == CN_E_YIELD)
            error = CN_E_SUCCESS;
    }
    return error != CN_E_SUCCESS ? error : CN_E_NOENT;
}

enum cn_errno cn_volume_find(struct cn_volume *volume, int dir, const char *path, bool follows,
                             struct cn_place *place)
{
    struct walk walk = {.volume = volume, .dir = dir, .at = walk.rest};

    strncpy(walk.rest, path, CN_PATH_MAX);
    if (path[0] == '/')
        return CN_E_NOTCAPABLE;
    place->is_dot = false;
    enum cn_errno error = go(&walk, follows, place);
    place->dir = walk.dir;
    place->is_own = walk.is_own;
    place->has_slash = walk.has_slash;
    if (error != CN_E_SUCCESS)
        cn_place_release(place);
    return error;
}

static uint64_t link_size(uint64_t hidden)
{
    uint64_t bytes = hidden / 4 * 3 + hidden % 4 * 3 / 4;

    return bytes > sizeof(struct cn_seal) ? bytes - sizeof(struct cn_seal) : 0;
}

/* The size of a file that may be open. */
static enum cn_errno file_size(struct cn_volume *volume, const struct cn_place *place,
                               struct stat *stat)
{
    struct cn_opened *opened;
    struct stat again;
    int host;
    enum cn_errno error = cn_volume_open(volume, place, &host, &opened, &again);

    if (error != CN_E_SUCCESS)
        return error;
    stat->st_size = again.st_size;
    cn_volume_close(volume, opened);
    close(host);
    return CN_E_SUCCESS;
}

enum cn_errno cn_volume_stat(struct cn_volume *volume, const struct cn_place *place,
                             struct stat *stat)
{
    enum cn_errno error = cn_place_stat(place, stat);

    if (error == CN_E_SUCCESS && S_ISLNK(stat->st_mode))
        stat->st_size = (off_t)link_size((uint64_t)stat->st_size);
    if (error == CN_E_SUCCESS && S_ISREG(stat->st_mode))
        error = file_size(volume, place, stat);
    return error;
}
