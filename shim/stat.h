/* What a guest learns about a file: the host's figures, with devices and inodes veiled. */
#ifndef CN_SHIM_STAT_H
#define CN_SHIM_STAT_H

#include <sys/stat.h>

#include "shim/call.h"

/* The number that stands for an inode of the host: different numbers for different inodes, and
 * others in every VM. */
uint64_t cn_veiled_inode(const struct cn_wasi *wasi, uint64_t ino);

/* Leaves the file's status in the call's first result, in the layout that the module expects. */
void cn_put_filestat(struct cn_call *call, const struct stat *stat);

/* Times for utimensat; INVAL for flags that are unknown or contradict each other. */
enum cn_errno cn_times_of(uint64_t atim, uint64_t mtim, uint64_t flags,
                          struct timespec times[2]);

#endif
