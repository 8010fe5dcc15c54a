/* seccomp: the filter of the grants, made at build time. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/jail.h"
#include "jail_filters.h"

bool cn_jail_has_filters(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

enum cn_status cn_jail_filter(struct cn_jail *jail, struct cn_error *error)
{
    const struct sock_fprog *filter = &filters[jail->grants];

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) == 0)
        jail->active[CN_LAYER_SECCOMP] = true;
    else if (!jail->is_best_effort)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the sandbox's layer seccomp: %s",
                       strerror(errno));
    return CN_OK;
}

const char *cn_jail_call_name(int number)
{
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        if (deadly[i].number == number)
            return deadly[i].name;
    return NULL;
}
