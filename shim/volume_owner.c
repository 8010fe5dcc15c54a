/* Whose a volume's files are: of the user that its next VM becomes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "shim/volume_store.h"
#include "shim/volume_walk.h"

struct owners {
    uid_t before, user;
    gid_t group;
    int failed; /* the errno of what could not be given */
};

/* What has a name elsewhere, too, may be somebody else's; another user's is none of a volume's. */
static bool is_ours(const struct owners *owners, const struct stat *stat)
{
    bool has_one_name = S_ISDIR(stat->st_mode) || stat->st_nlink == 1;

    return stat->st_uid == owners->before || (stat->st_uid == 0 && has_one_name);
}

static void give(struct owners *owners, int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat stat;

    if (fd < 0)
        return;
    if (fstat(fd, &stat) == 0 && stat.st_uid != owners->user && is_ours(owners, &stat) &&
        fchownat(fd, "", owners->user, owners->group, AT_EMPTY_PATH) != 0)
        owners->failed = errno;
    close(fd);
}

static enum cn_errno visit(void *context, const struct cn_found *found)
{
    give(context, found->dir, found->hidden);
    return CN_E_SUCCESS;
}

static enum cn_errno walk(struct cn_mount *mount, struct owners *owners)
{
    struct cn_account nobody;
    struct cn_volume *volume;
    bool is_incomplete;

    if (mount->grant.keys->master == NULL) /* there is nothing in it */
        return CN_E_SUCCESS;
    cn_account_init(&nobody);
    nobody.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    enum cn_errno error = cn_volume_new(&mount->grant, &nobody, false, &volume);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_volume_walk(volume, mount->dir, visit, owners, &is_incomplete);
    cn_volume_free(volume);
    return error;
}

enum cn_status cn_mount_give_to(struct cn_mount *mount, uid_t user, gid_t group,
                                struct cn_error *error)
{
    struct owners owners = {.user = user, .group = group};
    struct stat top;

    if (geteuid() != 0)
        return CN_OK;
    if (fstat(mount->dir, &top) != 0)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "a volume: %s", strerror(errno));
    owners.before = top.st_uid;
    if (walk(mount, &owners) != CN_E_SUCCESS)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
    /* The directory last: whoever is ended in between leaves the rest to the next. */
    if (top.st_uid != user && fchown(mount->dir, user, group) != 0)
        owners.failed = errno;
    if (owners.failed == 0 || owners.failed == EINVAL || owners.failed == EPERM)
        return CN_OK;
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "a volume's files cannot be given to user %u: %s",
                   (unsigned)user, strerror(owners.failed));
}
