/* What a guest's directory leads to, be it one of the host's or of a volume. */
#ifndef CN_SHIM_REACH_H
#define CN_SHIM_REACH_H

#include "shim/call.h"
#include "shim/volume.h"

/* The books that count what is done below a directory, or to a file. */
static inline struct cn_disk *cn_disk_of(struct cn_wasi *wasi, const struct cn_fd *fd)
{
    return fd->volume != NULL ? &fd->volume->disk : &wasi->disk;
}

/* As cn_place_find and cn_volume_find, without following a final link. */
enum cn_errno cn_reach_place(const struct cn_fd *dir, char *path, struct cn_place *place);

/* Opens what the path leads to, only to look at it (O_PATH), and its status as the guest is to
 * see it. `stat` may be NULL. */
enum cn_errno cn_reach_look(const struct cn_fd *dir, char *path, bool follows, int *seen,
                            struct stat *stat);

/* Of an open descriptor. */
enum cn_errno cn_reach_stat(const struct cn_fd *fd, struct stat *stat);

#endif
