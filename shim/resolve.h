/* From a guest's path to a place on the host, never outside the directory it starts from.
 *
 * Everything goes through openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
 * RESOLVE_NO_XDEV: the kernel walks, so there is no moment between looking and using in which
 * somebody could exchange a directory for a link. There is no second, weaker way: a kernel
 * without openat2 serves no paths. What leads outside (too many "..", an absolute link, a magic
 * link, another file system mounted below) is NOTCAPABLE.
 *
 * Calls that create, remove or rename resolve the parent directory so, and then act on one
 * final name in it that contains no slash and is neither "." nor "..", never following it.
 */
#ifndef CN_SHIM_RESOLVE_H
#define CN_SHIM_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "shim/abi.h"

#define CN_PATH_MAX 4096u

/* Opens `path` beneath the directory `dir` with these open(2) flags (O_CLOEXEC is added): a new
 * descriptor. Follows a final symbolic link unless O_NOFOLLOW stands in `flags`. */
enum cn_errno cn_resolve_open(int dir, const char *path, int flags, int *result);

/* As above with O_CREAT | O_EXCL: the final name must not exist, not even as a link. */
enum cn_errno cn_resolve_create(int dir, const char *name, int flags, mode_t mode, int *result);

/* A name in a directory. */
struct cn_place {
    int dir;          /* of the parent */
    bool is_own;      /* `dir` is to be closed */
    bool has_slash;   /* the path ended in a slash: it must be a directory */
    bool is_dot;      /* the path names a directory by "." or "..": `name` is not to be used */
    const char *name; /* the final component, inside the path that was given, or: */
    char hidden[256]; /* as it is called in a volume (shim/volume.h) */
};

/* Splits `path` (which is changed) and opens its parent. When the final component is "." or
 * ".." the whole path is resolved, and `dir` is what it leads to. */
enum cn_errno cn_place_find(int dir, char *path, struct cn_place *place);

void cn_place_release(struct cn_place *place);

/* What stands at the place, not following a link. */
enum cn_errno cn_place_stat(const struct cn_place *place, struct stat *result);

/* True when a link that stands in the directory of `path` and says `target` stays, read as
 * text, beneath the directory that `path` starts from. */
bool cn_link_stays_inside(const char *path, const char *target);

/* CN_FILETYPE_... of st_mode. */
enum cn_filetype cn_filetype_of_mode(mode_t mode);

/* True for a directory of procfs, whose files reach into this very process. */
bool cn_is_procfs(int dir);

#endif
