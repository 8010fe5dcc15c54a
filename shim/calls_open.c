/* path_open.
 *
 * The thing is looked at before it is opened (O_PATH), so that a guest cannot wake a pipe's
 * other end or touch a device by trying, and once more afterwards, because it may have been
 * exchanged meanwhile. Both ways lead through openat2 from the same directory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/reach.h"

/* As many links as the kernel follows, and as many exchanges under our hands. */
#define ROUNDS_MAX 40

/* Between the steps of opening: things have changed, look once more. */
#define LOOK_AGAIN CN_E_YIELD

#define RIGHTS_TO_WRITE                                                                            \
    ((uint64_t)CN_RIGHT_FD_WRITE | CN_RIGHT_FD_ALLOCATE | CN_RIGHT_FD_FILESTAT_SET_SIZE)

struct opening {
    struct cn_call *call;
    struct cn_fd *dir;
    bool follows, is_dir_wanted, creates, is_exclusive, truncates;
    bool is_refused;   /* would change something in a read-only directory */
    bool writes;
    uint64_t rights;   /* that the new descriptor may have, if they fit what is opened */
    int host;
    struct cn_opened *opened; /* of a file in a volume */
    struct stat stat;
};

/* Rights that the directory cannot pass on: refused, or left out where that is harmless. A
 * program that only reads often asks for more than it needs. */
static enum cn_errno settle_rights(struct opening *opening, uint64_t wanted)
{
    const struct cn_fd *dir = opening->dir;
    uint64_t known = (uint64_t)CN_RIGHTS_FILE | CN_RIGHTS_DIR;
    uint64_t missing = wanted & known & ~dir->inheriting;

    if (missing != 0 && !dir->is_read_only)
        return CN_E_NOTCAPABLE;
    if ((missing & ~(uint64_t)CN_RIGHTS_CHANGING) != 0)
        return CN_E_NOTCAPABLE;
    if (missing & CN_RIGHT_FD_WRITE)
        opening->is_refused = true;
    opening->rights = wanted & dir->inheriting;
    opening->writes = opening->truncates || (opening->rights & RIGHTS_TO_WRITE) != 0;
    return CN_E_SUCCESS;
}

static enum cn_errno settle_request(struct opening *opening)
{
    const struct cn_call *call = opening->call;
    const struct cn_fd *dir = call->fd;
    uint64_t lookup = call->numbers[0], oflags = call->numbers[1];

    if (lookup > CN_LOOKUP_FOLLOW || oflags > CN_OFLAGS_ALL || call->numbers[4] > CN_FDFLAGS_ALL)
        return CN_E_INVAL;
    opening->dir = call->fd;
    opening->host = -1;
    opening->follows = lookup & CN_LOOKUP_FOLLOW;
    opening->creates = oflags & CN_OFLAG_CREAT;
    opening->is_dir_wanted = oflags & CN_OFLAG_DIRECTORY;
    opening->is_exclusive = opening->creates && (oflags & CN_OFLAG_EXCL);
    opening->truncates = oflags & CN_OFLAG_TRUNC;
    if (opening->is_dir_wanted && (opening->creates || opening->truncates))
        return CN_E_INVAL;
    if (opening->creates && (dir->rights & CN_RIGHT_PATH_CREATE_FILE) == 0 && !dir->is_read_only)
        return CN_E_NOTCAPABLE;
    if (opening->truncates && ((dir->rights & CN_RIGHT_PATH_FILESTAT_SET_SIZE) == 0 ||
                               (dir->inheriting & CN_RIGHT_FD_WRITE) == 0)) {
        if (!dir->is_read_only)
            return CN_E_NOTCAPABLE;
        opening->is_refused = true;
    }
    return settle_rights(opening, call->numbers[2]);
}

static int common_flags(const struct opening *opening)
{
    return (opening->follows ? 0 : O_NOFOLLOW) | (opening->is_dir_wanted ? O_DIRECTORY : 0);
}

static int access_mode(const struct opening *opening)
{
    if (!opening->writes)
        return O_RDONLY;
    return opening->rights & CN_RIGHT_FD_READ ? O_RDWR : O_WRONLY;
}

/* What is there, without opening it. */
static enum cn_errno look(struct opening *opening, struct stat *found)
{
    int seen;
    enum cn_errno error = cn_resolve_open(opening->dir->host, opening->call->path,
                                          O_PATH | common_flags(opening), &seen);

    if (error != CN_E_SUCCESS)
        return error;
    if (fstat(seen, found) != 0)
        error = cn_errno_of_host(errno);
    close(seen);
    return error;
}

