/* Where control groups are: reads what the kernel says of mounts and of this process. */
#ifndef CN_HOST_FENCE_FIND_H
#define CN_HOST_FENCE_FIND_H

#include <limits.h>
#include <stdbool.h>

/* The directory of this process's own group for a controller, or for cgroup v2 (NULL). False when
 * it is not mounted, or nothing of the group is to be seen there. */
bool cn_fence_find(const char *mounts, const char *groups, const char *controller,
                   char path[PATH_MAX]);

#endif
