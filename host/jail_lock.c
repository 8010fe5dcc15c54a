/* Memory that is never swapped out, whatever swap is added while the process lives. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"

/* Of linux/mman.h, which older headers lack in part: pages are locked when they are touched. */
#define LOCK_ON_FAULT 1
#define FUTURE_ON_FAULT 4

static enum cn_status fail(const char *why, struct cn_error *error)
{
    struct rlimit limit = {0, 0};

    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY)
        return cn_fail(error, CN_IO, CN_NO_OFFSET,
                       "strict: memory cannot be kept out of swap: %s", why);
    return cn_fail(error, CN_IO, CN_NO_OFFSET,
                   "strict: memory cannot be kept out of swap: %s (RLIMIT_MEMLOCK is %llu KiB)",
                   why, (unsigned long long)limit.rlim_cur / 1024);
}

static bool raise_limit(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        return true;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
    return limit.rlim_cur == RLIM_INFINITY;
}

/* Whom the limit does not hold, as long as that is so. */
static bool has_lock_capability(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &head, data) == 0 &&
           (data[0].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

/* What can be written is there already: heap, stack, data; text is the file's. */
static bool lock_present(FILE *maps)
{
    char line[4400], rights[5];
    unsigned long from, to;

    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) != 3 ||
            (rights[1] == 'w' && mlock2((void *)from, to - from, LOCK_ON_FAULT) != 0))
            return false;
    return true;
}

enum cn_status cn_jail_lock(bool may_be_bounded, struct cn_error *error)
{
    if (CN_IS_SANITIZED)
        return CN_OK; /* its books are larger than any memory */
    if (!raise_limit() && !may_be_bounded && !has_lock_capability())
        return fail("there is a limit", error);
    if (mlockall(MCL_FUTURE | FUTURE_ON_FAULT) != 0)
        return fail(strerror(errno), error);
    FILE *maps = fopen("/proc/self/maps", "re");
    bool is_locked = maps != NULL && lock_present(maps);
    int cause = errno;
    if (maps != NULL)
        fclose(maps);
    return is_locked ? CN_OK : fail(strerror(cause), error);
}