/* May a thing of this type be opened as it was asked for? */
static enum cn_errno check_type(const struct opening *opening, mode_t mode)
{
    if (S_ISLNK(mode))
        return CN_E_LOOP;
    if (S_ISDIR(mode)) {
        bool changes = opening->creates || opening->truncates || opening->is_refused;
        return changes || (opening->rights & CN_RIGHT_FD_WRITE) ? CN_E_ISDIR : CN_E_SUCCESS;
    }
    if (!S_ISREG(mode))
        return CN_E_NOTSUP;
    if (opening->dir->is_unreal)
        return CN_E_NOTCAPABLE;
    return opening->is_refused ? CN_E_ROFS : CN_E_SUCCESS;
}

static void drop(struct opening *opening)
{
    if (opening->opened != NULL)
        cn_volume_close(opening->dir->volume, opening->opened);
    if (opening->host >= 0)
        close(opening->host);
    opening->opened = NULL;
    opening->host = -1;
}

static enum cn_errno open_existing(struct opening *opening)
{
    struct stat found;
    enum cn_errno error = look(opening, &found);

    if (error == CN_E_SUCCESS)
        error = check_type(opening, found.st_mode);
    if (error != CN_E_SUCCESS)
        return error;
    int flags = S_ISDIR(found.st_mode) ? O_RDONLY | O_DIRECTORY : access_mode(opening);
    error = cn_resolve_open(opening->dir->host, opening->call->path,
                            flags | common_flags(opening) | O_NONBLOCK | O_NOCTTY,
                            &opening->host);
    if (error != CN_E_SUCCESS)
        return error;
    if (fstat(opening->host, &opening->stat) != 0)
        error = cn_errno_of_host(errno);
    else if ((opening->stat.st_mode & S_IFMT) != (found.st_mode & S_IFMT))
        error = LOOK_AGAIN;
    if (error != CN_E_SUCCESS)
        drop(opening);
    return error;
}

static enum cn_errno open_dir_in_volume(struct opening *opening, const struct cn_place *place)
{
    enum cn_errno error =
        cn_resolve_open(place->dir, place->is_dot ? "." : place->name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &opening->host);

    if (error == CN_E_SUCCESS && fstat(opening->host, &opening->stat) != 0)
        error = cn_errno_of_host(errno);
    return error;
}

static enum cn_errno create_in_volume(struct opening *opening, const struct cn_place *place)
{
    struct cn_volume *volume = opening->dir->volume;
    struct cn_inode *inode;

    if (place->is_dot || place->has_slash)
        return CN_E_ISDIR;
    if (opening->dir->is_read_only)
        return CN_E_ROFS;
    enum cn_errno error = cn_disk_prepare(&volume->disk, place->dir, place->name, &inode);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_volume_create(volume, place, &opening->host, &opening->opened, &opening->stat);
    if (error != CN_E_SUCCESS)
        cn_disk_abandon(&volume->disk, inode);
    else
        cn_disk_created(&volume->disk, inode, &opening->stat);
    return error;
}

/* Links have been followed on the way to the place, so what is there is what is meant. */
static enum cn_errno open_place(struct opening *opening, const struct cn_place *place)
{
    struct stat found;
    enum cn_errno error = opening->is_exclusive ? CN_E_NOENT : cn_place_stat(place, &found);

    if (error == CN_E_NOENT && opening->creates)
        return create_in_volume(opening, place);
    if (error == CN_E_SUCCESS && S_ISLNK(found.st_mode) && opening->is_dir_wanted)
        error = CN_E_NOTDIR;
    if (error == CN_E_SUCCESS)
        error = check_type(opening, found.st_mode);
    if (error == CN_E_SUCCESS && S_ISDIR(found.st_mode))
        return open_dir_in_volume(opening, place);
    if (error == CN_E_SUCCESS && (opening->is_dir_wanted || place->has_slash))
        error = CN_E_NOTDIR;
    return error != CN_E_SUCCESS ? error
                                 : cn_volume_open(opening->dir->volume, place, &opening->host,
                                                  &opening->opened, &opening->stat);
}

static enum cn_errno open_in_volume(struct opening *opening)
{
    const char *path = opening->call->path;
    bool wants_dir = path[strlen(path) - 1] == '/';
    bool follows = (opening->follows || wants_dir) && !opening->is_exclusive;
    struct cn_place place;
    enum cn_errno error =
        cn_volume_find(opening->dir->volume, opening->dir->host, path, follows, &place);

    if (error != CN_E_SUCCESS)
        return error;
    error = open_place(opening, &place);
    cn_place_release(&place);
    if (error != CN_E_SUCCESS)
        drop(opening);
    return error;
}

/* The final name is a link to nowhere: the path becomes what it says. */
static enum cn_errno follow_dangling(struct opening *opening, const struct cn_place *place)
{
    char target[CN_PATH_MAX + 1];
    char *path = opening->call->path;
    size_t kept = (size_t)(place->name - path);
    ssize_t length = readlinkat(place->dir, place->name, target, sizeof target);

