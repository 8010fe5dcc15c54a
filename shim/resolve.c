#include "shim/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shim/errno.h"

/* A rename somewhere above makes the kernel give up on ".." with EAGAIN. */
#define TRIES_MAX 16

static enum cn_errno open_beneath(int dir, const char *path, struct open_how *how, int *result)
{
    int error = 0;

    how->flags |= O_CLOEXEC;
    how->resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        long fd = syscall(SYS_openat2, dir, path, how, sizeof *how);
        if (fd >= 0) {
            *result = (int)fd;
            return CN_E_SUCCESS;
        }
        error = errno;
        if (error != EAGAIN && error != EINTR)
            break;
    }
    if (error == EXDEV)
        return CN_E_NOTCAPABLE;
    /* The kernel says the same of a link too many and of a magic link; those are only there. */
    if (error == ELOOP && cn_is_procfs(dir))
        return CN_E_NOTCAPABLE;
    return cn_errno_of_host(error);
}

enum cn_errno cn_resolve_open(int dir, const char *path, int flags, int *result)
{
    struct open_how how = {.flags = (uint64_t)flags};

    return open_beneath(dir, path, &how, result);
}

enum cn_errno cn_resolve_create(int dir, const char *name, int flags, mode_t mode, int *result)
{
    struct open_how how = {
        .flags = (uint64_t)flags | O_CREAT | O_EXCL | O_NOFOLLOW,
        .mode = mode,
    };

    return open_beneath(dir, name, &how, result);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

enum cn_errno cn_place_find(int dir, char *path, struct cn_place *place)
{
    size_t length = strlen(path);
    struct cn_place found = {.dir = dir};

    while (length > 1 && path[length - 1] == '/') {
        path[--length] = '\0';
        found.has_slash = true;
    }
    char *slash = strrchr(path, '/');
    found.name = slash != NULL ? slash + 1 : path;
    found.is_dot = is_dot(found.name);
    if (found.is_dot || slash != NULL) {
        if (!found.is_dot)
            *slash = '\0';
        enum cn_errno error = cn_resolve_open(dir, path, O_PATH | O_DIRECTORY, &found.dir);
        if (!found.is_dot)
            *slash = '/';
        if (error != CN_E_SUCCESS)
            return error;
        found.is_own = true;
    }
    *place = found;
    return CN_E_SUCCESS;
}

void cn_place_release(struct cn_place *place)
{
    if (place->is_own)
        close(place->dir);
    place->is_own = false;
}

enum cn_errno cn_place_stat(const struct cn_place *place, struct stat *result)
{
    const char *name = place->is_dot ? "" : place->name;
    int flags = place->is_dot ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;

    if (fstatat(place->dir, name, result, flags | AT_NO_AUTOMOUNT) != 0)
        return cn_errno_of_host(errno);
    return CN_E_SUCCESS;
}

/* How many directories below the start a path ends, or -1 when it leaves the start on its way.
 * The last component is left out when `is_parent`. */
static int64_t depth_of(const char *path, int64_t depth, bool is_parent)
{
    while (depth >= 0) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        const char *rest = path + length;
        if (length == 0 || (is_parent && rest[strspn(rest, "/")] == '\0'))
            return depth;
        if (length == 2 && memcmp(path, "..", 2) == 0)
            depth--;
        else if (length != 1 || path[0] != '.')
            depth++;
        path = rest;
    }
    return -1;
}

bool cn_link_stays_inside(const char *path, const char *target)
{
    return depth_of(target, depth_of(path, 0, true), false) >= 0;
}

enum cn_filetype cn_filetype_of_mode(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return CN_FILETYPE_REGULAR_FILE;
    case S_IFDIR:
        return CN_FILETYPE_DIRECTORY;
    case S_IFLNK:
        return CN_FILETYPE_SYMBOLIC_LINK;
    case S_IFCHR:
        return CN_FILETYPE_CHARACTER_DEVICE;
    case S_IFBLK:
        return CN_FILETYPE_BLOCK_DEVICE;
    case S_IFSOCK:
        return CN_FILETYPE_SOCKET_STREAM;
    default:
        return CN_FILETYPE_UNKNOWN;
    }
}

bool cn_is_procfs(int dir)
{
    struct statfs found;

    return fstatfs(dir, &found) == 0 && found.f_type == PROC_SUPER_MAGIC;
}
