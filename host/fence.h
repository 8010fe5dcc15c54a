/* Fences: a control group of the kernel's around each process of a VM, where the machine gives the
 * host any. They are a second line behind the quotas: nothing depends on them.
 *
 * Both versions of the kernel's interface are used as they are found (cgroup v1:
 * Documentation/admin-guide/cgroup-v1; v2: Documentation/admin-guide/cgroup-v2.rst): the
 * controllers `memory` and `pids`, each in v1 where it is mounted so, else in v2. A host makes a
 * group "cordon-PID-N" below its own, with one group in it for each process ("vm-N"). Where v2 asks
 * for it (a group that gives controllers on has no processes) the host moves into a group "host" in
 * there, which it can only when it is alone in its own: that is so where a service manager has
 * delegated it. What a host that was killed has left there is removed by the next one.
 *
 * A group bounds the process to CN_FENCE_TASKS tasks, and its memory to more than the VM may have
 * by its quotas: so the fence stops what gets past these, and nothing else. */
#ifndef CN_HOST_FENCE_H
#define CN_HOST_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/error.h"
#include "governor/account.h"

#define CN_FENCE_TASKS 8

struct cn_fence_post {
    int parent;    /* the host's own group; -1 where there is no post */
    int group;     /* "cordon-PID-N" in it */
    bool is_v2, is_moved; /* the host has moved into "host" */
    bool has_memory, has_pids;
};

/* Where fences are put up. */
struct cn_fences {
    struct cn_fence_post posts[2];
    char name[48];
    _Atomic uint32_t made; /* groups, so far */
};

/* Where the kernel says what it has mounted and in which groups this process is. */
#define CN_FENCE_MOUNTS "/proc/self/mountinfo"
#define CN_FENCE_GROUPS "/proc/self/cgroup"

/* CN_IO with the reason when neither controller can be had: then it holds nothing. */
CN_CHECKED enum cn_status cn_fences_open(struct cn_fences *fences, const char *mounts,
                                         const char *groups, struct cn_error *error);
/* All processes in its groups have ended. */
void cn_fences_close(struct cn_fences *fences);

/* "memory, pids (cgroup v1)" and the like. */
void cn_fences_print(const struct cn_fences *fences, char *text, size_t size);

/* One process's group; all zero for none. */
struct cn_fence {
    uint32_t number;
    uint64_t memory; /* its bound, UINT64_MAX for none */
    bool counts_disk; /* what it writes into files may count as memory */
};

/* Puts the process behind a fence of its own. Where that fails, in whole or in part, it has less of
 * one; `fence` is none when it has nothing. `counts_disk`: it writes to file systems that live in
 * memory, so what its disk quota lets it write is added. */
void cn_fence_put(struct cn_fences *fences, struct cn_fence *fence, pid_t pid,
                  const uint64_t limit[CN_QUOTA_COUNT], bool counts_disk);
/* Quotas have changed: the bound of memory rises with them, and never falls, for a quota that is
 * lowered takes nothing away. */
void cn_fence_raise(struct cn_fences *fences, struct cn_fence *fence,
                    const uint64_t limit[CN_QUOTA_COUNT]);
/* After the process has been waited for. */
void cn_fence_remove(struct cn_fences *fences, struct cn_fence *fence);

#endif
