/* Names in directories: creating, removing, linking and renaming them, and their status. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim/errno.h"
#include "shim/reach.h"
#include "shim/stat.h"

static enum cn_errno error_of(int result)
{
    return result == 0 ? CN_E_SUCCESS : cn_errno_of_host(errno);
}

/* Opens what the path names, only to look at it. */
static enum cn_errno open_to_look(struct cn_call *call, uint64_t lookup, int *seen,
                                  struct stat *stat)
{
    if (lookup > CN_LOOKUP_FOLLOW)
        return CN_E_INVAL;
    return cn_reach_look(call->fd, call->path, lookup & CN_LOOKUP_FOLLOW, seen, stat);
}

enum cn_errno cn_wasi_path_filestat_get(struct cn_call *call)
{
    struct stat stat;
    int seen;
    enum cn_errno error = open_to_look(call, call->numbers[0], &seen, &stat);

    if (error != CN_E_SUCCESS)
        return error;
    close(seen);
    cn_put_filestat(call, &stat);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_path_filestat_set_times(struct cn_call *call)
{
    struct timespec times[2];
    int seen;
    enum cn_errno error =
        cn_times_of(call->numbers[1], call->numbers[2], call->numbers[3], times);

    if (error == CN_E_SUCCESS)
        error = open_to_look(call, call->numbers[0], &seen, NULL);
    if (error != CN_E_SUCCESS)
        return error;
    error = error_of(utimensat(seen, "", times, AT_EMPTY_PATH));
    close(seen);
    return error;
}

/* Books what has just been created at the place; it may be gone again already. What cannot be
 * looked at cannot be booked, and must not stay: nobody would pay for it. `flags` removes it. */
static enum cn_errno book_created(struct cn_call *call, struct cn_inode *inode,
                                  const struct cn_place *place, int flags)
{
    struct stat stat;
    enum cn_errno error = cn_place_stat(place, &stat);

    if (error == CN_E_SUCCESS) {
        cn_disk_created(cn_disk_of(call->wasi, call->fd), inode, &stat);
        return CN_E_SUCCESS;
    }
    (void)unlinkat(place->dir, place->name, flags);
    cn_disk_abandon(cn_disk_of(call->wasi, call->fd), inode);
    return error == CN_E_NOENT ? CN_E_SUCCESS : error;
}

static enum cn_errno make_dir(struct cn_call *call, const struct cn_place *place)
{
    struct cn_inode *inode;

    if (place->is_dot)
        return CN_E_EXIST;
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    enum cn_errno error = cn_disk_prepare(disk, place->dir, place->name, &inode);
    if (error != CN_E_SUCCESS)
        return error;
    error = error_of(mkdirat(place->dir, place->name, 0777));
    if (error == CN_E_SUCCESS)
        return book_created(call, inode, place, AT_REMOVEDIR);
    cn_disk_abandon(disk, inode);
    return error;
}

enum cn_errno cn_wasi_path_create_directory(struct cn_call *call)
{
    struct cn_place place;
    enum cn_errno error = cn_reach_place(call->fd, call->path, &place);

    if (error != CN_E_SUCCESS)
        return error;
    error = make_dir(call, &place);
    cn_place_release(&place);
    return error;
}

static enum cn_errno remove_name(struct cn_call *call, const struct cn_place *place, int flags)
{
    struct stat stat;
    enum cn_errno error = cn_place_stat(place, &stat);

    if (error == CN_E_SUCCESS)
        error = error_of(unlinkat(place->dir, place->name, flags));
    if (error == CN_E_SUCCESS)
        cn_disk_unlinked(cn_disk_of(call->wasi, call->fd), &stat);
    return error;
}

enum cn_errno cn_wasi_path_remove_directory(struct cn_call *call)
{
    struct cn_place place;
    enum cn_errno error = cn_reach_place(call->fd, call->path, &place);

    if (error != CN_E_SUCCESS)
        return error;
    if (place.is_dot)
        error = strcmp(place.name, ".") == 0 ? CN_E_INVAL : CN_E_NOTEMPTY;
    else
        error = remove_name(call, &place, AT_REMOVEDIR);
    cn_place_release(&place);
    return error;
}

/* A file whose name has a slash behind it cannot be meant. */
static enum cn_errno refuse_slash(const struct cn_place *place)
{
    struct stat stat;
    enum cn_errno error = cn_place_stat(place, &stat);