    if (length < 0) /* it is no link any more: look again */
        return errno == EINVAL || errno == ENOENT ? LOOK_AGAIN : cn_errno_of_host(errno);
    if (!opening->follows)
        return CN_E_LOOP;
    if (length == 0 || target[0] == '/')
        return CN_E_NOTCAPABLE;
    if ((size_t)length > CN_PATH_MAX - kept)
        return CN_E_NAMETOOLONG;
    memcpy(path + kept, target, (size_t)length);
    path[kept + (size_t)length] = '\0';
    return LOOK_AGAIN;
}

static enum cn_errno create_at(struct opening *opening, const struct cn_place *place)
{
    struct cn_disk *disk = &opening->call->wasi->disk;
    struct cn_inode *inode;

    if (place->is_dot || place->has_slash)
        return CN_E_ISDIR;
    if (opening->dir->is_read_only)
        return CN_E_ROFS;
    enum cn_errno error = cn_disk_prepare(disk, place->dir, place->name, &inode);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_resolve_create(place->dir, place->name,
                              access_mode(opening) | O_NONBLOCK | O_NOCTTY, 0666,
                              &opening->host);
    if (error == CN_E_SUCCESS && fstat(opening->host, &opening->stat) != 0) {
        error = cn_errno_of_host(errno);
        drop(opening);
        (void)unlinkat(place->dir, place->name, 0); /* nobody would pay for it */
    }
    if (error != CN_E_SUCCESS) {
        cn_disk_abandon(disk, inode);
        if (error == CN_E_EXIST && !opening->is_exclusive)
            return follow_dangling(opening, place);
        return error;
    }
    cn_disk_created(disk, inode, &opening->stat);
    return CN_E_SUCCESS;
}

static enum cn_errno create_new(struct opening *opening)
{
    struct cn_place place;
    enum cn_errno error = cn_place_find(opening->dir->host, opening->call->path, &place);

    if (error != CN_E_SUCCESS)
        return error;
    error = create_at(opening, &place);
    cn_place_release(&place);
    return error;
}

static enum cn_errno open_or_create(struct opening *opening)
{
    if (opening->dir->volume != NULL)
        return open_in_volume(opening);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum cn_errno error =
            opening->is_exclusive ? CN_E_NOENT : open_existing(opening);
        if (error == CN_E_NOENT && opening->creates)
            error = create_new(opening);
        if (error != LOOK_AGAIN)
            return error;
    }
    return CN_E_LOOP;
}

static enum cn_errno truncate_opened(struct opening *opening, struct cn_inode *inode)
{
    enum cn_errno error = CN_E_SUCCESS;

    if (opening->opened != NULL)
        error = cn_sealed_resize(&opening->opened->file, 0);
    else if (opening->stat.st_size > 0 && ftruncate(opening->host, 0) != 0)
        error = cn_errno_of_host(errno);
    if (error != CN_E_SUCCESS)
        return error;
    return cn_disk_resize(cn_disk_of(opening->call->wasi, opening->dir), inode, 0);
}

/* Turns the host's descriptor into the guest's. */
static enum cn_errno install(struct opening *opening, struct cn_fd *fd)
{
    const struct cn_call *call = opening->call;
    bool is_dir = S_ISDIR(opening->stat.st_mode);
    enum cn_errno error =
        cn_disk_open(cn_disk_of(call->wasi, opening->dir), &opening->stat, &fd->inode);

    fd->host = opening->host;
    fd->volume = opening->dir->volume;
    fd->opened = opening->opened;
    fd->kind = is_dir ? CN_FD_DIR : CN_FD_FILE;
    fd->filetype = cn_filetype_of_mode(opening->stat.st_mode);
    fd->is_read_only = opening->dir->is_read_only;
    fd->is_unreal = opening->dir->is_unreal;
    fd->flags = is_dir ? 0 : (uint16_t)call->numbers[4];
    fd->rights = opening->rights & (is_dir ? CN_RIGHTS_DIR : CN_RIGHTS_FILE);
    fd->inheriting = call->numbers[3] & opening->dir->inheriting;
    if (error == CN_E_SUCCESS && opening->truncates)
        error = truncate_opened(opening, fd->inode);
    return error;
}

enum cn_errno cn_wasi_path_open(struct cn_call *call)
{
    struct opening opening = {.call = call};
    struct cn_fd *fd;
    uint32_t number;

    enum cn_errno error = settle_request(&opening);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_fd_new(&call->wasi->fds, &number, &fd);
    if (error != CN_E_SUCCESS)
        return error;
    error = open_or_create(&opening);
    if (error == CN_E_SUCCESS)
        error = install(&opening, fd);
    if (error != CN_E_SUCCESS)
        cn_fd_close(&call->wasi->fds, number);
    call->out[0].u32 = number;
    return error;
}
