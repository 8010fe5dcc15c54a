/* The disk's books after a crash, compared with the directories that the VM may write to. */
#ifndef CN_SHIM_RECOUNT_H
#define CN_SHIM_RECOUNT_H

#include "shim/disk.h"

/* Looks through a directory (a descriptor, O_PATH is enough) and all below it on the same file
 * system: what is there is as large as it is now, and what was about to be created is found if it
 * was. False when there is more than it looks through, or something cannot be read: then what was
 * not found may be there all the same. */
bool cn_recount(struct cn_disk *disk, int dir);

#endif
