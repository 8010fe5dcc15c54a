#include "shim/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shim/errno.h"

enum cn_errno cn_reach_place(const struct cn_fd *dir, char *path, struct cn_place *place)
{
    return dir->volume != NULL ? cn_volume_find(dir->volume, dir->host, path, false, place)
                               : cn_place_find(dir->host, path, place);
}

static enum cn_errno look_in_volume(const struct cn_fd *dir, const char *path, bool follows,
                                    int *seen, struct stat *stat)
{
    struct cn_place place;
    bool wants_dir = path[strlen(path) - 1] == '/';
    enum cn_errno error =
        cn_volume_find(dir->volume, dir->host, path, follows || wants_dir, &place);

    if (error != CN_E_SUCCESS)
        return error;
    int flags = O_PATH | O_NOFOLLOW | (wants_dir ? O_DIRECTORY : 0);
    error = cn_resolve_open(place.dir, place.is_dot ? "." : place.name, flags, seen);
    if (error == CN_E_SUCCESS && stat != NULL) {
        error = cn_volume_stat(dir->volume, &place, stat);
        if (error != CN_E_SUCCESS)
            close(*seen);
    }
    cn_place_release(&place);
    return error;
}

enum cn_errno cn_reach_look(const struct cn_fd *dir, char *path, bool follows, int *seen,
                            struct stat *stat)
{
    if (dir->volume != NULL)
        return look_in_volume(dir, path, follows, seen, stat);
    enum cn_errno error =
        cn_resolve_open(dir->host, path, follows ? O_PATH : O_PATH | O_NOFOLLOW, seen);
    if (error != CN_E_SUCCESS || stat == NULL || fstat(*seen, stat) == 0)
        return error;
    error = cn_errno_of_host(errno);
    close(*seen);
    return error;
}

enum cn_errno cn_reach_stat(const struct cn_fd *fd, struct stat *stat)
{
    if (fstat(fd->host, stat) != 0)
        return cn_errno_of_host(errno);
    if (fd->opened != NULL)
        stat->st_size = (off_t)fd->opened->file.size;
    return CN_E_SUCCESS;
}