    if (error != CN_E_SUCCESS)
        return error;
    return S_ISDIR(stat.st_mode) ? CN_E_ISDIR : CN_E_NOTDIR;
}

enum cn_errno cn_wasi_path_unlink_file(struct cn_call *call)
{
    struct cn_place place;
    enum cn_errno error = cn_reach_place(call->fd, call->path, &place);

    if (error != CN_E_SUCCESS)
        return error;
    if (place.is_dot || place.has_slash)
        error = refuse_slash(&place);
    else
        error = remove_name(call, &place, 0);
    cn_place_release(&place);
    return error;
}

/* May what stands below `from` get a name below `to`? Only when nothing more can be done with
 * it there: else a file that cannot be written would become one that can. */
static bool rights_only_shrink(const struct cn_fd *from, const struct cn_fd *to)
{
    const uint64_t by_path =
        (uint64_t)CN_RIGHT_PATH_FILESTAT_SET_SIZE | CN_RIGHT_PATH_FILESTAT_SET_TIMES;

    return (to->inheriting & ~from->inheriting) == 0 &&
           (to->rights & by_path & ~from->rights) == 0;
}

/* Both places of a call that has two. */
static enum cn_errno find_both(struct cn_call *call, struct cn_place *from, struct cn_place *to)
{
    if (!rights_only_shrink(call->fd, call->fd2))
        return CN_E_NOTCAPABLE;
    if (call->fd->volume != call->fd2->volume)
        return CN_E_XDEV;
    enum cn_errno error = cn_reach_place(call->fd, call->path, from);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_reach_place(call->fd2, call->path2, to);
    if (error != CN_E_SUCCESS)
        cn_place_release(from);
    return error;
}

/* A new name cannot be "." and, unless it is a directory's, has no slash behind it. */
static enum cn_errno check_new_name(const struct cn_place *place)
{
    struct stat stat;

    if (place->is_dot)
        return CN_E_EXIST;
    if (!place->has_slash)
        return CN_E_SUCCESS;
    enum cn_errno error = cn_place_stat(place, &stat);
    if (error != CN_E_SUCCESS)
        return error;
    return S_ISDIR(stat.st_mode) ? CN_E_EXIST : CN_E_NOTDIR;
}

static enum cn_errno link_places(struct cn_disk *disk, const struct cn_place *from,
                                 const struct cn_place *to)
{
    if (from->is_dot)
        return CN_E_PERM;
    if (from->has_slash) {
        enum cn_errno error = refuse_slash(from);
        return error == CN_E_ISDIR ? CN_E_PERM : error;
    }
    enum cn_errno error = check_new_name(to);
    if (error == CN_E_SUCCESS)
        error = cn_disk_named(disk);
    if (error != CN_E_SUCCESS)
        return error;
    error = error_of(linkat(from->dir, from->name, to->dir, to->name, 0));
    if (error != CN_E_SUCCESS)
        cn_disk_unnamed(disk);
    return error;
}

enum cn_errno cn_wasi_path_link(struct cn_call *call)
{
    struct cn_place from, to;

