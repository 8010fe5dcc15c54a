/* Everything in a volume, one thing after the other. */
#ifndef CN_SHIM_VOLUME_WALK_H
#define CN_SHIM_VOLUME_WALK_H

#include "shim/volume.h"

/* What was found. */
struct cn_found {
    int dir;
    const char *hidden; /* its name in that directory, on the host */
    const char *name;   /* as the guest calls it; NULL: it is none of the volume's */
    const char *path;   /* the guest's, from the volume's root, without a slash in front */
    struct stat stat;
    struct stat parent;
};

/* Not SUCCESS ends the walk. A directory comes before what is in it, and the rest of its own
 * directory before it. What is found may be removed, unless it is a directory. */
typedef enum cn_errno (*cn_visit_fn)(void *context, const struct cn_found *found);

/* NOMEM, or whatever the visit returned; OVERFLOW when there is too much. Directories that cannot
 * be read are left out, and *is_incomplete is set. */
enum cn_errno cn_volume_walk(struct cn_volume *volume, int root, cn_visit_fn visit, void *context,
                             bool *is_incomplete);

#endif
