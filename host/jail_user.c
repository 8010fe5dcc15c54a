/* Who the process is: its limits, its user, its capabilities, its privileges. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"

#define NOBODY 65534
#define MDWE_SET 65 /* PR_SET_MDWE and PR_MDWE_REFUSE_EXEC_GAIN, which older headers lack */
#define MDWE_REFUSE_EXEC_GAIN 1

static enum cn_status fail(enum cn_layer layer, const char *what, struct cn_error *error)
{
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "the sandbox's layer %s: %s: %s",
                   cn_layer_key(layer), what, strerror(errno));
}

enum cn_status cn_jail_limits(struct cn_jail *jail, struct cn_error *error)
{
    static const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return fail(CN_LAYER_LIMITS, "core dumps", error);
    /* A sanitizer's check for leaks and a host's workers are processes to this limit. */
    if (!(jail->grants & CN_JAIL_THREADS) && !CN_IS_SANITIZED &&
        setrlimit(RLIMIT_NPROC, &none) != 0)
        return fail(CN_LAYER_LIMITS, "processes", error);
    if (setrlimit(RLIMIT_MSGQUEUE, &none) != 0)
        return fail(CN_LAYER_LIMITS, "message queues", error);
    jail->active[CN_LAYER_LIMITS] = true;
    return CN_OK;
}

/* The first directory that is granted for writing, else the first of all; those that follow are
 * none, unless there are no others. */
static const struct cn_jail_dir *decisive(const struct cn_jail *jail)
{
    for (int follows = 0; follows < 2; follows++)
        for (int is_read_only = 0; is_read_only < 2; is_read_only++)
            for (uint32_t i = 0; i < jail->dir_count; i++)
                if (jail->dirs[i].follows == follows &&
                    jail->dirs[i].is_read_only == is_read_only)
                    return &jail->dirs[i];
    return NULL;
}

/* Root becomes the owner of that directory, else nobody. Everybody else stays who they are. */
void cn_jail_choose_user(struct cn_jail *jail)
{
    const struct cn_jail_dir *dir = decisive(jail);
    struct stat status;

    if (jail->has_user)
        return;
    jail->user = geteuid();
    jail->group = getegid();
    if (jail->user != 0)
        return;
    jail->user = NOBODY;
    jail->group = NOBODY;
    if (dir != NULL && fstat(dir->fd, &status) == 0) {
        jail->user = status.st_uid;
        jail->group = status.st_gid;
    }
}

static enum cn_status become(struct cn_jail *jail, struct cn_error *error)
{
    bool was_root = geteuid() == 0;

    if ((was_root && setgroups(0, NULL) != 0) ||
        setresgid(jail->group, jail->group, jail->group) != 0 ||
        setresuid(jail->user, jail->user, jail->user) != 0) {
        /* A user namespace may have no other users than this one. */
        if (jail->has_user || (errno != EINVAL && errno != EPERM))
            return fail(CN_LAYER_USER, "the user cannot be changed", error);
        jail->user = geteuid();
        jail->group = getegid();
    }
    return CN_OK;
}

enum cn_status cn_jail_user(struct cn_jail *jail, struct cn_error *error)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};

    cn_jail_choose_user(jail);
    /* Without them nothing gives a capability back; who may not drop them has none to lose. */
    for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        continue;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    CN_TRY(become(jail, error));
    if (syscall(SYS_capset, &head, none) != 0)
        return fail(CN_LAYER_USER, "capabilities", error);
    jail->active[CN_LAYER_USER] = true;
    if (jail->user == 0 && jail->landlock_abi < 2)
        return cn_fail(error, CN_IO, CN_NO_OFFSET,
                       "the sandbox's layer landlock is missing, and with root's own directories "
                       "granted nothing goes without it");
    return CN_OK;
}

/* After the change of users, which resets what may be dumped and what follows the parent. */
enum cn_status cn_jail_privileges(struct cn_jail *jail, struct cn_error *error)
{
    if (prctl(PR_SET_DUMPABLE, CN_IS_SANITIZED, 0, 0, 0) != 0)
        return fail(CN_LAYER_DUMPABLE, "cannot be set", error);
    if (jail->dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return fail(CN_LAYER_USER, "it would outlive its parent", error);
    jail->active[CN_LAYER_DUMPABLE] = true;
    jail->active[CN_LAYER_MDWE] = prctl(MDWE_SET, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
    jail->active[CN_LAYER_NO_NEW_PRIVS] = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!jail->active[CN_LAYER_NO_NEW_PRIVS] && !jail->is_best_effort)
        return fail(CN_LAYER_NO_NEW_PRIVS, "cannot be set", error);
    return CN_OK;
}