    /* A link is made to what the name names, a symbolic link included. */
    if (call->numbers[0] != 0)
        return CN_E_INVAL;
    enum cn_errno error = find_both(call, &from, &to);
    if (error != CN_E_SUCCESS)
        return error;
    error = link_places(cn_disk_of(call->wasi, call->fd), &from, &to);
    cn_place_release(&from);
    cn_place_release(&to);
    return error;
}

static enum cn_errno rename_places(struct cn_call *call, const struct cn_place *from,
                                   const struct cn_place *to)
{
    struct stat source, victim;

    if (from->is_dot || to->is_dot)
        return CN_E_BUSY;
    enum cn_errno error = cn_place_stat(from, &source);
    if (error != CN_E_SUCCESS)
        return error;
    if ((from->has_slash || to->has_slash) && !S_ISDIR(source.st_mode))
        return CN_E_NOTDIR;
    error = cn_place_stat(to, &victim);
    bool has_victim = error == CN_E_SUCCESS;
    if (!has_victim && error != CN_E_NOENT)
        return error; /* what is replaced could not be given back */
    error = error_of(renameat(from->dir, from->name, to->dir, to->name));
    if (error != CN_E_SUCCESS || !has_victim)
        return error;
    if (victim.st_ino != source.st_ino || victim.st_dev != source.st_dev)
        cn_disk_unlinked(cn_disk_of(call->wasi, call->fd), &victim);
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_path_rename(struct cn_call *call)
{
    struct cn_place from, to;
    enum cn_errno error = find_both(call, &from, &to);

    if (error != CN_E_SUCCESS)
        return error;
    error = rename_places(call, &from, &to);
    cn_place_release(&from);
    cn_place_release(&to);
    return error;
}

static enum cn_errno make_link(struct cn_call *call, const char *target,
                               const struct cn_place *place)
{
    struct cn_disk *disk = cn_disk_of(call->wasi, call->fd);
    struct cn_inode *inode;
    char hidden[CN_PATH_MAX + 1];
    const char *text = call->fd->volume != NULL ? hidden : target;

    enum cn_errno error = check_new_name(place);
    if (error == CN_E_SUCCESS && call->fd->volume != NULL)
        error = cn_volume_hide_link(call->fd->volume, target, hidden);
    if (error == CN_E_SUCCESS)
        error = cn_disk_prepare(disk, place->dir, place->name, &inode);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_disk_resize(disk, inode, strlen(target));
    if (error == CN_E_SUCCESS)
        error = error_of(symlinkat(text, place->dir, place->name));
    if (error == CN_E_SUCCESS)
        return book_created(call, inode, place, 0);
    cn_disk_abandon(disk, inode);
    return error;
}

enum cn_errno cn_wasi_path_symlink(struct cn_call *call)
{
    struct cn_place place;

    if (!cn_link_stays_inside(call->path2, call->path))
        return CN_E_NOTCAPABLE;
    enum cn_errno error = cn_reach_place(call->fd, call->path2, &place);
    if (error != CN_E_SUCCESS)
        return error;
    error = make_link(call, call->path, &place);
    cn_place_release(&place);
    return error;
}

/* With a slash behind it the name means what the link leads to, and that is no link. */
static enum cn_errno look_behind_link(struct cn_call *call, const struct cn_place *place)
{
    int seen;
    enum cn_errno error =
        call->fd->volume != NULL
            ? cn_reach_look(call->fd, call->path, true, &seen, NULL)
            : cn_resolve_open(place->dir, place->name, O_PATH | O_DIRECTORY, &seen);

    if (error != CN_E_SUCCESS)
        return error;
    close(seen);
    return CN_E_INVAL;
}

static enum cn_errno read_link(struct cn_call *call, const struct cn_place *place)
{
    char target[CN_PATH_MAX + 1];
    enum cn_errno error = CN_E_SUCCESS;
    ssize_t length = 0;

    if (place->is_dot)
        return CN_E_INVAL;
    if (place->has_slash)
        return look_behind_link(call, place);
    if (call->fd->volume != NULL)
        error = cn_volume_read_link(call->fd->volume, place->dir, place->name, target);
    else if ((length = readlinkat(place->dir, place->name, target, sizeof target)) < 0)
        error = cn_errno_of_host(errno);
    if (error != CN_E_SUCCESS)
        return error;
    if (call->fd->volume != NULL)
        length = (ssize_t)strlen(target);
    uint32_t size = (size_t)length < call->buffer.size ? (uint32_t)length : call->buffer.size;
    memcpy(call->buffer.at, target, size);
    call->out[0].u32 = size;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_path_readlink(struct cn_call *call)
{
    struct cn_place place;

    if (call->fd->is_unreal)
        return CN_E_NOTCAPABLE;
    enum cn_errno error = cn_reach_place(call->fd, call->path, &place);
    if (error != CN_E_SUCCESS)
        return error;
    error = read_link(call, &place);
    cn_place_release(&place);
    return error;
}
